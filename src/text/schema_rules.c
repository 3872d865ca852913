/* Shapes -> alternatives of a list's rule.
 *
 * An object is a chain: for each property in order, with it or (when it is optional) without it,
 * then any number of others, with a comma in front of all but the first. An array is one too. Links
 * of the chain are rules numbered by (how far, how many so far), as far as counting matters. */
#include "text/schema.h"

#include <string.h>

int schema_rule(Schema *s, Demands demands)
{
    uint64_t hash = demands_hash(demands);
    int64_t known;
    for (size_t step = 0; (known = hash_index_next(&s->rule_index, hash, &step)) >= 0;)
        if (demands_equal(s->made[known].demands, demands))
            return s->made[known].rule;
    s->made = mem_more(s->made, sizeof *s->made, s->n_made, &s->n_made_max);
    s->made[s->n_made] = (PendingRule){demands, rules_new(s->rules)};
    hash_index_add(&s->rule_index, hash, (uint32_t)s->n_made);
    return s->made[s->n_made++].rule;
}

static Rx quoted(Schema *s, Rx inside)
{
    Rx quote = rx_literal(s->pool, STR("\""));
    return rx_concat(s->pool, quote, rx_concat(s->pool, inside, quote));
}

/* As intersections after the opening quote, each with its closing one: see grammar_mask.c. */
static Rx quoted_string(Schema *s, Rx inside)
{
    Rx quote = rx_literal(s->pool, STR("\"")), rest = RX_ALL;
    const Rx *parts;
    int n = rx_and_parts(s->pool, inside, &parts);
    for (int i = 0; i < n; i++) {
        rx_and_parts(s->pool, inside, &parts);
        Rx not_this = rx_not_part(s->pool, parts[i]);
        Rx part = not_this != RX_VOID ? rx_not(s->pool, rx_concat(s->pool, not_this, quote))
                                      : rx_concat(s->pool, parts[i], quote);
        rest = rx_and(s->pool, rest, part);
    }
    /* The complement of text" holds more than text": only strings that end here. */
    if (n > 0)
        rest = rx_and(s->pool, rest, rx_concat(s->pool, s->any_string, quote));
    return n > 0 ? rx_concat(s->pool, quote, rest) : quoted(s, inside);
}

static Rx key_literal(Schema *s, Str name)
{
    Buf text = {0};
    spell_text(&text, name, SPELL_JSON);
    Rx key = quoted(s, rx_literal(s->pool, buf_str(&text)));
    buf_free(&text);
    return rx_concat(s->pool, key, s->colon);
}

/* ---- Given values ---------------------------------------------------------------------------- */

static void add_value(Schema *s, const json_t *value, Sym **syms, size_t *n, size_t *n_max);

static void add_sym(Sym sym, Sym **syms, size_t *n, size_t *n_max)
{
    *syms = mem_more(*syms, sizeof **syms, *n, n_max);
    (*syms)[(*n)++] = sym;
}

static void add_container(Schema *s, const json_t *value, Sym **syms, size_t *n, size_t *n_max)
{
    bool is_object = json_is_object(value), is_first = true;
    const char *key;
    json_t *item;
    size_t i;
    add_sym(sym_rx(is_object ? s->object_open : s->array_open), syms, n, n_max);
    json_array_foreach(value, i, item)
    {
        if (i > 0)
            add_sym(sym_rx(s->comma), syms, n, n_max);
        add_value(s, item, syms, n, n_max);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (!is_first)
            add_sym(sym_rx(s->comma), syms, n, n_max);
        is_first = false;
        add_sym(sym_rx(key_literal(s, str_from(key))), syms, n, n_max);
        add_value(s, item, syms, n, n_max);
    }
    add_sym(sym_rx(is_object ? s->object_close : s->array_close), syms, n, n_max);
}

static Rx scalar(Schema *s, const json_t *value)
{
    if (json_is_number(value))
        return schema_number_literal(s->pool, value);
    if (!json_is_string(value))
        return rx_literal(s->pool, json_is_null(value)   ? STR("null")
                                   : json_is_true(value) ? STR("true")
                                                         : STR("false"));
    Buf text = {0};
    spell_text(&text, (Str){json_string_value(value), json_string_length(value)}, SPELL_JSON);
    Rx literal = quoted(s, rx_literal(s->pool, buf_str(&text)));
    buf_free(&text);
    return literal;
}

