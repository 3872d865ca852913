/* Signatures of documents and an index that finds like ones; see dedup.h. */
#ifndef WEN_DATA_MINHASH_H
#define WEN_DATA_MINHASH_H

#include "data/units.h"

enum { MINHASH_MAX = 1024 };

/* Fills signature[n_hashes] from the set of grams of `gram` words; a shorter text is one gram.
 * False when it has no word. */
bool minhash_sign(const Units *units, int gram, uint32_t *signature, int n_hashes);

/* The share of equal hashes: an estimate of the Jaccard similarity. */
double minhash_similarity(const uint32_t *a, const uint32_t *b, int n_hashes);

typedef struct MinhashIndex {
    int n_hashes, n_bands, n_rows;
    uint32_t *signatures; /* [n][n_hashes] */
    size_t n, n_max;
    uint32_t *entries; /* [n][n_bands]: the next document of the same band and slot, plus 1 */
    uint32_t *slots;   /* heads: document plus 1 */
    size_t n_slots;
} MinhashIndex;

/* Chooses bands and rows. */
void minhash_open(MinhashIndex *index, int n_hashes, double threshold);
void minhash_close(MinhashIndex *index);
/* The most similar document of the index (of those that share a band), or -1: none reaches
 * `threshold`. */
int64_t minhash_find(const MinhashIndex *index, const uint32_t *signature, double threshold,
                     double *similarity);
/* Its number is the count of those before. */
bool minhash_add(MinhashIndex *index, const uint32_t *signature, Error *err) MUST_USE;

#endif
