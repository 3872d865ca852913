/* See distill.h. */
#include "rl/distill.h"

#include <string.h>

enum { ROWS_A_TASK = 4 };

/* A chunk in work. */
typedef struct Chunk {
    Distill *d;
    int n;
} Chunk;

static void see(void *context, const Batch *batch)
{
    const Distill *d = context;
    teacher_see(d->teacher, batch);
}

static void rows_task(void *context, int task, int worker)
{
    (void)worker;
    const Chunk *chunk = context;
    Distill *d = chunk->d;
    const int end = (task + 1) * ROWS_A_TASK;
    for (int i = task * ROWS_A_TASK; i < end && i < chunk->n; i++) {
        const size_t at = (size_t)i * (size_t)d->n_vocab;
        d->rows[i] = (DivergenceRow){0};
        if (d->weights[i] == 0.0f) /* it only fills up */
            memset(d->logits + at, 0, sizeof *d->logits * (size_t)d->n_vocab);
        else
            d->rows[i] = divergence_row(&d->divergence, d->teacher_logits + at, d->targets[i],
                                        d->weights[i], d->n_vocab, d->logits + at);
        d->losses[i] = (float)d->rows[i].loss;
    }
}

/* In the order of the rows, whoever computed them. */
static void count(Distill *d, int n)
{
    for (int i = 0; i < n; i++) {
        d->stats.n_tokens += d->weights[i] != 0.0f;
        d->stats.n_agree += d->rows[i].agrees;
        d->stats.kl += d->rows[i].kl;
        d->stats.entropy += d->rows[i].entropy;
    }
}

static void turn(void *context, const LossRows *rows, Mat logits, float *losses)
{
    Distill *d = context;
    Backend *b = d->backend;
    Chunk chunk = {d, rows->n};
    const size_t n = (size_t)rows->n, bytes = sizeof(float) * n * (size_t)d->n_vocab;
    const Mat teacher = teacher_logits(d->teacher, rows->rows, rows->n);
    b->fetch(b, d->logits, logits.data, bytes);
    b->fetch(b, d->teacher_logits, teacher.data, bytes);
    b->fetch(b, d->targets, rows->targets, sizeof(int32_t) * n);
    b->fetch(b, d->weights, rows->weights, sizeof(float) * n);
    pool_run(d->pool, (rows->n + ROWS_A_TASK - 1) / ROWS_A_TASK, rows_task, &chunk);
    count(d, rows->n);
    b->upload(b, logits.data, d->logits, bytes);
    b->upload(b, losses, d->losses, sizeof(float) * n);
}

bool distill_open(Distill *d, const Divergence *divergence, Teacher *teacher, const Model *student,
                  Error *err)
{
    *d = (Distill){.divergence = *divergence, .teacher = teacher, .backend = student->backend};
    d->objective = (Objective){.see = see, .context = d, .row_loss = {turn, d}};
    d->n_rows = loss_chunk_rows(&student->config);
    d->n_vocab = student->config.n_vocab;
    d->weights = ARENA_ARRAY(&d->arena, float, d->n_rows);
    d->losses = ARENA_ARRAY(&d->arena, float, d->n_rows);
    d->targets = ARENA_ARRAY(&d->arena, int32_t, d->n_rows);
    d->rows = ARENA_ARRAY(&d->arena, DivergenceRow, d->n_rows);
    const size_t bytes = sizeof(float) * (size_t)d->n_rows * (size_t)d->n_vocab;
    d->logits = arena_try_alloc(&d->arena, bytes, "logits", err);
    d->teacher_logits = d->logits ? arena_try_alloc(&d->arena, bytes, "logits", err) : NULL;
    if (d->teacher_logits && (d->pool = pool_open(student->backend->n_threads, err)))
        return true;
    distill_close(d);
    return false;
}

void distill_close(Distill *d)
{
    if (d->pool)
        pool_close(d->pool);
    arena_close(&d->arena);
    *d = (Distill){0};
}
