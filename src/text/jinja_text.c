/* Building and cutting text that remembers its provenance. See jinja_text.h. */
#include "text/jinja_text.h"

#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

static bool builder_reserve(JinjaBuilder *b, size_t more)
{
    if (b->failed)
        return false;
    size_t need = b->bytes + more;
    if (need <= b->capacity)
        return true;
    size_t capacity = b->capacity ? b->capacity * 2 : 128;
    while (capacity < need)
        capacity *= 2;
    char *grown = jinja_alloc(b->run, capacity);
    if (!grown) {
        b->failed = true;
        return false;
    }
    if (b->bytes)
        memcpy(grown, b->data, b->bytes);
    b->data = grown;
    b->capacity = capacity;
    return true;
}

static void builder_mark(JinjaBuilder *b, size_t from, size_t to)
{
    if (b->failed || from == to)
        return;
    if (b->n_spans > 0 && b->spans[b->n_spans - 1].to == from) {
        b->spans[b->n_spans - 1].to = to;
        return;
    }
    if (b->n_spans == b->max_spans) {
        int max = b->max_spans ? b->max_spans * 2 : 4;
        TextSpan *grown = jinja_alloc(b->run, sizeof *grown * (size_t)max);
        if (!grown) {
            b->failed = true;
            return;
        }
        if (b->n_spans)
            memcpy(grown, b->spans, sizeof *grown * (size_t)b->n_spans);
        b->spans = grown;
        b->max_spans = max;
    }
    b->spans[b->n_spans++] = (TextSpan){from, to};
}

void jinja_put(JinjaBuilder *b, Str s, bool untrusted)
{
    if (!builder_reserve(b, s.bytes))
        return;
    if (s.bytes)
        memcpy(b->data + b->bytes, s.data, s.bytes);
    if (untrusted)
        builder_mark(b, b->bytes, b->bytes + s.bytes);
    b->bytes += s.bytes;
}

void jinja_put_cp(JinjaBuilder *b, uint32_t cp, bool untrusted)
{
    char bytes[4];
    jinja_put(b, (Str){bytes, utf8_encode(cp, bytes)}, untrusted);
}

/* The first span that ends behind `at`. */
static int span_after(const JinjaText *t, size_t at)
{
    int low = 0, high = t->n_untrusted;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (t->untrusted[middle].to <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void jinja_add_slice(JinjaBuilder *b, const JinjaText *t, size_t from, size_t to)
{
    size_t base = b->bytes;
    jinja_put(b, str_slice(t->s, from, to), false);
    for (int i = span_after(t, from); i < t->n_untrusted && t->untrusted[i].from < to; i++) {
        size_t start = t->untrusted[i].from > from ? t->untrusted[i].from - from : 0;
        size_t end = (t->untrusted[i].to < to ? t->untrusted[i].to : to) - from;
        builder_mark(b, base + start, base + end);
    }
}

void jinja_add(JinjaBuilder *b, const JinjaText *t) { jinja_add_slice(b, t, 0, t->s.bytes); }

const JinjaText *jinja_built(JinjaBuilder *b)
{
    JinjaText *t = b->failed ? NULL : jinja_alloc(b->run, sizeof *t);
    if (!t)
        return NULL;
    t->s = (Str){b->data ? b->data : "", b->bytes};
    t->untrusted = b->spans;
    t->n_untrusted = b->n_spans;
    return t;
}

bool jinja_built_value(JinjaBuilder *b, JinjaValue *out)
{
    const JinjaText *t = jinja_built(b);
    *out = jinja_string(t);
    return t != NULL;
}

const JinjaText *jinja_text(JinjaRun *run, Str s)
{
    JinjaText *t = jinja_alloc(run, sizeof *t);
    if (t)
        t->s = s;
    return t;
}

bool jinja_text_value(JinjaRun *run, Str s, JinjaValue *out)
{
    const JinjaText *t = jinja_text(run, s);
    *out = jinja_string(t);
    return t != NULL;
}

bool jinja_next_char(JinjaCursor *c)
{
    const JinjaText *t = c->text;
    if (c->at >= t->s.bytes)
        return false;
    while (c->span_i < t->n_untrusted && t->untrusted[c->span_i].to <= c->at)
        c->span_i++;
    c->untrusted = c->span_i < t->n_untrusted && t->untrusted[c->span_i].from <= c->at;
    size_t n = utf8_decode(str_slice(t->s, c->at, t->s.bytes), &c->cp);
    if (n == 0) { /* cannot happen: sources are checked */
        c->cp = 0xFFFD;
        n = 1;
    }
    c->at += n;
    return true;
}

static bool starts_char(char c) { return ((unsigned char)c & 0xC0u) != 0x80u; }

size_t jinja_n_chars(const JinjaText *t)
{
    size_t n = 0;
    for (size_t i = 0; i < t->s.bytes; i++)
        n += starts_char(t->s.data[i]);
    return n;
}

size_t jinja_char_offset(const JinjaText *t, size_t char_i)
{
    size_t i = 0;
    for (; i < t->s.bytes; i++)
        if (starts_char(t->s.data[i]) && char_i-- == 0)
            break;
    return i;
}

const JinjaText *jinja_slice_bytes(JinjaRun *run, const JinjaText *t, size_t from, size_t to)
{
    if (to > t->s.bytes)
        to = t->s.bytes;
    if (from > to)
        from = to;
    int first = span_after(t, from), last = first;
    while (last < t->n_untrusted && t->untrusted[last].from < to)
        last++;
    JinjaText *slice = jinja_alloc(run, sizeof *slice);
    TextSpan *spans =
        last > first ? jinja_alloc(run, sizeof *spans * (size_t)(last - first)) : NULL;
    if (!slice || (last > first && !spans))
        return NULL;
    for (int i = first; i < last; i++) {
        TextSpan s = t->untrusted[i];
        spans[i - first].from = s.from > from ? s.from - from : 0;
        spans[i - first].to = (s.to < to ? s.to : to) - from;
    }
    *slice = (JinjaText){str_slice(t->s, from, to), spans, last - first};
    return slice;
}

bool jinja_slice_value(JinjaRun *run, const JinjaText *t, size_t from, size_t to, JinjaValue *out)
{
    const JinjaText *slice = jinja_slice_bytes(run, t, from, to);
    *out = jinja_string(slice);
    return slice != NULL;
}

bool jinja_is_space(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || (cp >= 28 && cp <= 32) || cp == 0x85 || cp == 0xA0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200A) || cp == 0x2028 || cp == 0x2029 ||
           cp == 0x202F || cp == 0x205F || cp == 0x3000;
}

bool jinja_is_printable(uint32_t cp)
{
    if (cp == ' ')
        return true;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS:
        return false;
    default:
        return true;
    }
}

