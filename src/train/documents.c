/* See documents.h. */
#include "train/documents.h"

#include "base/mem.h"

#include <string.h>

enum { RECORD_HEAD = 2, RUN_WORDS = sizeof(WeightRun) / sizeof(int32_t) };

DataDocument document_at(const int32_t *record)
{
    return (DataDocument){.n = record[0],
                          .runs = (const WeightRun *)(record + RECORD_HEAD),
                          .ids = record + RECORD_HEAD + RUN_WORDS * record[1]};
}

void document_counts_add(DocumentCounts *sum, const DocumentCounts *more)
{
    sum->n_documents += more->n_documents;
    sum->n_places += more->n_places;
    sum->n_scored += more->n_scored;
    sum->n_bytes += more->n_bytes;
    sum->n_long += more->n_long;
    sum->n_blank += more->n_blank;
}

void documents_clear(Documents *d)
{
    d->counts = (DocumentCounts){0};
    d->n_words = 0;
}

void documents_free(Documents *d)
{
    mem_free(d->words);
    mem_free(d->starts);
    *d = (Documents){0};
}

/* Room for n elements more. */
static bool reserve(void **block, int64_t *capacity, int64_t used, int64_t n, size_t element,
                    Error *err)
{
    if (used + n <= *capacity)
        return true;
    int64_t wanted = *capacity < 512 ? 1024 : 2 * *capacity;
    wanted = wanted < used + n ? used + n : wanted;
    void *grown = mem_try_grow(*block, element * (size_t)*capacity, element * (size_t)wanted,
                               "documents", err);
    if (!grown)
        return false;
    *block = grown;
    *capacity = wanted;
    return true;
}

static float weight_at(const float *weights, int64_t i) { return weights ? weights[i] : 1.0f; }

/* Ids from .. to-1 that are learned when `from` is the document's first; and their runs. */
static int64_t count_scored(const float *weights, int64_t from, int64_t to, int64_t *n_runs)
{
    int64_t n = 0;
    *n_runs = 0;
    for (int64_t i = from + 1; i < to; i++) {
        n += weight_at(weights, i) > 0;
        *n_runs += i == from + 1 || weight_at(weights, i) != weight_at(weights, i - 1);
    }
    return n;
}

static void write_runs(WeightRun *run, const float *weights, int64_t from, int64_t to)
{
    *run = (WeightRun){0, weight_at(weights, from + 1)};
    for (int64_t i = from + 1; i < to; i++) {
        if (weight_at(weights, i) != run->weight)
            *++run = (WeightRun){0, weight_at(weights, i)};
        run->n++;
    }
}

/* Ids from .. to-1 as one document, unless there is nothing to learn in it. */
static bool add_whole(Documents *d, const int32_t *ids, const float *weights, int64_t from,
                      int64_t to, Error *err)
{
    int64_t n_runs;
    const int64_t n_scored = count_scored(weights, from, to, &n_runs);
    const int64_t n_words = RECORD_HEAD + RUN_WORDS * n_runs + to - from;
    if (n_scored == 0)
        return true;
    if (!reserve((void **)&d->words, &d->words_capacity, d->n_words, n_words, sizeof *d->words,
                 err) ||
        !reserve((void **)&d->starts, &d->starts_capacity, d->counts.n_documents, 1,
                 sizeof *d->starts, err))
        return false;
    int32_t *record = d->words + d->n_words;
    record[0] = (int32_t)(to - from - 1);
    record[1] = (int32_t)n_runs;
    write_runs((WeightRun *)(record + RECORD_HEAD), weights, from, to);
    memcpy(record + n_words - (to - from), ids + from, sizeof *ids * (size_t)(to - from));
    d->starts[d->counts.n_documents++] = d->n_words;
    d->n_words += n_words;
    d->counts.n_places += record[0];
    d->counts.n_scored += n_scored;
    return true;
}

bool documents_add(Documents *d, const int32_t *ids, const float *weights, int64_t n,
                   int64_t n_bytes, Error *err)
{
    DocumentCounts *c = &d->counts;
    const int64_t longest = (int64_t)d->tokens_max + 1, scored_before = c->n_scored;
    int64_t n_runs;
    const bool is_long = n > longest;
    c->n_long += is_long;
    if (is_long && d->long_documents == LONG_DROP)
        return true;
    /* The last id of a piece is the first of the next: it is predicted there, and predicts here. */
    for (int64_t from = 0; from + 1 < n; from += longest - 1) {
        if (!add_whole(d, ids, weights, from, from + longest < n ? from + longest : n, err))
            return false;
        if (d->long_documents != LONG_SPLIT)
            break;
    }
    const int64_t scored = c->n_scored - scored_before;
    c->n_blank += scored == 0;
    if (scored > 0)
        c->n_bytes += (int64_t)((double)n_bytes * (double)scored /
                                (double)count_scored(weights, 0, n, &n_runs));
    return true;
}
