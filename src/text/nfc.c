/* See nfc.h. The text is cut before every character that has combining class 0 and quick check Yes
 * (UAX 15, section 9.1 "Stable code points"); only stretches between two cuts that hold an unstable
 * character, or two ordered marks in a row, are decomposed, sorted and composed. utf8proc
 * decomposes single characters and composes; the sorting is done here because utf8proc's own takes
 * quadratic time on a long run of marks, which a stranger can send. */
#include "text/nfc.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

enum { DECOMPOSITION_MAX = 8, INSERTION_MAX = 32, N_COMBINING_CLASSES = 256 };

/* The decomposed characters of one stretch. */
typedef struct Work {
    int32_t *chars, *sorted;
    size_t n, capacity;
    int32_t small[2][128];
} Work;

static void work_open(Work *work)
{
    work->chars = work->small[0];
    work->sorted = work->small[1];
    work->capacity = sizeof work->small[0] / sizeof work->small[0][0];
    work->n = 0;
}

static void work_close(Work *work)
{
    if (work->chars != work->small[0]) {
        mem_free(work->chars);
        mem_free(work->sorted);
    }
}

static bool work_reserve(Work *work, size_t n, Error *err)
{
    if (n <= work->capacity)
        return true;
    int32_t *chars = mem_try_alloc(n * sizeof *chars, "normalizing text", err);
    int32_t *sorted = mem_try_alloc(n * sizeof *sorted, "normalizing text", err);
    if (!chars || !sorted) {
        mem_free(chars);
        mem_free(sorted);
        return false;
    }
    work_close(work);
    work->chars = chars;
    work->sorted = sorted;
    work->capacity = n;
    return true;
}

static int combining_class(int32_t cp) { return utf8proc_get_property(cp)->combining_class; }

/* Puts a run of marks into canonical order: a stable sort by combining class. */
static void sort_marks(int32_t *chars, size_t n, int32_t *scratch)
{
    if (n <= INSERTION_MAX) {
        for (size_t i = 1; i < n; i++) {
            int32_t c = chars[i];
            size_t j = i;
            for (; j > 0 && combining_class(chars[j - 1]) > combining_class(c); j--)
                chars[j] = chars[j - 1];
            chars[j] = c;
        }
        return;
    }
    size_t starts[N_COMBINING_CLASSES + 1] = {0};
    for (size_t i = 0; i < n; i++)
        starts[combining_class(chars[i]) + 1]++;
    for (int c = 0; c < N_COMBINING_CLASSES; c++)
        starts[c + 1] += starts[c];
    for (size_t i = 0; i < n; i++)
        scratch[starts[combining_class(chars[i])]++] = chars[i];
    memcpy(chars, scratch, n * sizeof *chars);
}

static void sort_canonically(Work *work)
{
    for (size_t i = 0; i < work->n;) {
        size_t end = i;
        while (end < work->n && combining_class(work->chars[end]) != 0)
            end++;
        if (end - i > 1)
            sort_marks(work->chars + i, end - i, work->sorted);
        i = end > i ? end : i + 1;
    }
}

static bool decompose(Work *work, Str part, Error *err)
{
    /* A character of b bytes decomposes to at most 4 characters, and 3 when it has 2 bytes. */
    if (!work_reserve(work, part.bytes * 2 + DECOMPOSITION_MAX, err))
        return false;
    work->n = 0;
    for (size_t i = 0, bytes; i < part.bytes; i += bytes) {
        int32_t cp = (int32_t)char_decode(part.data + i, &bytes);
        int bound_class = 0;
        utf8proc_ssize_t room = (utf8proc_ssize_t)(work->capacity - work->n);
        utf8proc_ssize_t n = utf8proc_decompose_char(
            cp, work->chars + work->n, room, UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, &bound_class);
        if (n < 0 || n > room)
            return error_set(err, ERROR_UNSUPPORTED, "U+%04X cannot be normalized", (unsigned)cp);
        work->n += (size_t)n;
    }
    return true;
}

