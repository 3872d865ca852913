/* GBNF, the notation of llama.cpp's grammars (its grammars/README.md), as rules.
 *
 *   name ::= alternatives     # comment
 *   "text" with \n \t \r \\ \" \xHH \uHHHH \UHHHHHHHH, [a-z] and [^a-z], . (any character),
 *   (groups), * + ? {m} {m,} {m,n}, and <[id]> or <text> for one token.
 *
 * What has no rule inside becomes one expression, so most terminals are as long as they look. */
#include "base/utf8.h"
#include "text/grammar_parts.h"
#include "text/rx_chars.h"

#include <stdio.h>
#include <string.h>

enum { GBNF_DEPTH_MAX = 100, GBNF_REPEAT_RULES_MAX = 2000, GBNF_RULES_MAX = 65536 };

/* A piece of the right side: an expression, or a rule. */
typedef struct Piece {
    bool is_rule;
    Rx rx;
    int rule;
} Piece;

typedef struct Gbnf {
    const TokenTrie *trie;
    Rules *rules;
    Str text;
    size_t at;
    int depth;
    Error *err;
    struct Name {
        Str name;
        int rule;
        bool is_defined;
        size_t used_at;
    } * names;
    size_t n_names, n_names_max;
} Gbnf;

static bool gbnf_fail(Gbnf *g, size_t at, const char *what)
{
    int line = 1;
    size_t line_from = 0;
    for (size_t i = 0; i < at && i < g->text.bytes; i++) {
        if (g->text.data[i] == '\n') {
            line++;
            line_from = i + 1;
        }
    }
    return error_set(g->err, ERROR_FORMAT, "grammar, line %d column %zu: %s", line,
                     at - line_from + 1, what);
}

/* ---- Letters and space ----------------------------------------------------------------------- */

static int peek(const Gbnf *g)
{
    return g->at < g->text.bytes ? (unsigned char)g->text.data[g->at] : -1;
}

static bool take(Gbnf *g, const char *word)
{
    Str w = str_from(word);
    bool has = str_starts(str_slice(g->text, g->at, g->text.bytes), w);
    g->at += has ? w.bytes : 0;
    return has;
}

static void skip_space(Gbnf *g, bool with_lines)
{
    for (;;) {
        int c = peek(g);
        if (c == '#')
            while (peek(g) >= 0 && peek(g) != '\n' && peek(g) != '\r')
                g->at++;
        else if (c == ' ' || c == '\t' || (with_lines && (c == '\n' || c == '\r')))
            g->at++;
        else
            return;
    }
}

