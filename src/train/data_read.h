/* From a file of text or conversations to a file of documents, on all threads.
 *
 * The file is mapped and cut into blocks of whole lines (.jsonl), or at line ends where no token
 * crosses (.txt). A round of blocks is tokenized side by side and written in order; then its pages
 * are let go. So memory holds a round, whatever the file's size, and the result does not depend on
 * the number of threads. */
#ifndef WEN_TRAIN_DATA_READ_H
#define WEN_TRAIN_DATA_READ_H

#include "train/data_cache.h"
#include "train/train_config.h"

/* How text becomes ids, for all sources of a run. */
typedef struct DataText {
    const Tokenizer *tokenizer;
    const ChatTemplate *chat; /* NULL: the model has none */
    uint64_t key;             /* of what tokenizer and template are made from */
    int n_vocab;              /* rows of the model's embedding */
    const char *folder;       /* where files of documents are kept */
    int n_threads;            /* 0: one a processor */
    /* Lines on what is read, and how far long reading has come; NULL: silent. */
    void (*line)(void *context, const char *text);
    void *context;
} DataText;

/* The token that ends a text, or -1. */
int32_t data_text_end(const DataText *text);

/* The hash that tells the contents of a source from others. */
uint64_t data_content(const FileMap *map, bool is_lines);

/* Errors give file and line. *content: as data_content's. */
bool data_read(const char *path, const FileMap *map, const TrainConfig *c, const DataText *text,
               DataCacheWriter *out, uint64_t *content, Error *err) MUST_USE;

#endif
