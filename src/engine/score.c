/* Log-probabilities and logits of given ids; see engine.h. */
#include "engine/engine_state.h"

#include <math.h>
#include <string.h>

enum { SCORE_ROWS = 32 }; /* positions whose logits exist at a time */

/* Runs ids through the model chunk by chunk in pages of their own; calls `chunk` with the hidden
 * states of each. */
typedef bool ScoreChunk(Engine *e, void *context, int pos, Mat hidden, Error *err);

static bool check_input(const Engine *e, const ScoreInput *input, Error *err)
{
    const int32_t *ids = input->ids;
    const int n_ids = input->n_ids;
    if (n_ids < 1)
        return error_set(err, ERROR_ARGUMENT, "there are no ids to score");
    if (n_ids > e->rules.context)
        return error_set(err, ERROR_LIMIT, "%d ids; the context is %d tokens", n_ids,
                         e->rules.context);
    for (int i = 0; i < n_ids; i++)
        if (ids[i] < 0 || ids[i] >= e->model->config.n_vocab)
            return error_set(err, ERROR_ARGUMENT, "id %d at position %d is not in the vocabulary",
                             (int)ids[i], i);
    return adapters_check(e, input->adapters, input->n_adapters, err);
}

static bool run_chunks(Engine *e, const ScoreInput *input, const int32_t *pages, int n_pages,
                       ScoreChunk *chunk, void *context, Error *err)
{
    Backend *b = e->model->backend;
    const int32_t *ids = input->ids;
    const int n_ids = input->n_ids;
    for (int pos = 0; pos < n_ids;) {
        int n = n_ids - pos < e->max_batch_tokens ? n_ids - pos : e->max_batch_tokens;
        e->step.used = 0;
        for (int i = 0; i < n; i++)
            e->host_positions[i] = pos + i;
        int32_t *device_ids = step_take(&e->step, sizeof(int32_t) * (size_t)n);
        int32_t *positions = step_take(&e->step, sizeof(int32_t) * (size_t)n);
        int32_t *table = step_take(&e->step, sizeof(int32_t) * (size_t)n_pages);
        SeqSpan *span = step_take(&e->step, sizeof *span);
        b->upload(b, device_ids, ids + pos, sizeof(int32_t) * (size_t)n);
        b->upload(b, positions, e->host_positions, sizeof(int32_t) * (size_t)n);
        b->upload(b, table, pages, sizeof(int32_t) * (size_t)n_pages);
        SeqSpan host = {.n_rows = n, .first_position = pos, .pages = table};
        positions_place(&e->model->config, n_ids, &host);
        b->upload(b, span, &host, sizeof host);
        Batch batch = {.n_tokens = n,
                       .n_seqs = 1,
                       .ids = device_ids,
                       .positions = positions,
                       .seqs = span,
                       .n_adapted = input->n_adapters,
                       .adapted = e->adapted};
        for (int i = 0; i < input->n_adapters; i++)
            e->adapted[i] =
                (AdaptedRows){input->adapters[i].adapter, input->adapters[i].scale, 0, n};
        Mat hidden = step_mat(&e->step, n, e->model->config.d_model);
        forward(e->model, e->kv.store, &batch, &e->step, NULL, hidden);
        if (!chunk(e, context, pos, hidden, err))
            return false;
        pos += n;
    }
    return true;
}

