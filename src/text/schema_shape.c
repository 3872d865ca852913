/* Demands -> shapes: see schema.h. Keywords are applied in the order in which they stand, as that
 * is the order of the properties in an answer. */
#include "text/schema.h"

#include "base/bug.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- Errors ---------------------------------------------------------------------------------- */

bool schema_fail(Schema *s, ErrorCode code, const json_t *schema, const char *keyword,
                 const char *format, ...)
{
    Buf place = {0};
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    schema_put_path(&place, s->root, schema);
    Str path = buf_str(&place);
    error_set(s->err, code, "schema, #%.*s%s%s: %s", STR_ARG(path), keyword[0] ? "/" : "", keyword,
              text);
    buf_free(&place);
    return false;
}

bool schema_is_unsupported(Schema *s, const json_t *schema, const char *keyword)
{
    return schema_fail(s, ERROR_UNSUPPORTED, schema, keyword, "\"%s\" is not supported here",
                       keyword);
}

static bool is_wrong(Schema *s, const json_t *schema, const char *keyword, const char *wanted)
{
    return schema_fail(s, ERROR_FORMAT, schema, keyword, "not %s", wanted);
}

/* ---- Lists of shapes ------------------------------------------------------------------------- */

static void shapes_push(Shapes *shapes, const Shape *shape)
{
    shapes->items = mem_more(shapes->items, sizeof *shape, shapes->n, &shapes->n_max);
    shapes->items[shapes->n++] = *shape;
}

static void shapes_add(Shapes *shapes, const Shapes *more)
{
    for (size_t i = 0; i < more->n; i++)
        shapes_push(shapes, &more->items[i]);
}

static void shapes_free(Shapes *shapes)
{
    mem_free(shapes->items);
    *shapes = (Shapes){0};
}

static bool apply(Schema *s, Demand d, Shapes *shapes);

/* Adds to `out` what becomes of `base` under one more demand. */
static bool add_branch(Schema *s, Demand d, const Shapes *base, Shapes *out)
{
    Shapes branch = {0};
    shapes_add(&branch, base);
    bool ok = apply(s, d, &branch);
    if (ok)
        shapes_add(out, &branch);
    shapes_free(&branch);
    return ok;
}

/* Replaces a list by its branches, less those that are void for certain. */
static bool take_branches(Schema *s, const json_t *schema, const char *keyword, Shapes *shapes,
                          Shapes *branches, bool ok)
{
    size_t kept = 0;
    for (size_t i = 0; ok && i < branches->n; i++) {
        bool is_void = false;
        if (branches->n > 1)
            ok = shape_is_void(s, &branches->items[i], &is_void);
        if (!is_void)
            branches->items[kept++] = branches->items[i];
    }
    branches->n = kept;
    if (ok && kept > SCHEMA_SHAPES_MAX)
        ok = schema_fail(s, ERROR_LIMIT, schema, keyword, "over %d combinations of alternatives",
                         SCHEMA_SHAPES_MAX);
    shapes_free(shapes);
    *shapes = *branches;
    return ok;
}

static Demand must(json_t *schema) { return (Demand){schema, false}; }
static Demand must_not(json_t *schema) { return (Demand){schema, true}; }

/* ---- Keywords that change each shape --------------------------------------------------------- */

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
            return is_wrong(s, schema, "type", "a type of JSON");
        *types |= names[k].types;
        has_integer |= strcmp(name, "integer") == 0;
        has_number |= names[k].types & VALUE_NUMBER && strcmp(name, "integer") != 0;
    }
    *only_integer = has_integer && !has_number;
    return true;
}

static bool apply_type(Schema *s, json_t *schema, json_t *value, bool is_negated, Shapes *shapes)
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
            x->number = rx_and(s->pool, x->number, rx_not(s->pool, schema_integer(s->pool)));
        } else {
            x->types &= ~types;
        }
    }
    return true;
}

/* A list that lives as long as the schema. */
static json_t *new_list(Schema *s)
{
    json_t *list = json_array();
    json_array_append_new(s->made_lists, list);
    return list;
}

static json_t *as_list(Schema *s, json_t *value)
{
    json_t *list = new_list(s);
    json_array_append(list, value);
    return list;
}

