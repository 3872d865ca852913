/* JSON Schema -> rules. Only schema*.c and grammar_schema.c include this.
 *
 *   Demand   a subschema of the document that a value must, or must not, satisfy.
 *   Demands  several for one value: allOf, $ref with siblings, a property that two schemas name and
 *            so on are only longer lists. Each list gets one rule, so recursion is no special case.
 *   Shape    what a list comes to without anyOf, oneOf, not, if: for each type what is allowed. A
 *            list is a union of shapes (schema_shape.c), a shape is alternatives of the list's rule
 *            (schema_rules.c).
 *
 * Lists inside of shapes grow at the front and share their tails, as shapes are copied often. */
#ifndef WEN_TEXT_SCHEMA_H
#define WEN_TEXT_SCHEMA_H

#include "base/hash_index.h"
#include "text/grammar_rules.h"
#include "text/schema_text.h"

#include <jansson.h>

enum {
    SCHEMA_SHAPES_MAX = 2048,  /* of one list of demands */
    SCHEMA_WORK_MAX = 1 << 18, /* keywords looked at, in all */
    SCHEMA_DEPTH_MAX = 48,     /* of references and combinators without a property between */
    SCHEMA_COUNT_MAX = 16384,  /* minItems, maxItems, minProperties, maxProperties */
    SCHEMA_PATTERNS_MAX = 8,   /* patternProperties that may hold for one name */
    SCHEMA_SOME_MAX = 4,       /* items, or properties, that must be there somewhere */
    SCHEMA_LENGTH_MAX = RX_REPEAT_MAX,
};

typedef struct Demand {
    json_t *schema;
    bool is_negated;
} Demand;

typedef struct Demands {
    Demand *items; /* in the arena */
    int n;
} Demands;

typedef enum ValueType {
    VALUE_NULL = 1,
    VALUE_FALSE = 2,
    VALUE_TRUE = 4,
    VALUE_NUMBER = 8,
    VALUE_STRING = 16,
    VALUE_ARRAY = 32,
    VALUE_OBJECT = 64,
    VALUE_ANY = 127,
} ValueType;

/* properties, patternProperties and additionalProperties of one schema object. */
typedef struct ObjectPart {
    json_t *properties, *patterns, *others; /* NULL: not there */
    bool only_names; /* of a negated schema: its names and patterns, which demand nothing */
    /* unevaluatedProperties: `others` holds for what no part from here to `until` knows. */
    bool is_unevaluated;
    const struct ObjectPart *until, *before;
} ObjectPart;

typedef enum NameKind { NAME_REQUIRED, NAME_ABSENT, NAME_DEMAND } NameKind;

typedef struct NameRule {
    NameKind kind;
    Str name;
    Demand demand; /* NAME_DEMAND: of the property, if it is there */
    const struct NameRule *before;
} NameRule;

/* Some property that matches a pattern of `part`, or that it does not know, must be there. */
typedef struct SomeProperty {
    const ObjectPart *part;
    const char *pattern; /* NULL: any that the part does not know */
    Demand demand;       /* of it */
    const struct SomeProperty *before;
} SomeProperty;

typedef struct ArrayPart {
    json_t *prefix;  /* an array of schemas, or NULL */
    json_t *items;   /* of those behind it, or NULL */
    bool is_negated; /* no item is as `items` says; no prefix then */
    const struct ArrayPart *before;
} ArrayPart;

typedef struct DemandList {
    Demand demand;
    const struct DemandList *before;
} DemandList;

typedef struct Shape {
    unsigned types;
    json_t *values;    /* a JSON array: one of these, whatever else is said; NULL: no enum */
    Rx number, string; /* further restrictions; RX_ALL: none */
    bool is_integer;
    NumberBound low, high;
    int64_t length_min, length_max;                               /* characters; -1: no maximum */
    int64_t items_min, items_max, properties_min, properties_max; /* likewise */
    const ArrayPart *arrays;
    const DemandList *contains; /* some item must, for each */
    json_t *unique;             /* the keyword's place; NULL: items may be equal */
    const ObjectPart *objects;
    const NameRule *names;
    const SomeProperty *some;
    const DemandList *name_demands; /* propertyNames */
} Shape;

typedef struct Shapes {
    Shape *items;
    size_t n, n_max;
} Shapes;

typedef struct PendingRule {
    Demands demands;
    int rule;
} PendingRule;

