/* Removing documents that others repeat. The first of several stays.
 *
 * Exact: the same text, byte for byte. Near: the sets of n-grams of words (units.h) have a Jaccard
 * similarity of at least `threshold`, as estimated from MinHash signatures: one permutation hashing
 * (Li, Owen, Zhang 2012) with the empty bins filled from others (Shrivastava 2017), so that a
 * document costs one hash an n-gram however long the signature. Documents to compare are found by
 * bands of the signature (locality-sensitive hashing); the bands are as many as it takes for a pair
 * at the threshold to be found with probability 0.99. The estimate's standard deviation is at most
 * 0.5 / sqrt(n_hashes).
 *
 * One pass; memory is about 1 KiB for a document that stays (128 hashes). */
#ifndef WEN_DATA_DEDUP_H
#define WEN_DATA_DEDUP_H

#include "base/error.h"

#include <stdint.h>

typedef struct DedupOptions {
    const char *const *paths; /* [n_paths] */
    int n_paths;
    const char *out;    /* the documents that stay, as they were */
    const char *report; /* a line for each that does not; NULL: none */
    bool is_exact;      /* only exact copies are removed */
    double threshold;   /* 0 .. 1 */
    int gram;           /* words in an n-gram */
    int n_hashes;       /* of a signature: 16 .. 1024 */
} DedupOptions;

typedef struct DedupReport {
    int64_t n_read, n_kept, n_exact, n_near;
    int64_t n_clusters, largest; /* of documents that have copies, and the most in one */
    int n_bands, n_rows;         /* rows of a band; 0 if is_exact */
} DedupReport;

/* A line of the report: {"dropped": "file:line", "like": "file:line", "kind": "exact" or "near",
 * "similarity": 0.93}; what share one "like" are a cluster. */
bool dedup_run(const DedupOptions *options, DedupReport *report, Error *err) MUST_USE;

#endif
