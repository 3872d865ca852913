/* Keywords about the members of objects and arrays. */
#include "text/schema_apply.h"

#include <string.h>

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

bool apply_required(Schema *s, json_t *schema, json_t *value, bool is_negated, Shapes *shapes)
{
    size_t i;
    json_t *item;
    if (json_is_boolean(value)) /* draft 3, and a mistake since */
        return true;
    if (!json_is_array(value))
        return schema_is_wrong(s, schema, "required", "an array");
    Shapes out = {0};
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item)) {
            shapes_free(&out);
            return schema_is_wrong(s, schema, "required", "an array of names");
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
    return !is_negated || shapes_replace(s, schema, "required", shapes, &out, true);
}

/* not {properties}: one of them is there and not as it says. */
bool apply_not_properties(Schema *s, json_t *schema, json_t *value, Shapes *shapes)
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
    return shapes_replace(s, schema, "properties", shapes, &out, true);
}

/* Splits by whether a property is there: without it nothing changes, with it names or a schema are
 * demanded too. */
bool apply_dependent(Schema *s, json_t *schema, const char *keyword, json_t *value, Shapes *shapes)
{
    const char *key;
    json_t *sub;
    bool ok = json_is_object(value) || schema_is_wrong(s, schema, keyword, "an object");
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
        json_t *names = json_is_string(sub) ? schema_list_of(s, sub) : sub;
        ok = json_is_array(names) ? apply_required(s, schema, names, false, &with)
                                  : schema_apply(s, must(sub), &with);
        shapes_add(&out, &with);
        shapes_free(&with);
        ok = shapes_replace(s, schema, keyword, shapes, &out, ok);
        if (!ok)
            return false;
    }
    return ok;
}

/* ---- Objects and arrays ---------------------------------------------------------------------- */

void apply_object_part(Schema *s, json_t *schema, Shapes *shapes)
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

void apply_array_part(Schema *s, json_t *schema, Shapes *shapes)
{
    json_t *prefix = json_object_get(schema, "prefixItems");
    json_t *items = json_object_get(schema, "items");
    if (json_is_array(items)) { /* before 2020-12 */
        prefix = items;
        items = json_object_get(schema, "additionalItems");
    }
    for (size_t i = 0; i < shapes->n; i++) {
        ArrayPart *part = ARENA_NEW(&s->arena, ArrayPart);
        *part = (ArrayPart){prefix, items, false, shapes->items[i].arrays};
        shapes->items[i].arrays = part;
    }
}

static void add_some_item(Schema *s, Demand d, Shapes *shapes)
{
    for (size_t i = 0; i < shapes->n; i++) {
        DemandList *list = ARENA_NEW(&s->arena, DemandList);
        *list = (DemandList){d, shapes->items[i].contains};
        shapes->items[i].contains = list;
        shapes->items[i].types &= VALUE_ARRAY;
    }
}

void apply_not_items(Schema *s, json_t *value, Shapes *shapes)
{
    add_some_item(s, must_not(value), shapes);
}

bool apply_contains(Schema *s, json_t *schema, json_t *value, bool is_negated, Shapes *shapes)
{
    json_t *min = json_object_get(schema, "minContains"),
           *max = json_object_get(schema, "maxContains");
    if (max)
        return schema_is_unsupported(s, schema, "maxContains");
    if (is_negated && min)
        return schema_is_unsupported(s, schema, "minContains");
    for (size_t i = 0; i < shapes->n && is_negated; i++) { /* an array with no such item */
        ArrayPart *part = ARENA_NEW(&s->arena, ArrayPart);
        *part = (ArrayPart){NULL, value, true, shapes->items[i].arrays};
        shapes->items[i].arrays = part;
        shapes->items[i].types &= VALUE_ARRAY;
    }
    if (is_negated)
        return true;
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
    add_some_item(s, must(value), shapes);
    shapes_add(&out, shapes);
    return shapes_replace(s, schema, "contains", shapes, &out, true);
}

void apply_property_names(Schema *s, json_t *value, Shapes *shapes)
{
    for (size_t i = 0; i < shapes->n; i++) {
        DemandList *list = ARENA_NEW(&s->arena, DemandList);
        *list = (DemandList){must(value), shapes->items[i].name_demands};
        shapes->items[i].name_demands = list;
    }
}

void apply_unevaluated(Schema *s, json_t *value, const Shapes *before, Shapes *shapes)
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

static void add_some_property(Schema *s, const ObjectPart *part, const char *pattern, Demand demand,
                              Shape *x)
{
    ObjectPart *names = ARENA_NEW(&s->arena, ObjectPart);
    *names = *part;
    names->before = x->objects;
    x->objects = names;
    SomeProperty *some = ARENA_NEW(&s->arena, SomeProperty);
    *some = (SomeProperty){names, pattern, demand, x->some};
    x->some = some;
    x->types &= VALUE_OBJECT;
}

void apply_not_others(Schema *s, json_t *schema, json_t *value, Shapes *shapes)
{
    ObjectPart part = {.properties = json_object_get(schema, "properties"),
                       .patterns = json_object_get(schema, "patternProperties"),
                       .only_names = true};
    for (size_t i = 0; i < shapes->n; i++)
        add_some_property(s, &part, NULL, must_not(value), &shapes->items[i]);
}

bool apply_not_patterns(Schema *s, json_t *schema, json_t *value, Shapes *shapes)
{
    const char *pattern;
    json_t *sub;
    Shapes out = {0};
    ObjectPart part = {.patterns = value, .only_names = true};
    json_object_foreach(value, pattern, sub)
    {
        for (size_t i = 0; i < shapes->n; i++) {
            Shape x = shapes->items[i];
            add_some_property(s, &part, pattern, must_not(sub), &x);
            shapes_push(&out, &x);
        }
    }
    return shapes_replace(s, schema, "patternProperties", shapes, &out, true);
}
