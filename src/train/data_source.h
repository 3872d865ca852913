/* One file of training data as documents.
 *
 *   .txt    one document a file
 *   .jsonl  one document a line: {"text": "..."}, or {"messages": [...]} (chat_data.h)
 *
 * All of it is read when it is opened, so a broken line is found before any compute is spent. A
 * text ends with the tokenizer's end-of-text token, which is learned. */
#ifndef WEN_TRAIN_DATA_SOURCE_H
#define WEN_TRAIN_DATA_SOURCE_H

#include "train/train_config.h"

/* How text becomes ids, for all sources of a run. */
typedef struct DataText {
    const Tokenizer *tokenizer;
    const ChatTemplate *chat; /* NULL: the model has none */
    int n_vocab;              /* rows of the model's embedding */
    /* One line on each source that was read; NULL: silent. */
    void (*line)(void *context, const char *text);
    void *context;
} DataText;

typedef struct DataSource {
    Documents documents;
    double share; /* of draws, cumulated: the last one's is 1 */
} DataSource;

bool data_source_open(DataSource *s, const char *path, const TrainConfig *c, const DataText *text,
                      Error *err) MUST_USE;
void data_source_close(DataSource *s); /* a zeroed one is fine */

/* Document i: its ids are ids[0 .. n], of which ids[n] is only predicted. */
typedef struct DataDocument {
    const int32_t *ids;
    int n;
    const WeightRun *runs; /* of ids[1 .. n] */
} DataDocument;
DataDocument data_source_document(const DataSource *s, int64_t i);

#endif
