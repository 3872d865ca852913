/* Whether a given value satisfies a schema: for the values of an enum, and for names. What a shape
 * cannot express is refused when shapes are made, so unknown keywords say yes here. */
#include "text/schema.h"

#include <string.h>

bool schema_values_equal(const json_t *a, const json_t *b)
{
    size_t i;
    const char *key;
    json_t *item;
    if (json_is_number(a) && json_is_number(b))
        return schema_compare_numbers(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_array(a)) {
        if (json_array_size(a) != json_array_size(b))
            return false;
        for (i = 0; i < json_array_size(a); i++)
            if (!schema_values_equal(json_array_get(a, i), json_array_get(b, i)))
                return false;
        return true;
    }
    if (json_is_object(a)) {
        if (json_object_size(a) != json_object_size(b))
            return false;
        void *at = json_object_iter((json_t *)(uintptr_t)a);
        for (; at; at = json_object_iter_next((json_t *)(uintptr_t)a, at)) {
            key = json_object_iter_key(at);
            item = json_object_get(b, key);
            if (!item || !schema_values_equal(json_object_iter_value(at), item))
                return false;
        }
        return true;
    }
    return json_equal(a, b);
}

typedef struct Check {
    Schema *s;
    json_t *schema;
    const json_t *value;
    bool failed; /* an error was reported */
} Check;

static bool check(Schema *s, json_t *schema, const json_t *value, bool *ok);

/* Whether it satisfies one subschema; errors make it no. */
static bool accepts(Check *c, json_t *schema, const json_t *value)
{
    bool ok = false;
    if (!c->failed && !check(c->s, schema, value, &ok))
        c->failed = true;
    return ok && !c->failed;
}

static bool has_type(const json_t *value, const char *type)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return strcmp(type, "null") == 0;
    case JSON_TRUE:
    case JSON_FALSE:
        return strcmp(type, "boolean") == 0;
    case JSON_STRING:
        return strcmp(type, "string") == 0;
    case JSON_ARRAY:
        return strcmp(type, "array") == 0;
    case JSON_OBJECT:
        return strcmp(type, "object") == 0;
    default: {
        double v = json_number_value(value);
        bool is_whole = json_is_integer(value) || v == (double)(int64_t)v;
        return strcmp(type, "number") == 0 || (is_whole && strcmp(type, "integer") == 0);
    }
    }
}

static bool check_type(const json_t *value, const json_t *types)
{
    size_t i;
    json_t *type;
    if (json_is_string(types))
        return has_type(value, json_string_value(types));
    json_array_foreach(types, i, type) if (json_is_string(type) &&
                                           has_type(value, json_string_value(type))) return true;
    return false;
}

static bool check_number(const Check *c, const char *keyword, const json_t *bound)
{
    if (!json_is_number(c->value) || !json_is_number(bound))
        return true;
    if (strcmp(keyword, "multipleOf") == 0)
        return schema_is_multiple(c->value, bound);
    bool is_low = strstr(keyword, "inimum") != NULL, is_strict = keyword[0] == 'e';
    if (!is_strict)
        is_strict = json_is_true(
            json_object_get(c->schema, is_low ? "exclusiveMinimum" : "exclusiveMaximum"));
    int order = schema_compare_numbers(c->value, bound);
    return (is_low ? order > 0 : order < 0) || (order == 0 && !is_strict);
}

static int64_t count_of(const json_t *value, const char *what)
{
    if (strcmp(what, "Items") == 0)
        return json_is_array(value) ? (int64_t)json_array_size(value) : -1;
    if (strcmp(what, "Properties") == 0)
        return json_is_object(value) ? (int64_t)json_object_size(value) : -1;
    if (!json_is_string(value))
        return -1;
    int64_t n = 0;
    for (size_t i = 0; i < json_string_length(value); i++)
        n += (json_string_value(value)[i] & 0xC0) != 0x80;
    return n;
}

