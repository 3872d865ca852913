/* Training documents: what readers of text and conversations append to, and what data files hold.
 *
 * A document is ids and, for each id but the first, the weight with which it is learned: 0 is
 * context, 1 counts in full. A document of n + 1 ids takes n places of a row: every id but the last
 * predicts the next one. Weights are kept as runs, since a conversation has few.
 *
 * A document is a record of 32-bit words: n, the number of runs, the runs, the ids. */
#ifndef WEN_TRAIN_DOCUMENTS_H
#define WEN_TRAIN_DOCUMENTS_H

#include "base/error.h"

#include <stdint.h>

/* n ids that follow one another, learned with one weight. */
typedef struct WeightRun {
    int32_t n;
    float weight;
} WeightRun;

/* ids[0 .. n], of which ids[n] is only predicted. */
typedef struct DataDocument {
    const int32_t *ids;
    int n;
    const WeightRun *runs; /* of ids[1 .. n] */
} DataDocument;
DataDocument document_at(const int32_t *record);

/* What becomes of a document that is longer than a row. */
typedef enum LongDocuments {
    LONG_SPLIT, /* pieces of a row's length, each a document that does not see the one before */
    LONG_CUT,   /* the beginning stays, the rest is left out */
    LONG_DROP
} LongDocuments;

/* What became of everything that was read. */
typedef struct DocumentCounts {
    int64_t n_documents; /* as kept: pieces count one by one */
    int64_t n_places;    /* in rows: tokens that predict */
    int64_t n_scored;    /* places whose prediction is learned */
    int64_t n_bytes;     /* of the text of these; what ends a document or an answer not counted */
    int64_t n_long;      /* documents longer than a row: split, cut or dropped */
    int64_t n_blank;     /* without anything to learn: left out */
} DocumentCounts;

void document_counts_add(DocumentCounts *sum, const DocumentCounts *more);

typedef struct Documents {
    int tokens_max; /* places in a row */
    LongDocuments long_documents;
    int32_t *words;
    int64_t n_words;
    int64_t *starts; /* [n_documents]: where in words each begins */
    DocumentCounts counts;
    int64_t words_capacity, starts_capacity;
} Documents;

void documents_clear(Documents *d); /* keeps the memory */
void documents_free(Documents *d);

/* Adds ids[0 .. n-1]; weights [n] (the first is not looked at) or NULL: all 1. n_bytes: of the text
 * that is learned; of a document that is cut, its share by tokens is counted. */
bool documents_add(Documents *d, const int32_t *ids, const float *weights, int64_t n,
                   int64_t n_bytes, Error *err) MUST_USE;

#endif