static json_t *common_values(Schema *s, const json_t *a, const json_t *b)
{
    json_t *common = new_list(s);
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
    case JSON_REAL: {
        Rx literal = schema_number_literal(s->pool, value);
        Rx zeros = rx_repeat(s->pool, rx_literal(s->pool, STR("0")), 1, RX_MANY);
        Rx padded = rx_concat(
            s->pool, literal,
            rx_optional(s->pool, rx_concat(s->pool, rx_literal(s->pool, STR(".")), zeros)));
        x->number = rx_and(s->pool, x->number, rx_not(s->pool, padded));
        return true;
    }
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

static bool apply_enum(Schema *s, json_t *schema, json_t *values, bool is_negated, Shapes *shapes)
{
    if (!json_is_array(values))
        return is_wrong(s, schema, "enum", "an array");
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
static bool apply_bound(Schema *s, json_t *schema, const char *keyword, json_t *value,
                        bool is_negated, Shapes *shapes)
{
    bool is_low = strstr(keyword, "inimum") != NULL, is_strict = keyword[0] == 'e';
    if (is_strict && json_is_boolean(value))
        return true; /* read with its partner */
    if (!json_is_number(value))
        return is_wrong(s, schema, keyword, "a number");
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

static bool apply_multiple(Schema *s, json_t *schema, json_t *value, bool is_negated,
                           Shapes *shapes)
{
    if (!json_is_number(value) || json_number_value(value) <= 0)
        return is_wrong(s, schema, "multipleOf", "a number above 0");
    Rx multiple = schema_multiple(s->pool, value);
    if (multiple == RX_VOID)
        return schema_fail(s, ERROR_UNSUPPORTED, schema, "multipleOf", "too many digits");
    for (size_t i = 0; i < shapes->n; i++) {
        Shape *x = &shapes->items[i];
        if (is_negated)
            x->types &= VALUE_NUMBER;
        x->number = rx_and(s->pool, x->number, is_negated ? rx_not(s->pool, multiple) : multiple);
    }
    return true;
}

static bool apply_pattern(Schema *s, json_t *schema, const char *keyword, json_t *value,
                          bool is_negated, Shapes *shapes)
{
    Rx set;
    if (!json_is_string(value))
        return is_wrong(s, schema, keyword, "a string");
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
static bool apply_count(Schema *s, json_t *schema, const char *keyword, json_t *value,
                        bool is_negated, Shapes *shapes)
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
        return is_wrong(s, schema, keyword, "a whole number from 0");
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

/* ---- Names ----------------------------------------------------------------------------------- */

static Str kept_text(Schema *s, const char *text, size_t bytes)
{
    return (Str){arena_strndup(&s->arena, text, bytes), bytes};
}

static void add_name(Schema *s, Shape *x, NameKind kind, Str name, Demand demand)
{
    NameRule *rule = ARENA_NEW(&s->arena, NameRule);
    *rule = (NameRule){kind, name, demand, x->names};
    x->names = rule;
}

static bool apply_required(Schema *s, json_t *schema, json_t *value, bool is_negated,
                           Shapes *shapes)
{
    size_t i;
    json_t *item;
    if (json_is_boolean(value)) /* draft 3, and a mistake since */
        return true;
    if (!json_is_array(value))
        return is_wrong(s, schema, "required", "an array");
    Shapes out = {0};
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item)) {
            shapes_free(&out);
            return is_wrong(s, schema, "required", "an array of names");
        }
        Str name = kept_text(s, json_string_value(item), json_string_length(item));
        for (size_t k = 0; k < shapes->n; k++) {
            if (!is_negated) {
                add_name(s, &shapes->items[k], NAME_REQUIRED, name, (Demand){0});
                continue;
            }
            Shape x = shapes->items[k];
            x.types &= VALUE_OBJECT;
            add_name(s, &x, NAME_ABSENT, name, (Demand){0});
            shapes_push(&out, &x);
        }
    }
    return !is_negated || take_branches(s, schema, "required", shapes, &out, true);
}

/* not {properties}: one of them is there and not as it says. */
static bool apply_not_properties(Schema *s, json_t *schema, json_t *value, Shapes *shapes)
{
    const char *key;
    json_t *sub;
    Shapes out = {0};
    json_object_foreach(value, key, sub)
    {
        Str name = kept_text(s, key, strlen(key));
        for (size_t k = 0; k < shapes->n; k++) {
            Shape x = shapes->items[k];
            x.types &= VALUE_OBJECT;
            add_name(s, &x, NAME_REQUIRED, name, (Demand){0});
            add_name(s, &x, NAME_DEMAND, name, must_not(sub));
            shapes_push(&out, &x);
        }
    }
    return take_branches(s, schema, "properties", shapes, &out, true);
}

/* Splits by whether a property is there: without it nothing changes, with it names or a schema are
 * demanded too. */
static bool apply_dependent(Schema *s, json_t *schema, const char *keyword, json_t *value,
                            Shapes *shapes)
{
    const char *key;
    json_t *sub;
    bool ok = json_is_object(value) || is_wrong(s, schema, keyword, "an object");
    json_object_foreach(value, key, sub)
    {
        Shapes out = {0}, with = {0};
        Str name = kept_text(s, key, strlen(key));
        for (size_t k = 0; k < shapes->n; k++) {
            Shape x = shapes->items[k];
            add_name(s, &x, NAME_ABSENT, name, (Demand){0});
            shapes_push(&out, &x);
            x = shapes->items[k];
            x.types &= VALUE_OBJECT;
            add_name(s, &x, NAME_REQUIRED, name, (Demand){0});
            shapes_push(&with, &x);
        }
        json_t *names = json_is_string(sub) ? as_list(s, sub) : sub;
        ok = json_is_array(names) ? apply_required(s, schema, names, false, &with)
                                  : apply(s, must(sub), &with);
        shapes_add(&out, &with);
        shapes_free(&with);
        ok = take_branches(s, schema, keyword, shapes, &out, ok);
        if (!ok)
            return false;
    }
    return ok;
}

/* ---- Objects and arrays ---------------------------------------------------------------------- */

static void apply_object_part(Schema *s, json_t *schema, Shapes *shapes)
{
    ObjectPart part = {.properties = json_object_get(schema, "properties"),
                       .patterns = json_object_get(schema, "patternProperties"),
                       .others = json_object_get(schema, "additionalProperties")};
    for (size_t i = 0; i < shapes->n; i++) {
        ObjectPart *copy = ARENA_NEW(&s->arena, ObjectPart);
        *copy = part;
        copy->before = shapes->items[i].objects;
        shapes->items[i].objects = copy;
    }
}

static void apply_array_part(Schema *s, json_t *schema, Shapes *shapes)
{
    json_t *prefix = json_object_get(schema, "prefixItems");
    json_t *items = json_object_get(schema, "items");
    if (json_is_array(items)) { /* before 2020-12 */
        prefix = items;
        items = json_object_get(schema, "additionalItems");
    }
    for (size_t i = 0; i < shapes->n; i++) {
        ArrayPart *part = ARENA_NEW(&s->arena, ArrayPart);
        *part = (ArrayPart){prefix, items, shapes->items[i].arrays};
        shapes->items[i].arrays = part;
    }
}

static void add_contains(Schema *s, Demand d, bool is_array, Shapes *shapes)
{
    for (size_t i = 0; i < shapes->n; i++) {
        DemandList *list = ARENA_NEW(&s->arena, DemandList);
        *list = (DemandList){d, shapes->items[i].contains};
        shapes->items[i].contains = list;
        if (is_array)
            shapes->items[i].types &= VALUE_ARRAY;
    }
}

static bool apply_contains(Schema *s, json_t *schema, json_t *value, Shapes *shapes)
{
    json_t *min = json_object_get(schema, "minContains"),
           *max = json_object_get(schema, "maxContains");
    if (max)
        return schema_is_unsupported(s, schema, "maxContains");
    if (min && json_number_value(min) == 0)
        return true;
    if (min && json_number_value(min) != 1)
        return schema_is_unsupported(s, schema, "minContains");
    Shapes out = {0};
    for (size_t i = 0; i < shapes->n; i++) { /* what is no array is not affected */
        Shape x = shapes->items[i];
        x.types &= ~(unsigned)VALUE_ARRAY;
        shapes_push(&out, &x);
    }
    add_contains(s, must(value), true, shapes);
    shapes_add(&out, shapes);
    return take_branches(s, schema, "contains", shapes, &out, true);
}

static void apply_property_names(Schema *s, json_t *value, Shapes *shapes)
{
    for (size_t i = 0; i < shapes->n; i++) {
        DemandList *list = ARENA_NEW(&s->arena, DemandList);
        *list = (DemandList){must(value), shapes->items[i].name_demands};
        shapes->items[i].name_demands = list;
    }
}

static void apply_unevaluated(Schema *s, json_t *value, const Shapes *before, Shapes *shapes)
{
    for (size_t i = 0; i < shapes->n; i++) {
        ObjectPart *part = ARENA_NEW(&s->arena, ObjectPart);
        *part = (ObjectPart){.others = value,
                             .is_unevaluated = true,
                             .until = before->n ? before->items[0].objects : NULL,
                             .before = shapes->items[i].objects};
        shapes->items[i].objects = part;
    }
}

/* ---- Combinators ----------------------------------------------------------------------------- */

/* One of the subschemas; is_negated: not all of them, which is: one of them not. */
static bool apply_any(Schema *s, json_t *schema, const char *keyword, json_t *list, bool is_negated,
                      Shapes *shapes)
{
    if (!json_is_array(list))
        return is_wrong(s, schema, keyword, "an array");
    Shapes out = {0};
    bool ok = true;
    size_t i;
    json_t *sub;
    json_array_foreach(list, i, sub) ok =
        ok && add_branch(s, (Demand){sub, is_negated}, shapes, &out);
    return take_branches(s, schema, keyword, shapes, &out, ok);
}

/* All of the subschemas; is_negated: none of them. */
static bool apply_all(Schema *s, json_t *schema, const char *keyword, json_t *list, bool is_negated,
                      Shapes *shapes)
{
    size_t i;
    json_t *sub;
    bool ok = json_is_array(list) || is_wrong(s, schema, keyword, "an array");
    json_array_foreach(list, i, sub) ok = ok && apply(s, (Demand){sub, is_negated}, shapes);
    return ok;
}

/* Exactly one: each, and none of the others that it is not apart from anyway. */
static bool apply_one(Schema *s, json_t *schema, json_t *list, Shapes *shapes)
{
    if (!json_is_array(list))
        return is_wrong(s, schema, "oneOf", "an array");
    size_t n = json_array_size(list);
    Shapes out = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        Shapes branch = {0};
        shapes_add(&branch, shapes);
        ok = apply(s, must(json_array_get(list, i)), &branch);
        for (size_t k = 0; ok && k < n && branch.n > 0; k++) {
            Demand both[] = {must(json_array_get(list, i)), must(json_array_get(list, k))};
            bool is_apart = true;
            ok = k == i || schema_is_void(s, (Demands){both, 2}, &is_apart);
            if (ok && !is_apart)
                ok = apply(s, must_not(both[1].schema), &branch);
        }
        if (ok)
            shapes_add(&out, &branch);
        shapes_free(&branch);
    }
    return take_branches(s, schema, "oneOf", shapes, &out, ok);
}