static bool run_ids(Engine *e, const ScoreInput *input, ScoreChunk *chunk, void *context,
                    Error *err)
{
    const int n_ids = input->n_ids;
    if (!check_input(e, input, err))
        return false;
    int n_pages = (n_ids + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS, n_taken = 0;
    int32_t *pages = mem_alloc(sizeof(int32_t) * (size_t)n_pages);
    while (n_taken < n_pages && (pages[n_taken] = kv_take(&e->kv)) >= 0)
        n_taken++;
    bool ok = n_taken == n_pages;
    if (ok)
        ok = run_chunks(e, input, pages, n_pages, chunk, context, err);
    else
        error_set(err, ERROR_MEMORY, "%d ids do not fit into %d pages of keys and values", n_ids,
                  e->kv.n_pages);
    for (int i = 0; i < n_taken; i++)
        kv_release(&e->kv, pages[i]);
    mem_free(pages);
    return ok;
}

/* Logits of rows from .. from+n-1 of hidden, in the step. */
static Mat block_logits(Engine *e, Mat hidden, int from, int n)
{
    Backend *b = e->model->backend;
    int32_t rows[SCORE_ROWS];
    for (int i = 0; i < n; i++)
        rows[i] = from + i;
    Mat logits = step_mat(&e->step, n, e->model->config.n_vocab);
    int32_t *device_rows = step_take(&e->step, sizeof(int32_t) * (size_t)n);
    b->upload(b, device_rows, rows, sizeof(int32_t) * (size_t)n);
    head_logits(e->model, hidden, device_rows, &e->step, logits);
    return logits;
}

static int block_rows(const Engine *e)
{
    return e->max_sequences < SCORE_ROWS ? e->max_sequences : SCORE_ROWS;
}

typedef struct Scoring {
    const int32_t *ids;
    int n_ids, n_top;
    ScoreEach *each;
    void *context;
    float previous;  /* log-probability of the next position's id, from the block before */
    float *logprobs; /* [SCORE_ROWS] */
    int32_t *targets, *top_ids;
    float *top_logits, *top_logprobs;
    ScoreTop *tops;
} Scoring;

static bool score_chunk(Engine *e, void *context, int pos, Mat hidden, Error *err)
{
    Scoring *s = context;
    Backend *b = e->model->backend;
    for (int from = 0; from < hidden.rows;) {
        int n = hidden.rows - from < block_rows(e) ? hidden.rows - from : block_rows(e);
        size_t mark = e->step.used;
        Mat logits = block_logits(e, hidden, from, n);
        for (int i = 0; i < n; i++)
            s->targets[i] = pos + from + i + 1 < s->n_ids ? s->ids[pos + from + i + 1] : -1;
        b->logprobs(b, logits, s->targets, s->logprobs, s->n_top, s->top_ids, s->top_logits,
                    s->top_logprobs);
        e->step.used = mark;
        for (int i = 0; i < n; i++) {
            for (int k = 0; k < s->n_top; k++) {
                size_t at = (size_t)i * (size_t)s->n_top + (size_t)k;
                s->tops[k] = (ScoreTop){s->top_ids[at], s->top_logits[at], s->top_logprobs[at]};
            }
            int p = pos + from + i;
            if (!s->each(s->context, p, s->ids[p], s->previous, s->tops, s->n_top))
                return error_set(err, ERROR_CANCELLED, "stopped");
            s->previous = s->logprobs[i];
        }
        from += n;
    }
    return true;
}

bool engine_score(Engine *e, const ScoreInput *input, int n_top, ScoreEach *each, void *context,
                  Error *err)
{
    if (n_top < 0 || n_top > e->model->config.n_vocab)
        return error_set(err, ERROR_ARGUMENT, "%d alternatives; 0 to %d are possible", n_top,
                         e->model->config.n_vocab);
    Arena arena = {0};
    size_t n = SCORE_ROWS, n_tops = n * (size_t)n_top;
    Scoring s = {.ids = input->ids,
                 .n_ids = input->n_ids,
                 .n_top = n_top,
                 .each = each,
                 .context = context,
                 .previous = NAN};
    s.logprobs = ARENA_ARRAY(&arena, float, n);
    s.targets = ARENA_ARRAY(&arena, int32_t, n);
    s.top_ids = arena_try_alloc(&arena, sizeof(int32_t) * n_tops, "the alternatives", err);
    s.top_logits = arena_try_alloc(&arena, sizeof(float) * n_tops, "the alternatives", err);
    s.top_logprobs = arena_try_alloc(&arena, sizeof(float) * n_tops, "the alternatives", err);
    s.tops = arena_try_alloc(&arena, sizeof(ScoreTop) * (size_t)n_top, "the alternatives", err);
    bool ok = s.top_ids && s.top_logits && s.top_logprobs && s.tops &&
              run_ids(e, input, score_chunk, &s, err);
    arena_close(&arena);
    return ok;
}

typedef struct Logits {
    LogitsEach *each;
    void *context;
    float *host;
} Logits;

static bool logits_chunk(Engine *e, void *context, int pos, Mat hidden, Error *err)
{
    Logits *l = context;
    Backend *b = e->model->backend;
    int n_vocab = e->model->config.n_vocab;
    for (int from = 0; from < hidden.rows;) {
        int n = hidden.rows - from < block_rows(e) ? hidden.rows - from : block_rows(e);
        size_t mark = e->step.used;
        Mat logits = block_logits(e, hidden, from, n);
        b->fetch(b, l->host, logits.data, sizeof(float) * (size_t)n * (size_t)n_vocab);
        e->step.used = mark;
        if (!l->each(l->context, pos + from, n, l->host, n_vocab))
            return error_set(err, ERROR_CANCELLED, "stopped");
        from += n;
    }
    return true;
}

bool engine_logits(Engine *e, const ScoreInput *input, LogitsEach *each, void *context, Error *err)
{
    Logits l = {each, context, NULL};
    size_t bytes = sizeof(float) * SCORE_ROWS * (size_t)e->model->config.n_vocab;
    l.host = mem_try_alloc(bytes, "a block of logits", err);
    bool ok = l.host && run_ids(e, input, logits_chunk, &l, err);
    mem_free(l.host);
    return ok;
}

typedef struct Embedding {
    int n_ids;
    float *vector;
} Embedding;

static bool embed_chunk(Engine *e, void *context, int pos, Mat hidden, Error *err)
{
    const Embedding *m = context;
    (void)err;
    if (pos + hidden.rows < m->n_ids)
        return true;
    Backend *b = e->model->backend;
    const size_t d = (size_t)hidden.cols;
    b->fetch(b, m->vector, hidden.data + (size_t)(hidden.rows - 1) * (size_t)hidden.stride,
             sizeof(float) * d);
    double sum = 0;
    for (size_t i = 0; i < d; i++)
        sum += (double)m->vector[i] * (double)m->vector[i];
    const float scale = sum > 0 ? (float)(1 / sqrt(sum)) : 0;
    for (size_t i = 0; i < d; i++)
        m->vector[i] *= scale;
    return true;
}

bool engine_embed(Engine *e, const ScoreInput *input, float *vector, Error *err)
{
    Embedding m = {input->n_ids, vector};
    return run_ids(e, input, embed_chunk, &m, err);
}
