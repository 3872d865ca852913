/* Training documents in memory: what readers of text and conversations append to.
 *
 * A document is ids and, for each id but the first, the weight with which it is learned: 0 is
 * context, 1 counts in full. A document of n ids takes n - 1 places of a row: every id but the last
 * predicts the next one. Weights are kept as runs, since a conversation has few. */
#ifndef WEN_TRAIN_DOCUMENTS_H
#define WEN_TRAIN_DOCUMENTS_H

#include "text/tokenizer.h"

/* n ids that follow one another, learned with one weight. */
typedef struct WeightRun {
    int32_t n;
    float weight;
} WeightRun;

/* What becomes of a document that is longer than a row. */
typedef enum LongDocuments {
    LONG_SPLIT, /* pieces of a row's length, each a document that does not see the one before */
    LONG_CUT,   /* the beginning stays, the rest is left out */
    LONG_DROP
} LongDocuments;

/* Where a document begins in the arrays; the next one's place is its end. */
typedef struct DocumentPlace {
    int64_t id, run;
} DocumentPlace;

/* What became of everything that was read. */
typedef struct DocumentCounts {
    int64_t n_documents; /* as kept: pieces count one by one */
    int64_t n_ids, n_runs;
    int64_t n_scored; /* ids that are learned */
    int64_t n_bytes;  /* of their text, the tokens that end a document or an answer not counted */
    int64_t n_long;   /* documents longer than a row: split, cut or dropped */
    int64_t n_blank;  /* without anything to learn: left out */
} DocumentCounts;

typedef struct Documents {
    int tokens_max; /* places in a row */
    LongDocuments long_documents;
    int32_t *ids;
    WeightRun *runs;
    DocumentPlace *places; /* [n_documents + 1] once there is one */
    DocumentCounts counts;
    int64_t ids_capacity, runs_capacity, places_capacity;
} Documents;

void documents_clear(Documents *d); /* keeps the memory */
void documents_free(Documents *d);

/* Adds ids[0 .. n-1]; weights [n] (the first is not looked at) or NULL: all 1. n_bytes: of the text
 * that is learned; of a document that is cut, its share by tokens is counted. */
bool documents_add(Documents *d, const int32_t *ids, const float *weights, int64_t n,
                   int64_t n_bytes, Error *err) MUST_USE;

void document_counts_add(DocumentCounts *sum, const DocumentCounts *more);

#endif