/* Not exactly one: none, or two. */
static bool apply_not_one(Schema *s, json_t *schema, json_t *list, Shapes *shapes)
{
    Shapes out = {0};
    shapes_add(&out, shapes);
    bool ok = apply_all(s, schema, "oneOf", list, true, &out);
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        for (size_t k = 0; ok && k < i; k++) {
            Shapes two = {0};
            shapes_add(&two, shapes);
            ok = apply(s, must(json_array_get(list, k)), &two) &&
                 apply(s, must(json_array_get(list, i)), &two);
            shapes_add(&out, &two);
            shapes_free(&two);
        }
    }
    return take_branches(s, schema, "oneOf", shapes, &out, ok);
}

/* if C then A else B: C and A, or not C and B. Negated: the same with not A and not B. */
static bool apply_if(Schema *s, json_t *schema, json_t *condition, bool is_negated, Shapes *shapes)
{
    json_t *sub[] = {json_object_get(schema, "then"), json_object_get(schema, "else")};
    if (!sub[0] && !sub[1]) {
        shapes->n = is_negated ? 0 : shapes->n;
        return true;
    }
    Shapes out = {0};
    bool ok = true;
    for (int i = 0; ok && i < 2; i++) {
        Shapes side = {0};
        shapes_add(&side, shapes);
        ok = apply(s, (Demand){condition, i == 1}, &side);
        if (ok && sub[i])
            ok = apply(s, (Demand){sub[i], is_negated}, &side);
        else if (is_negated)
            side.n = 0;
        if (ok)
            shapes_add(&out, &side);
        shapes_free(&side);
    }
    return take_branches(s, schema, "if", shapes, &out, ok);
}