static void add_edit(NfcResult *result, NfcEdit edit)
{
    if (result->n_edits == result->n_edits_max) {
        size_t n = result->n_edits_max ? result->n_edits_max * 2 : 16;
        NfcEdit *grown = mem_alloc(n * sizeof *grown);
        if (result->n_edits)
            memcpy(grown, result->edits, result->n_edits * sizeof *grown);
        mem_free(result->edits);
        result->edits = grown;
        result->n_edits_max = n;
    }
    result->edits[result->n_edits++] = edit;
}

/* Appends form C of text[from .. to-1], which begins and ends at cuts. */
static bool normalize_part(Work *work, Str text, size_t from, size_t to, NfcResult *result,
                           Error *err)
{
    Str part = str_slice(text, from, to);
    if (!decompose(work, part, err))
        return false;
    sort_canonically(work);
    utf8proc_ssize_t n = utf8proc_normalize_utf32(work->chars, (utf8proc_ssize_t)work->n,
                                                  UTF8PROC_COMPOSE | UTF8PROC_STABLE);
    if (n < 0)
        return error_set(err, ERROR_UNSUPPORTED, "normalizing: %s", utf8proc_errmsg(n));
    size_t out_from = result->text.bytes;
    for (utf8proc_ssize_t i = 0; i < n; i++) {
        char bytes[4];
        buf_append(&result->text, bytes, utf8_encode((uint32_t)work->chars[i], bytes));
    }
    if (!str_equal(part, str_slice(buf_str(&result->text), out_from, result->text.bytes)))
        add_edit(result, (NfcEdit){from, part.bytes, out_from, result->text.bytes - out_from});
    return true;
}

/* From `from`, which is at a cut, finds the next stretch between cuts that may need rewriting.
 * False when there is none. */
static bool next_doubtful(const CharTable *table, Str text, size_t from, size_t *begin, size_t *end)
{
    const char *s = text.data;
    size_t cut = from;
    bool is_doubtful = false;
    unsigned before = 0;
    for (size_t i = from, bytes; i < text.bytes; i += bytes) {
        if ((unsigned char)s[i] < 0x80) {
            if (is_doubtful) {
                *begin = cut;
                *end = i;
                return true;
            }
            cut = i;
            bytes = 1;
            before = 0;
            continue;
        }
        unsigned bits = char_bits(table, char_decode(s + i, &bytes)) & CHAR_NFC_MASK;
        if (bits == 0) {
            if (is_doubtful) {
                *begin = cut;
                *end = i;
                return true;
            }
            cut = i;
        } else if ((bits & CHAR_NFC_UNSTABLE) || before != 0) {
            is_doubtful = true;
        }
        before = bits;
    }
    *begin = cut;
    *end = text.bytes;
    return is_doubtful;
}

size_t nfc_quick_check(const CharTable *table, Str text)
{
    size_t begin, end;
    return next_doubtful(table, text, 0, &begin, &end) ? begin : text.bytes;
}

bool nfc_normalize(const CharTable *table, Str text, NfcResult *result, Error *err)
{
    buf_clear(&result->text);
    result->n_edits = 0;
    Work work;
    work_open(&work);
    bool ok = true;
    size_t done = 0, begin, end;
    while (ok && next_doubtful(table, text, done, &begin, &end)) {
        buf_add(&result->text, str_slice(text, done, begin));
        ok = normalize_part(&work, text, begin, end, result, err);
        done = end;
    }
    work_close(&work);
    buf_add(&result->text, str_slice(text, done, text.bytes));
    if (ok && result->text.overflowed)
        return error_set(err, ERROR_LIMIT, "text of %zu bytes is too long to normalize",
                         text.bytes);
    return ok;
}

size_t nfc_map(const NfcResult *result, size_t at, bool up)
{
    /* The last edit that begins at or before `at`. */
    size_t low = 0, high = result->n_edits;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (result->edits[middle].from <= at)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return at;
    const NfcEdit *e = &result->edits[low - 1];
    if (at >= e->from + e->bytes)
        return e->out_from + e->out_bytes + (at - e->from - e->bytes);
    return at == e->from || !up ? e->out_from : e->out_from + e->out_bytes;
}

void nfc_result_free(NfcResult *result)
{
    buf_free(&result->text);
    mem_free(result->edits);
    *result = (NfcResult){0};
}
