/* The values that a template computes with, and the rendering they live in.
 *
 * Values are immutable (as in Jinja's immutable sandbox); only a namespace can be written to. They
 * live in the arena of their JinjaRun, constants in the arena of the template. Functions that can
 * fail set the run's error, with the template's line, and return false or NULL. */
#ifndef WEN_TEXT_JINJA_VALUE_H
#define WEN_TEXT_JINJA_VALUE_H

#include "text/jinja.h"

typedef enum JinjaKind {
    JINJA_UNDEFINED,
    JINJA_NONE,
    JINJA_BOOL,
    JINJA_INT,
    JINJA_FLOAT,
    JINJA_STRING,
    JINJA_LIST,
    JINJA_TUPLE,
    JINJA_DICT,
    JINJA_NAMESPACE,
    JINJA_MACRO,
    JINJA_BUILTIN, /* a global function or a method bound to its object */
    JINJA_LOOP,
} JinjaKind;

/* UTF-8 that remembers where it came from: the spans are byte ranges, sorted and disjoint, on
 * character boundaries. */
typedef struct JinjaText {
    Str s;
    const TextSpan *untrusted;
    int n_untrusted;
} JinjaText;

typedef struct JinjaList JinjaList;
typedef struct JinjaDict JinjaDict;
typedef struct JinjaMacro JinjaMacro;
typedef struct JinjaBound JinjaBound;
typedef struct JinjaLoop JinjaLoop;

typedef struct JinjaValue {
    JinjaKind kind;
    union {
        const char *why; /* undefined: the message when it is used */
        bool boolean;
        int64_t integer;
        double number;
        const JinjaText *text;
        const JinjaList *list; /* list and tuple */
        JinjaDict *dict;       /* dict and namespace */
        const JinjaMacro *macro;
        const JinjaBound *bound;
        JinjaLoop *loop;
    };
} JinjaValue;

struct JinjaList {
    JinjaValue *items;
    int n;
};

typedef struct JinjaPair {
    JinjaValue key, value;
} JinjaPair;

struct JinjaDict {
    JinjaPair *pairs; /* in the order of insertion */
    int n, capacity;
    int32_t *slots; /* hash index, -1: free; made once there are many pairs */
    int n_slots;
};

typedef struct JinjaScope JinjaScope;
typedef struct JinjaBuilder JinjaBuilder;

/* One rendering. */
typedef struct JinjaRun {
    Arena arena;
    Error *err;
    int line;       /* of the node being evaluated */
    int depth;      /* of nested evaluations, calls and containers */
    uint64_t steps; /* spent so far */
    size_t bytes;   /* taken from the arena so far */
    JinjaScope *scope;
    JinjaBuilder *out; /* where output goes: the prompt, or a captured block */
    JinjaDict *globals;
    JinjaTrust *is_trusted;
    void *trust_context;
} JinjaRun;

/* Sets the error "template line N: ..." and returns false. */
bool jinja_fail(JinjaRun *run, const char *format, ...) PRINTF_LIKE(2, 3);
bool jinja_fail_limit(JinjaRun *run, const char *what);
/* Counts work, so that a template cannot run for ever; false at the limit. */
bool jinja_spend(JinjaRun *run, size_t steps) MUST_USE;
bool jinja_enter(JinjaRun *run) MUST_USE; /* one level deeper; false at the limit */
static inline void jinja_leave(JinjaRun *run) { run->depth--; }
void *jinja_alloc(JinjaRun *run, size_t bytes) MUST_USE; /* zeroed */
const char *jinja_format(JinjaRun *run, const char *format, ...) PRINTF_LIKE(2, 3);

/* Makers of values that cannot fail. */
static inline JinjaValue jinja_none(void) { return (JinjaValue){.kind = JINJA_NONE}; }
static inline JinjaValue jinja_bool(bool b)
{
    return (JinjaValue){.kind = JINJA_BOOL, .boolean = b};
}
static inline JinjaValue jinja_int(int64_t i)
{
    return (JinjaValue){.kind = JINJA_INT, .integer = i};
}
static inline JinjaValue jinja_float(double d)
{
    return (JinjaValue){.kind = JINJA_FLOAT, .number = d};
}
static inline JinjaValue jinja_undefined(const char *why)
{
    return (JinjaValue){.kind = JINJA_UNDEFINED, .why = why};
}
static inline JinjaValue jinja_string(const JinjaText *t)
{
    return (JinjaValue){.kind = JINJA_STRING, .text = t};
}
static inline JinjaValue jinja_list(const JinjaList *list)
{
    return (JinjaValue){.kind = JINJA_LIST, .list = list};
}

