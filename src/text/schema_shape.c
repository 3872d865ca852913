/* Demands -> shapes: see schema.h. Keywords are applied in the order in which they stand, as that
 * is the order of the properties in an answer. */
#include "text/schema_apply.h"

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

bool schema_is_wrong(Schema *s, const json_t *schema, const char *keyword, const char *wanted)
{
    return schema_fail(s, ERROR_FORMAT, schema, keyword, "not %s", wanted);
}

/* ---- Lists of shapes ------------------------------------------------------------------------- */

void shapes_push(Shapes *shapes, const Shape *shape)
{
    shapes->items = mem_more(shapes->items, sizeof *shape, shapes->n, &shapes->n_max);
    shapes->items[shapes->n++] = *shape;
}

void shapes_add(Shapes *shapes, const Shapes *more)
{
    for (size_t i = 0; i < more->n; i++)
        shapes_push(shapes, &more->items[i]);
}

void shapes_free(Shapes *shapes)
{
    mem_free(shapes->items);
    *shapes = (Shapes){0};
}

/* Replaces a list by its branches, less those that are void for certain. */
bool shapes_replace(Schema *s, const json_t *schema, const char *keyword, Shapes *shapes,
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

/* A list that lives as long as the schema. */
json_t *schema_new_list(Schema *s)
{
    json_t *list = json_array();
    json_array_append_new(s->made_lists, list);
    return list;
}

json_t *schema_list_of(Schema *s, json_t *value)
{
    json_t *list = schema_new_list(s);
    json_array_append(list, value);
    return list;
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
        return apply_enum(s, schema, schema_list_of(s, value), is_negated, shapes);
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
        return target && schema_apply(s, (Demand){target, is_negated}, shapes);
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
        return schema_apply(s, (Demand){value, !is_negated}, shapes);
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
        return apply_contains(s, schema, value, false, shapes);
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
static const char *const not_negated[] = {"unevaluatedProperties", "propertyNames",
                                          "dependencies",          "dependentRequired",
                                          "dependentSchemas",      "prefixItems",
                                          "uniqueItems",           "additionalItems",
                                          "unevaluatedItems",      NULL};

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
                apply_not_items(s, value, &branch);
            } else if (strcmp(keyword, "contains") == 0) {
                ok = apply_contains(s, schema, value, true, &branch);
            } else if (strcmp(keyword, "patternProperties") == 0) {
                ok = apply_not_patterns(s, schema, value, &branch);
            } else if (strcmp(keyword, "additionalProperties") == 0) {
                apply_not_others(s, schema, value, &branch);
            } else if (is_one_of(keyword, not_negated) &&
                       !(strcmp(keyword, "uniqueItems") == 0 && json_is_false(value))) {
                ok = schema_fail(s, ERROR_UNSUPPORTED, schema, keyword,
                                 "\"%s\" is not supported under not, oneOf or if", keyword);
            } else {
                branch.n = 0; /* it is always satisfied */
            }
        }
        shapes_add(&out, &branch);
        shapes_free(&branch);
    }
    return shapes_replace(s, schema, "not", shapes, &out, ok);
}

bool schema_apply(Schema *s, Demand d, Shapes *shapes)
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
    bool ok;
    if (s->ref_is_alone && json_is_string(json_object_get(d.schema, "$ref"))) {
        json_t *target = schema_resolve(s, d.schema, "$ref");
        ok = target && schema_apply(s, (Demand){target, d.is_negated}, shapes);
    } else {
        ok = d.is_negated ? apply_negative(s, d.schema, shapes)
                          : apply_positive(s, d.schema, shapes);
    }
    s->depth--;
    return ok;
}

static bool keep_valid_values(Schema *s, Demands demands, Shape *shape)
{
    json_t *valid = schema_new_list(s), *value;
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
        if (!schema_apply(s, demands.items[i], shapes))
            return false;
    for (size_t i = 0; i < shapes->n; i++)
        if (shapes->items[i].values && !keep_valid_values(s, demands, &shapes->items[i]))
            return false;
    return true;
}
