/* Keywords that combine schemas: each makes more shapes of one. */
#include "text/schema_apply.h"

/* Adds to `out` what becomes of `base` under one more demand. */
static bool add_branch(Schema *s, Demand d, const Shapes *base, Shapes *out)
{
    Shapes branch = {0};
    shapes_add(&branch, base);
    bool ok = schema_apply(s, d, &branch);
    if (ok)
        shapes_add(out, &branch);
    shapes_free(&branch);
    return ok;
}

/* One of the subschemas; is_negated: not all of them, which is: one of them not. */
bool apply_any(Schema *s, json_t *schema, const char *keyword, json_t *list, bool is_negated,
               Shapes *shapes)
{
    if (!json_is_array(list))
        return schema_is_wrong(s, schema, keyword, "an array");
    Shapes out = {0};
    bool ok = true;
    size_t i;
    json_t *sub;
    json_array_foreach(list, i, sub) ok =
        ok && add_branch(s, (Demand){sub, is_negated}, shapes, &out);
    return shapes_replace(s, schema, keyword, shapes, &out, ok);
}

/* All of the subschemas; is_negated: none of them. */
bool apply_all(Schema *s, json_t *schema, const char *keyword, json_t *list, bool is_negated,
               Shapes *shapes)
{
    size_t i;
    json_t *sub;
    bool ok = json_is_array(list) || schema_is_wrong(s, schema, keyword, "an array");
    json_array_foreach(list, i, sub) ok = ok && schema_apply(s, (Demand){sub, is_negated}, shapes);
    return ok;
}

/* Exactly one: each, and none of the others that it is not apart from anyway. */
bool apply_one(Schema *s, json_t *schema, json_t *list, Shapes *shapes)
{
    if (!json_is_array(list))
        return schema_is_wrong(s, schema, "oneOf", "an array");
    size_t n = json_array_size(list);
    Shapes out = {0};
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        Shapes branch = {0};
        shapes_add(&branch, shapes);
        ok = schema_apply(s, must(json_array_get(list, i)), &branch);
        for (size_t k = 0; ok && k < n && branch.n > 0; k++) {
            Demand both[] = {must(json_array_get(list, i)), must(json_array_get(list, k))};
            bool is_apart = true;
            ok = k == i || schema_is_void(s, (Demands){both, 2}, &is_apart);
            if (ok && !is_apart)
                ok = schema_apply(s, must_not(both[1].schema), &branch);
        }
        if (ok)
            shapes_add(&out, &branch);
        shapes_free(&branch);
    }
    return shapes_replace(s, schema, "oneOf", shapes, &out, ok);
}

/* Not exactly one: none, or two. */
bool apply_not_one(Schema *s, json_t *schema, json_t *list, Shapes *shapes)
{
    Shapes out = {0};
    shapes_add(&out, shapes);
    bool ok = apply_all(s, schema, "oneOf", list, true, &out);
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        for (size_t k = 0; ok && k < i; k++) {
            Shapes two = {0};
            shapes_add(&two, shapes);
            ok = schema_apply(s, must(json_array_get(list, k)), &two) &&
                 schema_apply(s, must(json_array_get(list, i)), &two);
            shapes_add(&out, &two);
            shapes_free(&two);
        }
    }
    return shapes_replace(s, schema, "oneOf", shapes, &out, ok);
}

/* if C then A else B: C and A, or not C and B. Negated: the same with not A and not B. */
bool apply_if(Schema *s, json_t *schema, json_t *condition, bool is_negated, Shapes *shapes)
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
        ok = schema_apply(s, (Demand){condition, i == 1}, &side);
        if (ok && sub[i])
            ok = schema_apply(s, (Demand){sub[i], is_negated}, &side);
        else if (is_negated)
            side.n = 0;
        if (ok)
            shapes_add(&out, &side);
        shapes_free(&side);
    }
    return shapes_replace(s, schema, "if", shapes, &out, ok);
}
