/* JSON Schema as a grammar: the frame around schema*.c. */
#include "text/grammar_parts.h"
#include "text/schema.h"

#include <string.h>

/* White space that may stand between two parts: at most two line ends and an indentation, so that
 * an answer cannot be blank for ever. */
static Rx make_space(RxPool *p)
{
    ByteSet blank = {0};
    byte_set_add(&blank, ' ', ' ');
    byte_set_add(&blank, '\t', '\t');
    Rx indentation = rx_repeat(p, rx_bytes(p, &blank), 0, 80);
    Rx line_end = rx_concat(p, rx_optional(p, rx_literal(p, STR("\r"))), rx_literal(p, STR("\n")));
    Rx lines = rx_concat(p, rx_repeat(p, line_end, 1, 2), indentation);
    return rx_optional(p, rx_or(p, rx_literal(p, STR(" ")), lines));
}

static void make_punctuation(Schema *s)
{
    RxPool *p = s->pool;
    Rx space = s->is_compact ? RX_EMPTY : make_space(p);
    Rx blank = s->is_compact ? rx_literal(p, STR(" ")) : space;
    Rx before_colon = s->is_compact ? RX_EMPTY : rx_optional(p, rx_literal(p, STR(" ")));
    s->comma = rx_concat(p, space, rx_concat(p, rx_literal(p, STR(",")), blank));
    s->colon = rx_concat(p, before_colon, rx_concat(p, rx_literal(p, STR(":")), blank));
    s->array_open = rx_concat(p, rx_literal(p, STR("[")), space);
    s->array_close = rx_concat(p, space, rx_literal(p, STR("]")));
    s->object_open = rx_concat(p, rx_literal(p, STR("{")), space);
    s->object_close = rx_concat(p, space, rx_literal(p, STR("}")));
}

bool schema_compile(Rules *rules, json_t *schema, bool is_compact, int *rule, Error *err)
{
    Error own = {0};
    Schema s = {.root = schema,
                .rules = rules,
                .pool = rules->pool,
                .err = &own,
                .is_compact = is_compact,
                .made_lists = json_array()};
    if (rules->n_rules == 0)
        rules_new(rules); /* rule 0 is nobody's: see Chain */
    s.any_char = rx_any_char(s.pool, SPELL_JSON);
    s.any_string = rx_repeat(s.pool, s.any_char, 0, RX_MANY);
    make_punctuation(&s);
    schema_find_resources(&s);
    Demand *root = ARENA_NEW(&s.arena, Demand);
    root->schema = schema;
    *rule = schema_rule(&s, (Demands){root, 1});
    bool ok = schema_work(&s);
    if (!ok && err)
        *err = own;
    json_decref(s.made_lists);
    mem_free(s.resources);
    pair_map_close(&s.patterns);
    hash_index_close(&s.rule_index);
    mem_free(s.made);
    hash_index_close(&s.verdict_index);
    mem_free(s.verdicts);
    arena_close(&s.arena);
    return ok;
}

static json_t *parse_json(Str text, Error *err)
{
    json_error_t where;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    if (text.bytes > GRAMMAR_TEXT_BYTES_MAX) {
        error_set(err, ERROR_LIMIT, "a schema of %zu bytes; at most %d", text.bytes,
                  GRAMMAR_TEXT_BYTES_MAX);
        return NULL;
    }
    json_t *value = json_loadb(text.data, text.bytes, flags, &where);
    if (!value) /* numbers past 64 bits */
        value = json_loadb(text.data, text.bytes, flags | JSON_DECODE_INT_AS_REAL, &where);
    if (!value)
        error_set(err, ERROR_FORMAT, "the schema is not JSON: line %d column %d: %s", where.line,
                  where.column, where.text);
    return value;
}

Grammar *grammar_from_schema(const TokenTrie *trie, Str text, Error *err)
{
    json_t *schema = parse_json(text, err);
    if (!schema)
        return NULL;
    Rules *rules = rules_open();
    int root;
    bool ok = schema_compile(rules, schema, false, &root, err) &&
              rules_finish(rules, root, NULL, NULL, err);
    json_decref(schema);
    if (ok)
        return grammar_make(trie, rules);
    rules_close(rules);
    return NULL;
}
