/* Learning a byte-level vocabulary (Gage 1994; Sennrich, Haddow, Birch 2016): starting from the 256
 * bytes, the pair of neighbours that occurs most often becomes a token, again and again.
 *
 * Of pairs that occur equally often the one with the lower left id comes first, then the one with
 * the lower right id; ids are those of the result: bytes in GPT-2's order, then tokens as they are
 * made. So a vocabulary is a function of the counts alone, whatever their order, and merging a
 * piece by rank (bpe.h) gives what training saw. (huggingface/tokenizers' trainer has the same
 * rule.)
 *
 * Pairs are counted once. A merge then changes only the pairs around the places where it happens,
 * which are found by each pair's list of pieces; the next pair comes from a heap. */
#ifndef WEN_TEXT_BPE_TRAIN_H
#define WEN_TEXT_BPE_TRAIN_H

#include "text/piece_counts.h"
#include "text/vocab.h"

typedef struct BpeTrainOptions {
    int n_tokens;           /* to end with, the 256 bytes included; fewer if pairs run out */
    uint64_t min_count;     /* of a pair; at least 1 */
    size_t token_bytes_max; /* longer tokens are not made */
} BpeTrainOptions;

typedef struct BpePair {
    int32_t left, right;
} BpePair;

typedef struct BpeVocab {
    Vocab vocab;     /* ids 0 .. 255 bytes, 256 + i what merge i makes */
    BpePair *merges; /* [n_merges] */
    int n_merges;
    uint64_t n_tokens, n_bytes; /* of all counted pieces, merged as far as it went */
} BpeVocab;

/* Pieces longer than any token may be (VOCAB_TOKEN_BYTES_MAX) are left out. */
bool bpe_train(BpeVocab *out, const PieceCounts *counts, const BpeTrainOptions *options,
               Error *err) MUST_USE;
void bpe_vocab_close(BpeVocab *v); /* a zeroed one is fine */

#endif