static bool check_count(const json_t *value, const char *keyword, const json_t *limit)
{
    int64_t n = count_of(value, keyword + 3);
    double bound = json_number_value(limit);
    return n < 0 || (keyword[1] == 'i' ? (double)n >= bound : (double)n <= bound);
}

static bool check_text(Check *c, const char *keyword, const json_t *wanted)
{
    if (!json_is_string(c->value) || !json_is_string(wanted))
        return true;
    Rx set = RX_ALL;
    const char *text = json_string_value(wanted);
    size_t bytes = json_string_length(wanted);
    if (strcmp(keyword, "format") == 0)
        schema_format(c->s->pool, (Str){text, bytes}, &set);
    else if (!schema_pattern(c->s, c->schema, keyword, text, bytes, &set))
        c->failed = true;
    Buf spelled = {0};
    spell_text(&spelled, (Str){json_string_value(c->value), json_string_length(c->value)},
               SPELL_JSON);
    bool ok = rx_matches(c->s->pool, set, buf_str(&spelled));
    buf_free(&spelled);
    return ok;
}

static size_t n_accepted(Check *c, const json_t *list)
{
    size_t n = 0, i;
    json_t *sub;
    json_array_foreach(list, i, sub) n += accepts(c, sub, c->value);
    return n;
}

static bool check_properties(Check *c)
{
    const char *key;
    json_t *item;
    ObjectPart part = {.properties = json_object_get(c->schema, "properties"),
                       .patterns = json_object_get(c->schema, "patternProperties"),
                       .others = json_object_get(c->schema, "additionalProperties")};
    Shape shape = {.objects = &part};
    if (!part.properties && !part.patterns && !part.others)
        return true;
    json_object_foreach((json_t *)(uintptr_t)c->value, key, item)
    {
        Demands demands = {0};
        if (!shape_property(c->s, &shape, str_from(key), &demands))
            c->failed = true;
        for (int i = 0; i < demands.n && !c->failed; i++)
            if (!accepts(c, demands.items[i].schema, item))
                return false;
    }
    return !c->failed;
}

static bool check_items(Check *c)
{
    size_t i;
    json_t *item;
    json_t *prefix = json_object_get(c->schema, "prefixItems");
    json_t *items = json_object_get(c->schema, "items");
    json_t *contains = json_object_get(c->schema, "contains");
    if (json_is_array(items)) {
        prefix = items;
        items = json_object_get(c->schema, "additionalItems");
    }
    bool has_contained = !contains;
    json_array_foreach(c->value, i, item)
    {
        json_t *own = i < json_array_size(prefix) ? json_array_get(prefix, i) : items;
        if (own && !accepts(c, own, item))
            return false;
        has_contained = has_contained || accepts(c, contains, item);
        for (size_t k = 0; json_is_true(json_object_get(c->schema, "uniqueItems")) && k < i; k++)
            if (schema_values_equal(json_array_get(c->value, k), item))
                return false;
    }
    return has_contained;
}

static bool check_names(Check *c, const char *keyword, const json_t *value)
{
    size_t i;
    json_t *name, *sub;
    const char *key;
    if (!json_is_object(c->value))
        return true;
    if (strcmp(keyword, "required") == 0) {
        json_array_foreach(
            value, i, name) if (!json_object_get(c->value, json_string_value(name))) return false;
        return true;
    }
    if (strcmp(keyword, "propertyNames") == 0) {
        json_object_foreach((json_t *)(uintptr_t)c->value, key, sub)
        {
            json_t *text = json_string(key);
            bool ok = accepts(c, (json_t *)(uintptr_t)value, text);
            json_decref(text);
            if (!ok)
                return false;
        }
        return true;
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, sub)
    { /* dependent... */
        if (!json_object_get(c->value, key))
            continue;
        json_array_foreach(
            sub, i, name) if (!json_object_get(c->value, json_string_value(name))) return false;
        if (!json_is_array(sub) && !json_is_string(sub) && !accepts(c, sub, c->value))
            return false;
    }
    return true;
}

