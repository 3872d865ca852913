/* Tokenized documents in a file that is mapped, so that neither memory nor the time of a restart
 * grows with the data.
 *
 *   header     what the file was made from, counts, where the blocks are listed
 *   blocks     records of documents (documents.h), then where in the block each begins
 *   the list   of blocks: number of the first document, place of the records and of the starts
 *
 * Numbers are those of the machine: the file is not for other ones. It is written beside its place
 * and renamed; one that was made from something else is not taken up. */
#ifndef WEN_TRAIN_DATA_CACHE_H
#define WEN_TRAIN_DATA_CACHE_H

#include "base/file.h"
#include "train/documents.h"

/* What a file of documents was made from. */
typedef struct DataOrigin {
    uint64_t content;                  /* hash of the source's bytes */
    uint64_t key;                      /* hash of everything that text becomes documents by */
    int64_t source_bytes, source_time; /* the source's size and time of change */
} DataOrigin;

typedef struct DataCache {
    FileMap map;
    DataOrigin origin;
    DocumentCounts counts;
    const struct CacheBlock *blocks; /* [n_blocks] */
    int64_t n_blocks;
} DataCache;

/* False when there is no such file, or it is none of ours. */
bool data_cache_open(DataCache *c, const char *path) MUST_USE;
void data_cache_close(DataCache *c); /* a zeroed one is fine */
/* Document i of counts.n_documents; borrowed from the mapping. */
DataDocument data_cache_document(const DataCache *c, int64_t i);

typedef struct DataCacheWriter DataCacheWriter;
DataCacheWriter *data_cache_writer_open(const char *path, Error *err) MUST_USE;
/* One block. */
bool data_cache_writer_add(DataCacheWriter *w, const Documents *d, Error *err) MUST_USE;
/* Both free w. */
bool data_cache_writer_commit(DataCacheWriter *w, const DataOrigin *origin, Error *err) MUST_USE;
void data_cache_writer_cancel(DataCacheWriter *w); /* NULL is fine */

#endif