static void add_value(Schema *s, const json_t *value, Sym **syms, size_t *n, size_t *n_max)
{
    if (json_is_object(value) || json_is_array(value))
        add_container(s, value, syms, n, n_max);
    else
        add_sym(sym_rx(scalar(s, value)), syms, n, n_max);
}

/* Those of the values that are strings, between these quotes. */
static Rx string_values(Schema *s, const json_t *values, const char *quote)
{
    size_t i, n = json_array_size(values);
    json_t *value;
    Str *texts = mem_alloc(sizeof *texts * (n + 1));
    Buf *spelled = mem_alloc(sizeof *spelled * (n + 1));
    int n_texts = 0;
    json_array_foreach(values, i, value)
    {
        if (!json_is_string(value))
            continue;
        Buf *text = &spelled[n_texts];
        buf_puts(text, quote);
        spell_text(text, (Str){json_string_value(value), json_string_length(value)}, SPELL_JSON);
        buf_puts(text, quote);
        texts[n_texts++] = buf_str(text);
    }
    Rx all = rx_literals(s->pool, texts, n_texts);
    for (int k = 0; k < n_texts; k++)
        buf_free(&spelled[k]);
    mem_free(texts);
    mem_free(spelled);
    return all;
}

static void add_values(Schema *s, int rule, const json_t *values)
{
    size_t i;
    json_t *value;
    Rx scalars = string_values(s, values, "\"");
    json_array_foreach(values, i, value)
    {
        if (json_is_object(value) || json_is_array(value)) {
            Sym *syms = NULL;
            size_t n = 0, n_max = 0;
            add_value(s, value, &syms, &n, &n_max);
            rules_add(s->rules, rule, syms, (int)n);
            mem_free(syms);
        } else if (!json_is_string(value)) {
            scalars = rx_or(s->pool, scalars, scalar(s, value));
        }
    }
    rules_add(s->rules, rule, (Sym[]){sym_rx(scalars)}, 1);
}

/* ---- Chains ---------------------------------------------------------------------------------- */

/* The rules of a chain, made when they are first named. */
typedef struct Chain {
    int *rules; /* [n_places * n_counts], 0: none yet (rule 0 is nobody's link) */
    int64_t n_counts;
    int64_t *todo; /* links to work off */
    size_t n_todo, n_todo_max;
} Chain;

static bool chain_open(Schema *s, Chain *c, int64_t n_places, int64_t n_counts)
{
    size_t bytes;
    if (!mem_product((size_t)n_places, (size_t)n_counts, SIZE_MAX / 8, &bytes) || bytes > (1 << 22))
        return error_set(s->err, ERROR_LIMIT,
                         "schema: an object or array with %lld places and counts up to %lld",
                         (long long)n_places, (long long)n_counts);
    *c = (Chain){.rules = mem_alloc(sizeof(int) * bytes), .n_counts = n_counts};
    return true;
}

static void chain_close(Chain *c)
{
    mem_free(c->rules);
    mem_free(c->todo);
}

static Sym chain_link(Schema *s, Chain *c, int64_t place, int64_t count)
{
    int64_t at = place * c->n_counts + count;
    if (c->rules[at] == 0) {
        c->rules[at] = rules_new(s->rules);
        c->todo = mem_more(c->todo, sizeof *c->todo, c->n_todo, &c->n_todo_max);
        c->todo[c->n_todo++] = at;
    }
    return sym_rule(c->rules[at]);
}

/* ---- Objects --------------------------------------------------------------------------------- */

typedef struct Property {
    Str name; /* empty: not one name but a set of them */
    Rx key;
    Demands demands;
    unsigned some; /* bit i: it is one of those that the i-th of shape->some is about */
    bool is_required, is_dropped;
} Property;