static bool is_among(const json_t *value, const json_t *list)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item) if (schema_values_equal(item, value)) return true;
    return false;
}

static bool check_keyword(Check *c, const char *keyword, json_t *value)
{
    static const char *const names[] = {"required",         "propertyNames",     "dependencies",
                                        "dependentSchemas", "dependentRequired", NULL};
    for (size_t i = 0; names[i]; i++)
        if (strcmp(keyword, names[i]) == 0)
            return check_names(c, keyword, value);
    if (strcmp(keyword, "type") == 0)
        return check_type(c->value, value);
    if (strcmp(keyword, "enum") == 0)
        return is_among(c->value, value);
    if (strcmp(keyword, "const") == 0)
        return schema_values_equal(c->value, value);
    if (strcmp(keyword, "pattern") == 0 || strcmp(keyword, "format") == 0)
        return check_text(c, keyword, value);
    if (strcmp(keyword, "multipleOf") == 0 || strstr(keyword, "inimum") ||
        strstr(keyword, "aximum"))
        return check_number(c, keyword, value);
    if (strncmp(keyword, "min", 3) == 0 || strncmp(keyword, "max", 3) == 0)
        return !(strcmp(keyword + 3, "Items") == 0 || strcmp(keyword + 3, "Properties") == 0 ||
                 strcmp(keyword + 3, "Length") == 0) ||
               check_count(c->value, keyword, value);
    if (strcmp(keyword, "allOf") == 0)
        return n_accepted(c, value) == json_array_size(value);
    if (strcmp(keyword, "anyOf") == 0)
        return n_accepted(c, value) > 0;
    if (strcmp(keyword, "oneOf") == 0)
        return n_accepted(c, value) == 1;
    if (strcmp(keyword, "not") == 0)
        return !accepts(c, value, c->value);
    if (strcmp(keyword, "$ref") == 0) {
        json_t *target = schema_resolve(c->s, c->schema, keyword);
        c->failed |= !target;
        return target && accepts(c, target, c->value);
    }
    if (strcmp(keyword, "if") == 0) {
        json_t *sub = json_object_get(c->schema, accepts(c, value, c->value) ? "then" : "else");
        return !sub || accepts(c, sub, c->value);
    }
    return true;
}

static bool check(Schema *s, json_t *schema, const json_t *value, bool *ok)
{
    const char *keyword;
    json_t *argument;
    *ok = !json_is_false(schema);
    if (!json_is_object(schema))
        return true;
    if (++s->work > SCHEMA_WORK_MAX)
        return schema_fail(s, ERROR_LIMIT, schema, "", "too complex");
    if (++s->depth > SCHEMA_DEPTH_MAX)
        return schema_fail(s, ERROR_UNSUPPORTED, schema, "$ref",
                           "refers to itself without an object or array between");
    Check c = {s, schema, value, false};
    json_t *ref = json_object_get(schema, "$ref");
    if (s->ref_is_alone && json_is_string(ref)) {
        *ok = check_keyword(&c, "$ref", ref);
        s->depth--;
        return !c.failed;
    }
    json_object_foreach(schema, keyword, argument)
    {
        *ok = *ok && check_keyword(&c, keyword, argument);
        if (!*ok || c.failed)
            break;
    }
    if (*ok && !c.failed && json_is_object(value))
        *ok = check_properties(&c);
    if (*ok && !c.failed && json_is_array(value))
        *ok = check_items(&c);
    s->depth--;
    return !c.failed;
}

bool schema_check(Schema *s, Demands demands, const json_t *value, bool *ok)
{
    *ok = true;
    for (int i = 0; i < demands.n && *ok; i++) {
        bool accepted;
        if (!check(s, demands.items[i].schema, value, &accepted))
            return false;
        *ok = accepted != demands.items[i].is_negated;
    }
    return true;
}