/* ---- A schema -------------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(word, *words) != 0)
        words++;
    return *words != NULL;
}

static const char *const bounds[] = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
                                     NULL};
static const char *const counts[] = {"minLength",     "maxLength",     "minItems", "maxItems",
                                     "minProperties", "maxProperties", NULL};

/* Those that mean the same, turned around, when they are negated. *is_known: it is one. */
static bool apply_simple(Schema *s, json_t *schema, const char *keyword, json_t *value,
                         bool is_negated, Shapes *shapes, bool *is_known)
{
    *is_known = true;
    if (strcmp(keyword, "type") == 0)
        return apply_type(s, schema, value, is_negated, shapes);
    if (strcmp(keyword, "enum") == 0)
        return apply_enum(s, schema, value, is_negated, shapes);
    if (strcmp(keyword, "const") == 0)
        return apply_enum(s, schema, as_list(s, value), is_negated, shapes);
    if (is_one_of(keyword, bounds))
        return apply_bound(s, schema, keyword, value, is_negated, shapes);
    if (is_one_of(keyword, counts))
        return apply_count(s, schema, keyword, value, is_negated, shapes);
    if (strcmp(keyword, "multipleOf") == 0)
        return apply_multiple(s, schema, value, is_negated, shapes);
    if (strcmp(keyword, "pattern") == 0 || strcmp(keyword, "format") == 0)
        return apply_pattern(s, schema, keyword, value, is_negated, shapes);
    if (strcmp(keyword, "required") == 0)
        return apply_required(s, schema, value, is_negated, shapes);
    if (strcmp(keyword, "$ref") == 0 || strcmp(keyword, "$dynamicRef") == 0) {
        json_t *target = schema_resolve(s, schema, keyword);
        return target && apply(s, (Demand){target, is_negated}, shapes);
    }
    if (strcmp(keyword, "allOf") == 0)
        return is_negated ? apply_any(s, schema, keyword, value, true, shapes)
                          : apply_all(s, schema, keyword, value, false, shapes);
    if (strcmp(keyword, "anyOf") == 0)
        return is_negated ? apply_all(s, schema, keyword, value, true, shapes)
                          : apply_any(s, schema, keyword, value, false, shapes);
    if (strcmp(keyword, "oneOf") == 0)
        return is_negated ? apply_not_one(s, schema, value, shapes)
                          : apply_one(s, schema, value, shapes);
    if (strcmp(keyword, "not") == 0)
        return apply(s, (Demand){value, !is_negated}, shapes);
    if (strcmp(keyword, "if") == 0)
        return apply_if(s, schema, value, is_negated, shapes);
    *is_known = false;
    return true;
}

