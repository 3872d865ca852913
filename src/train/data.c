/* See data.h. */
#include "train/data.h"

#include "base/rng.h"

#include <string.h>

/* A batch is full enough once so many documents, or as many as it has rows, fit nowhere: rows cost
 * by their tokens, so what stays free costs nothing. */
enum { WAITING_MIN = 64, PERMUTATION_ROUNDS = 4 };

/* ---- Order ----------------------------------------------------------------------------------- */

/* Place i of a random order of n documents, made from the keys without a table: a Feistel network
 * permutes the smallest square of a power of two that holds n, and is walked until it lands below
 * n (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). */
static int64_t permuted(int64_t i, int64_t n, uint64_t seed, uint64_t source, uint64_t epoch)
{
    int half = 1;
    while (half < 31 && (int64_t)1 << (2 * half) < n)
        half++;
    const uint64_t mask = ((uint64_t)1 << half) - 1, key = rng_counter(seed, source, epoch);
    uint64_t x = (uint64_t)i;
    do {
        uint64_t left = x >> half, right = x & mask;
        for (uint64_t round = 0; round < PERMUTATION_ROUNDS; round++) {
            const uint64_t mixed = left ^ (rng_counter(key, round, right) & mask);
            left = right;
            right = mixed;
        }
        x = left << half | right;
    } while (x >= (uint64_t)n);
    return (int64_t)x;
}

static int64_t n_documents(const Data *d, int64_t source)
{
    return data_source_counts(&d->sources[source])->n_documents;
}

static DataPiece draw(Data *d)
{
    const double u =
        rng_unit(rng_counter((uint64_t)d->seed, 0x64726177, (uint64_t)d->cursor.n_draws++));
    int source = 0;
    while (source < d->n_sources - 1 && u >= d->sources[source].share)
        source++;
    int64_t *next = &d->cursor.next[source], *epoch = &d->cursor.epoch[source];
    if (*next == n_documents(d, source)) {
        *next = 0;
        ++*epoch;
    }
    return (DataPiece){source, permuted((*next)++, n_documents(d, source), (uint64_t)d->seed,
                                        (uint64_t)source, (uint64_t)*epoch)};
}

static DataDocument document(const Data *d, DataPiece p)
{
    return data_source_document(&d->sources[p.source], p.doc);
}

/* ---- Packing --------------------------------------------------------------------------------- */

typedef struct Placed {
    DataPiece piece;
    int row;
} Placed;

/* The row with the least room that takes n tokens, or -1. */
static int best_row(const Data *d, int n)
{
    int best = -1;
    for (int r = 0; r < d->rows; r++)
        if (d->room[r] >= n && (best < 0 || d->room[r] < d->room[best]))
            best = r;
    return best;
}

static bool try_place(Data *d, DataPiece piece, int *n_placed)
{
    const int n = document(d, piece).n, row = best_row(d, n);
    if (row < 0)
        return false;
    d->placed[(*n_placed)++] = (Placed){piece, row};
    d->room[row] -= n;
    return true;
}

static int waiting_max(const Data *d) { return d->rows > WAITING_MIN ? d->rows : WAITING_MIN; }

static bool is_full(const Data *d)
{
    for (int r = 0; r < d->rows; r++)
        if (d->room[r] > 0)
            return false;
    return true;
}

/* Those that waited come first, then new draws. Returns how many were placed. */
static int pack(Data *d)
{
    int n_placed = 0, kept = 0;
    for (int r = 0; r < d->rows; r++)
        d->room[r] = d->tokens;
    for (int i = 0; i < d->n_waiting; i++)
        if (!try_place(d, d->waiting[i], &n_placed))
            d->waiting[kept++] = d->waiting[i];
    d->n_waiting = kept;
    while (d->n_waiting < waiting_max(d) && !is_full(d)) {
        const DataPiece piece = draw(d);
        if (!try_place(d, piece, &n_placed))
            d->waiting[d->n_waiting++] = piece;
    }
    return n_placed;
}

static int write_document(Data *d, DataPiece piece, int at)
{
    const DataDocument doc = document(d, piece);
    const WeightRun *run = doc.runs;
    memcpy(d->ids + at, doc.ids, sizeof(int32_t) * (size_t)doc.n);
    memcpy(d->targets + at, doc.ids + 1, sizeof(int32_t) * (size_t)doc.n);
    for (int i = 0; i < doc.n; run++)
        for (int k = 0; k < run->n; k++)
            d->weights[at + i++] = run->weight;
    return doc.n;
}

const Rows *data_next(Data *d)
{
    const int n_placed = pack(d);
    int n_docs = 0, n_tokens = 0;
    for (int r = 0; r < d->rows; r++) {
        d->row_start[r] = n_docs;
        for (int i = 0; i < n_placed; i++)
            if (d->placed[i].row == r) {
                d->doc_start[n_docs++] = n_tokens;
                n_tokens += write_document(d, d->placed[i].piece, n_tokens);
            }
    }
    d->row_start[d->rows] = n_docs;
    d->doc_start[n_docs] = n_tokens;
    for (int i = 0; i < d->n_sources; i++)
        data_source_release(&d->sources[i]);
    d->batch = (Rows){d->rows, d->row_start, d->doc_start, d->ids, d->targets, d->weights};
    return &d->batch;
}

