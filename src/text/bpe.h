/* Byte-pair merging: the pair of neighbours with the lowest rank is joined first, the leftmost of
 * equals, until no pair of neighbours has a rank. */
#ifndef WEN_TEXT_BPE_H
#define WEN_TEXT_BPE_H

#include "text/tokenizer.h"
#include "text/vocab.h"

enum {
    BPE_RANK_BITS = 22,
    BPE_MERGES_MAX = 1 << 21,
    BPE_FILTER_LOG2 =
        20, /* 128 KiB: stays in the second-level cache; most pairs asked for are absent */
};

typedef struct Bpe {
    /* Left id, right id and rank in 21 + 21 + 22 bits, so that the table of a real vocabulary stays
     * near the processor: 2 MiB. Open addressing by a hash of both ids. */
    uint64_t *slots;
    size_t n_slots;
    uint64_t
        *filter; /* 2^BPE_FILTER_LOG2 bits by hash: 0 means that the pair is not in the table */
    int32_t *results; /* [n_merges], by rank */
    size_t n_merges, n_merges_max;
    int32_t byte_ids[256];
    uint32_t *byte_ranks; /* [256 * 256]: the pair's rank, or BPE_NONE */
    int32_t *char_ids;    /* see bpe_chars.h; NULL: start from bytes */
} Bpe;

#define BPE_NONE UINT32_MAX

void bpe_close(Bpe *bpe); /* a zeroed Bpe is ready for use */

/* Adds the next rank. `left` and `right` are the bytes of two ordinary tokens whose concatenation
 * is one, too; anything else, and a pair twice, is an error. */
bool bpe_add(Bpe *bpe, const Vocab *vocab, Str left, Str right, Error *err) MUST_USE;

/* After the last merge: every single byte must be a token. Then sets apart the tokens that
 * merging their own bytes does not give back (a sane vocabulary has none): for all others a look-up
 * of the whole piece is exact. `all_whole`: the model says that it looks whole pieces up first
 * (ignore_merges). */
bool bpe_finish(Bpe *bpe, Vocab *vocab, bool all_whole, Error *err) MUST_USE;

/* Appends the ids of one piece (UTF-8), by merging alone. Time n log n. */
bool bpe_merge(const Bpe *bpe, Str piece, Ids *ids, Error *err) MUST_USE;

#endif
