/* See data.h. */
#include "train/data.h"

#include "base/file.h"
#include "base/rng.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES_MAX = 1 << 28, DOCS_MAX = 1 << 28 };

/* ---- Reading
 * ------------------------------------------------------------------------------------------ */

typedef struct Reader {
    const Tokenizer *tokenizer;
    DataSource *source;
    int32_t end;      /* the token that ends a document */
    int64_t capacity; /* of source->start */
    const char *path;
    Error *err;
} Reader;

static bool add_document(Reader *r, Str text)
{
    DataSource *s = r->source;
    if (text.bytes == 0)
        return true;
    if (!tokenizer_encode_plain(r->tokenizer, text, &s->ids, r->err))
        return false;
    ids_push(&s->ids, r->end);
    if (s->n_docs + 1 >= r->capacity) {
        const int64_t more = r->capacity < 512 ? 1024 : 2 * r->capacity;
        int64_t *grown = mem_try_grow(s->start, sizeof *grown * (size_t)r->capacity,
                                      sizeof *grown * (size_t)more, "documents", r->err);
        if (!grown)
            return false;
        s->start = grown;
        r->capacity = more;
    }
    s->n_bytes += (int64_t)text.bytes;
    s->start[++s->n_docs] = s->ids.n;
    return true;
}

static bool add_line(Reader *r, Str line, int number)
{
    json_error_t where;
    json_t *json = json_loadb(line.data, line.bytes, 0, &where);
    const json_t *text = json_object_get(json, "text");
    bool ok = true;
    if (!json)
        ok = error_set(r->err, ERROR_FORMAT, "%s:%d: %s", r->path, number, where.text);
    else if (!json_is_string(text))
        ok = error_set(r->err, ERROR_FORMAT, "%s:%d: no \"text\" in this line", r->path, number);
    else if (!add_document(r, (Str){json_string_value(text), json_string_length(text)}))
        ok = error_add(r->err, "%s:%d", r->path, number);
    json_decref(json);
    return ok;
}

static bool read_lines(Reader *r, Str all)
{
    size_t from = 0;
    for (int number = 1; from < all.bytes; number++) {
        const char *end = memchr(all.data + from, '\n', all.bytes - from);
        const size_t to = end ? (size_t)(end - all.data) : all.bytes;
        if (to > from && !add_line(r, str_slice(all, from, to), number))
            return false;
        from = to + 1;
    }
    return true;
}

static bool read_source(Reader *r)
{
    FileMap map;
    const Str path = str_from(r->path);
    const bool is_lines = str_ends(path, STR(".jsonl"));
    if (!is_lines && !str_ends(path, STR(".txt")))
        return error_set(r->err, ERROR_UNSUPPORTED, "%s: data is .txt or .jsonl", r->path);
    if (!file_map(&map, r->path, r->err))
        return false;
    const Str all = {(const char *)map.data, map.bytes};
    r->source->start = mem_alloc(sizeof *r->source->start);
    r->capacity = 1;
    const bool ok =
        is_lines ? read_lines(r, all) : add_document(r, all) || error_add(r->err, "%s", r->path);
    file_unmap(&map);
    if (ok && r->source->n_docs == 0)
        return error_set(r->err, ERROR_FORMAT, "%s: there is no document in it", r->path);
    return ok;
}

/* ---- Order
 * --------------------------------------------------------------------------------------------- */

/* Fisher-Yates with numbers of (seed, source, epoch). */
static void shuffle(Data *d, int source)
{
    DataSource *s = &d->sources[source];
    Rng rng = {rng_counter((uint64_t)d->seed, (uint64_t)source, (uint64_t)d->cursor.epoch[source])};
    for (int i = 0; i < s->n_docs; i++)
        s->order[i] = i;
    for (int i = s->n_docs - 1; i > 0; i--) {
        const int j = (int)rng_below(&rng, (uint64_t)i + 1);
        const int32_t other = s->order[i];
        s->order[i] = s->order[j];
        s->order[j] = other;
    }
}

static DataPiece draw(Data *d)
{
    const double u =
        rng_unit(rng_counter((uint64_t)d->seed, 0x64726177, (uint64_t)d->cursor.n_draws++));
    int source = 0;
    while (source < d->n_sources - 1 && u >= d->sources[source].share)
        source++;
    int64_t *next = &d->cursor.next[source];
    if (*next == d->sources[source].n_docs) {
        *next = 0;
        d->cursor.epoch[source]++;
        shuffle(d, source);
    }
    return (DataPiece){source, d->sources[source].order[(*next)++], 0};
}

