/* See drafter.h. */
#include "engine/drafter.h"

#include "base/clock.h"

#include <string.h>

static bool make_buffers(Drafter *d, int context, Error *err)
{
    const Config *c = &d->model->config;
    Backend *b = d->model->backend;
    const int t = DRAFTER_BATCH_TOKENS, s = DRAFT_ROWS_MAX;
    const size_t bytes = engine_step_bytes(c, t, s, context);
    if (!step_open(&d->step, b, bytes, err) || !engine_reserve(d->model, t, s, err))
        return false;
    d->ids = mem_alloc(sizeof(int32_t) * (size_t)t);
    d->positions = mem_alloc(sizeof(int32_t) * (size_t)t);
    d->rows = mem_alloc(sizeof(int32_t) * (size_t)s);
    d->spans = mem_alloc(sizeof(SeqSpan) * (size_t)s);
    d->sample_rows = mem_alloc(sizeof(SampleRow) * (size_t)s);
    d->sampled = mem_alloc(sizeof(Sampled) * (size_t)s);
    return true;
}

Drafter *drafter_open(Model *model, DType kv_type, int n_pages, int context, Error *err)
{
    Drafter *d = mem_alloc(sizeof *d);
    d->model = model;
    if (kv_open(&d->kv, model->backend, &model->config, kv_type, n_pages, err) &&
        make_buffers(d, context, err))
        return d;
    error_add(err, "the draft model");
    drafter_close(d);
    return NULL;
}

void drafter_close(Drafter *d)
{
    if (!d)
        return;
    kv_close(&d->kv);
    step_close(&d->step);
    mem_free(d->ids);
    mem_free(d->positions);
    mem_free(d->rows);
    mem_free(d->spans);
    mem_free(d->sample_rows);
    mem_free(d->sampled);
    mem_free(d);
}

/* What the draft model's keys and values depend on beside tokens. */
static uint64_t salt_of(const Drafter *d, const Sequence *s)
{
    return s->salt ^ positions_salt(&d->model->config, s->request.n_prompt);
}

/* Ids and drafts that have no keys and values yet. */
static int n_pending(const Sequence *s)
{
    return s->ids.n + s->n_drafts - s->draft_kv.n_computed - s->n_drafts_computed;
}

static int32_t id_at(const Sequence *s, int position)
{
    return position < s->ids.n ? s->ids.data[position] : s->drafts[position - s->ids.n];
}

/* Gives each job its rows, out of *n_left. Returns how many rows there are. */
static int plan(Drafter *d, DraftJob *jobs, int n, int *n_left)
{
    int n_rows = 0;
    for (int i = 0; i < n; i++) {
        DraftJob *job = &jobs[i];
        Sequence *s = job->sequence;
        job->n_rows = 0;
        if (job->is_over || s->n_drafts >= job->n_wanted)
            continue;
        int rows = n_pending(s);
        rows = rows < *n_left ? rows : *n_left;
        if (rows == 0 || !page_table_grow(&s->draft_kv, &d->kv, s->n_drafts_computed + rows)) {
            job->is_over = true;
            continue;
        }
        job->first_row = n_rows;
        job->n_rows = rows;
        n_rows += rows;
        *n_left -= rows;
    }
    return n_rows;
}

static void *upload(Drafter *d, const void *host, size_t bytes)
{
    Backend *b = d->model->backend;
    void *device = step_take(&d->step, bytes);
    b->upload(b, device, host, bytes);
    return device;
}

