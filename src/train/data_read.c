/* See data_read.h. */
#include "train/data_read.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/pool.h"
#include "train/blocks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK_BYTES = 256 << 10, BLOCKS_A_THREAD = 4, BLOCK_WORDS = 1 << 18 };
static const double SECONDS_BETWEEN_LINES = 2;

/* What one thread works with. */
typedef struct Worker {
    ChatReader chat;
    Ids ids;
} Worker;

/* Whole lines, or a part of a text, and what they became. */
typedef struct Block {
    Str text;
    int64_t first_line;  /* from 1 */
    size_t from;         /* byte in the file */
    Documents documents; /* of lines */
    Ids ids;             /* of a text */
    Error err;
} Block;

typedef struct Reading {
    const char *path;
    const DataText *text;
    const FileMap *map;
    DataCacheWriter *out;
    bool is_lines;
    int32_t end;
    Pool *pool;
    Worker *workers;
    Block *blocks;
    int n_blocks, blocks_max;
    size_t at;       /* how far the file is cut */
    int64_t n_lines; /* up to there */
    uint64_t content;
    double said_at;
    /* Of a text: ids that are not yet in a document, and documents that are not yet written. */
    Ids pending;
    Documents documents;
    bool is_long;
} Reading;

int32_t data_text_end(const DataText *text)
{
    const int32_t end = tokenizer_added_id(text->tokenizer, "<|endoftext|>");
    return end >= 0 ? end : tokenizer_eos_id(text->tokenizer);
}

/* ---- Blocks ---------------------------------------------------------------------------------- */

uint64_t data_content(const FileMap *map, bool is_lines)
{
    const Str all = {(const char *)map->data, map->bytes};
    uint64_t content = 0;
    for (size_t at = 0, end; at < all.bytes; at = end) {
        end = block_end(all, at, BLOCK_BYTES, is_lines);
        content = hash_bytes(content, str_slice(all, at, end));
    }
    return content;
}

/* Cuts the next round. */
static void cut_blocks(Reading *r)
{
    const Str all = {(const char *)r->map->data, r->map->bytes};
    for (r->n_blocks = 0; r->n_blocks < r->blocks_max && r->at < all.bytes; r->n_blocks++) {
        Block *b = &r->blocks[r->n_blocks];
        const size_t end = block_end(all, r->at, BLOCK_BYTES, r->is_lines);
        b->text = str_slice(all, r->at, end);
        b->from = r->at;
        b->first_line = r->n_lines + 1;
        r->n_lines += block_lines(b->text);
        r->content = hash_bytes(r->content, b->text);
        r->at = end;
    }
}

/* ---- A block --------------------------------------------------------------------------------- */

static bool add_text(const Reading *r, Worker *w, Block *b, Str text)
{
    if (text.bytes == 0)
        return true;
    w->ids.n = 0;
    if (!tokenizer_encode_plain(r->text->tokenizer, text, &w->ids, &b->err))
        return false;
    ids_push(&w->ids, r->end);
    return documents_add(&b->documents, w->ids.data, NULL, w->ids.n, (int64_t)text.bytes, &b->err);
}

static bool add_chat(const Reading *r, Worker *w, Block *b, const json_t *conversation)
{
    if (!r->text->chat)
        return error_set(&b->err, ERROR_UNSUPPORTED,
                         "a conversation, but the model has no chat template: put a "
                         "chat_template.jinja beside its tokenizer");
    return chat_reader_add(&w->chat, conversation, &b->documents, &b->err);
}

static bool add_line(const Reading *r, Worker *w, Block *b, Str line)
{
    json_error_t where;
    json_t *json = json_loadb(line.data, line.bytes, JSON_ALLOW_NUL, &where);
    const json_t *text = json_object_get(json, "text");
    bool ok;
    if (!json)
        ok = error_set(&b->err, ERROR_FORMAT, "column %d: %s", where.column, where.text);
    else if (json_object_get(json, "messages"))
        ok = add_chat(r, w, b, json);
    else if (json_is_string(text))
        ok = add_text(r, w, b, (Str){json_string_value(text), json_string_length(text)});
    else
        ok = error_set(&b->err, ERROR_FORMAT, "neither \"text\" nor \"messages\" in this line");
    json_decref(json);
    return ok;
}

static bool is_blank(Str line)
{
    size_t n = 0;
    while (n < line.bytes && strchr(" \t\r", line.data[n]) && line.data[n] != 0)
        n++;
    return n == line.bytes;
}

static void read_lines(const Reading *r, Worker *w, Block *b)
{
    int64_t number = b->first_line;
    for (size_t at = 0, end; at < b->text.bytes; at = end + 1, number++) {
        const char *newline = memchr(b->text.data + at, '\n', b->text.bytes - at);
        end = newline ? (size_t)(newline - b->text.data) : b->text.bytes;
        const Str line = str_slice(b->text, at, end);
        if (!is_blank(line) && !add_line(r, w, b, line)) {
            error_add(&b->err, "%s:%" PRId64, r->path, number);
            return;
        }
    }
}

static void read_block(void *context, int task, int worker)
{
    const Reading *r = context;
    Block *b = &r->blocks[task];
    documents_clear(&b->documents);
    b->ids.n = 0;
    if (r->is_lines)
        read_lines(r, &r->workers[worker], b);
    else if (!tokenizer_encode_plain(r->text->tokenizer, b->text, &b->ids, &b->err))
        error_add(&b->err, "%s: from byte %zu", r->path, b->from);
}

/* ---- A text ---------------------------------------------------------------------------------- */