/* Tokens of a piece that can be learned from: each but the document's last predicts one. */
static int64_t piece_len(const Data *d, const DataPiece *p)
{
    const int64_t *start = d->sources[p->source].start + p->doc;
    return start[1] - start[0] - 1 - p->from;
}

static void push_waiting(Data *d, DataPiece p)
{
    if (piece_len(d, &p) <= 0)
        return;
    if (d->n_waiting == d->waiting_capacity) {
        const int more = d->waiting_capacity ? 2 * d->waiting_capacity : 256;
        DataPiece *grown = mem_alloc(sizeof *grown * (size_t)more);
        if (d->n_waiting > 0)
            memcpy(grown, d->waiting, sizeof *grown * (size_t)d->n_waiting);
        mem_free(d->waiting);
        d->waiting = grown;
        d->waiting_capacity = more;
    }
    d->waiting[d->n_waiting++] = p;
}

/* ---- Packing
 * -------------------------------------------------------------------------------------------- */

/* A piece, or its first n tokens, in a row. */
typedef struct Placed {
    DataPiece piece;
    int n, row;
} Placed;

typedef struct Packing {
    Data *d;
    int *room; /* [rows] */
    int n_placed;
} Packing;

static void place(Packing *p, const DataPiece *piece, int n, int row)
{
    p->d->placed[p->n_placed++] = (Placed){*piece, n, row};
    p->room[row] -= n;
}

/* The row with the least room that takes n tokens, or -1. */
static int best_row(const Packing *p, int64_t n)
{
    int best = -1;
    for (int r = 0; r < p->d->rows; r++)
        if (p->room[r] >= n && (best < 0 || p->room[r] < p->room[best]))
            best = r;
    return best;
}

static int roomiest_row(const Packing *p)
{
    int best = 0;
    for (int r = 1; r < p->d->rows; r++)
        if (p->room[r] > p->room[best])
            best = r;
    return best;
}

/* Pieces that waited come first, then new draws, each into the row it fills best; what fits nowhere
 * whole is cut to fill the roomiest row, and the rest waits for the next batch. */
static void pack(Packing *p)
{
    Data *d = p->d;
    int64_t room = (int64_t)d->rows * d->tokens;
    int kept = 0, i = 0;
    for (; room > 0; i++) {
        while (i == d->n_waiting)
            push_waiting(d, draw(d));
        DataPiece piece = d->waiting[i];
        const int64_t len = piece_len(d, &piece);
        int row = best_row(p, len), n = (int)len;
        if (row < 0) {
            row = roomiest_row(p);
            n = p->room[row];
        }
        place(p, &piece, n, row);
        room -= n;
        piece.from += n;
        if (n < len)
            d->waiting[kept++] = piece;
    }
    while (i < d->n_waiting)
        d->waiting[kept++] = d->waiting[i++];
    d->n_waiting = kept;
}

static void write_document(Data *d, const Placed *placed, int at)
{
    const DataSource *s = &d->sources[placed->piece.source];
    const int32_t *ids = s->ids.data + s->start[placed->piece.doc] + placed->piece.from;
    memcpy(d->ids + at, ids, sizeof(int32_t) * (size_t)placed->n);
    memcpy(d->targets + at, ids + 1, sizeof(int32_t) * (size_t)placed->n);
    for (int i = 0; i < placed->n; i++)
        d->weights[at + i] = 1.0f;
}

const Rows *data_next(Data *d)
{
    ArenaMark mark = arena_mark(&d->arena);
    Packing p = {.d = d, .room = ARENA_ARRAY(&d->arena, int, d->rows)};
    for (int r = 0; r < d->rows; r++)
        p.room[r] = d->tokens;
    pack(&p);
    int n_docs = 0, n_tokens = 0;
    for (int r = 0; r < d->rows; r++) {
        d->row_start[r] = n_docs;
        for (int i = 0; i < p.n_placed; i++)
            if (d->placed[i].row == r) {
                write_document(d, &d->placed[i], n_tokens);
                d->doc_start[n_docs++] = n_tokens;
                n_tokens += d->placed[i].n;
            }
    }
    d->row_start[d->rows] = n_docs;
    d->doc_start[n_docs] = n_tokens;
    arena_rewind(&d->arena, mark);
    d->batch = (Rows){d->rows, d->row_start, d->doc_start, d->ids, d->targets, d->weights};
    return &d->batch;
}

/* ---- Opening, saving
 * ------------------------------------------------------------------------------------- */

