/* Keywords about one value: its type, the values of an enum, numbers, strings, counts. */
#include "text/schema_apply.h"

#include <stddef.h>
#include <string.h>

static bool read_types(Schema *s, const json_t *schema, const json_t *value, unsigned *types,
                       bool *only_integer)
{
    static const struct {
        const char *name;
        unsigned types;
    } names[] = {{"null", VALUE_NULL},     {"boolean", VALUE_FALSE | VALUE_TRUE},
                 {"number", VALUE_NUMBER}, {"integer", VALUE_NUMBER},
                 {"string", VALUE_STRING}, {"array", VALUE_ARRAY},
                 {"object", VALUE_OBJECT}, {"any", VALUE_ANY}};
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    bool has_integer = false, has_number = false;
    *types = 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, i) : value;
        const char *name = json_string_value(item);
        size_t k = 0, n_names = sizeof names / sizeof *names;
        while (name && k < n_names && strcmp(name, names[k].name) != 0)
            k++;
        if (!name || k == n_names)
            return schema_is_wrong(s, schema, "type", "a type of JSON");
        *types |= names[k].types;
        has_integer |= strcmp(name, "integer") == 0;
        has_number |= names[k].types & VALUE_NUMBER && strcmp(name, "integer") != 0;
    }
    *only_integer = has_integer && !has_number;
    return true;
}

bool apply_type(Schema *s, json_t *schema, json_t *value, bool is_negated, Shapes *shapes)
{
    unsigned types;
    bool only_integer = false;
    if (!read_types(s, schema, value, &types, &only_integer))
        return false;
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        if (!is_negated) {
            x->types &= types;
            x->is_integer |= only_integer;
        } else if (only_integer) {
            x->types &= ~types | VALUE_NUMBER;
            x->number = rx_and(s->pool, x->number, schema_fractional(s->pool));
        } else {
            x->types &= ~types;
        }
    }
    return true;
}

static json_t *common_values(Schema *s, const json_t *a, const json_t *b)
{
    json_t *common = schema_new_list(s);
    size_t i, k;
    json_t *x, *y;
    json_array_foreach(a, i, x)
    {
        json_array_foreach(b, k, y)
        {
            if (schema_values_equal(x, y)) {
                json_array_append(common, x);
                break;
            }
        }
    }
    return common;
}

static bool exclude_value(Schema *s, json_t *schema, const json_t *value, Shape *x)
{
    Buf text = {0};
    switch (json_typeof(value)) {
    case JSON_NULL:
        x->types &= ~(unsigned)VALUE_NULL;
        return true;
    case JSON_TRUE:
        x->types &= ~(unsigned)VALUE_TRUE;
        return true;
    case JSON_FALSE:
        x->types &= ~(unsigned)VALUE_FALSE;
        return true;
    case JSON_STRING:
        spell_text(&text, (Str){json_string_value(value), json_string_length(value)}, SPELL_JSON);
        x->string =
            rx_and(s->pool, x->string, rx_not(s->pool, rx_literal(s->pool, buf_str(&text))));
        buf_free(&text);
        return true;
    case JSON_INTEGER:
    case JSON_REAL:
        x->number = rx_and(s->pool, x->number, schema_other_number(s->pool, value));
        return true;
    case JSON_ARRAY:
        if (json_array_size(value) == 0 && x->items_min == 0) /* not []: at least one */
            x->items_min = 1;
        return json_array_size(value) == 0 || !(x->types & VALUE_ARRAY) ||
               schema_is_unsupported(s, schema, "not");
    default:
        if (json_object_size(value) == 0 && x->properties_min == 0)
            x->properties_min = 1;
        return json_object_size(value) == 0 || !(x->types & VALUE_OBJECT) ||
               schema_is_unsupported(s, schema, "not");
    }
}

bool apply_enum(Schema *s, json_t *schema, json_t *values, bool is_negated, Shapes *shapes)
{
    if (!json_is_array(values))
        return schema_is_wrong(s, schema, "enum", "an array");
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        if (!is_negated) {
            x->values = x->values ? common_values(s, x->values, values) : values;
            continue;
        }
        size_t k;
        json_t *value;
        json_array_foreach(values, k, value) if (!exclude_value(s, schema, value, x)) return false;
    }
    return true;
}

