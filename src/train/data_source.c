/* See data_source.h. */
#include "train/data_source.h"

#include "base/hash.h"
#include "base/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Counts up whenever the same text becomes other documents than before. */
enum { READING_VERSION = 1 };

/* ---- What is kept, and whether it still holds ------------------------------------------------ */

static uint64_t key_of(const TrainConfig *c, const DataText *text)
{
    const int64_t parts[] = {READING_VERSION, c->tokens, c->long_documents, c->score,
                             data_text_end(text)};
    return hash_bytes(text->key, (Str){(const char *)parts, sizeof parts});
}

/* FOLDER/NAME-HASH.docs, the hash that of the path: sources may have the same name. */
static char *cache_path(const char *path, const DataText *text)
{
    const char *slash = strrchr(path, '/');
    char name[128];
    snprintf(name, sizeof name, "%.80s-%08x.docs", slash ? slash + 1 : path,
             (unsigned)hash_bytes(0, str_from(path)));
    return file_join(text->folder, name);
}

/* Whether the cache was made from this file. A file whose size and time have not changed is the
 * same; one that was only touched is found out by its contents. */
static bool is_current(const DataCache *cache, const FileMap *map, const DataOrigin *now,
                       bool is_lines)
{
    const DataOrigin *then = &cache->origin;
    if (then->key != now->key || then->source_bytes != now->source_bytes)
        return false;
    return then->source_time == now->source_time || then->content == data_content(map, is_lines);
}

static bool make_cache(const char *path, const char *cached, const FileMap *map, DataOrigin *now,
                       const TrainConfig *c, const DataText *text, Error *err)
{
    if (!file_make_dir(text->folder, err))
        return false;
    DataCacheWriter *w = data_cache_writer_open(cached, err);
    if (!w)
        return false;
    if (data_read(path, map, c, text, w, &now->content, err))
        return data_cache_writer_commit(w, now, err);
    data_cache_writer_cancel(w);
    return false;
}

/* ---- Counts ---------------------------------------------------------------------------------- */

static bool check_counts(const DocumentCounts *c, const char *path, int tokens, Error *err)
{
    if (c->n_documents > 0)
        return true;
    if (c->n_long > 0)
        return error_set(err, ERROR_LIMIT,
                         "%s: all %" PRId64 " documents in it are longer than batch.tokens (%d)",
                         path, c->n_long, tokens);
    return error_set(err, ERROR_FORMAT, "%s: there is no document in it to learn from", path);
}

static void say_counts(const DocumentCounts *c, const char *path, const TrainConfig *config,
                       const DataText *text)
{
    static const char *const fates[] = {"in pieces", "cut", "left out"};
    Buf line = {0};
    if (!text->line)
        return;
    buf_printf(&line, "%s: %" PRId64 " documents, %" PRId64 " tokens", path, c->n_documents,
               c->n_places);
    if (c->n_scored < c->n_places)
        buf_printf(&line, ", %" PRId64 " of them learned", c->n_scored);
    if (c->n_long > 0)
        buf_printf(&line, "; %" PRId64 " longer than %d tokens, %s", c->n_long, config->tokens,
                   fates[config->long_documents]);
    if (c->n_blank > 0)
        buf_printf(&line, "; %" PRId64 " with nothing to learn, left out", c->n_blank);
    text->line(text->context, line.data);
    buf_free(&line);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static bool open_cache(DataSource *s, const char *path, const FileMap *map, DataOrigin *now,
                       const TrainConfig *c, const DataText *text, Error *err)
{
    const bool is_lines = str_ends(str_from(path), STR(".jsonl"));
    char *cached = cache_path(path, text);
    bool ok = data_cache_open(&s->cache, cached);
    if (ok && !is_current(&s->cache, map, now, is_lines)) {
        data_cache_close(&s->cache);
        ok = false;
    }
    if (!ok) {
        ok = make_cache(path, cached, map, now, c, text, err);
        if (ok && !data_cache_open(&s->cache, cached))
            ok = error_set(err, ERROR_IO, "%s: it was written, but cannot be read", cached);
    }
    mem_free(cached);
    return ok;
}

bool data_source_open(DataSource *s, const char *path, const TrainConfig *c, const DataText *text,
                      Error *err)
{
    DataOrigin now = {.key = key_of(c, text)};
    FileMap map;
    *s = (DataSource){0};
    if (!str_ends(str_from(path), STR(".jsonl")) && !str_ends(str_from(path), STR(".txt")))
        return error_set(err, ERROR_UNSUPPORTED, "%s: data is .txt or .jsonl", path);
    if (data_text_end(text) < 0)
        return error_set(err, ERROR_ARGUMENT, "the tokenizer has no end-of-text token");
    if (!file_map(&map, path, err))
        return false;
    now.source_bytes = (int64_t)map.bytes;
    now.source_time = file_time(path);
    const bool ok = open_cache(s, path, &map, &now, c, text, err) &&
                    check_counts(data_source_counts(s), path, c->tokens, err);
    file_unmap(&map);
    if (ok)
        say_counts(data_source_counts(s), path, c, text);
    else
        data_source_close(s);
    return ok;
}

void data_source_close(DataSource *s)
{
    data_cache_close(&s->cache);
    *s = (DataSource){0};
}

const DocumentCounts *data_source_counts(const DataSource *s) { return &s->cache.counts; }

DataDocument data_source_document(const DataSource *s, int64_t i)
{
    return data_cache_document(&s->cache, i);
}

void data_source_release(const DataSource *s) { file_map_release(&s->cache.map); }

uint64_t data_source_key(const DataSource *s)
{
    return rng_counter(s->cache.origin.key, s->cache.origin.content,
                       (uint64_t)s->cache.counts.n_documents);
}
