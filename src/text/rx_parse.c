/* See rx_parse.h. First a tree, then, from the end backwards, an expression: anchors and lookahead
 * speak about what follows, so what follows is made first. */
#include "text/rx_parse.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

typedef enum NodeKind {
    NODE_CHARS,  /* one character of a set */
    NODE_JOIN,   /* children one after another */
    NODE_ANY_OF, /* one of the children */
    NODE_REPEAT, /* child, min to max times */
    NODE_START,  /* ^ */
    NODE_END,    /* $ */
    NODE_AHEAD,  /* (?=child), or (?!child) if is_negative */
} NodeKind;

typedef struct Node {
    NodeKind kind;
    bool has_context; /* START, END or AHEAD somewhere inside */
    bool is_negative;
    Rx chars;
    int min, max;
    struct Node *first, *next; /* children; siblings */
} Node;

typedef struct Parse {
    RxPool *p;
    Str text;
    size_t at;
    int depth;
    Spelling spelling;
    Rx any; /* any text */
    bool has_long_run;
    Arena arena;
    Error *err;
} Parse;

static Node *fail(Parse *x, size_t at, const char *what)
{
    error_set(x->err, ERROR_UNSUPPORTED, "byte %zu of the pattern: %s", at, what);
    return NULL;
}

static Node *node_new(Parse *x, NodeKind kind)
{
    Node *n = ARENA_NEW(&x->arena, Node);
    n->kind = kind;
    n->has_context = kind >= NODE_START;
    return n;
}

static int peek(const Parse *x)
{
    return x->at < x->text.bytes ? (unsigned char)x->text.data[x->at] : -1;
}

static bool take(Parse *x, const char *word)
{
    Str w = str_from(word);
    bool has = str_starts(str_slice(x->text, x->at, x->text.bytes), w);
    x->at += has ? w.bytes : 0;
    return has;
}

/* ---- Characters ------------------------------------------------------------------------------ */

static bool read_hex(Parse *x, int n, uint32_t *value)
{
    *value = 0;
    for (int i = 0; i < n; i++) {
        int c = peek(x);
        int digit = c >= '0' && c <= '9'                 ? c - '0'
                    : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                         : -1;
        if (digit < 0)
            return false;
        *value = *value * 16 + (uint32_t)digit;
        x->at++;
    }
    return true;
}

/* Behind \u: four digits (and a second half), or {...}. */
static bool read_unicode(Parse *x, uint32_t *c)
{
    if (take(x, "{")) {
        *c = 0;
        uint32_t digit;
        while (*c <= 0x10FFFF && read_hex(x, 1, &digit))
            *c = *c * 16 + digit;
        return take(x, "}") && *c <= 0x10FFFF;
    }
    if (!read_hex(x, 4, c))
        return false;
    size_t behind = x->at;
    uint32_t low;
    if (*c >= 0xD800 && *c < 0xDC00 && take(x, "\\u") && read_hex(x, 4, &low) && low >= 0xDC00 &&
        low < 0xE000)
        *c = 0x10000 + ((*c - 0xD800) << 10) + (low - 0xDC00);
    else
        x->at = behind;
    return true;
}

