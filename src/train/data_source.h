/* One file of training data as documents.
 *
 *   .txt    one document a file
 *   .jsonl  one document a line: {"text": "..."}, or {"messages": [...]} (chat_data.h)
 *
 * All of it is read when it is opened for the first time, so a broken line is found before any
 * compute is spent. A text ends with the tokenizer's end-of-text token, which is learned. What was
 * read is kept (data_cache.h) and taken up again as long as the file's contents, the tokenizer, the
 * template and the keys that matter are the same. */
#ifndef WEN_TRAIN_DATA_SOURCE_H
#define WEN_TRAIN_DATA_SOURCE_H

#include "train/data_read.h"

typedef struct DataSource {
    DataCache cache;
    double share; /* of draws, cumulated: the last one's is 1 */
} DataSource;

bool data_source_open(DataSource *s, const char *path, const TrainConfig *c, const DataText *text,
                      Error *err) MUST_USE;
void data_source_close(DataSource *s); /* a zeroed one is fine */

const DocumentCounts *data_source_counts(const DataSource *s);
DataDocument data_source_document(const DataSource *s, int64_t i);
/* Lets go of the memory that documents take which were looked at; those stay valid. */
void data_source_release(const DataSource *s);
/* Tells these documents from all others. */
uint64_t data_source_key(const DataSource *s);

#endif