ptrdiff_t jinja_find(Str s, Str needle, size_t from)
{
    if (from > s.bytes)
        return -1;
    /* memmem, not str_find: linear even for a needle made to be slow. */
    const char *hit = memmem(s.data + from, s.bytes - from, needle.data, needle.bytes);
    return hit ? hit - s.data : -1;
}

static bool is_stripped(uint32_t cp, Str bytes_of_cp, const JinjaText *chars)
{
    return chars ? jinja_find(chars->s, bytes_of_cp, 0) >= 0 : jinja_is_space(cp);
}

const JinjaText *jinja_strip(JinjaRun *run, const JinjaText *t, const JinjaText *chars, bool left,
                             bool right)
{
    size_t from = 0, to = t->s.bytes;
    size_t cost = chars ? chars->s.bytes / 64 + 1 : 0;
    uint32_t cp;
    while (left && from < to) {
        size_t n = utf8_decode(str_slice(t->s, from, to), &cp);
        if (!jinja_spend(run, cost))
            return NULL;
        if (n == 0 || !is_stripped(cp, str_slice(t->s, from, from + n), chars))
            break;
        from += n;
    }
    while (right && to > from) {
        size_t start = to - 1;
        while (start > from && !starts_char(t->s.data[start]))
            start--;
        size_t n = utf8_decode(str_slice(t->s, start, to), &cp);
        if (!jinja_spend(run, cost))
            return NULL;
        if (n == 0 || !is_stripped(cp, str_slice(t->s, start, to), chars))
            break;
        to = start;
    }
    return jinja_slice_bytes(run, t, from, to);
}

const JinjaText *jinja_replace(JinjaRun *run, const JinjaText *t, const JinjaText *old,
                               const JinjaText *new_text, int64_t max)
{
    JinjaBuilder b = {.run = run};
    size_t at = 0;
    if (!jinja_spend(run, t->s.bytes / 16))
        return NULL;
    while (max != 0 && !b.failed) {
        ptrdiff_t hit = jinja_find(t->s, old->s, at);
        if (hit < 0)
            break;
        size_t start = (size_t)hit, end = start + old->s.bytes;
        if (old->s.bytes == 0) { /* before every character and at the end */
            jinja_add(&b, new_text);
            if (at >= t->s.bytes)
                return jinja_built(&b);
            for (end = at + 1; end < t->s.bytes && !starts_char(t->s.data[end]);)
                end++;
            jinja_add_slice(&b, t, at, end);
        } else {
            jinja_add_slice(&b, t, at, start);
            jinja_add(&b, new_text);
        }
        at = end;
        max -= max > 0;
        if (!jinja_spend(run, 1))
            return NULL;
    }
    jinja_add_slice(&b, t, at, t->s.bytes);
    return jinja_built(&b);
}