/* Keywords that say something about values and that nobody here understands. */
static const char *const unsupported[] = {"unevaluatedItems",
                                          "$recursiveRef",
                                          "contentSchema",
                                          "extends",
                                          "disallow",
                                          "divisibleBy",
                                          NULL};

static const char *const object_keywords[] = {"properties", "patternProperties",
                                              "additionalProperties", NULL};
static const char *const array_keywords[] = {"items", "prefixItems", NULL};

static bool apply_keyword(Schema *s, json_t *schema, const char *keyword, json_t *value,
                          Shapes *shapes, bool *has_object, bool *has_array)
{
    bool is_known, ok = apply_simple(s, schema, keyword, value, false, shapes, &is_known);
    if (is_known)
        return ok;
    if (is_one_of(keyword, object_keywords) && !*has_object) {
        *has_object = true;
        apply_object_part(s, schema, shapes);
    } else if (is_one_of(keyword, array_keywords) && !*has_array) {
        *has_array = true;
        apply_array_part(s, schema, shapes);
    } else if (strcmp(keyword, "dependencies") == 0 || strcmp(keyword, "dependentRequired") == 0 ||
               strcmp(keyword, "dependentSchemas") == 0) {
        return apply_dependent(s, schema, keyword, value, shapes);
    } else if (strcmp(keyword, "contains") == 0) {
        return apply_contains(s, schema, value, shapes);
    } else if (strcmp(keyword, "propertyNames") == 0) {
        apply_property_names(s, value, shapes);
    } else if (strcmp(keyword, "uniqueItems") == 0 && json_is_true(value)) {
        for (size_t i = 0; i < shapes->n; i++)
            shapes->items[i].unique = schema;
    } else if (is_one_of(keyword, unsupported)) {
        return schema_is_unsupported(s, schema, keyword);
    }
    return true;
}

static bool apply_positive(Schema *s, json_t *schema, Shapes *shapes)
{
    const char *keyword;
    json_t *value;
    bool has_object = false, has_array = false;
    Shapes before = {0};
    shapes_add(&before, shapes);
    bool ok = true;
    json_object_foreach(schema, keyword, value)
    {
        ok = ok && apply_keyword(s, schema, keyword, value, shapes, &has_object, &has_array);
        if (!ok)
            break;
    }
    json_t *unevaluated = json_object_get(schema, "unevaluatedProperties");
    if (ok && unevaluated)
        apply_unevaluated(s, unevaluated, &before, shapes);
    shapes_free(&before);
    return ok;
}