/* Behind a backslash: adds what it stands for. *single: the one character, or -1. */
static bool read_escape(Parse *x, CharSet *set, int64_t *single)
{
    static const char controls[] = "t\tn\nr\rf\fv\v";
    size_t at = x->at - 1;
    *single = -1;
    if (x->at == x->text.bytes)
        return fail(x, at, "a backslash at the end") != NULL;
    uint32_t c;
    x->at += utf8_decode(str_slice(x->text, x->at, x->text.bytes), &c);
    if (c < 0x80 && strchr("dwsDWS", (int)c) && c) {
        CharSet named = {0};
        char_set_add_escape(&named, (char)(c | 32));
        if (c < 'a')
            char_set_negate(&named);
        char_set_add_set(set, &named);
        char_set_free(&named);
        return true;
    }
    if ((c == 'p' || c == 'P') && take(x, "{")) {
        ptrdiff_t end = str_find(x->text, STR("}"), x->at);
        Str name = str_slice(x->text, x->at, end < 0 ? x->at : (size_t)end);
        ptrdiff_t equals = str_find(name, STR("="), 0);
        if (equals >= 0)
            name = str_slice(name, (size_t)equals + 1, name.bytes);
        CharSet named = {0};
        bool ok = end >= 0 && char_set_add_category(&named, name);
        if (ok && c == 'P')
            char_set_negate(&named);
        char_set_add_set(set, &named);
        char_set_free(&named);
        x->at = end < 0 ? x->at : (size_t)end + 1;
        return ok || fail(x, at, "\\p{...} of an unknown category");
    }
    const char *control = c < 0x80 && c ? strchr(controls, (int)c) : NULL;
    if (control && (control - controls) % 2 == 0)
        c = (uint32_t)(unsigned char)control[1];
    else if (c == '0' && !(peek(x) >= '0' && peek(x) <= '9'))
        c = 0;
    else if ((c == 'x' && !read_hex(x, 2, &c)) || (c == 'u' && !read_unicode(x, &c)))
        return fail(x, at, "\\x or \\u without its hexadecimal digits") != NULL;
    else if (c == 'c' && ((peek(x) | 32) >= 'a' && (peek(x) | 32) <= 'z'))
        c = (uint32_t)x->text.data[x->at++] & 31;
    else if (x->text.data[at + 1] == (char)c && ((c >= '1' && c <= '9') || c == 'k'))
        return fail(x, at, "a back reference") != NULL;
    else if (x->text.data[at + 1] == (char)c && ((c | 32) >= 'a' && (c | 32) <= 'z'))
        return fail(x, at, "an escape that is not supported") != NULL;
    *single = c;
    char_set_add(set, c, c);
    return true;
}

/* One member of [...]: a character, an escape. */
static bool read_member(Parse *x, CharSet *set, int64_t *single)
{
    if (take(x, "\\b")) {
        *single = 8;
        char_set_add(set, 8, 8);
        return true;
    }
    if (take(x, "\\"))
        return read_escape(x, set, single);
    uint32_t c;
    x->at += utf8_decode(str_slice(x->text, x->at, x->text.bytes), &c);
    *single = c;
    char_set_add(set, c, c);
    return true;
}

static bool read_class_members(Parse *x, CharSet *set)
{
    size_t at = x->at;
    while (!take(x, "]")) {
        if (x->at == x->text.bytes)
            return fail(x, at, "[ without ]") != NULL;
        int64_t from, to;
        size_t member_at = x->at;
        if (!read_member(x, set, &from))
            return false;
        bool is_range = from >= 0 && peek(x) == '-' && x->at + 1 < x->text.bytes &&
                        x->text.data[x->at + 1] != ']';
        if (!is_range)
            continue;
        x->at++;
        if (!read_member(x, set, &to))
            return false;
        if (to < 0) /* [a-\d]: the - is itself */
            char_set_add(set, '-', '-');
        else if (to < from)
            return fail(x, member_at, "a range from high to low") != NULL;
        else
            char_set_add(set, (uint32_t)from, (uint32_t)to);
    }
    return true;
}

static Node *chars_node(Parse *x, CharSet *set)
{
    Node *n = node_new(x, NODE_CHARS);
    n->chars = rx_chars(x->p, set, x->spelling);
    char_set_free(set);
    return n;
}

static Node *read_class(Parse *x)
{
    CharSet set = {0};
    bool is_negated = take(x, "^");
    if (!read_class_members(x, &set)) {
        char_set_free(&set);
        return NULL;
    }
    if (is_negated)
        char_set_negate(&set);
    return chars_node(x, &set);
}

/* ---- Structure ------------------------------------------------------------------------------- */

static Node *read_any_of(Parse *x);

static Node *read_group(Parse *x)
{
    size_t at = x->at - 1;
    Node *ahead = NULL;
    if (take(x, "?=") || take(x, "?!")) {
        ahead = node_new(x, NODE_AHEAD);
        ahead->is_negative = x->text.data[x->at - 1] == '!';
    } else if (take(x, "?<=") || take(x, "?<!")) {
        return fail(x, at, "lookbehind");
    } else if (take(x, "?<") || take(x, "?P<")) {
        ptrdiff_t end = str_find(x->text, STR(">"), x->at);
        if (end < 0)
            return fail(x, at, "a group's name without >");
        x->at = (size_t)end + 1;
    } else if (!take(x, "?:") && peek(x) == '?') {
        return fail(x, at, "a group of a kind that is not supported");
    }
    if (++x->depth > RX_PATTERN_DEPTH_MAX)
        return fail(x, at, "groups nested too deep");
    Node *inner = read_any_of(x);
    x->depth--;
    if (inner && !take(x, ")"))
        return fail(x, at, "( without )");
    if (!inner || !ahead)
        return inner;
    ahead->first = inner;
    return ahead;
}