static bool make_batch_memory(Data *d, Error *err)
{
    size_t n;
    if (!mem_product((size_t)d->rows, (size_t)d->tokens, INT32_MAX / 2, &n))
        return error_set(err, ERROR_LIMIT, "batch: %d rows of %d tokens are too many", d->rows,
                         d->tokens);
    d->row_start = arena_try_alloc(&d->arena, sizeof(int) * ((size_t)d->rows + 1), "a batch", err);
    d->doc_start = arena_try_alloc(&d->arena, sizeof(int) * (n + 1), "a batch", err);
    d->ids = arena_try_alloc(&d->arena, sizeof(int32_t) * n, "a batch", err);
    d->targets = arena_try_alloc(&d->arena, sizeof(int32_t) * n, "a batch", err);
    d->weights = arena_try_alloc(&d->arena, sizeof(float) * n, "a batch", err);
    d->placed = arena_try_alloc(&d->arena, sizeof(Placed) * n, "a batch", err);
    return d->row_start && d->doc_start && d->ids && d->targets && d->weights && d->placed;
}

bool data_open(Data *d, const TrainConfig *c, const Tokenizer *tokenizer, int n_vocab, Error *err)
{
    double total = 0, sum = 0, bytes = 0, tokens = 0;
    *d = (Data){.rows = c->rows, .tokens = c->tokens, .seed = c->seed};
    d->sources = ARENA_ARRAY(&d->arena, DataSource, c->n_sources);
    if (tokenizer_n_tokens(tokenizer) > n_vocab)
        return error_set(err, ERROR_ARGUMENT,
                         "the tokenizer has %d tokens, the model's vocabulary only %d",
                         tokenizer_n_tokens(tokenizer), n_vocab);
    int32_t end = tokenizer_added_id(tokenizer, "<|endoftext|>");
    if (end < 0)
        end = tokenizer_eos_id(tokenizer);
    if (end < 0)
        return error_set(err, ERROR_ARGUMENT, "the tokenizer has no end-of-text token");
    for (int i = 0; i < c->n_sources; i++)
        total += c->sources[i].weight;
    for (int i = 0; i < c->n_sources; i++) {
        Reader r = {tokenizer, &d->sources[i], end, 0, c->sources[i].path, err};
        d->n_sources++;
        if (!read_source(&r)) {
            data_close(d);
            return false;
        }
        DataSource *s = &d->sources[i];
        sum += c->sources[i].weight;
        s->share = sum / total;
        s->order = mem_alloc(sizeof *s->order * (size_t)s->n_docs);
        shuffle(d, i);
        const double mean = c->sources[i].weight / s->n_docs;
        bytes += mean * (double)s->n_bytes;
        tokens += mean * (double)(s->ids.n - s->n_docs);
    }
    d->bytes_per_token = bytes / tokens;
    if (make_batch_memory(d, err))
        return true;
    data_close(d);
    return false;
}

void data_close(Data *d)
{
    for (int i = 0; i < d->n_sources; i++) {
        ids_free(&d->sources[i].ids);
        mem_free(d->sources[i].start);
        mem_free(d->sources[i].order);
    }
    mem_free(d->waiting);
    arena_close(&d->arena);
    *d = (Data){0};
}

void data_save(const Data *d, Buf *out)
{
    const int64_t n = d->n_waiting;
    buf_append(out, &d->cursor, sizeof d->cursor);
    buf_append(out, &n, sizeof n);
    buf_append(out, d->waiting, sizeof *d->waiting * (size_t)n);
}

/* Whether the piece points into the data. */
static bool is_piece(const Data *d, const DataPiece *p)
{
    return p->source >= 0 && p->source < d->n_sources && p->doc >= 0 &&
           p->doc < d->sources[p->source].n_docs && p->from >= 0 && piece_len(d, p) > 0;
}

bool data_load(Data *d, Str saved)
{
    int64_t n;
    DataCursor cursor;
    if (saved.bytes < sizeof cursor + sizeof n)
        return false;
    memcpy(&cursor, saved.data, sizeof cursor);
    memcpy(&n, saved.data + sizeof cursor, sizeof n);
    if (n < 0 || (saved.bytes - sizeof cursor - sizeof n) / sizeof(DataPiece) != (uint64_t)n)
        return false;
    for (int i = 0; i < d->n_sources; i++)
        if (cursor.epoch[i] < 0 || cursor.next[i] < 0 || cursor.next[i] > d->sources[i].n_docs)
            return false;
    d->cursor = cursor;
    d->n_waiting = 0;
    for (int64_t i = 0; i < n; i++) {
        DataPiece piece;
        memcpy(&piece, saved.data + sizeof cursor + sizeof n + (size_t)i * sizeof piece,
               sizeof piece);
        if (!is_piece(d, &piece))
            return false;
        push_waiting(d, piece);
    }
    for (int i = 0; i < d->n_sources; i++)
        shuffle(d, i);
    return true;
}