/* ---- Opening, saving ------------------------------------------------------------------------- */

static bool make_batch_memory(Data *d, Error *err)
{
    size_t n;
    if (!mem_product((size_t)d->rows, (size_t)d->tokens, INT32_MAX / 2, &n))
        return error_set(err, ERROR_LIMIT, "batch: %d rows of %d tokens are too many", d->rows,
                         d->tokens);
    Arena *a = &d->arena;
    d->row_start = arena_try_alloc(a, sizeof(int) * ((size_t)d->rows + 1), "a batch", err);
    d->doc_start = arena_try_alloc(a, sizeof(int) * (n + 1), "a batch", err);
    d->room = arena_try_alloc(a, sizeof(int) * (size_t)d->rows, "a batch", err);
    d->ids = arena_try_alloc(a, sizeof(int32_t) * n, "a batch", err);
    d->targets = arena_try_alloc(a, sizeof(int32_t) * n, "a batch", err);
    d->weights = arena_try_alloc(a, sizeof(float) * n, "a batch", err);
    d->placed = arena_try_alloc(a, sizeof(Placed) * n, "a batch", err);
    d->waiting = arena_try_alloc(a, sizeof(DataPiece) * (size_t)waiting_max(d), "a batch", err);
    return d->row_start && d->doc_start && d->room && d->ids && d->targets && d->weights &&
           d->placed && d->waiting;
}

static bool open_sources(Data *d, const TrainConfig *c, const DataText *text, Error *err)
{
    double total = 0, sum = 0, bytes = 0, tokens = 0;
    for (int i = 0; i < c->n_sources; i++)
        total += c->sources[i].weight;
    for (; d->n_sources < c->n_sources; d->n_sources++) {
        const TrainSource *from = &c->sources[d->n_sources];
        DataSource *s = &d->sources[d->n_sources];
        if (!data_source_open(s, from->path, c, text, err))
            return false;
        sum += from->weight;
        s->share = sum / total;
        const DocumentCounts *counts = data_source_counts(s);
        const double mean = from->weight / (double)counts->n_documents;
        bytes += mean * (double)counts->n_bytes;
        tokens += mean * (double)counts->n_scored;
    }
    d->bytes_per_token = bytes / tokens;
    return true;
}

bool data_open(Data *d, const TrainConfig *c, const DataText *text, Error *err)
{
    const int n_tokens = tokenizer_n_tokens(text->tokenizer);
    *d = (Data){.rows = c->rows, .tokens = c->tokens, .seed = c->seed};
    if (n_tokens > text->n_vocab)
        return error_set(err, ERROR_ARGUMENT,
                         "the tokenizer has %d tokens, the model's vocabulary only %d", n_tokens,
                         text->n_vocab);
    d->sources = ARENA_ARRAY(&d->arena, DataSource, c->n_sources);
    if (open_sources(d, c, text, err) && make_batch_memory(d, err))
        return true;
    data_close(d);
    return false;
}

void data_close(Data *d)
{
    for (int i = 0; i < d->n_sources; i++)
        data_source_close(&d->sources[i]);
    arena_close(&d->arena);
    *d = (Data){0};
}

void data_save(const Data *d, Buf *out)
{
    const int64_t n = d->n_waiting;
    for (int i = 0; i < d->n_sources; i++) {
        const uint64_t key = data_source_key(&d->sources[i]);
        buf_append(out, &key, sizeof key);
    }
    buf_append(out, &d->cursor, sizeof d->cursor);
    buf_append(out, &n, sizeof n);
    buf_append(out, d->waiting, sizeof *d->waiting * (size_t)n);
}

/* Whether the piece points into the data. */
static bool is_piece(const Data *d, const DataPiece *p)
{
    return p->source >= 0 && p->source < d->n_sources && p->doc >= 0 &&
           p->doc < n_documents(d, p->source);
}

/* Whether the saved run had the same documents. */
static bool take_keys(const Data *d, Str *saved)
{
    for (int i = 0; i < d->n_sources; i++) {
        const uint64_t key = data_source_key(&d->sources[i]);
        if (saved->bytes < sizeof key || memcmp(saved->data, &key, sizeof key) != 0)
            return false;
        *saved = str_slice(*saved, sizeof key, saved->bytes);
    }
    return true;
}

bool data_load(Data *d, Str saved)
{
    int64_t n;
    DataCursor cursor;
    if (!take_keys(d, &saved))
        return false;
    if (saved.bytes < sizeof cursor + sizeof n)
        return false;
    memcpy(&cursor, saved.data, sizeof cursor);
    memcpy(&n, saved.data + sizeof cursor, sizeof n);
    saved = str_slice(saved, sizeof cursor + sizeof n, saved.bytes);
    if (n < 0 || n > waiting_max(d) || saved.bytes != sizeof(DataPiece) * (size_t)n)
        return false;
    for (int i = 0; i < d->n_sources; i++)
        if (cursor.epoch[i] < 0 || cursor.next[i] < 0 || cursor.next[i] > n_documents(d, i))
            return false;
    if (n > 0)
        memcpy(d->waiting, saved.data, saved.bytes);
    for (int64_t i = 0; i < n; i++)
        if (!is_piece(d, &d->waiting[i]))
            return false;
    d->cursor = cursor;
    d->n_waiting = (int)n;
    return true;
}