static Node *read_atom(Parse *x)
{
    size_t at = x->at;
    CharSet set = {0};
    uint32_t c;
    if (take(x, "("))
        return read_group(x);
    if (take(x, "["))
        return read_class(x);
    if (take(x, "^") || take(x, "\\A"))
        return node_new(x, NODE_START);
    if (take(x, "$") || take(x, "\\z") || take(x, "\\Z"))
        return node_new(x, NODE_END);
    if (take(x, "\\b") || take(x, "\\B"))
        return fail(x, at, "\\b (the edge of a word)");
    if (take(x, ".")) {
        char_set_add(&set, '\n', '\n');
        char_set_add(&set, '\r', '\r');
        char_set_add(&set, 0x2028, 0x2029);
        char_set_negate(&set);
        return chars_node(x, &set);
    }
    if (take(x, "*") || take(x, "+") || take(x, "?"))
        return fail(x, at, "a quantifier with nothing before it");
    if (take(x, "\\")) {
        int64_t single;
        if (read_escape(x, &set, &single))
            return chars_node(x, &set);
        char_set_free(&set);
        return NULL;
    }
    x->at += utf8_decode(str_slice(x->text, x->at, x->text.bytes), &c);
    char_set_add(&set, c, c);
    return chars_node(x, &set);
}

static bool read_count(Parse *x, int *count)
{
    int64_t n = -1;
    for (; peek(x) >= '0' && peek(x) <= '9'; x->at++) {
        n = (n < 0 ? 0 : n) * 10 + peek(x) - '0';
        n = n < RX_REPEAT_MAX ? n : RX_REPEAT_MAX;
    }
    *count = (int)n;
    return n >= 0;
}

/* A { that begins no quantifier is itself. */
static bool read_braces(Parse *x, int *min, int *max)
{
    size_t at = x->at;
    if (take(x, "{") && read_count(x, min)) {
        *max = *min;
        if (take(x, ",") && !read_count(x, max))
            *max = RX_MANY;
        if (take(x, "}"))
            return true;
    }
    x->at = at;
    return false;
}

static Node *read_piece(Parse *x)
{
    size_t at = x->at;
    Node *n = read_atom(x);
    while (n) {
        int min = 0, max = RX_MANY;
        if (take(x, "+"))
            min = 1;
        else if (take(x, "?"))
            max = 1;
        else if (!take(x, "*") && !read_braces(x, &min, &max))
            return n;
        take(x, "?"); /* lazy: the same strings */
        if (max != RX_MANY && max < min)
            return fail(x, at, "{m,n} with m above n");
        if (n->has_context && max != 0 && max != 1)
            return fail(x, at, "an anchor or lookahead inside of a loop");
        Node *repeat = node_new(x, NODE_REPEAT);
        repeat->first = n;
        repeat->min = min;
        repeat->max = max;
        repeat->has_context = n->has_context;
        n = repeat;
    }
    return NULL;
}

static Node *read_join(Parse *x)
{
    Node *join = node_new(x, NODE_JOIN);
    Node **link = &join->first;
    while (x->at < x->text.bytes && peek(x) != '|' && peek(x) != ')') {
        Node *piece = read_piece(x);
        if (!piece)
            return NULL;
        join->has_context |= piece->has_context;
        *link = piece;
        link = &piece->next;
    }
    return join;
}

static Node *read_any_of(Parse *x)
{
    Node *any = node_new(x, NODE_ANY_OF);
    Node **link = &any->first;
    do {
        Node *join = read_join(x);
        if (!join)
            return NULL;
        any->has_context |= join->has_context;
        *link = join;
        link = &join->next;
    } while (take(x, "|"));
    return any;
}

/* ---- To an expression ------------------------------------------------------------------------ */

static Rx plain(Parse *x, const Node *n);

static Rx plain_join(Parse *x, const Node *n)
{
    if (!n)
        return RX_EMPTY;
    Rx rest = plain_join(x, n->next);
    return rx_concat(x->p, plain(x, n), rest);
}

