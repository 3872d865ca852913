/* See preference.h. */
#include "rl/preference.h"

#include "base/bug.h"

#include <math.h>

double preference_loss(double chosen, double rejected, double center, double grads[2])
{
    const double margin = chosen - rejected, sum = chosen + rejected;
    const double small = exp(-fabs(margin)); /* no overflow, whoever wins */
    const double p_wrong = margin >= 0 ? small / (1 + small) : 1 / (1 + small);
    grads[0] = -p_wrong + 2 * center * sum;
    grads[1] = p_wrong + 2 * center * sum;
    return fmax(-margin, 0) + log1p(small) + center * sum * sum;
}

/* Scores become gradients. A pair's loss stands at both of its tokens, so its weight is theirs
 * together. */
static void turn_pair(Preference *p, int i)
{
    const double chosen = (double)p->scores[i], rejected = (double)p->scores[i + 1];
    const double weight = (double)p->weights[i] + (double)p->weights[i + 1];
    double grads[2];
    const double loss = preference_loss(chosen, rejected, p->center, grads);
    p->losses[i] = p->losses[i + 1] = (float)loss;
    p->scores[i] = (float)(weight * grads[0]);
    p->scores[i + 1] = (float)(weight * grads[1]);
    p->stats.n++;
    p->stats.n_right += chosen > rejected;
    p->stats.loss += loss;
    p->stats.margin += chosen - rejected;
}

/* A RowLoss. */
static void turn(void *context, const LossRows *rows, Mat logits, float *losses)
{
    Preference *p = context;
    Backend *b = p->backend;
    const size_t n = (size_t)rows->n, stride = (size_t)logits.stride;
    float *column = logits.data + p->token;
    /* Chunks and rows of a batch have even numbers of scored tokens: no pair is cut. */
    ASSERT(rows->n % 2 == 0 && rows->n <= p->n_rows);
    for (size_t i = 0; i < n; i++)
        b->fetch(b, &p->scores[i], column + i * stride, sizeof(float));
    b->fetch(b, p->weights, rows->weights, sizeof(float) * n);
    for (int i = 0; i < rows->n; i += 2)
        turn_pair(p, i);
    b->zero(b, logits.data, sizeof(float) * n * stride);
    for (size_t i = 0; i < n; i++)
        b->upload(b, column + i * stride, &p->scores[i], sizeof(float));
    b->upload(b, losses, p->losses, sizeof(float) * n);
}

void preference_open(Preference *p, const Model *model, int32_t token, double center)
{
    *p = (Preference){.token = token, .center = center, .backend = model->backend};
    p->n_rows = loss_chunk_rows(&model->config);
    p->scores = ARENA_ARRAY(&p->arena, float, p->n_rows);
    p->weights = ARENA_ARRAY(&p->arena, float, p->n_rows);
    p->losses = ARENA_ARRAY(&p->arena, float, p->n_rows);
    p->objective = (Objective){.row_loss = {turn, p}};
}

void preference_close(Preference *p)
{
    arena_close(&p->arena);
    *p = (Preference){0};
}