static bool flush_documents(Reading *r, Error *err)
{
    const bool ok = data_cache_writer_add(r->out, &r->documents, err);
    documents_clear(&r->documents);
    return ok;
}

/* Pieces of a row's length; the last id of one is the first of the next. Ids that might be the
 * text's last piece stay. */
static bool split_pending(Reading *r, Error *err)
{
    const int longest = r->documents.tokens_max + 1;
    int from = 0;
    for (; r->pending.n - from > longest; from += longest - 1) {
        r->is_long = true;
        if (!documents_add(&r->documents, r->pending.data + from, NULL, longest, 0, err) ||
            (r->documents.n_words > BLOCK_WORDS && !flush_documents(r, err)))
            return false;
    }
    r->pending.n -= from;
    memmove(r->pending.data, r->pending.data + from, sizeof(int32_t) * (size_t)r->pending.n);
    return true;
}

/* Takes in the next part of the text; *is_done when the rest does not matter. */
static bool add_part(Reading *r, const Block *b, bool *is_done, Error *err)
{
    for (int i = 0; i < b->ids.n; i++)
        ids_push(&r->pending, b->ids.data[i]);
    if (r->documents.long_documents == LONG_SPLIT)
        return split_pending(r, err);
    *is_done = r->pending.n > r->documents.tokens_max + 1;
    return true;
}

static bool end_text(Reading *r, Error *err)
{
    const bool is_split = r->documents.long_documents == LONG_SPLIT;
    if (r->pending.n == 0)
        return true;
    ids_push(&r->pending, r->end);
    if ((is_split && !split_pending(r, err)) ||
        !documents_add(&r->documents, r->pending.data, NULL, r->pending.n,
                       is_split ? 0 : (int64_t)r->at, err))
        return false;
    if (is_split) {
        r->documents.counts.n_bytes += (int64_t)r->map->bytes;
        r->documents.counts.n_long += r->is_long;
    }
    return flush_documents(r, err);
}

/* ---- Rounds ---------------------------------------------------------------------------------- */

/* Writes what a round became; the first error in the file's order counts. */
static bool write_round(Reading *r, bool *is_done, Error *err)
{
    for (int i = 0; i < r->n_blocks && !*is_done; i++) {
        const Block *b = &r->blocks[i];
        if (b->err.code != ERROR_NONE) {
            if (err)
                *err = b->err;
            return false;
        }
        if (r->is_lines ? !data_cache_writer_add(r->out, &b->documents, err)
                        : !add_part(r, b, is_done, err))
            return false;
    }
    return true;
}

static void say_progress(Reading *r)
{
    char line[256];
    const double now = clock_seconds();
    if (!r->text->line || now - r->said_at < SECONDS_BETWEEN_LINES)
        return;
    r->said_at = now;
    snprintf(line, sizeof line, "%.160s: %.0f %% of %.1f MB tokenized", r->path,
             100 * (double)r->at / (double)r->map->bytes, (double)r->map->bytes / 1e6);
    r->text->line(r->text->context, line);
}

static bool read_all(Reading *r, Error *err)
{
    bool is_done = false;
    while (!is_done && r->at < r->map->bytes) {
        cut_blocks(r);
        pool_run(r->pool, r->n_blocks, read_block, r);
        if (!write_round(r, &is_done, err))
            return false;
        file_map_release(r->map);
        say_progress(r);
    }
    return r->is_lines || end_text(r, err);
}

static bool open_reading(Reading *r, const TrainConfig *c, Error *err)
{
    const Documents empty = {.tokens_max = c->tokens, .long_documents = c->long_documents};
    r->pool = pool_open(r->text->n_threads, err);
    if (!r->pool)
        return false;
    const int n_threads = pool_n_threads(r->pool);
    r->blocks_max = BLOCKS_A_THREAD * n_threads;
    r->workers = mem_alloc(sizeof *r->workers * (size_t)n_threads);
    r->blocks = mem_alloc(sizeof *r->blocks * (size_t)r->blocks_max);
    r->documents = empty;
    for (int i = 0; i < r->blocks_max; i++)
        r->blocks[i].documents = empty;
    for (int i = 0; i < n_threads; i++)
        r->workers[i].chat = (ChatReader){.chat = r->text->chat,
                                          .tokenizer = r->text->tokenizer,
                                          .score = c->score,
                                          .end = r->end};
    return true;
}

static void close_reading(Reading *r)
{
    for (int i = 0; r->pool && i < pool_n_threads(r->pool); i++) {
        chat_reader_free(&r->workers[i].chat);
        ids_free(&r->workers[i].ids);
    }
    for (int i = 0; i < r->blocks_max; i++) {
        documents_free(&r->blocks[i].documents);
        ids_free(&r->blocks[i].ids);
    }
    documents_free(&r->documents);
    ids_free(&r->pending);
    mem_free(r->workers);
    mem_free(r->blocks);
    if (r->pool)
        pool_close(r->pool);
}

bool data_read(const char *path, const FileMap *map, const TrainConfig *c, const DataText *text,
               DataCacheWriter *out, uint64_t *content, Error *err)
{
    Reading r = {.path = path,
                 .text = text,
                 .map = map,
                 .out = out,
                 .is_lines = str_ends(str_from(path), STR(".jsonl")),
                 .end = data_text_end(text),
                 .said_at = clock_seconds()};
    const bool ok = open_reading(&r, c, err) && read_all(&r, err);
    close_reading(&r);
    /* Of a text whose beginning was enough, the rest is hashed all the same. */
    *content = !ok ? 0 : r.at == map->bytes ? r.content : data_content(map, r.is_lines);
    return ok;
}