/* A run of parts that may each be left out has a derivative for every subset that is left. */
static bool has_long_run(const RxPool *p, Rx a)
{
    int run = 0;
    for (bool is_last = false; !is_last;) {
        Rx part, rest;
        is_last = !rx_concat_parts(p, a, &part, &rest);
        run = rx_is_nullable(p, is_last ? a : part) ? run + 1 : 0;
        if (run > RX_OPTIONAL_RUN_MAX)
            return true;
        a = rest;
    }
    return false;
}

static Rx plain(Parse *x, const Node *n)
{
    Rx all;
    switch (n->kind) {
    case NODE_CHARS:
        return n->chars;
    case NODE_JOIN:
        all = plain_join(x, n->first);
        x->has_long_run |= has_long_run(x->p, all);
        return all;
    case NODE_ANY_OF:
        all = RX_VOID;
        for (const Node *c = n->first; c; c = c->next)
            all = rx_or(x->p, all, plain(x, c));
        return all;
    default:
        return rx_repeat(x->p, plain(x, n->first), n->min, n->max);
    }
}

/* Texts that begin with what n takes and go on with `rest`. at_start: nothing stands before. */
static Rx followed(Parse *x, const Node *n, Rx rest, bool at_start);

static bool takes_nothing(const Node *n)
{
    return n->kind >= NODE_START || (n->kind == NODE_JOIN && !n->first);
}

static Rx join_followed(Parse *x, const Node *n, Rx rest, bool at_start)
{
    if (!n)
        return rest;
    Rx behind = join_followed(x, n->next, rest, at_start && takes_nothing(n));
    return followed(x, n, behind, at_start);
}

static Rx followed(Parse *x, const Node *n, Rx rest, bool at_start)
{
    if (!n->has_context)
        return rx_concat(x->p, plain(x, n), rest);
    Rx all = RX_VOID;
    x->has_long_run |= has_long_run(x->p, rest); /* what becomes a part of something else */
    switch (n->kind) {
    case NODE_START:
        return at_start ? rest : RX_VOID;
    case NODE_END:
        return rx_and(x->p, rest, RX_EMPTY);
    case NODE_AHEAD:
        all = followed(x, n->first, x->any, at_start);
        if (n->is_negative)
            all = rx_and(x->p, x->any, rx_not(x->p, all));
        return rx_and(x->p, all, rest);
    case NODE_JOIN:
        return join_followed(x, n->first, rest, at_start);
    case NODE_ANY_OF:
        for (const Node *c = n->first; c; c = c->next)
            all = rx_or(x->p, all, followed(x, c, rest, at_start));
        return all;
    default: /* a repetition, at most once */
        all = n->min == 0 ? rest : RX_VOID;
        return n->max == 0 ? rest : rx_or(x->p, all, followed(x, n->first, rest, at_start));
    }
}

static Rx convert(Parse *x, const Node *n, RxMatch match)
{
    if (match == RX_MATCH_WHOLE)
        return followed(x, n, RX_EMPTY, true);
    Rx later = rx_concat(x->p, x->any, followed(x, n, x->any, false));
    return n->has_context ? rx_or(x->p, followed(x, n, x->any, true), later) : later;
}

bool rx_parse(RxPool *p, Str pattern, RxMatch match, Spelling spelling, Rx *out, Error *err)
{
    if (pattern.bytes > RX_PATTERN_BYTES_MAX)
        return error_set(err, ERROR_LIMIT, "a pattern of %zu bytes; at most %d", pattern.bytes,
                         RX_PATTERN_BYTES_MAX);
    size_t valid = utf8_valid_prefix(pattern);
    if (valid < pattern.bytes)
        return error_set(err, ERROR_FORMAT, "byte %zu of the pattern: not UTF-8", valid);
    Parse x = {.p = p, .text = pattern, .spelling = spelling, .err = err};
    Node *n = read_any_of(&x);
    if (n && x.at < pattern.bytes)
        n = fail(&x, x.at, ") without (");
    x.any = rx_repeat(p, rx_any_char(p, spelling), 0, RX_MANY);
    if (n) {
        *out = convert(&x, n, match);
        if (x.has_long_run || has_long_run(p, *out)) {
            error_set(err, ERROR_LIMIT,
                      "a pattern with more than %d parts in a row that may each be left out",
                      RX_OPTIONAL_RUN_MAX);
            n = NULL;
        }
    }
    arena_close(&x.arena);
    return n != NULL;
}
