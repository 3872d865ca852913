/* See documents.h. */
#include "train/documents.h"

#include "base/mem.h"

#include <string.h>

void documents_clear(Documents *d) { d->counts = (DocumentCounts){0}; }

void documents_free(Documents *d)
{
    mem_free(d->ids);
    mem_free(d->runs);
    mem_free(d->places);
    *d = (Documents){0};
}

void document_counts_add(DocumentCounts *sum, const DocumentCounts *more)
{
    sum->n_documents += more->n_documents;
    sum->n_ids += more->n_ids;
    sum->n_runs += more->n_runs;
    sum->n_scored += more->n_scored;
    sum->n_bytes += more->n_bytes;
    sum->n_long += more->n_long;
    sum->n_blank += more->n_blank;
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

/* Ids from .. to-1 that are learned when `from` is the document's first. */
static int64_t count_scored(const float *weights, int64_t from, int64_t to)
{
    int64_t n = 0;
    for (int64_t i = from + 1; i < to; i++)
        n += weight_at(weights, i) > 0;
    return n;
}

static void add_runs(Documents *d, const float *weights, int64_t from, int64_t to)
{
    WeightRun *run = NULL;
    for (int64_t i = from + 1; i < to; i++) {
        const float weight = weight_at(weights, i);
        if (!run || run->weight != weight) {
            run = &d->runs[d->counts.n_runs++];
            *run = (WeightRun){0, weight};
        }
        run->n++;
    }
}

/* One document as it will be in a row. */
static bool add_whole(Documents *d, const int32_t *ids, const float *weights, int64_t from,
                      int64_t to, Error *err)
{
    DocumentCounts *c = &d->counts;
    if (!reserve((void **)&d->ids, &d->ids_capacity, c->n_ids, to - from, sizeof *d->ids, err) ||
        !reserve((void **)&d->runs, &d->runs_capacity, c->n_runs, to - from, sizeof *d->runs,
                 err) ||
        !reserve((void **)&d->places, &d->places_capacity, c->n_documents, 2, sizeof *d->places,
                 err))
        return false;
    memcpy(d->ids + c->n_ids, ids + from, sizeof *ids * (size_t)(to - from));
    add_runs(d, weights, from, to);
    c->n_ids += to - from;
    c->n_scored += count_scored(weights, from, to);
    c->n_documents++;
    d->places[c->n_documents] = (DocumentPlace){c->n_ids, c->n_runs};
    return true;
}

bool documents_add(Documents *d, const int32_t *ids, const float *weights, int64_t n,
                   int64_t n_bytes, Error *err)
{
    DocumentCounts *c = &d->counts;
    const int64_t longest = (int64_t)d->tokens_max + 1;
    const int64_t scored_of_all = count_scored(weights, 0, n), scored_before = c->n_scored;
    const bool is_long = n > longest;
    bool has_any = false;
    c->n_long += is_long;
    if (is_long && d->long_documents == LONG_DROP)
        return true;
    /* The last id of a piece is the first of the next: it is predicted there, and predicts here. */
    for (int64_t from = 0; from + 1 < n; from += longest - 1) {
        const int64_t to = from + longest < n ? from + longest : n;
        if (count_scored(weights, from, to) > 0) {
            has_any = true;
            if (!add_whole(d, ids, weights, from, to, err))
                return false;
        }
        if (d->long_documents != LONG_SPLIT)
            break;
    }
    c->n_blank += !has_any;
    if (has_any)
        c->n_bytes += (int64_t)((double)n_bytes * (double)(c->n_scored - scored_before) /
                                (double)scored_of_all);
    return true;
}
