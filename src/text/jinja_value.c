/* Truth, equality, order, containers and str()/repr() of values. See jinja_value.h. */
#include "text/jinja_value.h"

#include "base/rng.h"
#include "text/jinja_run.h"

#include <stdio.h>
#include <string.h>

const char *jinja_type_name(JinjaValue v)
{
    static const char *const names[] = {
        [JINJA_UNDEFINED] = "undefined", [JINJA_NONE] = "None",
        [JINJA_BOOL] = "bool",           [JINJA_INT] = "int",
        [JINJA_FLOAT] = "float",         [JINJA_STRING] = "str",
        [JINJA_LIST] = "list",           [JINJA_TUPLE] = "tuple",
        [JINJA_DICT] = "dict",           [JINJA_NAMESPACE] = "namespace",
        [JINJA_MACRO] = "macro",         [JINJA_BUILTIN] = "function",
        [JINJA_LOOP] = "loop",
    };
    return names[v.kind];
}

bool jinja_truth(JinjaValue v)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return false;
    case JINJA_BOOL:
        return v.boolean;
    case JINJA_INT:
        return v.integer != 0;
    case JINJA_FLOAT:
        return v.number != 0;
    case JINJA_STRING:
        return v.text->s.bytes > 0;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return v.list->n > 0;
    case JINJA_DICT:
        return v.dict->n > 0;
    default:
        return true;
    }
}

static bool numbers_equal(JinjaValue a, JinjaValue b)
{
    if (jinja_is_int(a) && jinja_is_int(b))
        return jinja_as_int(a) == jinja_as_int(b);
    return jinja_as_double(a) == jinja_as_double(b);
}

/* Equality of what contains nothing. */
static bool scalars_equal(JinjaValue a, JinjaValue b)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        return numbers_equal(a, b);
    if (a.kind != b.kind)
        return false;
    switch (a.kind) {
    case JINJA_UNDEFINED:
    case JINJA_NONE:
        return true;
    case JINJA_STRING:
        return str_equal(a.text->s, b.text->s);
    case JINJA_BUILTIN:
        return a.bound->builtin == b.bound->builtin && a.bound->self.kind == b.bound->self.kind &&
               a.bound->self.integer == b.bound->self.integer;
    default:
        return (const void *)a.list == (const void *)b.list; /* identity */
    }
}

static bool lists_equal(JinjaRun *run, const JinjaList *a, const JinjaList *b, bool *equal)
{
    *equal = a->n == b->n;
    for (int i = 0; i < a->n && *equal; i++)
        if (!jinja_equal(run, a->items[i], b->items[i], equal))
            return false;
    return true;
}

static bool dicts_equal(JinjaRun *run, const JinjaDict *a, const JinjaDict *b, bool *equal)
{
    *equal = a->n == b->n;
    for (int i = 0; i < a->n && *equal; i++) {
        const JinjaValue *other = jinja_dict_get(b, a->pairs[i].key);
        *equal = other != NULL;
        if (other && !jinja_equal(run, a->pairs[i].value, *other, equal))
            return false;
    }
    return true;
}

bool jinja_equal(JinjaRun *run, JinjaValue a, JinjaValue b, bool *equal)
{
    size_t cost = a.kind == JINJA_STRING ? a.text->s.bytes / 256 : 0;
    if (!jinja_spend(run, 1 + cost) || !jinja_enter(run))
        return false;
    bool ok = true;
    if (a.kind == b.kind && jinja_is_array(a))
        ok = lists_equal(run, a.list, b.list, equal);
    else if (a.kind == b.kind && a.kind == JINJA_DICT)
        ok = dicts_equal(run, a.dict, b.dict, equal);
    else
        *equal = scalars_equal(a, b);
    jinja_leave(run);
    return ok;
}

