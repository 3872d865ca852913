/* Documents for training: from files (data_source.h) to rows of packed tokens.
 *
 * Sources are drawn by weight; each goes through its documents in an order that a seed and the
 * epoch shuffle. Which documents step n sees is a function of the seed and n alone. */
#ifndef WEN_TRAIN_DATA_H
#define WEN_TRAIN_DATA_H

#include "train/data_source.h"
#include "train/micro.h"

/* A document that is drawn but not yet in a batch. */
typedef struct DataPiece {
    int64_t source, doc;
} DataPiece;

/* What a resumed run needs; `waiting` holds n_waiting pieces. */
typedef struct DataCursor {
    int64_t n_draws;
    int64_t epoch[TRAIN_SOURCES_MAX], next[TRAIN_SOURCES_MAX];
} DataCursor;

typedef struct Data {
    DataSource *sources;
    int n_sources;
    int rows, tokens;
    int64_t seed;
    double bytes_per_token; /* of what is learned, weighted by the sources' shares of tokens */
    DataCursor cursor;
    DataPiece *waiting;
    int n_waiting;
    /* The batch that was made last. */
    Rows batch;
    int *row_start, *doc_start, *room;
    int32_t *ids, *targets;
    float *weights;
    struct Placed *placed;
    Arena arena;
} Data;

/* A tokenizer with more ids than the model's vocabulary is an error. */
bool data_open(Data *d, const TrainConfig *c, const DataText *text, Error *err) MUST_USE;
void data_close(Data *d); /* a zeroed one is fine */

/* The next global batch: c->rows rows of at most c->tokens tokens. Documents stay whole; each goes
 * into the row that it fills best, and one that fits in none waits for the next batch, where those
 * that have waited come first. Valid until the next call. */
const Rows *data_next(Data *d);

/* Cursor and waiting pieces as bytes, and back; false when the documents were others. */
void data_save(const Data *d, Buf *out);
bool data_load(Data *d, Str saved);

#endif
