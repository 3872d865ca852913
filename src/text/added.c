/* See added.h. */
#include "text/added.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

static int compare_bytes(Str a, Str b)
{
    int order = memcmp(a.data, b.data, a.bytes < b.bytes ? a.bytes : b.bytes);
    return order ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

static int compare_ids(const void *a, const void *b, void *context)
{
    const Vocab *vocab = context;
    return compare_bytes(vocab_bytes(vocab, *(const int32_t *)a),
                         vocab_bytes(vocab, *(const int32_t *)b));
}

bool added_open(AddedSet *set, const Vocab *vocab, unsigned mask, unsigned flags, Error *err)
{
    *set = (AddedSet){.only_begin = -1};
    size_t n = 0;
    for (size_t id = 0; id < vocab->n; id++)
        n += (vocab->entries[id].flags & mask) == flags;
    if (n == 0)
        return true;
    set->ids = mem_try_alloc(n * sizeof *set->ids, "the added tokens", err);
    if (!set->ids)
        return false;
    int n_begins = 0;
    for (size_t id = 0; id < vocab->n; id++) {
        if ((vocab->entries[id].flags & mask) != flags)
            continue;
        unsigned char first = (unsigned char)vocab_bytes(vocab, (int32_t)id).data[0];
        n_begins += !set->begins[first];
        set->begins[first] = true;
        set->only_begin = n_begins == 1 ? first : -1;
        set->ids[set->n++] = (int32_t)id;
    }
    qsort_r(set->ids, n, sizeof *set->ids, compare_ids, (void *)vocab);
    for (int i = 1; i < set->n; i++) {
        Str text = vocab_bytes(vocab, set->ids[i]);
        char shown[TOKEN_SHOW_BYTES];
        if (str_equal(vocab_bytes(vocab, set->ids[i - 1]), text))
            return error_set(err, ERROR_FORMAT, "added token \"%s\" is given twice: ids %d and %d",
                             token_show(text, shown), set->ids[i - 1], set->ids[i]);
    }
    return true;
}

void added_close(AddedSet *set)
{
    mem_free(set->ids);
    *set = (AddedSet){.only_begin = -1};
}

int32_t added_find(const AddedSet *set, const Vocab *vocab, Str bytes)
{
    int low = 0, high = set->n;
    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = compare_bytes(vocab_bytes(vocab, set->ids[middle]), bytes);
        if (order == 0)
            return set->ids[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

/* Of the sorted tokens low .. high-1, which agree in their first `depth` bytes, the first one whose
 * byte at `depth` is at least `byte`. Those that end before it come first. */
static int narrow(const AddedSet *set, const Vocab *vocab, int low, int high, size_t depth,
                  int byte)
{
    while (low < high) {
        int middle = low + (high - low) / 2;
        Str token = vocab_bytes(vocab, set->ids[middle]);
        if (token.bytes <= depth || (unsigned char)token.data[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The longest token that `text` begins with: its id, or -1. */
static int32_t match_here(const AddedSet *set, const Vocab *vocab, Str text)
{
    int low = 0, high = set->n;
    int32_t best = -1;
    for (size_t depth = 0; depth < text.bytes && low < high; depth++) {
        int byte = (unsigned char)text.data[depth];
        low = narrow(set, vocab, low, high, depth, byte);
        high = narrow(set, vocab, low, high, depth, byte + 1);
        if (low < high && vocab->entries[set->ids[low]].bytes == depth + 1)
            best = set->ids[low];
    }
    return best;
}

/* The first place from .. to-1 where a token may begin, or `to`. */
static size_t next_begin(const AddedSet *set, Str text, size_t from, size_t to)
{
    if (set->only_begin >= 0) {
        const char *hit = from < to ? memchr(text.data + from, set->only_begin, to - from) : NULL;
        return hit ? (size_t)(hit - text.data) : to;
    }
    while (from < to && !set->begins[(unsigned char)text.data[from]])
        from++;
    return from;
}

int32_t added_scan_next(AddedScan *scan, size_t *from)
{
    if (scan->set->n == 0)
        return -1;
    while (scan->at < scan->text.bytes) {
        /* The end of the trusted stretch that `at` is in. An empty span holds nothing. */
        while (scan->n_untrusted > 0 &&
               (scan->untrusted->to <= scan->at || scan->untrusted->to <= scan->untrusted->from)) {
            scan->untrusted++;
            scan->n_untrusted--;
        }
        size_t end = scan->text.bytes;
        if (scan->n_untrusted > 0 && scan->untrusted->from < end)
            end = scan->untrusted->from;
        for (size_t i = scan->at; (i = next_begin(scan->set, scan->text, i, end)) < end; i++) {
            int32_t id = match_here(scan->set, scan->vocab, str_slice(scan->text, i, end));
            if (id >= 0) {
                *from = i;
                scan->at = i + scan->vocab->entries[id].bytes;
                return id;
            }
        }
        scan->at = scan->n_untrusted > 0 ? scan->untrusted->to : end;
    }
    return -1;
}
