/* See data_cache.h. */
#include "train/data_cache.h"

#include "base/mem.h"

#include <string.h>

static const char MAGIC[8] = "wendoc1";

typedef struct CacheHeader {
    char magic[sizeof MAGIC];
    DataOrigin origin;
    DocumentCounts counts;
    int64_t n_blocks, blocks_at, file_bytes;
} CacheHeader;

typedef struct CacheBlock {
    int64_t first_document, words_at, starts_at; /* bytes from the file's beginning */
} CacheBlock;

/* ---- Reading --------------------------------------------------------------------------------- */

static bool fits(const CacheHeader *h, size_t bytes)
{
    return memcmp(h->magic, MAGIC, sizeof MAGIC) == 0 && h->file_bytes == (int64_t)bytes &&
           h->n_blocks >= 0 && h->blocks_at >= (int64_t)sizeof *h &&
           h->blocks_at <= h->file_bytes &&
           h->n_blocks == (h->file_bytes - h->blocks_at) / (int64_t)sizeof(CacheBlock);
}

bool data_cache_open(DataCache *c, const char *path)
{
    CacheHeader header;
    *c = (DataCache){0};
    if (!file_exists(path) || !file_map(&c->map, path, NULL))
        return false;
    if (c->map.bytes >= sizeof header) {
        memcpy(&header, c->map.data, sizeof header);
        if (fits(&header, c->map.bytes)) {
            c->origin = header.origin;
            c->counts = header.counts;
            c->blocks = (const CacheBlock *)(c->map.data + header.blocks_at);
            c->n_blocks = header.n_blocks;
            file_map_scattered(&c->map); /* epochs are shuffled */
            return true;
        }
    }
    data_cache_close(c);
    return false;
}

void data_cache_close(DataCache *c)
{
    file_unmap(&c->map);
    *c = (DataCache){0};
}

DataDocument data_cache_document(const DataCache *c, int64_t i)
{
    int64_t low = 0, high = c->n_blocks;
    while (high - low > 1) {
        const int64_t middle = (low + high) / 2;
        if (c->blocks[middle].first_document <= i)
            low = middle;
        else
            high = middle;
    }
    const CacheBlock *block = &c->blocks[low];
    const int64_t *starts = (const int64_t *)(c->map.data + block->starts_at);
    const int32_t *words = (const int32_t *)(c->map.data + block->words_at);
    return document_at(words + starts[i - block->first_document]);
}

/* ---- Writing --------------------------------------------------------------------------------- */

struct DataCacheWriter {
    FileWriter *file;
    DocumentCounts counts;
    CacheBlock *blocks;
    int64_t n_blocks, capacity;
};

DataCacheWriter *data_cache_writer_open(const char *path, Error *err)
{
    const CacheHeader empty = {0};
    FileWriter *file = file_writer_open(path, err);
    if (!file)
        return NULL;
    if (!file_writer_write(file, &empty, sizeof empty, err)) {
        file_writer_cancel(file);
        return NULL;
    }
    DataCacheWriter *w = mem_alloc(sizeof *w);
    w->file = file;
    return w;
}

static bool list_block(DataCacheWriter *w, CacheBlock block, Error *err)
{
    if (w->n_blocks == w->capacity) {
        const int64_t more = w->capacity ? 2 * w->capacity : 256;
        CacheBlock *grown = mem_try_grow(w->blocks, sizeof *grown * (size_t)w->capacity,
                                         sizeof *grown * (size_t)more, "the list of blocks", err);
        if (!grown)
            return false;
        w->blocks = grown;
        w->capacity = more;
    }
    w->blocks[w->n_blocks++] = block;
    return true;
}

/* The file's offset stays a multiple of eight, as the list and the starts need it. */
static bool write_words(DataCacheWriter *w, const Documents *d, Error *err)
{
    const int32_t filling = 0;
    return file_writer_write(w->file, d->words, sizeof *d->words * (size_t)d->n_words, err) &&
           (d->n_words % 2 == 0 || file_writer_write(w->file, &filling, sizeof filling, err));
}

bool data_cache_writer_add(DataCacheWriter *w, const Documents *d, Error *err)
{
    CacheBlock block = {.first_document = w->counts.n_documents,
                        .words_at = (int64_t)file_writer_offset(w->file)};
    document_counts_add(&w->counts, &d->counts);
    if (d->counts.n_documents == 0)
        return true;
    if (!write_words(w, d, err))
        return false;
    block.starts_at = (int64_t)file_writer_offset(w->file);
    return file_writer_write(w->file, d->starts, sizeof *d->starts * (size_t)d->counts.n_documents,
                             err) &&
           list_block(w, block, err);
}

static void writer_free(DataCacheWriter *w)
{
    mem_free(w->blocks);
    mem_free(w);
}

bool data_cache_writer_commit(DataCacheWriter *w, const DataOrigin *origin, Error *err)
{
    const size_t list_bytes = sizeof *w->blocks * (size_t)w->n_blocks;
    CacheHeader header = {.origin = *origin,
                          .counts = w->counts,
                          .n_blocks = w->n_blocks,
                          .blocks_at = (int64_t)file_writer_offset(w->file)};
    memcpy(header.magic, MAGIC, sizeof MAGIC);
    header.file_bytes = header.blocks_at + (int64_t)list_bytes;
    bool ok = file_writer_write(w->file, w->blocks, list_bytes, err) &&
              file_writer_patch(w->file, 0, &header, sizeof header, err);
    if (ok)
        ok = file_writer_commit(w->file, err);
    else
        file_writer_cancel(w->file);
    writer_free(w);
    return ok;
}

void data_cache_writer_cancel(DataCacheWriter *w)
{
    if (!w)
        return;
    file_writer_cancel(w->file);
    writer_free(w);
}
