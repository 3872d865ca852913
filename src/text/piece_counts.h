/* How often each piece occurs in a text: what byte-pair merging is learned from (bpe_train.h). A
 * piece is what the Qwen rule splits off normalized text (pretokenize.h). One PieceCounts belongs
 * to one thread; counts of several are added up at the end. */
#ifndef WEN_TEXT_PIECE_COUNTS_H
#define WEN_TEXT_PIECE_COUNTS_H

#include "base/mem.h"
#include "base/str.h"
#include "text/nfc.h"

typedef struct PieceCount {
    Str piece;
    uint64_t n, hash;
} PieceCount;

typedef struct PieceCounts {
    PieceCount *items; /* [n], in the order of their first occurrence */
    size_t n, n_max;
    uint32_t *slots; /* an item's index plus 1; open addressing */
    size_t n_slots;
    Arena text;
    NfcResult normal; /* scratch */
} PieceCounts;

void piece_counts_close(PieceCounts *counts); /* a zeroed one is ready for use */

/* The piece's item, or NULL. */
PieceCount *piece_counts_find(const PieceCounts *counts, Str piece);
bool piece_counts_add(PieceCounts *counts, Str piece, uint64_t n, Error *err) MUST_USE;
/* Counts each piece of a text n times. Text that is not UTF-8 is an error that gives the byte. */
bool piece_counts_add_text(PieceCounts *counts, const CharTable *table, Str text, uint64_t n,
                           Error *err) MUST_USE;
/* Adds all of `from`. */
bool piece_counts_add_all(PieceCounts *counts, const PieceCounts *from, Error *err) MUST_USE;

#endif
