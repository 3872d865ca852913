/* Documents for training: from files to rows of packed tokens.
 *
 *   .txt    one document a file
 *   .jsonl  {"text": "..."} a line, one document each
 *
 * Everything is tokenized when the data is opened, so a broken line is found before any compute is
 * spent. A document ends with the tokenizer's end-of-text token, which is learned.
 *
 * Sources are drawn by weight; each goes through its documents in an order that a seed and the
 * epoch shuffle. Which documents step n sees is a function of the seed and n alone. */
#ifndef WEN_TRAIN_DATA_H
#define WEN_TRAIN_DATA_H

#include "text/tokenizer.h"
#include "train/micro.h"
#include "train/train_config.h"

/* A document that is drawn but not yet, or not yet wholly, in a batch. */
typedef struct DataPiece {
    int32_t source, doc;
    int64_t from; /* first token not yet used */
} DataPiece;

typedef struct DataSource {
    Ids ids;
    int64_t *start; /* [n_docs + 1], in ids */
    int n_docs;
    int64_t n_bytes; /* of all texts */
    int32_t *order;  /* of this epoch */
    double share;    /* of draws, cumulated: the last one's is 1 */
} DataSource;

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
    double bytes_per_token; /* over all sources, weighted by their share of tokens */
    DataCursor cursor;
    DataPiece *waiting;
    int n_waiting, waiting_capacity;
    /* The batch that was made last. */
    Rows batch;
    int *row_start, *doc_start;
    int32_t *ids, *targets;
    float *weights;
    struct Placed *placed;
    Arena arena;
} Data;

/* n_vocab: rows of the model's embedding; a tokenizer with more ids is an error. */
bool data_open(Data *d, const TrainConfig *c, const Tokenizer *tokenizer, int n_vocab,
               Error *err) MUST_USE;
void data_close(Data *d); /* a zeroed one is fine */

/* The next global batch: c->rows rows of at most c->tokens tokens, documents packed best-fit; a
 * document that fits nowhere whole is cut. Valid until the next call. */
const Rows *data_next(Data *d);

/* Cursor and waiting pieces as bytes, and back; false when they do not fit this data. */
void data_save(const Data *d, Buf *out);
bool data_load(Data *d, Str saved);

#endif