static inline bool jinja_is_int(JinjaValue v)
{
    return v.kind == JINJA_INT || v.kind == JINJA_BOOL;
}
static inline bool jinja_is_number(JinjaValue v)
{
    return jinja_is_int(v) || v.kind == JINJA_FLOAT;
}
static inline bool jinja_is_array(JinjaValue v)
{
    return v.kind == JINJA_LIST || v.kind == JINJA_TUPLE;
}
/* The integer of an int or bool; the double of any number. */
static inline int64_t jinja_as_int(JinjaValue v)
{
    return v.kind == JINJA_BOOL ? v.boolean : v.integer;
}
static inline double jinja_as_double(JinjaValue v)
{
    return v.kind == JINJA_FLOAT ? v.number : (double)jinja_as_int(v);
}

/* Python's name of the type ("str"), for messages. */
const char *jinja_type_name(JinjaValue v);
bool jinja_truth(JinjaValue v);
/* Python's == and <. Comparing what has no order is an error. */
bool jinja_equal(JinjaRun *run, JinjaValue a, JinjaValue b, bool *equal) MUST_USE;
bool jinja_less(JinjaRun *run, JinjaValue a, JinjaValue b, bool *less) MUST_USE;
bool jinja_contains(JinjaRun *run, JinjaValue container, JinjaValue item, bool *found) MUST_USE;
/* len(); an error for what has none. */
bool jinja_length(JinjaRun *run, JinjaValue v, int64_t *n) MUST_USE;
bool jinja_is_iterable(JinjaValue v);
/* What a for loop sees: items, keys, characters; nothing for undefined. */
bool jinja_iterate(JinjaRun *run, JinjaValue v, const JinjaList **items) MUST_USE;

JinjaList *jinja_list_new(JinjaRun *run, size_t n) MUST_USE; /* n items, all undefined */
bool jinja_pair_tuple(JinjaRun *run, JinjaValue a, JinjaValue b, JinjaValue *tuple) MUST_USE;
JinjaDict *jinja_dict_new(JinjaRun *run) MUST_USE;
/* An unhashable key is an error. */
bool jinja_dict_set(JinjaRun *run, JinjaDict *dict, JinjaValue key, JinjaValue value) MUST_USE;
/* NULL: no such key (also for keys that cannot be keys). */
const JinjaValue *jinja_dict_get(const JinjaDict *dict, JinjaValue key);
const JinjaValue *jinja_dict_find(const JinjaDict *dict, Str key);
bool jinja_is_hashable(JinjaValue v);

/* x.name and x[key], by Jinja's rules: what is not there is undefined, but asking undefined for
 * something is an error. */
bool jinja_attribute(JinjaRun *run, JinjaValue object, Str name, JinjaValue *out) MUST_USE;
bool jinja_item(JinjaRun *run, JinjaValue object, JinjaValue key, JinjaValue *out) MUST_USE;

/* x[a:b:c]; None stands for a bound that was left out. */
bool jinja_slice(JinjaRun *run, JinjaValue object, const JinjaValue bounds[3],
                 JinjaValue *out) MUST_USE;

/* str() and repr(). */
bool jinja_write(JinjaRun *run, JinjaBuilder *b, JinjaValue v, bool repr) MUST_USE;
bool jinja_str(JinjaRun *run, JinjaValue v, const JinjaText **text) MUST_USE;

/* jinja_number.c */

/* As Python prints a float: the shortest digits that read back the same. Returns the length. */
size_t jinja_float_repr(double d, char out[40]);
/* + - * / // % ** of numbers ('/' twice is 'f', '**' is 'p'). */
bool jinja_arithmetic(JinjaRun *run, char op, JinjaValue a, JinjaValue b, JinjaValue *out) MUST_USE;
/* Python's int(text, base) and float(text); false when it does not parse. */
bool jinja_parse_int(Str s, int base, int64_t *value) MUST_USE;
bool jinja_parse_float(Str s, double *value) MUST_USE;
/* Python's round(): to the nearest, ties to even, on the exact binary value. */
double jinja_round(double d, int digits);

/* jinja_json.c */

typedef struct JinjaJsonStyle {
    bool ascii_only, sort_keys;
    const JinjaText *indent; /* NULL: one line */
    const JinjaText *item_separator, *key_separator;
} JinjaJsonStyle;
/* json.dumps. */
bool jinja_write_json(JinjaRun *run, JinjaBuilder *b, JinjaValue v,
                      const JinjaJsonStyle *style) MUST_USE;
/* JSON as values; trust is decided by the run's callback. The strings stay in the JSON. */
bool jinja_from_json(JinjaRun *run, const json_t *json, const JinjaPlace *place,
                     JinjaValue *out) MUST_USE;

#endif
