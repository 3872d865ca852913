/* All logits of one sequence, through the model's own parts: what the comparisons judge. */
#ifndef WEN_TESTS_MODEL_LOGITS_H
#define WEN_TESTS_MODEL_LOGITS_H

#include "base/bug.h"
#include "model/forward.h"
#include "model/kv.h"

enum { LOGITS_STEP_TOKENS = 256, LOGITS_HEAD_ROWS = 32 };

/* Called for each position in order; logits [n_vocab]. */
typedef void LogitsTake(void *context, int position, const float *logits);

typedef struct LogitsRun {
    const Model *model;
    KvPages kv;
    Step step;
    int32_t *pages; /* [n_pages], host */
    int n_pages;
    float *host; /* [LOGITS_HEAD_ROWS, n_vocab] */
} LogitsRun;

/* A copy of host memory in the step's device memory. */
static inline void *logits_upload(LogitsRun *run, const void *host, size_t bytes)
{
    void *device = step_take(&run->step, bytes);
    run->step.backend->upload(run->step.backend, device, host, bytes);
    return device;
}

static inline bool logits_open(LogitsRun *run, const Model *m, DType kv_type, int n, Error *err)
{
    Backend *b = m->backend;
    const Config *c = &m->config;
    const int n_pages = (n + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS, t = LOGITS_STEP_TOKENS;
    const size_t head_bytes =
        step_mat_bytes(LOGITS_HEAD_ROWS, c->n_vocab + c->d_model + 1) + 4 * MEM_ALIGN;
    const size_t shared_bytes = step_mat_bytes(t, c->d_model + 2) + step_mat_bytes(1, n_pages) +
                                sizeof(SeqSpan) + 4 * MEM_ALIGN;
    const size_t forward_bytes = forward_step_bytes(c, t);
    *run = (LogitsRun){.model = m, .n_pages = n_pages};
    int widest = c->n_vocab;
    widest = widest > c->d_ff ? widest : c->d_ff;
    widest = widest > c->n_heads * c->head_dim ? widest : c->n_heads * c->head_dim;
    if (!kv_open(&run->kv, b, c, kv_type, n_pages, err) ||
        !step_open(&run->step, b,
                   shared_bytes + (forward_bytes > head_bytes ? forward_bytes : head_bytes), err) ||
        !b->reserve(b, c->n_experts ? t * c->n_experts_used : t, widest, err))
        return false;
    run->pages = mem_alloc(sizeof(int32_t) * (size_t)n_pages);
    for (int i = 0; i < n_pages; i++)
        run->pages[i] = kv_take(&run->kv);
    run->host = mem_try_alloc(sizeof(float) * LOGITS_HEAD_ROWS * (size_t)c->n_vocab, "logits", err);
    return run->host != NULL;
}

static inline void logits_close(LogitsRun *run)
{
    mem_free(run->host);
    mem_free(run->pages);
    step_close(&run->step);
    kv_close(&run->kv);
}

static inline void logits_head(LogitsRun *run, Mat hidden, int first, LogitsTake *take,
                               void *context)
{
    Backend *b = run->model->backend;
    const int n_vocab = run->model->config.n_vocab;
    for (int from = 0; from < hidden.rows; from += LOGITS_HEAD_ROWS) {
        const size_t start = run->step.used;
        int32_t rows[LOGITS_HEAD_ROWS];
        int n = hidden.rows - from;
        n = n < LOGITS_HEAD_ROWS ? n : LOGITS_HEAD_ROWS;
        for (int i = 0; i < n; i++)
            rows[i] = from + i;
        const int32_t *device_rows = logits_upload(run, rows, sizeof *rows * (size_t)n);
        Mat logits = step_mat(&run->step, n, n_vocab);
        head_logits(run->model, hidden, device_rows, &run->step, logits);
        b->fetch(b, run->host, logits.data, sizeof(float) * (size_t)n * (size_t)n_vocab);
        for (int i = 0; i < n; i++)
            take(context, first + from + i, run->host + (size_t)i * (size_t)n_vocab);
        run->step.used = start;
    }
}

/* Ids must be below n_vocab. */
static inline bool logits_run(const Model *m, DType kv_type, const int32_t *ids, int n,
                              LogitsTake *take, void *context, Error *err)
{
    LogitsRun run;
    const bool ok = logits_open(&run, m, kv_type, n, err);
    for (int from = 0; ok && from < n; from += LOGITS_STEP_TOKENS) {
        int32_t positions[LOGITS_STEP_TOKENS];
        int t = n - from;
        t = t < LOGITS_STEP_TOKENS ? t : LOGITS_STEP_TOKENS;
        for (int i = 0; i < t; i++)
            positions[i] = from + i;
        const int32_t *pages = logits_upload(&run, run.pages, sizeof *pages * (size_t)run.n_pages);
        SeqSpan span = {.n_rows = t, .first_position = from, .pages = pages};
        positions_place(&m->config, n, &span);
        const Batch batch = {
            .n_tokens = t,
            .n_seqs = 1,
            .ids = logits_upload(&run, ids + from, sizeof *ids * (size_t)t),
            .positions = logits_upload(&run, positions, sizeof *positions * (size_t)t),
            .seqs = logits_upload(&run, &span, sizeof span),
        };
        Mat hidden = step_mat(&run.step, t, m->config.d_model);
        forward(m, run.kv.store, &batch, &run.step, NULL, hidden);
        logits_head(&run, hidden, from, take, context);
        run.step.used = 0;
    }
    logits_close(&run);
    return ok;
}

#endif
