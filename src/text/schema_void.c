/* Lists of demands, and whether nothing can satisfy one: what makes oneOf's branches apart. */
#include "text/schema.h"

#include <string.h>

enum { VOID_DEPTH_MAX = 5, ITEMS_LOOKED_AT = 8 };

typedef struct Verdict {
    Demands demands;
    bool is_void;
} Verdict;

Demands demands_add(Schema *s, Demands demands, Demand demand)
{
    if (json_is_true(demand.schema) && !demand.is_negated)
        return demands;
    for (int i = 0; i < demands.n; i++)
        if (demands.items[i].schema == demand.schema &&
            demands.items[i].is_negated == demand.is_negated)
            return demands;
    Demand *items = ARENA_ARRAY(&s->arena, Demand, demands.n + 1);
    if (demands.n)
        memcpy(items, demands.items, sizeof *items * (size_t)demands.n);
    items[demands.n] = demand;
    return (Demands){items, demands.n + 1};
}

uint64_t demands_hash(Demands demands)
{
    uint64_t hash = (uint64_t)demands.n;
    for (int i = 0; i < demands.n; i++)
        hash = hash_join(hash, (uintptr_t)demands.items[i].schema + demands.items[i].is_negated);
    return hash;
}

bool demands_equal(Demands a, Demands b)
{
    if (a.n != b.n)
        return false;
    for (int i = 0; i < a.n; i++)
        if (a.items[i].schema != b.items[i].schema ||
            a.items[i].is_negated != b.items[i].is_negated)
            return false;
    return true;
}

/* When only named properties are allowed, what must be there must be one of them. */
static bool some_is_missing(Schema *s, const Shape *shape, bool *is_void)
{
    const ObjectPart *closed = shape->objects;
    while (closed && (!json_is_false(closed->others) || json_object_size(closed->patterns) > 0))
        closed = closed->before;
    for (const SomeProperty *some = shape->some; closed && some && !*is_void; some = some->before) {
        const char *key;
        json_t *sub;
        bool has_any = false;
        json_object_foreach(closed->properties, key, sub)
        {
            bool is_one = false;
            if (!some_property_is(s, some, str_from(key), &is_one))
                return false;
            has_any |= is_one && !shape_forbids(shape, str_from(key));
        }
        *is_void = !has_any;
    }
    return true;
}

static bool object_is_void(Schema *s, const Shape *shape, bool *is_void)
{
    int64_t n_required = 0;
    for (const NameRule *n = shape->names; n && !*is_void; n = n->before) {
        if (n->kind != NAME_REQUIRED)
            continue;
        bool is_repeated = false;
        for (const NameRule *m = shape->names; m != n; m = m->before)
            is_repeated |= m->kind == NAME_REQUIRED && str_equal(m->name, n->name);
        if (is_repeated)
            continue;
        n_required++;
        Demands demands = {0};
        if (shape_forbids(shape, n->name))
            *is_void = true;
        else if (!shape_property(s, shape, n->name, &demands) ||
                 !schema_is_void(s, demands, is_void))
            return false;
    }
    if (!*is_void && !some_is_missing(s, shape, is_void))
        return false;
    *is_void |= shape->properties_max >= 0 && (n_required > shape->properties_max ||
                                               shape->properties_min > shape->properties_max);
    return true;
}

static bool array_is_void(Schema *s, const Shape *shape, bool *is_void)
{
    *is_void = shape->items_max >= 0 && shape->items_min > shape->items_max;
    for (int64_t i = 0; !*is_void && i < shape->items_min && i < ITEMS_LOOKED_AT; i++)
        if (!schema_is_void(s, shape_item(s, shape, (size_t)i), is_void))
            return false;
    return true;
}

static unsigned type_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return VALUE_NULL;
    case JSON_TRUE:
        return VALUE_TRUE;
    case JSON_FALSE:
        return VALUE_FALSE;
    case JSON_STRING:
        return VALUE_STRING;
    case JSON_ARRAY:
        return VALUE_ARRAY;
    case JSON_OBJECT:
        return VALUE_OBJECT;
    default:
        return VALUE_NUMBER;
    }
}

bool shape_is_void(Schema *s, const Shape *shape, bool *is_void)
{
    unsigned types = shape->types;
    if (shape->values) {
        size_t i;
        json_t *value;
        unsigned present = 0;
        json_array_foreach(shape->values, i, value) present |= type_of(value);
        *is_void = (types & present) == 0;
        return true;
    }
    *is_void = false;
    if (types & (VALUE_NULL | VALUE_FALSE | VALUE_TRUE))
        return true;
    if ((types & VALUE_NUMBER) && !rx_is_void(s->pool, shape_number(s, shape)))
        return true;
    if ((types & VALUE_STRING) && !rx_is_void(s->pool, shape_string(s, shape)))
        return true;
    *is_void = true;
    if ((types & VALUE_ARRAY) && !array_is_void(s, shape, is_void))
        return false;
    if ((types & VALUE_ARRAY) && !*is_void)
        return true;
    if (types & VALUE_OBJECT) {
        *is_void = false;
        return object_is_void(s, shape, is_void);
    }
    return true;
}

static bool find_void(Schema *s, Demands demands, bool *is_void)
{
    Shapes shapes = {0};
    bool ok = schema_shapes(s, demands, &shapes);
    *is_void = true;
    for (size_t i = 0; ok && i < shapes.n && *is_void; i++) {
        const Shape *shape = &shapes.items[i];
        if (shape->values)
            *is_void = json_array_size(shape->values) == 0;
        else
            ok = shape_is_void(s, shape, is_void);
    }
    mem_free(shapes.items);
    return ok;
}

bool schema_is_void(Schema *s, Demands demands, bool *is_void)
{
    uint64_t hash = demands_hash(demands);
    int64_t known;
    for (size_t step = 0; (known = hash_index_next(&s->verdict_index, hash, &step)) >= 0;) {
        if (demands_equal(s->verdicts[known].demands, demands)) {
            *is_void = s->verdicts[known].is_void;
            return true;
        }
    }
    *is_void = false;
    if (demands.n == 0 || s->void_depth == VOID_DEPTH_MAX)
        return true;
    int depth = s->depth;
    s->depth = 0;
    s->void_depth++;
    bool ok = find_void(s, demands, is_void);
    s->void_depth--;
    s->depth = depth;
    if (ok && (*is_void || s->void_depth == 0)) { /* else it was not looked at in full */
        Demand *items = ARENA_ARRAY(&s->arena, Demand, demands.n);
        memcpy(items, demands.items, sizeof *items * (size_t)demands.n);
        s->verdicts = mem_more(s->verdicts, sizeof *s->verdicts, s->n_verdicts, &s->n_verdicts_max);
        s->verdicts[s->n_verdicts] = (Verdict){{items, demands.n}, *is_void};
        hash_index_add(&s->verdict_index, hash, (uint32_t)s->n_verdicts++);
    }
    return ok;
}
