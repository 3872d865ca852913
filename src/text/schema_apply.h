/* Applying keywords to lists of shapes. Only schema_shape.c and the files of its keywords
 * (schema_values.c, schema_members.c, schema_combine.c) include this.
 *
 * Each function narrows every shape of a list, or replaces the list by more shapes. is_negated: the
 * keyword must not hold. All return false with an error that names the keyword. */
#ifndef WEN_TEXT_SCHEMA_APPLY_H
#define WEN_TEXT_SCHEMA_APPLY_H

#include "text/schema.h"

static inline Demand must(json_t *schema) { return (Demand){schema, false}; }
static inline Demand must_not(json_t *schema) { return (Demand){schema, true}; }

/* ---- schema_shape.c -------------------------------------------------------------------------- */

bool schema_apply(Schema *s, Demand d, Shapes *shapes) MUST_USE;
/* "not a number": the keyword's value is malformed. Returns false. */
bool schema_is_wrong(Schema *s, const json_t *schema, const char *keyword, const char *wanted);
void shapes_push(Shapes *shapes, const Shape *shape);
void shapes_add(Shapes *shapes, const Shapes *more);
void shapes_free(Shapes *shapes);
/* Puts `branches` (given away) in place of the list, less those that are void for certain. ok: what
 * making them came to; it is handed on. */
bool shapes_replace(Schema *s, const json_t *schema, const char *keyword, Shapes *shapes,
                    Shapes *branches, bool ok) MUST_USE;
/* Lists that live as long as the schema: an empty one, one with this value. */
json_t *schema_new_list(Schema *s);
json_t *schema_list_of(Schema *s, json_t *value);

/* ---- schema_values.c ------------------------------------------------------------------------- */

bool apply_type(Schema *s, json_t *schema, json_t *value, bool is_negated, Shapes *shapes) MUST_USE;
bool apply_enum(Schema *s, json_t *schema, json_t *values, bool is_negated,
                Shapes *shapes) MUST_USE;
bool apply_bound(Schema *s, json_t *schema, const char *keyword, json_t *value, bool is_negated,
                 Shapes *shapes) MUST_USE;
bool apply_multiple(Schema *s, json_t *schema, json_t *value, bool is_negated,
                    Shapes *shapes) MUST_USE;
bool apply_pattern(Schema *s, json_t *schema, const char *keyword, json_t *value, bool is_negated,
                   Shapes *shapes) MUST_USE;
bool apply_count(Schema *s, json_t *schema, const char *keyword, json_t *value, bool is_negated,
                 Shapes *shapes) MUST_USE;

/* ---- schema_members.c ------------------------------------------------------------------------ */

bool apply_required(Schema *s, json_t *schema, json_t *value, bool is_negated,
                    Shapes *shapes) MUST_USE;
bool apply_dependent(Schema *s, json_t *schema, const char *keyword, json_t *value,
                     Shapes *shapes) MUST_USE;
void apply_object_part(Schema *s, json_t *schema, Shapes *shapes);
void apply_array_part(Schema *s, json_t *schema, Shapes *shapes);
bool apply_contains(Schema *s, json_t *schema, json_t *value, bool is_negated,
                    Shapes *shapes) MUST_USE;
void apply_property_names(Schema *s, json_t *value, Shapes *shapes);
void apply_unevaluated(Schema *s, json_t *value, const Shapes *before, Shapes *shapes);
/* Some item, some property of properties, patternProperties or the others, is not as it says. */
void apply_not_items(Schema *s, json_t *value, Shapes *shapes);
bool apply_not_properties(Schema *s, json_t *schema, json_t *value, Shapes *shapes) MUST_USE;
bool apply_not_patterns(Schema *s, json_t *schema, json_t *value, Shapes *shapes) MUST_USE;
void apply_not_others(Schema *s, json_t *schema, json_t *value, Shapes *shapes);

/* ---- schema_combine.c ------------------------------------------------------------------------ */

/* One of the subschemas; negated: one of them not. */
bool apply_any(Schema *s, json_t *schema, const char *keyword, json_t *list, bool is_negated,
               Shapes *shapes) MUST_USE;
/* All of the subschemas; negated: none of them. */
bool apply_all(Schema *s, json_t *schema, const char *keyword, json_t *list, bool is_negated,
               Shapes *shapes) MUST_USE;
bool apply_one(Schema *s, json_t *schema, json_t *list, Shapes *shapes) MUST_USE;
bool apply_not_one(Schema *s, json_t *schema, json_t *list, Shapes *shapes) MUST_USE;
bool apply_if(Schema *s, json_t *schema, json_t *condition, bool is_negated,
              Shapes *shapes) MUST_USE;

#endif