typedef struct Object {
    Property *items;
    size_t n, n_max;
    HashIndex index;
    Property *others; /* kinds of names that are nobody's own */
    size_t n_others, n_others_max;
} Object;

static bool add_property(Schema *s, const Shape *shape, Object *o, Str name)
{
    uint64_t hash = str_hash(name);
    int64_t known;
    for (size_t step = 0; (known = hash_index_next(&o->index, hash, &step)) >= 0;)
        if (str_equal(o->items[known].name, name))
            return true;
    Property p = {.name = name, .is_required = shape_requires(shape, name)};
    bool allows;
    if (!shape_allows_name(s, shape, name, &allows) || !shape_property(s, shape, name, &p.demands))
        return false;
    p.is_dropped = !allows;
    p.key = key_literal(s, name);
    unsigned bit = 1;
    for (const SomeProperty *some = shape->some; some; some = some->before, bit <<= 1) {
        bool is_one;
        if (!some_property_is(s, some, name, &is_one))
            return false;
        p.some |= is_one ? bit : 0;
    }
    o->items = mem_more(o->items, sizeof p, o->n, &o->n_max);
    o->items[o->n] = p;
    hash_index_add(&o->index, hash, (uint32_t)o->n++);
    return true;
}

static bool add_part_names(Schema *s, const Shape *shape, Object *o, const ObjectPart *part)
{
    const char *key;
    json_t *sub;
    if (!part)
        return true;
    if (!add_part_names(s, shape, o, part->before))
        return false;
    json_object_foreach(part->properties, key,
                        sub) if (!add_property(s, shape, o, str_from(key))) return false;
    return true;
}

static bool add_rule_names(Schema *s, const Shape *shape, Object *o, const NameRule *names)
{
    if (!names)
        return true;
    return add_rule_names(s, shape, o, names->before) && add_property(s, shape, o, names->name);
}

typedef struct PatternUse {
    const ObjectPart *part;
    const char *pattern;
    Rx set;
    json_t *schema;
} PatternUse;

static bool gather_patterns(Schema *s, const ObjectPart *part, PatternUse uses[], int *n)
{
    const char *pattern;
    json_t *sub;
    if (!part)
        return true;
    if (!gather_patterns(s, part->before, uses, n))
        return false;
    json_object_foreach(part->patterns, pattern, sub)
    {
        if (*n == SCHEMA_PATTERNS_MAX)
            return schema_fail(s, ERROR_LIMIT, part->patterns, "",
                               "over %d patterns for one object's names", SCHEMA_PATTERNS_MAX);
        if (!schema_pattern(s, part->patterns, pattern, pattern, strlen(pattern), &uses[*n].set))
            return false;
        uses[*n].part = part;
        uses[*n].pattern = pattern;
        uses[(*n)++].schema = sub;
    }
    return true;
}

/* The demands of a property whose name matches these patterns and is nobody's own. */
static Demands others_demands(Schema *s, const ObjectPart *part, const PatternUse uses[], int n,
                              unsigned matched)
{
    if (!part)
        return (Demands){0};
    Demands demands = others_demands(s, part->before, uses, n, matched);
    bool is_known = false;
    for (int i = 0; i < n; i++) {
        bool is_seen = uses[i].part == part;
        if (part->is_unevaluated)
            for (const ObjectPart *p = part->before; p != part->until; p = p->before)
                is_seen |= uses[i].part == p;
        if (!(matched >> i & 1) || !is_seen)
            continue;
        is_known = true;
        if (!part->is_unevaluated && !part->only_names)
            demands = demands_add(s, demands, (Demand){uses[i].schema, false});
    }
    for (const ObjectPart *p = part->before; part->is_unevaluated && p != part->until;
         p = p->before)
        is_known |= p->others != NULL;
    if (!is_known && part->others)
        demands = demands_add(s, demands, (Demand){part->others, false});
    return demands;
}