static const char *const annotations[] = {
    "title",       "description", "default",    "examples", "$schema",         "$id",
    "id",          "$comment",    "deprecated", "readOnly", "writeOnly",       "$defs",
    "definitions", "then",        "else",       "$anchor",  "contentEncoding", "contentMediaType",
    "minContains", "maxContains", NULL};
static const char *const not_negated[] = {"patternProperties",
                                          "additionalProperties",
                                          "unevaluatedProperties",
                                          "propertyNames",
                                          "dependencies",
                                          "dependentRequired",
                                          "dependentSchemas",
                                          "prefixItems",
                                          "contains",
                                          "uniqueItems",
                                          "additionalItems",
                                          "unevaluatedItems",
                                          NULL};

/* Not all of the keywords: one of them not. */
static bool apply_negative(Schema *s, json_t *schema, Shapes *shapes)
{
    const char *keyword;
    json_t *value;
    Shapes out = {0};
    bool ok = true;
    json_object_foreach(schema, keyword, value)
    {
        Shapes branch = {0};
        bool is_known;
        if (!ok || is_one_of(keyword, annotations))
            continue;
        shapes_add(&branch, shapes);
        ok = apply_simple(s, schema, keyword, value, true, &branch, &is_known);
        if (ok && !is_known) {
            if (strcmp(keyword, "properties") == 0) {
                ok = apply_not_properties(s, schema, value, &branch);
            } else if (strcmp(keyword, "items") == 0 && !json_is_array(value) &&
                       !json_object_get(schema, "prefixItems")) {
                add_contains(s, must_not(value), true, &branch);
            } else if (is_one_of(keyword, not_negated) &&
                       !(strcmp(keyword, "uniqueItems") == 0 && json_is_false(value)) &&
                       !(strcmp(keyword, "additionalProperties") == 0 && json_is_true(value))) {
                ok = schema_fail(s, ERROR_UNSUPPORTED, schema, keyword,
                                 "\"%s\" is not supported under not, oneOf or if", keyword);
            } else {
                branch.n = 0; /* it is always satisfied */
            }
        }
        shapes_add(&out, &branch);
        shapes_free(&branch);
    }
    return take_branches(s, schema, "not", shapes, &out, ok);
}

static bool apply(Schema *s, Demand d, Shapes *shapes)
{
    if (json_is_boolean(d.schema)) {
        if (json_is_true(d.schema) == d.is_negated)
            shapes->n = 0;
        return true;
    }
    if (!json_is_object(d.schema))
        return schema_fail(s, ERROR_FORMAT, d.schema, "", "a schema is an object, true or false");
    if (shapes->n == 0)
        return true;
    if (++s->work > SCHEMA_WORK_MAX)
        return schema_fail(s, ERROR_LIMIT, d.schema, "", "too complex");
    if (++s->depth > SCHEMA_DEPTH_MAX)
        return schema_fail(s, ERROR_UNSUPPORTED, d.schema, "$ref",
                           "refers to itself without an object or array between");
    bool ok =
        d.is_negated ? apply_negative(s, d.schema, shapes) : apply_positive(s, d.schema, shapes);
    s->depth--;
    return ok;
}

static bool keep_valid_values(Schema *s, Demands demands, Shape *shape)
{
    json_t *valid = new_list(s), *value;
    size_t i;
    json_array_foreach(shape->values, i, value)
    {
        bool ok = false;
        if (!schema_check(s, demands, value, &ok))
            return false;
        if (ok)
            json_array_append(valid, value);
    }
    shape->values = valid;
    return true;
}

bool schema_shapes(Schema *s, Demands demands, Shapes *shapes)
{
    Shape any = {.types = VALUE_ANY,
                 .number = RX_ALL,
                 .string = RX_ALL,
                 .length_max = -1,
                 .items_max = -1,
                 .properties_max = -1};
    shapes_push(shapes, &any);
    for (int i = 0; i < demands.n; i++)
        if (!apply(s, demands.items[i], shapes))
            return false;
    for (size_t i = 0; i < shapes->n; i++)
        if (shapes->items[i].values && !keep_valid_values(s, demands, &shapes->items[i]))
            return false;
    return true;
}
