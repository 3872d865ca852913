/* See rx_chars.h. */
#include "text/rx_chars.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

enum { LAST_CHAR = 0x10FFFF, SURROGATE_FIRST = 0xD800, SURROGATE_LAST = 0xDFFF };

/* ---- Sets ------------------------------------------------------------------------------------ */

void char_set_add(CharSet *s, uint32_t from, uint32_t to)
{
    if (from > to)
        return;
    s->ranges = mem_more(s->ranges, sizeof *s->ranges, s->n, &s->n_max);
    s->ranges[s->n++] = (CharRange){from, to < LAST_CHAR ? to : LAST_CHAR};
}

void char_set_add_set(CharSet *s, const CharSet *other)
{
    for (size_t i = 0; i < other->n; i++)
        char_set_add(s, other->ranges[i].from, other->ranges[i].to);
}

static int compare_ranges(const void *x, const void *y)
{
    const CharRange *a = x, *b = y;
    return (a->from > b->from) - (a->from < b->from);
}

void char_set_tidy(CharSet *s)
{
    if (s->n == 0)
        return;
    qsort(s->ranges, s->n, sizeof *s->ranges, compare_ranges);
    size_t kept = 0;
    for (size_t i = 1; i < s->n; i++) {
        CharRange r = s->ranges[i];
        if (r.from <= s->ranges[kept].to + 1) {
            if (r.to > s->ranges[kept].to)
                s->ranges[kept].to = r.to;
        } else {
            s->ranges[++kept] = r;
        }
    }
    s->n = kept + 1;
}

void char_set_negate(CharSet *s)
{
    char_set_tidy(s);
    CharSet rest = {0};
    uint32_t next = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->ranges[i].from > next)
            char_set_add(&rest, next, s->ranges[i].from - 1);
        next = s->ranges[i].to + 1;
    }
    char_set_add(&rest, next, LAST_CHAR);
    char_set_free(s);
    *s = rest;
}

void char_set_add_cases(CharSet *s)
{
    size_t n = s->n;
    for (size_t i = 0; i < n; i++) {
        CharRange r = s->ranges[i];
        for (uint32_t c = r.from; c <= r.to && r.to - r.from < 0x10000; c++) {
            uint32_t upper = (uint32_t)utf8proc_toupper((utf8proc_int32_t)c);
            uint32_t lower = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
            if (upper != c)
                char_set_add(s, upper, upper);
            if (lower != c)
                char_set_add(s, lower, lower);
        }
    }
}

void char_set_free(CharSet *s)
{
    mem_free(s->ranges);
    *s = (CharSet){0};
}

void char_set_add_escape(CharSet *s, char which)
{
    /* White space of ECMAScript: WhiteSpace and LineTerminator, with category Zs. */
    static const CharRange spaces[] = {
        {9, 13},          {32, 32},         {0xA0, 0xA0},     {0x1680, 0x1680}, {0x2000, 0x200A},
        {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F}, {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
    switch (which) {
    case 'w':
        char_set_add(s, 'a', 'z');
        char_set_add(s, 'A', 'Z');
        char_set_add(s, '_', '_');
        char_set_add(s, '0', '9');
        break;
    case 'd':
        char_set_add(s, '0', '9');
        break;
    default:
        for (size_t i = 0; i < sizeof spaces / sizeof *spaces; i++)
            char_set_add(s, spaces[i].from, spaces[i].to);
    }
}

bool char_set_add_category(CharSet *s, Str name)
{
    static const struct {
        const char *long_name, *name;
    } aliases[] = {{"Letter", "L"},
                   {"Lowercase_Letter", "Ll"},
                   {"Uppercase_Letter", "Lu"},
                   {"Mark", "M"},
                   {"Number", "N"},
                   {"Decimal_Number", "Nd"},
                   {"Punctuation", "P"},
                   {"Symbol", "S"},
                   {"Separator", "Z"},
                   {"Space_Separator", "Zs"},
                   {"Other", "C"},
                   {"Control", "Cc"},
                   {"Lowercase", "Ll"},
                   {"Uppercase", "Lu"},
                   {"Alphabetic", "L"}};
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (str_equals(name, aliases[i].long_name))
            name = str_from(aliases[i].name);
    if (str_equals(name, "Any")) {
        char_set_add(s, 0, LAST_CHAR);
        return true;
    }
    if (name.bytes < 1 || name.bytes > 2 || !strchr("LMNPSZC", name.data[0]))
        return false;
    bool has_any = false;
    uint32_t from = 0;
    for (uint32_t c = 0; c <= LAST_CHAR + 1; c++) {
        const char *category =
            c <= LAST_CHAR ? utf8proc_category_string((utf8proc_int32_t)c) : "??";
        bool is_in = strncmp(category, name.data, name.bytes) == 0;
        if (is_in && !has_any)
            from = c;
        if (!is_in && has_any)
            char_set_add(s, from, c - 1);
        has_any = is_in;
    }
    return s->n > 0;
}

/* ---- As bytes -------------------------------------------------------------------------------- */

/* How much of from .. to is in the tidy set: 0 nothing, 1 some, 2 all. */
static int coverage(const CharSet *s, uint32_t from, uint32_t to)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->ranges[middle].to < from)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == s->n || s->ranges[low].from > to)
        return 0;
    return s->ranges[low].from <= from && s->ranges[low].to >= to ? 2 : 1;
}