static Batch make_batch(Drafter *d, const DraftJob *jobs, int n, int n_rows)
{
    int n_spans = 0;
    for (int i = 0; i < n; i++) {
        const DraftJob *job = &jobs[i];
        const Sequence *s = job->sequence;
        const int first = s->draft_kv.n_computed + s->n_drafts_computed;
        for (int r = 0; r < job->n_rows; r++) {
            d->ids[job->first_row + r] = id_at(s, first + r);
            d->positions[job->first_row + r] = first + r;
        }
        if (job->n_rows == 0)
            continue;
        d->spans[n_spans] = (SeqSpan){
            .first_row = job->first_row,
            .n_rows = job->n_rows,
            .first_position = first,
            .pages = upload(d, s->draft_kv.pages, sizeof(int32_t) * (size_t)s->draft_kv.n_pages),
        };
        positions_place(&d->model->config, s->request.n_prompt, &d->spans[n_spans++]);
    }
    return (Batch){
        .n_tokens = n_rows,
        .n_seqs = n_spans,
        .ids = upload(d, d->ids, sizeof(int32_t) * (size_t)n_rows),
        .positions = upload(d, d->positions, sizeof(int32_t) * (size_t)n_rows),
        .seqs = upload(d, d->spans, sizeof(SeqSpan) * (size_t)n_spans),
    };
}

static void note_computed(Drafter *d, const DraftJob *job)
{
    Sequence *s = job->sequence;
    int n_ids = s->ids.n - s->draft_kv.n_computed;
    n_ids = n_ids < job->n_rows ? n_ids : job->n_rows;
    page_table_advance(&s->draft_kv, &d->kv, &s->ids, salt_of(d, s), n_ids);
    s->n_drafts_computed += job->n_rows - n_ids;
}

/* Draws where all that was known is computed; the other jobs catch up. */
static void draw(Drafter *d, DraftJob *jobs, int n, Mat hidden)
{
    Backend *b = d->model->backend;
    int n_drawn = 0;
    for (int i = 0; i < n; i++) {
        note_computed(d, &jobs[i]);
        if (jobs[i].n_rows == 0 || n_pending(jobs[i].sequence) > 0)
            continue;
        d->rows[n_drawn] = jobs[i].first_row + jobs[i].n_rows - 1;
        d->sample_rows[n_drawn++] = sequence_draft_row(jobs[i].sequence);
    }
    if (n_drawn == 0)
        return;
    Mat logits = step_mat(&d->step, n_drawn, d->model->config.n_vocab);
    const int32_t *rows = upload(d, d->rows, sizeof(int32_t) * (size_t)n_drawn);
    head_logits(d->model, hidden, rows, &d->step, logits);
    b->sample(b, logits, d->sample_rows, d->sampled);
    n_drawn = 0;
    for (int i = 0; i < n; i++)
        if (jobs[i].n_rows > 0 && n_pending(jobs[i].sequence) == 0)
            jobs[i].is_over = !sequence_push_draft(jobs[i].sequence, d->sampled[n_drawn++].id);
}

static void measure(Drafter *d, int n_rows, double seconds)
{
    d->seconds = d->seconds > 0 ? 0.8 * d->seconds + 0.2 * seconds / n_rows : seconds / n_rows;
}

void drafter_run(Drafter *d, DraftJob *jobs, int n)
{
    int n_left = DRAFTER_BATCH_TOKENS;
    for (int i = 0; i < n; i++) {
        Sequence *s = jobs[i].sequence;
        jobs[i].is_over = false;
        if (s->draft_kv.n_pages == 0)
            page_table_share(&s->draft_kv, &d->kv, &s->ids, salt_of(d, s));
    }
    for (bool is_first = true;; is_first = false) {
        const double started = clock_seconds();
        const int n_rows = plan(d, jobs, n, &n_left);
        if (n_rows == 0)
            return;
        d->step.used = 0;
        Batch batch = make_batch(d, jobs, n, n_rows);
        Mat hidden = step_mat(&d->step, n_rows, d->model->config.d_model);
        forward(d->model, d->kv.store, &batch, &d->step, NULL, hidden);
        draw(d, jobs, n, hidden);
        if (!is_first || d->seconds == 0) /* the first one may catch up */
            measure(d, batch.n_seqs, clock_seconds() - started);
    }
}

void drafter_settle(Drafter *d, Sequence *s, int n_true)
{
    int n = n_true < s->n_drafts_computed ? n_true : s->n_drafts_computed;
    page_table_advance(&s->draft_kv, &d->kv, &s->ids, salt_of(d, s), n);
    s->n_drafts_computed = 0;
}