/* Which of shape->some such a property is one of. */
static unsigned others_some(const Shape *shape, const PatternUse uses[], int n, unsigned matched)
{
    unsigned bits = 0, bit = 1;
    for (const SomeProperty *some = shape->some; some; some = some->before, bit <<= 1) {
        bool is_one = !some->pattern;
        for (int i = 0; i < n; i++)
            if (uses[i].part == some->part && (matched >> i & 1) &&
                (!some->pattern || strcmp(uses[i].pattern, some->pattern) == 0))
                is_one = some->pattern != NULL;
        bits |= is_one ? bit : 0;
    }
    return bits;
}

/* The names that are nobody's own, split by the patterns they match. */
static bool add_others(Schema *s, const Shape *shape, Object *o)
{
    PatternUse uses[SCHEMA_PATTERNS_MAX];
    int n = 0;
    if (!gather_patterns(s, shape->objects, uses, &n))
        return false;
    Rx names = s->any_string;
    for (const DemandList *d = shape->name_demands; d; d = d->before) {
        Shapes shapes = {0};
        Rx allowed = RX_VOID;
        Demand demand = d->demand;
        bool ok = schema_shapes(s, (Demands){&demand, 1}, &shapes);
        for (size_t i = 0; ok && i < shapes.n; i++) {
            if (shapes.items[i].values) {
                Rx values = string_values(s, shapes.items[i].values, "");
                allowed = rx_or(s->pool, allowed, values);
            } else if (shapes.items[i].types & VALUE_STRING) {
                allowed = rx_or(s->pool, allowed, shape_string(s, &shapes.items[i]));
            }
        }
        mem_free(shapes.items);
        if (!ok)
            return false;
        names = rx_and(s->pool, names, allowed);
    }
    Str *own = mem_alloc(sizeof *own * (o->n + 1));
    Buf *spelled = mem_alloc(sizeof *spelled * (o->n + 1));
    for (size_t i = 0; i < o->n; i++) {
        spell_text(&spelled[i], o->items[i].name, SPELL_JSON);
        own[i] = buf_str(&spelled[i]);
    }
    if (o->n)
        names = rx_and(s->pool, names, rx_not(s->pool, rx_literals(s->pool, own, (int)o->n)));
    for (size_t i = 0; i < o->n; i++)
        buf_free(&spelled[i]);
    mem_free(own);
    mem_free(spelled);
    for (unsigned matched = 0; matched < 1u << n; matched++) {
        Rx key = names;
        for (int i = 0; i < n; i++)
            key =
                rx_and(s->pool, key, matched >> i & 1 ? uses[i].set : rx_not(s->pool, uses[i].set));
        Demands demands = others_demands(s, shape->objects, uses, n, matched);
        bool is_shut = false;
        for (int i = 0; i < demands.n; i++)
            is_shut |= json_is_false(demands.items[i].schema) && !demands.items[i].is_negated;
        if (is_shut || rx_is_void(s->pool, key))
            continue;
        o->others = mem_more(o->others, sizeof *o->others, o->n_others, &o->n_others_max);
        o->others[o->n_others++] =
            (Property){.key = rx_concat(s->pool, quoted_string(s, key), s->colon),
                       .demands = demands,
                       .some = others_some(shape, uses, n, matched)};
    }
    return true;
}

/* With the property: as it is, or as one of those that must be there. */
static void add_with(Schema *s, const Shape *shape, Chain *c, int rule, Rx comma, const Property *p,
                     int64_t place, int64_t count, unsigned missing)
{
    Sym key = sym_rx(rx_concat(s->pool, comma, p->key));
    int n_some = 0;
    for (const SomeProperty *some = shape->some; some; some = some->before)
        n_some++;
    rules_add(s->rules, rule,
              (Sym[]){key, sym_rule(schema_rule(s, p->demands)),
                      chain_link(s, c, place, count << n_some | missing)},
              3);
    unsigned bit = 1;
    for (const SomeProperty *some = shape->some; some; some = some->before, bit <<= 1) {
        if (!(missing & p->some & bit))
            continue;
        Demands both = demands_add(s, p->demands, some->demand);
        rules_add(s->rules, rule,
                  (Sym[]){key, sym_rule(schema_rule(s, both)),
                          chain_link(s, c, place, count << n_some | (missing & ~bit))},
                  3);
    }
}

