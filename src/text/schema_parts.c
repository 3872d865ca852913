/* What a shape says about one name, one item, its strings and numbers. */
#include "text/schema.h"

#include "text/rx_parse.h"

#include <string.h>

/* ---- Strings and numbers --------------------------------------------------------------------- */

bool schema_pattern(Schema *s, const json_t *schema, const char *keyword, const char *pattern,
                    size_t bytes, Rx *out)
{
    uint64_t key = str_hash((Str){pattern, bytes}) >> 1;
    uint32_t known;
    if (pair_map_find(&s->patterns, key, &known)) {
        *out = known;
        return true;
    }
    Error err = {0};
    if (!rx_parse(s->pool, (Str){pattern, bytes}, RX_MATCH_PART, SPELL_JSON, out, &err))
        return schema_fail(s, err.code, schema, keyword, "\"%.100s\": %.200s", pattern,
                           err.message);
    pair_map_put(&s->patterns, key, *out);
    return true;
}

Rx shape_number(Schema *s, const Shape *shape)
{
    Rx number = shape->number;
    if (shape->low.is_set || shape->high.is_set)
        number = rx_and(s->pool, number, schema_range(s->pool, shape->low, shape->high));
    return rx_and(s->pool, number,
                  shape->is_integer ? schema_integer(s->pool) : schema_number(s->pool));
}

Rx shape_string(Schema *s, const Shape *shape)
{
    if (shape->length_max >= 0 && shape->length_min > shape->length_max)
        return RX_VOID;
    int min = (int)(shape->length_min < SCHEMA_LENGTH_MAX ? shape->length_min : SCHEMA_LENGTH_MAX);
    /* A longer maximum than any answer is none. */
    int max = shape->length_max < 0 || shape->length_max > SCHEMA_LENGTH_MAX
                  ? RX_MANY
                  : (int)shape->length_max;
    return rx_and(s->pool, shape->string, rx_repeat(s->pool, s->any_char, min, max));
}

/* ---- Names ----------------------------------------------------------------------------------- */

static bool has_name(const Shape *shape, NameKind kind, Str name)
{
    for (const NameRule *n = shape->names; n; n = n->before)
        if (n->kind == kind && str_equal(n->name, name))
            return true;
    return false;
}

bool shape_requires(const Shape *shape, Str name) { return has_name(shape, NAME_REQUIRED, name); }
bool shape_forbids(const Shape *shape, Str name) { return has_name(shape, NAME_ABSENT, name); }

bool shape_allows_name(Schema *s, const Shape *shape, Str name, bool *allows)
{
    *allows = !shape_forbids(shape, name);
    json_t *text = json_stringn_nocheck(name.data, name.bytes);
    bool ok = true;
    for (const DemandList *d = shape->name_demands; ok && d && *allows; d = d->before) {
        Demand demand = d->demand;
        ok = schema_check(s, (Demands){&demand, 1}, text, allows);
    }
    json_decref(text);
    return ok;
}

static bool name_matches(Schema *s, const json_t *patterns, const char *pattern, Str name,
                         bool *matches)
{
    Rx set;
    Buf spelled = {0};
    if (!schema_pattern(s, patterns, pattern, pattern, strlen(pattern), &set))
        return false;
    spell_text(&spelled, name, SPELL_JSON);
    *matches = rx_matches(s->pool, set, buf_str(&spelled));
    buf_free(&spelled);
    return true;
}

/* Adds what one part demands of a property. *is_known: properties or a pattern name it. */
static bool part_property(Schema *s, const ObjectPart *part, Str name, Demands *demands,
                          bool *is_known)
{
    json_t *own = json_object_getn(part->properties, name.data, name.bytes), *sub;
    const char *pattern;
    *is_known = own != NULL;
    if (own && !part->only_names)
        *demands = demands_add(s, *demands, (Demand){own, false});
    json_object_foreach(part->patterns, pattern, sub)
    {
        bool matches;
        if (!name_matches(s, part->patterns, pattern, name, &matches))
            return false;
        if (matches && !part->only_names)
            *demands = demands_add(s, *demands, (Demand){sub, false});
        *is_known |= matches;
    }
    return true;
}

/* unevaluatedProperties does not see what its neighbours know. */
static bool is_evaluated(Schema *s, const ObjectPart *part, Str name, bool *is_known)
{
    *is_known = false;
    for (const ObjectPart *p = part->before; p != part->until && !*is_known; p = p->before) {
        Demands unused = {0};
        if (p->only_names)
            continue;
        if (p->is_unevaluated || !part_property(s, p, name, &unused, is_known))
            return p->is_unevaluated;
        *is_known |= p->others != NULL;
    }
    return true;
}

/* Parts were put in front: the oldest speaks first. */
static bool parts_property(Schema *s, const ObjectPart *part, Str name, Demands *demands)
{
    if (!part)
        return true;
    bool is_known;
    if (!parts_property(s, part->before, name, demands))
        return false;
    if (part->is_unevaluated ? !is_evaluated(s, part, name, &is_known)
                             : !part_property(s, part, name, demands, &is_known))
        return false;
    if (!is_known && part->others)
        *demands = demands_add(s, *demands, (Demand){part->others, false});
    return true;
}

bool shape_property(Schema *s, const Shape *shape, Str name, Demands *demands)
{
    if (!parts_property(s, shape->objects, name, demands))
        return false;
    for (const NameRule *n = shape->names; n; n = n->before)
        if (n->kind == NAME_DEMAND && str_equal(n->name, name))
            *demands = demands_add(s, *demands, n->demand);
    return true;
}

bool some_property_is(Schema *s, const SomeProperty *some, Str name, bool *is_one)
{
    Demands unused = {0};
    if (some->pattern)
        return name_matches(s, some->part->patterns, some->pattern, name, is_one);
    bool ok = part_property(s, some->part, name, &unused, is_one);
    *is_one = !*is_one;
    return ok;
}

/* ---- Items ----------------------------------------------------------------------------------- */

size_t shape_n_prefix(const Shape *shape)
{
    size_t n = 0;
    for (const ArrayPart *p = shape->arrays; p; p = p->before)
        n = json_array_size(p->prefix) > n ? json_array_size(p->prefix) : n;
    return n;
}

static Demands parts_item(Schema *s, const ArrayPart *part, size_t i)
{
    if (!part)
        return (Demands){0};
    Demands demands = parts_item(s, part->before, i);
    json_t *item =
        i < json_array_size(part->prefix) ? json_array_get(part->prefix, i) : part->items;
    return item ? demands_add(s, demands, (Demand){item, part->is_negated}) : demands;
}

Demands shape_item(Schema *s, const Shape *shape, size_t i)
{
    return parts_item(s, shape->arrays, i);
}