static bool is_name_char(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static Str take_name(Gbnf *g)
{
    size_t from = g->at;
    while (is_name_char(peek(g)))
        g->at++;
    return str_slice(g->text, from, g->at);
}

static struct Name *find_name(Gbnf *g, Str name)
{
    for (size_t i = 0; i < g->n_names; i++)
        if (str_equal(g->names[i].name, name))
            return &g->names[i];
    g->names = mem_more(g->names, sizeof *g->names, g->n_names, &g->n_names_max);
    g->names[g->n_names] =
        (struct Name){.name = name, .rule = rules_new(g->rules), .used_at = g->at};
    return &g->names[g->n_names++];
}

/* ---- Terminals ------------------------------------------------------------------------------- */

static bool read_char(Gbnf *g, uint32_t *c)
{
    size_t at = g->at;
    if (!take(g, "\\")) {
        size_t n = utf8_decode(str_slice(g->text, g->at, g->text.bytes), c);
        g->at += n;
        return n > 0;
    }
    int letter = peek(g), n_digits = letter == 'x' ? 2 : letter == 'u' ? 4 : letter == 'U' ? 8 : 0;
    static const char plain[] = "n\nr\rt\t\\\\\"\"[[]]--^^";
    g->at++;
    *c = 0;
    for (int i = 0; i < n_digits; i++, g->at++) {
        int d = peek(g);
        int value = d >= '0' && d <= '9'                 ? d - '0'
                    : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10
                                                         : -1;
        if (value < 0)
            return gbnf_fail(g, at, "an escape without its hexadecimal digits");
        *c = *c * 16 + (uint32_t)value;
    }
    if (n_digits)
        return *c <= 0x10FFFF || gbnf_fail(g, at, "no such character");
    for (const char *p = plain; *p; p += 2) {
        if (*p == letter) {
            *c = (uint32_t)(unsigned char)p[1];
            return true;
        }
    }
    return gbnf_fail(g, at, "an escape that is not known");
}

static bool read_literal(Gbnf *g, Piece *piece)
{
    size_t from = g->at - 1;
    Rx all = RX_EMPTY;
    Buf text = {0};
    bool ok = true;
    while (ok && !take(g, "\"")) {
        uint32_t c;
        char bytes[4];
        ok = (peek(g) >= 0 && peek(g) != '\n') || gbnf_fail(g, from, "\" without its partner");
        ok = ok && read_char(g, &c);
        if (ok)
            buf_append(&text, bytes, utf8_encode(c, bytes));
    }
    all = rx_literal(g->rules->pool, buf_str(&text));
    buf_free(&text);
    *piece = (Piece){.rx = all};
    return ok;
}

static bool read_set(Gbnf *g, Piece *piece)
{
    size_t from = g->at - 1;
    CharSet set = {0};
    bool is_negated = take(g, "^"), ok = true;
    while (ok && !take(g, "]")) {
        uint32_t first, last;
        ok = peek(g) >= 0 || gbnf_fail(g, from, "[ without ]");
        ok = ok && read_char(g, &first);
        if (!ok)
            break;
        last = first;
        if (peek(g) == '-' && g->at + 1 < g->text.bytes && g->text.data[g->at + 1] != ']') {
            g->at++;
            ok = read_char(g, &last) &&
                 (last >= first || gbnf_fail(g, from, "a range from high to low"));
        }
        char_set_add(&set, first, last);
    }
    if (ok && is_negated)
        char_set_negate(&set);
    if (ok)
        *piece = (Piece){.rx = rx_chars(g->rules->pool, &set, SPELL_UTF8)};
    char_set_free(&set);
    return ok;
}

/* Behind <: an id in brackets, or the text of an added token. */
static bool read_token(Gbnf *g, Piece *piece)
{
    size_t from = g->at - 1;
    ptrdiff_t end = str_find(g->text, STR(">"), g->at);
    if (end < 0)
        return gbnf_fail(g, from, "< without >");
    int64_t id = -1;
    Str inside = str_slice(g->text, g->at, (size_t)end);
    if (inside.bytes > 2 && inside.data[0] == '[' && str_ends(inside, STR("]"))) {
        id = 0;
        for (size_t i = 1; i + 1 < inside.bytes && id >= 0; i++)
            id = inside.data[i] >= '0' && inside.data[i] <= '9' && id < 1 << 24
                     ? id * 10 + inside.data[i] - '0'
                     : -1;
    } else {
        char *name = mem_strndup(g->text.data + from, (size_t)end + 1 - from);
        id = tokenizer_added_id(g->trie->tokenizer, name);
        mem_free(name);
    }
    if (id < 0 || id >= g->trie->n_tokens || !tokenizer_is_added(g->trie->tokenizer, (int32_t)id))
        return gbnf_fail(g, from, "not an added token of this model");
    g->at = (size_t)end + 1;
    int rule = rules_new(g->rules); /* a token stands alone, it is never joined with bytes */
    rules_add(g->rules, rule, (Sym[]){sym_rx(rx_token(g->rules->pool, (int32_t)id))}, 1);
    *piece = (Piece){.is_rule = true, .rule = rule};
    return true;
}

/* ---- Structure ------------------------------------------------------------------------------- */

static bool read_alternatives(Gbnf *g, bool is_nested, int into, Piece *piece);

static bool read_atom(Gbnf *g, Piece *piece, bool *has_atom)
{
    size_t from = g->at;
    *has_atom = true;
    if (take(g, "\""))
        return read_literal(g, piece);
    if (take(g, "["))
        return read_set(g, piece);
    if (take(g, "<"))
        return read_token(g, piece);
    if (take(g, ".")) {
        *piece = (Piece){.rx = rx_any_char(g->rules->pool, SPELL_UTF8)};
        return true;
    }
    if (take(g, "(")) {
        if (++g->depth > GBNF_DEPTH_MAX)
            return gbnf_fail(g, from, "groups nested too deep");
        skip_space(g, true);
        bool ok = read_alternatives(g, true, -1, piece);
        g->depth--;
        return ok && (take(g, ")") || gbnf_fail(g, from, "( without )"));
    }
    if (is_name_char(peek(g))) {
        Str name = take_name(g);
        *piece = (Piece){.is_rule = true, .rule = find_name(g, name)->rule};
        return true;
    }
    *has_atom = false;
    return true;
}

static bool read_number(Gbnf *g, int *n)
{
    int64_t value = -1;
    for (; peek(g) >= '0' && peek(g) <= '9'; g->at++) {
        value = (value < 0 ? 0 : value) * 10 + peek(g) - '0';
        value = value < RX_REPEAT_MAX ? value : RX_REPEAT_MAX;
    }
    *n = (int)value;
    return value >= 0;
}

static bool repeat(Gbnf *g, size_t at, Piece *piece, int min, int max)
{
    if (max != RX_MANY && max < min)
        return gbnf_fail(g, at, "{m,n} with m above n");
    if (!piece->is_rule) {
        piece->rx = rx_repeat(g->rules->pool, piece->rx, min, max);
        return true;
    }
    if (min > GBNF_REPEAT_RULES_MAX || max > GBNF_REPEAT_RULES_MAX)
        return gbnf_fail(g, at, "a rule repeated that often");
    /* Links from the end: link i may end if i >= min, and goes on to link i + 1. */
    Sym self = sym_rule(piece->rule);
    int n = max == RX_MANY ? min : max, next = -1;
    for (int i = n; i >= 0; i--) {
        int link = rules_new(g->rules);
        if (i >= min)
            rules_add(g->rules, link, NULL, 0);
        if (next >= 0)
            rules_add(g->rules, link, (Sym[]){self, sym_rule(next)}, 2);
        else if (max == RX_MANY)
            rules_add(g->rules, link, (Sym[]){self, sym_rule(link)}, 2);
        next = link;
    }
    piece->rule = next;
    return true;
}

static bool read_quantifiers(Gbnf *g, Piece *piece, bool is_nested)
{
    for (;;) {
        size_t at = g->at;
        int min = 0, max = RX_MANY;
        if (take(g, "+")) {
            min = 1;
        } else if (take(g, "?")) {
            max = 1;
        } else if (take(g, "{")) {
            skip_space(g, is_nested);
            if (!read_number(g, &min))
                min = 0;
            max = min;
            skip_space(g, is_nested);
            if (take(g, ",")) {
                skip_space(g, is_nested);
                if (!read_number(g, &max))
                    max = RX_MANY;
                skip_space(g, is_nested);
            }
            if (!take(g, "}"))
                return gbnf_fail(g, at, "{ without }");
        } else if (!take(g, "*")) {
            return true;
        }
        if (!repeat(g, at, piece, min, max))
            return false;
        skip_space(g, is_nested);
    }
}

/* One alternative. Neighbouring expressions become one symbol. */
static bool read_sequence(Gbnf *g, bool is_nested, Sym **syms, size_t *n)
{
    size_t n_max = 0;
    bool was_rx = false;
    *syms = NULL;
    *n = 0;
    for (;;) {
        Piece piece;
        bool has_atom;
        if (!read_atom(g, &piece, &has_atom))
            return false;
        if (!has_atom)
            return true;
        skip_space(g, is_nested);
        if (!read_quantifiers(g, &piece, is_nested))
            return false;
        if (!piece.is_rule && was_rx) {
            Rx joined = rx_concat(g->rules->pool, sym_rx_of((*syms)[*n - 1]), piece.rx);
            (*syms)[*n - 1] = sym_rx(joined);
        } else {
            *syms = mem_more(*syms, sizeof **syms, *n, &n_max);
            (*syms)[(*n)++] = piece.is_rule ? sym_rule(piece.rule) : sym_rx(piece.rx);
        }
        was_rx = !piece.is_rule;
    }
}

/* into: the rule that the alternatives are for; -1: whatever suits them. */
static bool read_alternatives(Gbnf *g, bool is_nested, int into, Piece *piece)
{
    Rx expressions = RX_VOID;
    int rule = into;
    bool ok = true, goes_on = true;
    while (ok && goes_on) {
        Sym *syms;
        size_t n;
        ok = read_sequence(g, is_nested, &syms, &n);
        bool is_rx = n == 0 || (n == 1 && !sym_is_rule(syms[0]));
        if (ok && is_rx) {
            expressions = rx_or(g->rules->pool, expressions, n ? sym_rx_of(syms[0]) : RX_EMPTY);
        } else if (ok) {
            rule = rule < 0 ? rules_new(g->rules) : rule;
            rules_add(g->rules, rule, syms, (int)n);
        }
        mem_free(syms);
        size_t behind = g->at; /* the next line may begin with | */
        skip_space(g, true);
        goes_on = take(g, "|");
        if (goes_on)
            skip_space(g, true);
        else
            g->at = is_nested ? g->at : behind;
    }
    if (rule >= 0)
        rules_add(g->rules, rule, (Sym[]){sym_rx(expressions)}, 1);
    *piece = (Piece){.is_rule = rule >= 0, .rx = expressions, .rule = rule};
    return ok;
}

static bool read_rule(Gbnf *g)
{
    size_t at = g->at;
    Piece unused;
    Str name = take_name(g);
    if (name.bytes == 0)
        return gbnf_fail(g, at, "a rule begins with its name");
    skip_space(g, false);
    if (!take(g, "::="))
        return gbnf_fail(g, g->at, "::= is missing behind the rule's name");
    skip_space(g, true);
    struct Name *own = find_name(g, name);
    if (own->is_defined)
        return gbnf_fail(g, at, "a rule of this name is there already");
    own->is_defined = true;
    if (!read_alternatives(g, false, own->rule, &unused) || !rules_check_size(g->rules, g->err))
        return false;
    if (g->n_names > GBNF_RULES_MAX)
        return error_set(g->err, ERROR_LIMIT, "grammar: over %d rules", GBNF_RULES_MAX);
    if (peek(g) >= 0 && peek(g) != '\n' && peek(g) != '\r')
        return gbnf_fail(g, g->at, "a rule cannot go on like this");
    skip_space(g, true);
    return true;
}

static bool read_rules(Gbnf *g, int *root)
{
    size_t valid = utf8_valid_prefix(g->text);
    if (valid < g->text.bytes)
        return gbnf_fail(g, valid, "not UTF-8");
    if (g->text.bytes > GRAMMAR_TEXT_BYTES_MAX)
        return error_set(g->err, ERROR_LIMIT, "a grammar of %zu bytes; at most %d", g->text.bytes,
                         GRAMMAR_TEXT_BYTES_MAX);
    skip_space(g, true);
    while (g->at < g->text.bytes)
        if (!read_rule(g))
            return false;
    *root = -1;
    for (size_t i = 0; i < g->n_names; i++) {
        const struct Name *n = &g->names[i];
        if (!n->is_defined)
            return gbnf_fail(g, n->used_at - n->name.bytes, "a rule that is defined nowhere");
        if (str_equals(n->name, "root"))
            *root = n->rule;
    }
    return *root >= 0 || error_set(g->err, ERROR_FORMAT, "grammar: there is no rule \"root\"");
}

static const char *rule_name(const void *context, int rule)
{
    const Gbnf *g = context;
    static _Thread_local char name[64];
    name[0] = '\0';
    for (size_t i = 0; i < g->n_names; i++)
        if (g->names[i].rule == rule)
            snprintf(name, sizeof name, "%.*s", STR_ARG(g->names[i].name));
    return name;
}

Grammar *grammar_from_gbnf(const TokenTrie *trie, Str text, Error *err)
{
    Gbnf g = {.trie = trie, .rules = rules_open(), .text = text, .err = err};
    int root = -1;
    bool ok = read_rules(&g, &root) && rules_finish(g.rules, root, rule_name, &g, err);
    mem_free(g.names);
    if (ok)
        return grammar_make(trie, g.rules);
    rules_close(g.rules);
    return NULL;
}