/* The alternatives of one link: place 0 .. n-1 is a property, n the others and the end; at says how
 * many properties there are so far and which of shape->some are missing. */
static void add_object_link(Schema *s, const Shape *shape, const Object *o, Chain *c, int64_t place,
                            int64_t at, int n_some)
{
    int rule = c->rules[place * c->n_counts + at];
    int64_t max = shape->properties_max, count = at >> n_some, more = count + 1;
    int64_t last = (c->n_counts >> n_some) - 1;
    unsigned missing = (unsigned)(at & ((INT64_C(1) << n_some) - 1));
    bool may_add = max < 0 || count < max;
    Rx comma = count > 0 ? s->comma : RX_EMPTY;
    more = more < last ? more : last;
    if (place < (int64_t)o->n) {
        const Property *p = &o->items[place];
        if (!p->is_required)
            rules_add(s->rules, rule, (Sym[]){chain_link(s, c, place + 1, at)}, 1);
        if (!p->is_dropped && may_add)
            add_with(s, shape, c, rule, comma, p, place + 1, more, missing);
        return;
    }
    for (size_t i = 0; may_add && i < o->n_others; i++)
        add_with(s, shape, c, rule, comma, &o->others[i], place, more, missing);
    if (count >= shape->properties_min && missing == 0)
        rules_add(s->rules, rule, (Sym[]){sym_rx(s->object_close)}, 1);
}

static bool add_object(Schema *s, const Shape *shape, int rule)
{
    Object o = {0};
    Chain c = {0};
    int n_some = 0;
    for (const SomeProperty *some = shape->some; some; some = some->before)
        n_some++;
    if (n_some > SCHEMA_SOME_MAX)
        return error_set(s->err, ERROR_LIMIT,
                         "schema: an object with over %d negated conditions at once",
                         SCHEMA_SOME_MAX);
    bool ok = add_part_names(s, shape, &o, shape->objects) &&
              add_rule_names(s, shape, &o, shape->names) && add_others(s, shape, &o);
    int64_t most = shape->properties_max >= 0 ? shape->properties_max : shape->properties_min;
    if (shape->properties_max > SCHEMA_COUNT_MAX && shape->properties_min <= 1)
        most = 1; /* never reached */
    most = most > 0 ? most : 1;
    ok = ok && chain_open(s, &c, (int64_t)o.n + 1, (most + 1) << n_some);
    if (ok) {
        Sym first = chain_link(s, &c, 0, (INT64_C(1) << n_some) - 1);
        rules_add(s->rules, rule, (Sym[]){sym_rx(s->object_open), first}, 2);
    }
    while (ok && c.n_todo > 0) {
        int64_t at = c.todo[--c.n_todo];
        add_object_link(s, shape, &o, &c, at / c.n_counts, at % c.n_counts, n_some);
        ok = rules_check_size(s->rules, s->err);
    }
    chain_close(&c);
    mem_free(o.items);
    mem_free(o.others);
    hash_index_close(&o.index);
    return ok;
}

/* ---- Arrays ---------------------------------------------------------------------------------- */

static void add_array_link(Schema *s, const Shape *shape, Chain *c, int64_t place, int64_t missing)
{
    int rule = c->rules[place * c->n_counts + missing];
    int64_t max = shape->items_max, last = (int64_t)shape_n_prefix(shape);
    last = last > shape->items_min ? last : shape->items_min;
    last = max >= 0 && max <= SCHEMA_COUNT_MAX ? max : last > 1 ? last : 1;
    bool may_add = max < 0 || max > SCHEMA_COUNT_MAX || place < max;
    int64_t next = place + 1 < last ? place + 1 : last;
    Rx comma = place > 0 ? s->comma : RX_EMPTY;
    if (place >= shape->items_min && missing == 0)
        rules_add(s->rules, rule, (Sym[]){sym_rx(s->array_close)}, 1);
    if (!may_add)
        return;
    Demands item = shape_item(s, shape, (size_t)place);
    rules_add(
        s->rules, rule,
        (Sym[]){sym_rx(comma), sym_rule(schema_rule(s, item)), chain_link(s, c, next, missing)}, 3);
    int i = 0;
    for (const DemandList *d = shape->contains; d; d = d->before, i++) {
        if (!(missing >> i & 1))
            continue;
        Demands both = demands_add(s, item, d->demand);
        rules_add(s->rules, rule,
                  (Sym[]){sym_rx(comma), sym_rule(schema_rule(s, both)),
                          chain_link(s, c, next, missing & ~(INT64_C(1) << i))},
                  3);
    }
}

