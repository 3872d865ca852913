/* See bpe_chars.h. */
#include "text/bpe_chars.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <string.h>

/* What the merges say of each token: [vocab->n]. */
typedef struct Ranks {
    uint32_t *made;     /* the highest rank that makes it; 0: none does, or the first */
    uint32_t *as_left;  /* the lowest rank that joins it to the beginning of a character */
    uint32_t *as_right; /* the lowest rank that joins something to it */
} Ranks;

/* ASCII on the other side does not count, see bpe_chars.h. */
static bool begins_char(Str token) { return (unsigned char)token.data[0] >= 0xC0; }

static bool ends_in_ascii(Str token) { return (unsigned char)token.data[token.bytes - 1] < 0x80; }

/* False when some merge ranks below one that makes a part of it. */
static bool fill_ranks(Ranks *ranks, const Vocab *vocab, const BpeMerge *merges, size_t n_merges)
{
    memset(ranks->as_left, 0xFF, vocab->n * sizeof *ranks->as_left);
    memset(ranks->as_right, 0xFF, vocab->n * sizeof *ranks->as_right);
    for (size_t i = 0; i < n_merges; i++)
        ranks->made[merges[i].result] = (uint32_t)i;
    for (size_t i = 0; i < n_merges; i++) {
        const BpeMerge *m = &merges[i];
        uint32_t rank = (uint32_t)i;
        if (i > 0 && (ranks->made[m->left] >= rank || ranks->made[m->right] >= rank))
            return false;
        if (rank < ranks->as_right[m->right] && !ends_in_ascii(vocab_bytes(vocab, m->left)))
            ranks->as_right[m->right] = rank;
        if (rank < ranks->as_left[m->left] && begins_char(vocab_bytes(vocab, m->right)))
            ranks->as_left[m->left] = rank;
    }
    return true;
}

/* Whether this token is a character that nothing joins before it is whole. That its bytes merge
 * into it is known: it is not set apart. */
static bool is_safe(const Ranks *ranks, const Vocab *vocab, int32_t id, Str bytes)
{
    uint32_t rank = ranks->made[id];
    for (size_t n = 1; n <= bytes.bytes; n++) {
        int32_t prefix = vocab_find(vocab, str_slice(bytes, 0, n));
        int32_t suffix = vocab_find(vocab, str_slice(bytes, bytes.bytes - n, bytes.bytes));
        if ((prefix >= 0 && ranks->as_right[prefix] <= rank) ||
            (suffix >= 0 && ranks->as_left[suffix] <= rank))
            return false;
    }
    return true;
}

bool bpe_find_chars(const Vocab *vocab, const BpeMerge *merges, size_t n_merges, int32_t *char_ids,
                    Error *err)
{
    memset(char_ids, 0xFF, BPE_CHARS * sizeof *char_ids);
    uint32_t *all = mem_try_alloc(3 * vocab->n * sizeof *all, "the merges", err);
    if (!all)
        return false;
    Ranks ranks = {all, all + vocab->n, all + 2 * vocab->n};
    if (fill_ranks(&ranks, vocab, merges, n_merges)) {
        for (size_t i = 0; i < n_merges; i++) {
            int32_t id = merges[i].result;
            Str bytes = vocab_bytes(vocab, id);
            uint32_t cp;
            if (bytes.bytes <= 3 && (unsigned char)bytes.data[0] >= 0xC0 &&
                utf8_decode(bytes, &cp) == bytes.bytes && cp < BPE_CHARS &&
                vocab_find_whole(vocab, bytes) == id && is_safe(&ranks, vocab, id, bytes))
                char_ids[cp] = id;
        }
    }
    mem_free(all);
    return true;
}