/* A list under construction. */
typedef struct Pieces {
    JinjaRun *run;
    const JinjaText *text;
    JinjaValue *items;
    int n, capacity;
} Pieces;

static bool add_piece(Pieces *p, size_t from, size_t to)
{
    if (p->n == p->capacity) {
        int capacity = p->capacity ? p->capacity * 2 : 4;
        JinjaValue *grown = jinja_alloc(p->run, sizeof *grown * (size_t)capacity);
        if (!grown)
            return false;
        if (p->n)
            memcpy(grown, p->items, sizeof *grown * (size_t)p->n);
        p->items = grown;
        p->capacity = capacity;
    }
    return jinja_spend(p->run, 1) &&
           jinja_slice_value(p->run, p->text, from, to, &p->items[p->n++]);
}

static bool pieces_list(Pieces *p, bool reversed, JinjaValue *out)
{
    JinjaList *list = jinja_alloc(p->run, sizeof *list);
    if (!list)
        return false;
    for (int i = 0, j = p->n - 1; reversed && i < j; i++, j--) {
        JinjaValue swap = p->items[i];
        p->items[i] = p->items[j];
        p->items[j] = swap;
    }
    *list = (JinjaList){p->items, p->n};
    *out = jinja_list(list);
    return true;
}

static bool split_spaces(Pieces *p, int64_t max)
{
    JinjaCursor c = {.text = p->text};
    size_t word = 0, before = 0;
    bool in_word = false;
    while (jinja_next_char(&c)) {
        bool is_space = jinja_is_space(c.cp);
        if (in_word && is_space) {
            if (!add_piece(p, word, before))
                return false;
            in_word = false;
        } else if (!in_word && !is_space) {
            word = before;
            in_word = true;
            if (max >= 0 && p->n >= max)
                break; /* the rest is the last piece, blanks at its end included */
        }
        before = c.at;
    }
    return !in_word || add_piece(p, word, p->text->s.bytes);
}

/* Like split_spaces, from the end; the pieces come out last first. */
static bool split_spaces_right(Pieces *p, int64_t max)
{
    const JinjaText *t = p->text;
    size_t end = t->s.bytes;
    for (;;) {
        const JinjaText *left = jinja_slice_bytes(p->run, t, 0, end);
        left = left ? jinja_strip(p->run, left, NULL, false, true) : NULL;
        if (!left)
            return false;
        end = left->s.bytes;
        if (end == 0)
            return true;
        size_t word = end;
        for (size_t at = end; at > 0; word = at) {
            size_t start = at - 1;
            uint32_t cp = 0;
            while (start > 0 && !starts_char(t->s.data[start]))
                start--;
            if (utf8_decode(str_slice(t->s, start, at), &cp) == 0 || jinja_is_space(cp))
                break;
            at = start;
        }
        if (max >= 0 && p->n >= max)
            return add_piece(p, 0, end);
        if (!add_piece(p, word, end))
            return false;
        end = word;
    }
}

static bool split_by(Pieces *p, Str separator, int64_t max)
{
    size_t at = 0;
    ptrdiff_t hit;
    while ((max < 0 || p->n < max) && (hit = jinja_find(p->text->s, separator, at)) >= 0) {
        if (!add_piece(p, at, (size_t)hit))
            return false;
        at = (size_t)hit + separator.bytes;
    }
    return add_piece(p, at, p->text->s.bytes);
}

static bool split_by_right(Pieces *p, Str separator, int64_t max)
{
    size_t end = p->text->s.bytes;
    for (size_t at = end; (max < 0 || p->n < max) && at >= separator.bytes;) {
        size_t start = at - separator.bytes;
        if (!jinja_spend(p->run, separator.bytes / 64))
            return false;
        if (!str_equal(str_slice(p->text->s, start, at), separator)) {
            at--;
            continue;
        }
        if (!add_piece(p, at, end))
            return false;
        at = end = start;
    }
    return add_piece(p, 0, end);
}

