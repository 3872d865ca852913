/* See loss.h. */
#include "train/loss.h"

/* Logits held at once: 16 MiB of them, but at least 64 rows, so that the products stay large. */
enum { CHUNK_LOGITS = 4 << 20, CHUNK_ROWS_MIN = 64 };

/* Even, as the cut of a bfloat16 gradient has to be. */
int loss_chunk_rows(const Config *c)
{
    const int n = CHUNK_LOGITS / c->n_vocab / 2 * 2;
    return n > CHUNK_ROWS_MIN ? n : CHUNK_ROWS_MIN;
}

static void chunk_backward(const Model *m, const LossRows *rows, Mat hidden, Mat dlogits,
                           Mat dhidden, float *dhead, Step *step)
{
    Backend *b = m->backend;
    Mat dchosen = step_mat(step, hidden.rows, hidden.cols);
    if (dhead)
        b->matmul_backward_w(b, 1, (Weight *[]){m->head}, &dlogits, hidden, &dhead);
    b->matmul_backward_x(b, 1, (Weight *[]){m->head}, &dlogits, dchosen);
    /* Scattering rows is what an embedding's gradient does. */
    b->embed_backward(b, rows->rows, dchosen, dhidden.data);
}

void loss_rows(const Model *m, Mat hidden, const LossRows *rows, const RowLoss *row_loss,
               Mat dhidden, float *dhead, float *losses, Step *step)
{
    Backend *b = m->backend;
    const size_t start = step->used;
    if (dhidden.data)
        b->zero(b, dhidden.data, sizeof(float) * (size_t)dhidden.rows * (size_t)dhidden.cols);
    for (int from = 0; from < rows->n; from += loss_chunk_rows(&m->config)) {
        const int left = rows->n - from, most = loss_chunk_rows(&m->config);
        const int n = left < most ? left : most;
        const LossRows chunk = {n, rows->rows + from, rows->targets + from, rows->weights + from};
        Mat chosen = step_mat(step, n, hidden.cols);
        Mat logits = step_mat(step, n, m->config.n_vocab);
        b->gather_rows(b, hidden, chunk.rows, chosen);
        b->matmul(b, 1, (Weight *[]){m->head}, chosen, &logits);
        if (row_loss->turn)
            row_loss->turn(row_loss->context, &chunk, logits, losses + from);
        else
            b->xent(b, logits, chunk.targets, chunk.weights, losses + from);
        if (dhidden.data)
            chunk_backward(m, &chunk, chosen, logits, dhidden, dhead, step);
        step->used = start;
    }
}

void loss_logprobs(const Model *m, Mat hidden, const LossRows *rows, const int32_t *targets,
                   float *logprobs, Step *step)
{
    Backend *b = m->backend;
    const size_t start = step->used;
    for (int from = 0; from < rows->n; from += loss_chunk_rows(&m->config)) {
        const int left = rows->n - from, most = loss_chunk_rows(&m->config);
        const int n = left < most ? left : most;
        Mat logits = step_mat(step, n, m->config.n_vocab);
        head_logits(m, hidden, rows->rows + from, step, logits);
        b->logprobs(b, logits, targets + from, logprobs + from, 0, NULL, NULL, NULL);
        step->used = start;
    }
}

size_t loss_step_bytes(const Config *c, int n_rows)
{
    const int n = n_rows < loss_chunk_rows(c) ? n_rows : loss_chunk_rows(c);
    return 2 * step_mat_bytes(n, c->d_model) + step_mat_bytes(n, c->n_vocab);
}