typedef struct Schema {
    json_t *root;
    Rules *rules;
    RxPool *pool;
    Arena arena;
    Error *err;
    bool ref_is_alone; /* before draft 2019-09: what stands beside $ref is ignored */
    bool is_compact;   /* ", " and ": " and no other white space */
    size_t work;
    int depth, void_depth;
    json_t *made_lists;

    json_t **resources; /* subschemas with $id or $anchor */
    size_t n_resources, n_resources_max;
    PairMap patterns; /* address of the JSON string -> expression */
    HashIndex rule_index;
    PendingRule *made; /* in order; from next_pending on still to be worked off */
    size_t n_made, n_made_max, next_pending;
    HashIndex verdict_index;
    struct Verdict *verdicts;
    size_t n_verdicts, n_verdicts_max;

    Rx any_char, any_string; /* one character, any number of them, as spelled in JSON */
    Rx comma, colon, array_open, array_close, object_open, object_close;
} Schema;

/* ---- schema_shape.c -------------------------------------------------------------------------- */

/* All shapes of a list, added to `shapes`; some may be void. False: an error, which names the
 * keyword and its path. */
bool schema_shapes(Schema *s, Demands demands, Shapes *shapes) MUST_USE;
/* Nothing satisfies the list, as far as can be seen without going deep. */
/* Errors of this schema: the place in front. Returns false. */
bool schema_fail(Schema *s, ErrorCode code, const json_t *schema, const char *keyword,
                 const char *format, ...) PRINTF_LIKE(5, 6);
bool schema_is_unsupported(Schema *s, const json_t *schema, const char *keyword);

/* ---- schema_void.c --------------------------------------------------------------------------- */

/* Nothing satisfies it, as far as can be seen without going deep: false may be wrong. */
bool schema_is_void(Schema *s, Demands demands, bool *is_void) MUST_USE;
bool shape_is_void(Schema *s, const Shape *shape, bool *is_void) MUST_USE;
Demands demands_add(Schema *s, Demands demands, Demand demand);
uint64_t demands_hash(Demands demands);
bool demands_equal(Demands a, Demands b);

/* ---- schema_parts.c: what shapes say about names and items ------------------------------------
 */

/* The `pattern` (a JSON string) as an expression over the inside of JSON strings. */
bool schema_pattern(Schema *s, const json_t *schema, const char *keyword, const char *pattern,
                    size_t bytes, Rx *out) MUST_USE;
Rx shape_number(Schema *s, const Shape *shape);
Rx shape_string(Schema *s, const Shape *shape);
bool shape_requires(const Shape *shape, Str name);
bool shape_forbids(const Shape *shape, Str name);
/* Whether propertyNames and the like allow it. */
bool shape_allows_name(Schema *s, const Shape *shape, Str name, bool *allows) MUST_USE;
/* What the property, or the i-th item, must satisfy. */
bool shape_property(Schema *s, const Shape *shape, Str name, Demands *demands) MUST_USE;
Demands shape_item(Schema *s, const Shape *shape, size_t i);
size_t shape_n_prefix(const Shape *shape);
/* The property is one of those that `some` is about. */
bool some_property_is(Schema *s, const SomeProperty *some, Str name, bool *is_one) MUST_USE;

/* ---- schema_check.c -------------------------------------------------------------------------- */

/* Whether a value (of an enum) satisfies the list. */
bool schema_check(Schema *s, Demands demands, const json_t *value, bool *ok) MUST_USE;
bool schema_values_equal(const json_t *a, const json_t *b);

/* ---- schema_refs.c --------------------------------------------------------------------------- */

void schema_find_resources(Schema *s);
/* The subschema that $ref names. */
json_t *schema_resolve(Schema *s, const json_t *schema, const char *keyword) MUST_USE;
/* "/properties/a": where a subschema stands in the document. */
void schema_put_path(Buf *out, json_t *root, const json_t *schema);

/* ---- schema_rules.c -------------------------------------------------------------------------- */

/* The rule for a list: its alternatives are made by schema_work. */
int schema_rule(Schema *s, Demands demands);
bool schema_work(Schema *s) MUST_USE;

/* ---- grammar_schema.c ------------------------------------------------------------------------ */

/* A rule for the values of a schema, added to `rules`. */
bool schema_compile(Rules *rules, json_t *schema, bool is_compact, int *rule, Error *err) MUST_USE;

#endif