static bool add_array(Schema *s, const Shape *shape, int rule)
{
    int n_contains = 0;
    for (const DemandList *d = shape->contains; d; d = d->before)
        n_contains++;
    if (n_contains > SCHEMA_SOME_MAX)
        return error_set(s->err, ERROR_LIMIT, "schema: over %d items that must be contained",
                         SCHEMA_SOME_MAX);
    if (shape->unique && (shape->items_max < 0 || shape->items_max > 1))
        return schema_is_unsupported(s, shape->unique, "uniqueItems");
    if (shape->items_min > SCHEMA_COUNT_MAX)
        return error_set(s->err, ERROR_LIMIT, "schema: minItems of %lld; at most %d",
                         (long long)shape->items_min, SCHEMA_COUNT_MAX);
    int64_t n_places = shape->items_max > shape->items_min ? shape->items_max : shape->items_min;
    n_places = n_places <= SCHEMA_COUNT_MAX ? n_places : shape->items_min;
    int64_t n_prefix = (int64_t)shape_n_prefix(shape);
    n_places = n_places > n_prefix ? n_places : n_prefix;
    Chain c;
    if (!chain_open(s, &c, n_places + 2, INT64_C(1) << n_contains))
        return false;
    bool ok = true;
    Sym first = chain_link(s, &c, 0, (INT64_C(1) << n_contains) - 1);
    rules_add(s->rules, rule, (Sym[]){sym_rx(s->array_open), first}, 2);
    while (ok && c.n_todo > 0) {
        int64_t at = c.todo[--c.n_todo];
        add_array_link(s, shape, &c, at / c.n_counts, at % c.n_counts);
        ok = rules_check_size(s->rules, s->err);
    }
    chain_close(&c);
    return ok;
}

/* ---- A list's rule --------------------------------------------------------------------------- */

static bool add_shape(Schema *s, const Shape *shape, int rule, Rx *scalars)
{
    if (shape->values) {
        add_values(s, rule, shape->values);
        return true;
    }
    Rx any = RX_VOID;
    if (shape->types & VALUE_NULL)
        any = rx_or(s->pool, any, rx_literal(s->pool, STR("null")));
    if (shape->types & VALUE_TRUE)
        any = rx_or(s->pool, any, rx_literal(s->pool, STR("true")));
    if (shape->types & VALUE_FALSE)
        any = rx_or(s->pool, any, rx_literal(s->pool, STR("false")));
    if (shape->types & VALUE_NUMBER)
        any = rx_or(s->pool, any, shape_number(s, shape));
    if (shape->types & VALUE_STRING) {
        Rx string = shape_string(s, shape);
        if (!rx_is_void(s->pool, string))
            any = rx_or(s->pool, any, quoted_string(s, string));
    }
    *scalars = rx_or(s->pool, *scalars, any);
    if ((shape->types & VALUE_OBJECT) && !add_object(s, shape, rule))
        return false;
    return !(shape->types & VALUE_ARRAY) || add_array(s, shape, rule);
}

static bool add_list(Schema *s, PendingRule pending)
{
    Shapes shapes = {0};
    Rx scalars = RX_VOID;
    bool ok = schema_shapes(s, pending.demands, &shapes);
    for (size_t i = 0; ok && i < shapes.n; i++)
        ok = add_shape(s, &shapes.items[i], pending.rule, &scalars);
    rules_add(s->rules, pending.rule, (Sym[]){sym_rx(scalars)}, 1);
    mem_free(shapes.items);
    return ok;
}

bool schema_work(Schema *s)
{
    while (s->next_pending < s->n_made) {
        if (!add_list(s, s->made[s->next_pending++]))
            return false;
    }
    return true;
}