static int compare_bytes(Str a, Str b)
{
    size_t n = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = n ? memcmp(a.data, b.data, n) : 0;
    return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static bool lists_less(JinjaRun *run, const JinjaList *a, const JinjaList *b, bool *less)
{
    for (int i = 0; i < a->n && i < b->n; i++) {
        bool equal;
        if (!jinja_equal(run, a->items[i], b->items[i], &equal))
            return false;
        if (!equal)
            return jinja_less(run, a->items[i], b->items[i], less);
    }
    *less = a->n < b->n;
    return true;
}

bool jinja_less(JinjaRun *run, JinjaValue a, JinjaValue b, bool *less)
{
    size_t cost = a.kind == JINJA_STRING ? a.text->s.bytes / 256 : 0;
    if (!jinja_spend(run, 1 + cost))
        return false;
    if (jinja_is_int(a) && jinja_is_int(b)) {
        *less = jinja_as_int(a) < jinja_as_int(b);
        return true;
    }
    if (jinja_is_number(a) && jinja_is_number(b)) {
        *less = jinja_as_double(a) < jinja_as_double(b);
        return true;
    }
    if (a.kind == JINJA_STRING && b.kind == JINJA_STRING) {
        *less = compare_bytes(a.text->s, b.text->s) < 0;
        return true;
    }
    if (a.kind == b.kind && jinja_is_array(a)) {
        if (!jinja_enter(run))
            return false;
        bool ok = lists_less(run, a.list, b.list, less);
        jinja_leave(run);
        return ok;
    }
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", a.kind == JINJA_UNDEFINED ? a.why : b.why);
    return jinja_fail(run, "%s and %s have no order", jinja_type_name(a), jinja_type_name(b));
}

bool jinja_contains(JinjaRun *run, JinjaValue container, JinjaValue item, bool *found)
{
    *found = false;
    switch (container.kind) {
    case JINJA_UNDEFINED:
        return true;
    case JINJA_STRING:
        if (item.kind != JINJA_STRING)
            return jinja_fail(run, "'in' needs a str to look for in a str, not %s",
                              jinja_type_name(item));
        *found = jinja_find(container.text->s, item.text->s, 0) >= 0;
        return jinja_spend(run, container.text->s.bytes / 256);
    case JINJA_LIST:
    case JINJA_TUPLE:
        for (int i = 0; i < container.list->n && !*found; i++)
            if (!jinja_equal(run, container.list->items[i], item, found))
                return false;
        return true;
    case JINJA_DICT:
        if (!jinja_is_hashable(item))
            return jinja_fail(run, "%s cannot be a key", jinja_type_name(item));
        *found = jinja_dict_get(container.dict, item) != NULL;
        return true;
    default:
        return jinja_fail(run, "'in' cannot look into %s", jinja_type_name(container));
    }
}

bool jinja_length(JinjaRun *run, JinjaValue v, int64_t *n)
{
    switch (v.kind) {
    case JINJA_UNDEFINED:
        *n = 0;
        return true;
    case JINJA_STRING:
        *n = (int64_t)jinja_n_chars(v.text);
        return jinja_spend(run, v.text->s.bytes / 256);
    case JINJA_LIST:
    case JINJA_TUPLE:
        *n = v.list->n;
        return true;
    case JINJA_DICT:
        *n = v.dict->n;
        return true;
    default:
        return jinja_fail(run, "%s has no length", jinja_type_name(v));
    }
}

bool jinja_is_iterable(JinjaValue v)
{
    return v.kind == JINJA_UNDEFINED || v.kind == JINJA_STRING || v.kind == JINJA_DICT ||
           jinja_is_array(v);
}

bool jinja_iterate(JinjaRun *run, JinjaValue v, const JinjaList **items)
{
    if (jinja_is_array(v)) {
        *items = v.list;
        return true;
    }
    if (!jinja_is_iterable(v))
        return jinja_fail(run, "%s cannot be iterated over", jinja_type_name(v));
    int64_t n = 0;
    if (!jinja_length(run, v, &n) || !jinja_spend(run, (size_t)n))
        return false;
    JinjaList *list = jinja_list_new(run, (size_t)n);
    if (!list)
        return false;
    if (v.kind == JINJA_DICT)
        for (int i = 0; i < list->n; i++)
            list->items[i] = v.dict->pairs[i].key;
    if (v.kind == JINJA_STRING) {
        JinjaCursor c = {.text = v.text};
        for (int i = 0; i < list->n; i++) {
            size_t from = c.at;
            if (!jinja_next_char(&c) ||
                !jinja_slice_value(run, v.text, from, c.at, &list->items[i]))
                return false;
        }
    }
    *items = list;
    return true;
}

JinjaList *jinja_list_new(JinjaRun *run, size_t n)
{
    if (n > INT32_MAX / 4) {
        jinja_fail_limit(run, "a list's length");
        return NULL;
    }
    JinjaList *list = jinja_alloc(run, sizeof *list);
    JinjaValue *items = list ? jinja_alloc(run, sizeof *items * n) : NULL;
    if (!items)
        return NULL;
    *list = (JinjaList){items, (int)n};
    return list;
}

bool jinja_pair_tuple(JinjaRun *run, JinjaValue a, JinjaValue b, JinjaValue *tuple)
{
    JinjaList *list = jinja_list_new(run, 2);
    if (!list)
        return false;
    list->items[0] = a;
    list->items[1] = b;
    *tuple = (JinjaValue){.kind = JINJA_TUPLE, .list = list};
    return true;
}

bool jinja_is_hashable(JinjaValue v)
{
    if (v.kind == JINJA_TUPLE) {
        for (int i = 0; i < v.list->n; i++)
            if (v.list->items[i].kind == JINJA_TUPLE || !jinja_is_hashable(v.list->items[i]))
                return false; /* tuples in tuples as keys: nobody does that */
        return true;
    }
    return v.kind != JINJA_LIST && v.kind != JINJA_DICT;
}

static bool keys_equal(JinjaValue a, JinjaValue b)
{
    if (a.kind != JINJA_TUPLE || b.kind != JINJA_TUPLE)
        return scalars_equal(a, b);
    bool equal = a.list->n == b.list->n;
    for (int i = 0; i < a.list->n && equal; i++)
        equal = scalars_equal(a.list->items[i], b.list->items[i]);
    return equal;
}

/* Equal keys hash alike: 1, 1.0 and true are one key. */
static uint64_t scalar_hash(JinjaValue key)
{
    if (key.kind == JINJA_STRING)
        return str_hash(key.text->s);
    if (jinja_is_number(key)) {
        double d = jinja_as_double(key);
        return str_hash((Str){(const char *)&d, d == 0 ? 0 : sizeof d});
    }
    return key.kind == JINJA_UNDEFINED || key.kind == JINJA_NONE ? (uint64_t)key.kind
                                                                 : (uint64_t)(uintptr_t)key.list;
}

/* The dictionary's address goes in, so that nobody can choose keys that collide. */
static uint64_t key_hash(const JinjaDict *dict, JinjaValue key)
{
    uint64_t h = rng_mix((uint64_t)(uintptr_t)dict);
    if (key.kind != JINJA_TUPLE)
        return rng_mix(h + scalar_hash(key));
    for (int i = 0; i < key.list->n; i++)
        h = rng_mix(h + scalar_hash(key.list->items[i]));
    return h;
}

enum { DICT_LINEAR_MAX = 8 };

static int dict_find_index(const JinjaDict *dict, JinjaValue key)
{
    if (!dict->slots) {
        for (int i = 0; i < dict->n; i++)
            if (keys_equal(dict->pairs[i].key, key))
                return i;
        return -1;
    }
    uint32_t mask = (uint32_t)dict->n_slots - 1;
    for (uint32_t slot = (uint32_t)key_hash(dict, key) & mask;; slot = (slot + 1) & mask) {
        int32_t i = dict->slots[slot];
        if (i < 0)
            return -1;
        if (keys_equal(dict->pairs[i].key, key))
            return i;
    }
}

static void dict_index(JinjaDict *dict, int pair_i)
{
    uint32_t mask = (uint32_t)dict->n_slots - 1;
    uint32_t slot = (uint32_t)key_hash(dict, dict->pairs[pair_i].key) & mask;
    while (dict->slots[slot] >= 0)
        slot = (slot + 1) & mask;
    dict->slots[slot] = pair_i;
}

static bool dict_grow(JinjaRun *run, JinjaDict *dict)
{
    int capacity = dict->capacity ? dict->capacity * 2 : 4;
    JinjaPair *pairs = jinja_alloc(run, sizeof *pairs * (size_t)capacity);
    if (!pairs)
        return false;
    if (dict->n)
        memcpy(pairs, dict->pairs, sizeof *pairs * (size_t)dict->n);
    dict->pairs = pairs;
    dict->capacity = capacity;
    if (capacity <= DICT_LINEAR_MAX)
        return true;
    int n_slots = capacity * 2;
    int32_t *slots = jinja_alloc(run, sizeof *slots * (size_t)n_slots);
    if (!slots)
        return false;
    memset(slots, 0xff, sizeof *slots * (size_t)n_slots);
    dict->slots = slots;
    dict->n_slots = n_slots;
    for (int i = 0; i < dict->n; i++)
        dict_index(dict, i);
    return true;
}

JinjaDict *jinja_dict_new(JinjaRun *run) { return jinja_alloc(run, sizeof(JinjaDict)); }

bool jinja_dict_set(JinjaRun *run, JinjaDict *dict, JinjaValue key, JinjaValue value)
{
    if (!jinja_is_hashable(key))
        return jinja_fail(run, "%s cannot be a key", jinja_type_name(key));
    int i = dict_find_index(dict, key);
    if (i >= 0) {
        dict->pairs[i].value = value;
        return true;
    }
    if (dict->n == dict->capacity && !dict_grow(run, dict))
        return false;
    dict->pairs[dict->n] = (JinjaPair){key, value};
    if (dict->slots)
        dict_index(dict, dict->n);
    dict->n++;
    return true;
}

const JinjaValue *jinja_dict_get(const JinjaDict *dict, JinjaValue key)
{
    int i = jinja_is_hashable(key) ? dict_find_index(dict, key) : -1;
    return i < 0 ? NULL : &dict->pairs[i].value;
}

const JinjaValue *jinja_dict_find(const JinjaDict *dict, Str key)
{
    JinjaText text = {.s = key};
    return jinja_dict_get(dict, jinja_string(&text));
}

/* repr() of a string: the quotes that need the least escaping, and escapes. */
static void write_quoted(JinjaBuilder *b, const JinjaText *t)
{
    bool has_single = t->s.bytes && memchr(t->s.data, '\'', t->s.bytes);
    bool has_double = t->s.bytes && memchr(t->s.data, '"', t->s.bytes);
    char quote = has_single && !has_double ? '"' : '\'';
    jinja_put(b, (Str){&quote, 1}, false);
    JinjaCursor c = {.text = t};
    for (size_t from = 0; jinja_next_char(&c) && !b->failed; from = c.at) {
        char escape[16];
        int n = 0;
        if (c.cp == (uint32_t)quote || c.cp == '\\')
            n = snprintf(escape, sizeof escape, "\\%c", (char)c.cp);
        else if (c.cp == '\n' || c.cp == '\r' || c.cp == '\t')
            n = snprintf(escape, sizeof escape, "\\%c",
                         c.cp == '\n'   ? 'n'
                         : c.cp == '\r' ? 'r'
                                        : 't');
        else if (!jinja_is_printable(c.cp))
            n = snprintf(escape, sizeof escape,
                         c.cp < 0x100     ? "\\x%02x"
                         : c.cp < 0x10000 ? "\\u%04x"
                                          : "\\U%08x",
                         c.cp);
        if (n > 0)
            jinja_put(b, (Str){escape, (size_t)n}, c.untrusted);
        else
            jinja_put(b, str_slice(t->s, from, c.at), c.untrusted);
    }
    jinja_put(b, (Str){&quote, 1}, false);
}

static bool write_list(JinjaRun *run, JinjaBuilder *b, JinjaValue v)
{
    bool is_tuple = v.kind == JINJA_TUPLE;
    jinja_put(b, is_tuple ? STR("(") : STR("["), false);
    for (int i = 0; i < v.list->n; i++) {
        if (i > 0)
            jinja_put(b, STR(", "), false);
        if (!jinja_write(run, b, v.list->items[i], true))
            return false;
    }
    if (is_tuple && v.list->n == 1)
        jinja_put(b, STR(","), false);
    jinja_put(b, is_tuple ? STR(")") : STR("]"), false);
    return true;
}

static bool write_dict(JinjaRun *run, JinjaBuilder *b, const JinjaDict *dict)
{
    jinja_put(b, STR("{"), false);
    for (int i = 0; i < dict->n; i++) {
        if (i > 0)
            jinja_put(b, STR(", "), false);
        if (!jinja_write(run, b, dict->pairs[i].key, true))
            return false;
        jinja_put(b, STR(": "), false);
        if (!jinja_write(run, b, dict->pairs[i].value, true))
            return false;
    }
    jinja_put(b, STR("}"), false);
    return true;
}

static bool write_value(JinjaRun *run, JinjaBuilder *b, JinjaValue v, bool repr)
{
    char digits[40];
    switch (v.kind) {
    case JINJA_UNDEFINED:
        jinja_put(b, repr ? STR("Undefined") : STR(""), false);
        return true;
    case JINJA_NONE:
        jinja_put(b, STR("None"), false);
        return true;
    case JINJA_BOOL:
        jinja_put(b, v.boolean ? STR("True") : STR("False"), false);
        return true;
    case JINJA_INT:
        snprintf(digits, sizeof digits, "%lld", (long long)v.integer);
        jinja_put(b, str_from(digits), false);
        return true;
    case JINJA_FLOAT:
        jinja_put(b, (Str){digits, jinja_float_repr(v.number, digits)}, false);
        return true;
    case JINJA_STRING:
        if (repr)
            write_quoted(b, v.text);
        else
            jinja_add(b, v.text);
        return true;
    case JINJA_LIST:
    case JINJA_TUPLE:
        return write_list(run, b, v);
    case JINJA_DICT:
        return write_dict(run, b, v.dict);
    case JINJA_NAMESPACE:
        jinja_put(b, STR("<Namespace "), false);
        if (!write_dict(run, b, v.dict))
            return false;
        jinja_put(b, STR(">"), false);
        return true;
    default:
        return jinja_fail(run, "%s has no text", jinja_type_name(v));
    }
}

bool jinja_write(JinjaRun *run, JinjaBuilder *b, JinjaValue v, bool repr)
{
    if (!jinja_spend(run, 1) || !jinja_enter(run))
        return false;
    bool ok = write_value(run, b, v, repr);
    jinja_leave(run);
    return ok && !b->failed;
}

bool jinja_str(JinjaRun *run, JinjaValue v, const JinjaText **text)
{
    if (v.kind == JINJA_STRING) {
        *text = v.text;
        return true;
    }
    JinjaBuilder b = {.run = run};
    return jinja_write(run, &b, v, false) && (*text = jinja_built(&b)) != NULL;
}