static void tighten(NumberBound *bound, NumberBound other, bool is_low)
{
    int order = bound->is_set ? schema_compare_numbers(other.value, bound->value) : 0;
    bool is_tighter =
        !bound->is_set || (is_low ? order > 0 : order < 0) || (order == 0 && other.is_strict);
    if (is_tighter)
        *bound = other;
}

/* minimum, maximum and the exclusive ones; draft 4's exclusive ones are true or false. */
bool apply_bound(Schema *s, json_t *schema, const char *keyword, json_t *value, bool is_negated,
                 Shapes *shapes)
{
    bool is_low = strstr(keyword, "inimum") != NULL, is_strict = keyword[0] == 'e';
    if (is_strict && json_is_boolean(value))
        return true; /* read with its partner */
    if (!json_is_number(value))
        return schema_is_wrong(s, schema, keyword, "a number");
    if (!is_strict)
        is_strict =
            json_is_true(json_object_get(schema, is_low ? "exclusiveMinimum" : "exclusiveMaximum"));
    NumberBound bound = {true, is_strict != is_negated, value};
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        if (is_negated)
            x->types &= VALUE_NUMBER;
        bool sets_low = is_low != is_negated;
        tighten(sets_low ? &x->low : &x->high, bound, sets_low);
    }
    return true;
}

bool apply_multiple(Schema *s, json_t *schema, json_t *value, bool is_negated, Shapes *shapes)
{
    if (!json_is_number(value) || json_number_value(value) <= 0)
        return schema_is_wrong(s, schema, "multipleOf", "a number above 0");
    Rx multiple = schema_multiple(s->pool, value, is_negated);
    if (multiple == RX_VOID)
        return schema_fail(s, ERROR_UNSUPPORTED, schema, "multipleOf", "too many digits");
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        if (is_negated)
            x->types &= VALUE_NUMBER;
        x->number = rx_and(s->pool, x->number, multiple);
    }
    return true;
}

bool apply_pattern(Schema *s, json_t *schema, const char *keyword, json_t *value, bool is_negated,
                   Shapes *shapes)
{
    Rx set;
    if (!json_is_string(value))
        return schema_is_wrong(s, schema, keyword, "a string");
    Str text = {json_string_value(value), json_string_length(value)};
    if (strcmp(keyword, "format") == 0) {
        if (!schema_format(s->pool, text, &set))
            return true; /* an annotation */
    } else if (!schema_pattern(s, schema, keyword, text.data, text.bytes, &set)) {
        return false;
    }
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        if (is_negated)
            x->types &= VALUE_STRING;
        x->string = rx_and(s->pool, x->string, is_negated ? rx_not(s->pool, set) : set);
    }
    return true;
}

/* minLength, maxItems and so on. */
bool apply_count(Schema *s, json_t *schema, const char *keyword, json_t *value, bool is_negated,
                 Shapes *shapes)
{
    static const struct {
        const char *name;
        unsigned type;
        size_t min, max;
    } counts[] = {
        {"Length", VALUE_STRING, offsetof(Shape, length_min), offsetof(Shape, length_max)},
        {"Items", VALUE_ARRAY, offsetof(Shape, items_min), offsetof(Shape, items_max)},
        {"Properties", VALUE_OBJECT, offsetof(Shape, properties_min),
         offsetof(Shape, properties_max)},
    };
    double n = json_number_value(value);
    if (!json_is_number(value) || n < 0 || n != (double)(int64_t)n)
        return schema_is_wrong(s, schema, keyword, "a whole number from 0");
    size_t k = strcmp(keyword + 3, "Length") == 0 ? 0 : strcmp(keyword + 3, "Items") == 0 ? 1 : 2;
    bool is_min = keyword[1] == 'i';
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        int64_t *min = (int64_t *)(void *)((char *)x + counts[k].min);
        int64_t *max = (int64_t *)(void *)((char *)x + counts[k].max), count = (int64_t)n;
        bool sets_min = is_min != is_negated;
        if (is_negated) {
            x->types &= counts[k].type;
            count += is_min ? -1 : 1;
            if (count < 0)
                x->types = 0;
        }
        if (sets_min && count > *min)
            *min = count;
        if (!sets_min && (*max < 0 || count < *max))
            *max = count;
    }
    return true;
}