bool jinja_split(JinjaRun *run, const JinjaText *t, const JinjaText *separator, int64_t max,
                 bool from_right, JinjaValue *out)
{
    Pieces p = {.run = run, .text = t};
    if (separator && separator->s.bytes == 0)
        return jinja_fail(run, "split: empty separator");
    if (!jinja_spend(run, t->s.bytes / 16))
        return false;
    bool ok;
    if (separator)
        ok = from_right ? split_by_right(&p, separator->s, max) : split_by(&p, separator->s, max);
    else
        ok = from_right ? split_spaces_right(&p, max) : split_spaces(&p, max);
    return ok && pieces_list(&p, from_right, out);
}

static bool is_line_end(uint32_t cp)
{
    return (cp >= '\n' && cp <= '\r') || (cp >= 0x1C && cp <= 0x1E) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

bool jinja_split_lines(JinjaRun *run, const JinjaText *t, bool keep_ends, JinjaValue *out)
{
    Pieces p = {.run = run, .text = t};
    JinjaCursor c = {.text = t};
    size_t line = 0, before = 0;
    while (jinja_next_char(&c)) {
        if (is_line_end(c.cp)) {
            bool is_crlf = c.cp == '\r' && c.at < t->s.bytes && t->s.data[c.at] == '\n';
            size_t next = c.at + is_crlf;
            if (!add_piece(&p, line, keep_ends ? next : before))
                return false;
            c.at = line = next;
        }
        before = c.at;
    }
    if (line < t->s.bytes && !add_piece(&p, line, t->s.bytes))
        return false;
    return pieces_list(&p, false, out);
}

bool jinja_join(JinjaRun *run, const JinjaText *separator, const JinjaList *items, bool strict,
                JinjaValue *out)
{
    JinjaBuilder b = {.run = run};
    for (int i = 0; i < items->n; i++) {
        if (i > 0)
            jinja_add(&b, separator);
        if (strict && items->items[i].kind != JINJA_STRING)
            return jinja_fail(run, "join: item %d is %s, not str", i,
                              jinja_type_name(items->items[i]));
        if (!jinja_write(run, &b, items->items[i], false))
            return false;
    }
    return jinja_built_value(&b, out);
}

static void put_upper(JinjaBuilder *b, uint32_t cp, bool is_title, bool untrusted)
{
    if (cp == 0xDF) { /* the one common letter whose capital is two */
        jinja_put(b, is_title ? STR("Ss") : STR("SS"), untrusted);
        return;
    }
    utf8proc_int32_t c = (utf8proc_int32_t)cp;
    jinja_put_cp(b, (uint32_t)(is_title ? utf8proc_totitle(c) : utf8proc_toupper(c)), untrusted);
}

static bool is_cased(uint32_t cp)
{
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category == UTF8PROC_CATEGORY_LU || category == UTF8PROC_CATEGORY_LL ||
           category == UTF8PROC_CATEGORY_LT;
}

const JinjaText *jinja_change_case(JinjaRun *run, const JinjaText *t, JinjaCase how)
{
    JinjaBuilder b = {.run = run};
    JinjaCursor c = {.text = t};
    bool at_start = true;
    if (!jinja_spend(run, t->s.bytes / 8))
        return NULL;
    while (jinja_next_char(&c)) {
        if (how == CASE_UPPER || (at_start && how != CASE_LOWER))
            put_upper(&b, c.cp, how == CASE_CAPITALIZE || how == CASE_TITLE, c.untrusted);
        else
            jinja_put_cp(&b, (uint32_t)utf8proc_tolower((utf8proc_int32_t)c.cp), c.untrusted);
        if (how == CASE_TITLE)
            at_start = !is_cased(c.cp);
        else if (how == CASE_WORDS)
            at_start = jinja_is_space(c.cp) || (c.cp < 128 && c.cp && strchr("-({[<", (int)c.cp));
        else
            at_start = false;
    }
    return jinja_built(&b);
}

bool jinja_text_is_case(const JinjaText *t, bool upper)
{
    JinjaCursor c = {.text = t};
    bool has_cased = false;
    while (jinja_next_char(&c)) {
        utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)c.cp);
        bool is_upper = k == UTF8PROC_CATEGORY_LU, is_lower = k == UTF8PROC_CATEGORY_LL;
        if (k == UTF8PROC_CATEGORY_LT || (upper ? is_lower : is_upper))
            return false;
        has_cased |= is_upper || is_lower;
    }
    return has_cased;
}