static Rx any_tail(RxPool *p, int n)
{
    Rx continuation = rx_byte_range(p, 0x80, 0xBF);
    return rx_repeat(p, continuation, n, n);
}

/* The last n bytes of the characters base .. base + 64^n - 1 that are in the set. */
static Rx tail_of(RxPool *p, const CharSet *s, uint32_t base, int n)
{
    uint32_t size = UINT32_C(1) << 6 * n;
    int covered = coverage(s, base, base + size - 1);
    if (covered == 0)
        return RX_VOID;
    if (covered == 2)
        return any_tail(p, n);
    Rx rests[64], all = RX_VOID;
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t at = base + i * (size / 64);
        rests[i] = n == 1 ? (coverage(s, at, at) ? RX_EMPTY : RX_VOID) : tail_of(p, s, at, n - 1);
    }
    for (int i = 0; i < 64; i++) { /* bytes with the same rest go together */
        if (rests[i] == RX_VOID)
            continue;
        ByteSet same = {0};
        for (int k = 63; k >= i; k--)
            if (rests[k] == rests[i])
                byte_set_add(&same, 0x80 + k, 0x80 + k);
        all = rx_or(p, all, rx_concat(p, rx_bytes(p, &same), rests[i]));
        Rx rest = rests[i];
        for (int k = i; k < 64; k++)
            rests[k] = rests[k] == rest ? RX_VOID : rests[k];
    }
    return all;
}

/* Characters of the set whose first byte is from .. to, with n more bytes. */
static Rx long_chars(RxPool *p, const CharSet *s, int from, int to, int n)
{
    Rx all = RX_VOID;
    for (int lead = from; lead <= to;) {
        uint32_t bits = n == 1 ? lead & 0x1Fu : n == 2 ? lead & 0x0Fu : lead & 0x07u;
        Rx rest = tail_of(p, s, bits << 6 * n, n);
        int end = lead + 1;
        for (; end <= to; end++) {
            bits = n == 1 ? end & 0x1Fu : n == 2 ? end & 0x0Fu : end & 0x07u;
            if (tail_of(p, s, bits << 6 * n, n) != rest)
                break;
        }
        all = rx_or(p, all, rx_concat(p, rx_byte_range(p, lead, end - 1), rest));
        lead = end;
    }
    return all;
}

static bool has_char(const CharSet *s, uint32_t c) { return coverage(s, c, c) != 0; }

static bool is_escaped(uint32_t c) { return c < 0x20 || c == '"' || c == '\\'; }

static void spell_escaped(Buf *out, uint32_t c)
{
    static const char letters[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *l = letters; *l; l += 2) {
        if ((uint32_t)(unsigned char)*l == c) {
            buf_printf(out, "\\%c", l[1]);
            return;
        }
    }
    buf_printf(out, "\\u%04x", (unsigned)c);
}

static Rx short_chars(RxPool *p, const CharSet *s, Spelling spelling)
{
    ByteSet plain = {0};
    Rx escapes = RX_VOID;
    for (uint32_t c = 0; c < 0x80; c++) {
        if (!has_char(s, c))
            continue;
        if (spelling == SPELL_JSON && is_escaped(c)) {
            Buf text = {0};
            spell_escaped(&text, c);
            escapes = rx_or(p, escapes, rx_literal(p, buf_str(&text)));
            buf_free(&text);
        } else {
            byte_set_add(&plain, (int)c, (int)c);
        }
    }
    return rx_or(p, rx_bytes(p, &plain), escapes);
}

static void clip(const CharSet *s, uint32_t from, uint32_t to, CharSet *out)
{
    for (size_t i = 0; i < s->n; i++) {
        CharRange r = s->ranges[i];
        char_set_add(out, r.from > from ? r.from : from, r.to < to ? r.to : to);
    }
}

Rx rx_chars(RxPool *p, CharSet *s, Spelling spelling)
{
    static const struct {
        uint32_t from, to;
        int lead_from, lead_to, n;
    } sizes[] = {{0x80, 0x7FF, 0xC2, 0xDF, 1},
                 {0x800, SURROGATE_FIRST - 1, 0xE0, 0xEF, 2},
                 {SURROGATE_LAST + 1, 0xFFFF, 0xE0, 0xEF, 2},
                 {0x10000, LAST_CHAR, 0xF0, 0xF4, 3}};
    char_set_tidy(s);
    Rx all = short_chars(p, s, spelling);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        CharSet part = {0};
        clip(s, sizes[i].from, sizes[i].to, &part);
        if (part.n)
            all = rx_or(p, all,
                        long_chars(p, &part, sizes[i].lead_from, sizes[i].lead_to, sizes[i].n));
        char_set_free(&part);
    }
    return all;
}

Rx rx_any_char(RxPool *p, Spelling spelling)
{
    CharSet all = {0};
    char_set_add(&all, 0, LAST_CHAR);
    Rx any = rx_chars(p, &all, spelling);
    char_set_free(&all);
    return any;
}

void spell_text(Buf *out, Str text, Spelling spelling)
{
    while (text.bytes) {
        uint32_t c = 0xFFFD;
        size_t n = utf8_decode(text, &c);
        char bytes[4];
        if (spelling == SPELL_JSON && is_escaped(c))
            spell_escaped(out, c);
        else
            buf_append(out, bytes, utf8_encode(c, bytes));
        text = str_slice(text, n ? n : 1, text.bytes);
    }
}
