/* See heldout.h. */
#include "train/heldout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROWS = 8 };

/* ---- Opening
 * --------------------------------------------------------------------------------------------- */

/* The file's name without folder and ending; a number behind it when another has it already. */
static void name_source(Heldout *h, HeldoutSource *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    const int n = (int)(dot ? dot - name : (ptrdiff_t)strlen(name));
    snprintf(s->name, sizeof s->name, "%.*s", n < 40 ? n : 40, name);
    for (const HeldoutSource *other = h->sources; other < s; other++)
        if (strcmp(other->name, s->name) == 0) {
            snprintf(s->name, sizeof s->name, "%.*s_%d", n < 40 ? n : 40, name,
                     (int)(s - h->sources) + 1);
            return;
        }
}

bool heldout_open(Heldout *h, Trainer *t, Error *err)
{
    const TrainConfig *c = trainer_config(t);
    *h = (Heldout){.trainer = t};
    if (c->eval.n_sources == 0)
        return true;
    const int n = ROWS * c->tokens;
    h->row_start = ARENA_ARRAY(&h->arena, int, ROWS + 1);
    h->doc_start = ARENA_ARRAY(&h->arena, int, n + 1);
    h->ids = ARENA_ARRAY(&h->arena, int32_t, n);
    h->targets = ARENA_ARRAY(&h->arena, int32_t, n);
    h->weights = ARENA_ARRAY(&h->arena, float, n);
    h->sources = ARENA_ARRAY(&h->arena, HeldoutSource, c->eval.n_sources);
    for (int i = 0; i < c->eval.n_sources; i++) {
        const TrainSource *source = &c->eval.sources[i];
        HeldoutSource *s = &h->sources[h->n_sources++];
        s->weight = source->weight;
        name_source(h, s, source->path);
        const DataText text = trainer_data_text(t);
        if (!data_source_open(&s->data, source->path, c, &text, err)) {
            heldout_close(h);
            return error_add(err, "eval.sources");
        }
    }
    return true;
}

void heldout_close(Heldout *h)
{
    for (int i = 0; i < h->n_sources; i++)
        data_source_close(&h->sources[i].data);
    arena_close(&h->arena);
    *h = (Heldout){0};
}

/* ---- Scoring
 * --------------------------------------------------------------------------------------------- */

typedef struct Sum {
    double nats, weights;
} Sum;

static void score_rows(Heldout *h, Sum *sum)
{
    if (h->n_tokens == 0)
        return;
    h->row_start[h->n_rows] = h->n_docs;
    h->doc_start[h->n_docs] = h->n_tokens;
    const Rows rows = {h->n_rows, h->row_start, h->doc_start, h->ids, h->targets, h->weights};
    sum->nats += trainer_score(h->trainer, &rows, NULL);
    for (int i = 0; i < h->n_tokens; i++)
        sum->weights += (double)h->weights[i];
    h->n_rows = h->n_docs = h->n_tokens = 0;
}

/* Documents are no longer than a row; one that does not fit into this one begins the next. */
static void add_document(Heldout *h, const DataDocument *d, Sum *sum)
{
    const int tokens = trainer_config(h->trainer)->tokens;
    const bool fits =
        h->n_rows > 0 && h->n_tokens - h->doc_start[h->row_start[h->n_rows - 1]] + d->n <= tokens;
    if (!fits && h->n_rows == ROWS)
        score_rows(h, sum);
    if (!fits)
        h->row_start[h->n_rows++] = h->n_docs;
    h->doc_start[h->n_docs++] = h->n_tokens;
    const WeightRun *run = d->runs;
    for (int i = 0, left = run->n; i < d->n; i++, left--) {
        while (left == 0)
            left = (++run)->n;
        h->ids[h->n_tokens] = d->ids[i];
        h->targets[h->n_tokens] = d->ids[i + 1];
        h->weights[h->n_tokens++] = run->weight;
    }
}

static void score_source(Heldout *h, HeldoutSource *s)
{
    const int64_t most = trainer_config(h->trainer)->eval.tokens;
    const DocumentCounts *counts = data_source_counts(&s->data);
    int64_t n_tokens = 0;
    Sum sum = {0};
    for (int64_t i = 0; i < counts->n_documents && n_tokens < most; i++) {
        const DataDocument d = data_source_document(&s->data, i);
        add_document(h, &d, &sum);
        n_tokens += d.n;
    }
    score_rows(h, &sum);
    const double bytes_per_token = (double)counts->n_bytes / (double)counts->n_scored;
    s->score.loss = sum.nats / sum.weights;
    s->score.bpb = s->score.loss / log(2) / bytes_per_token;
}

void heldout_score(Heldout *h)
{
    double weights = 0;
    h->total = (HeldoutScore){0};
    for (int i = 0; i < h->n_sources; i++) {
        HeldoutSource *s = &h->sources[i];
        score_source(h, s);
        weights += s->weight;
        h->total.loss += s->weight * s->score.loss;
        h->total.bpb += s->weight * s->score.bpb;
    }
    h->total.loss /= weights;
    h->total.bpb /= weights;
}
