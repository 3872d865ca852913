/* Cross-entropy over the head, a chunk of rows at a time: nobody ever holds [tokens, vocabulary].
 */
#ifndef WEN_TRAIN_LOSS_H
#define WEN_TRAIN_LOSS_H

#include "train/backward.h"

/* Rows that are scored: row rows[i] of the hidden states predicts targets[i]. Device memory [n].
 * A weight of 0 takes the row out of everything (it fills lists up to an even length, which
 * bfloat16 gradients ask for: backend.h, "Order of sums"). */
typedef struct LossRows {
    int n;
    const int32_t *rows, *targets;
    const float *weights; /* the loss is sum_i weights[i] * losses[i] */
} LossRows;

/* losses [n] (device) = the rows' cross-entropies. With dhidden: dhidden [tokens, d_model] = the
 * gradient of the loss, and the head's weight's is added to dhead (NULL: frozen). Without (data
 * NULL): only the losses.
 * Uses loss_step_bytes of `step` and gives it back. */
void loss_rows(const Model *m, Mat hidden, const LossRows *rows, Mat dhidden, float *dhead,
               float *losses, Step *step);
/* logprobs [rows->n] = log p(targets[i]) of each row, the bits that sampling and scoring give;
 * targets and logprobs are host memory. Uses loss_step_bytes of `step` and gives it back. */
void loss_logprobs(const Model *m, Mat hidden, const LossRows *rows, const int32_t *targets,
                   float *logprobs, Step *step);
size_t loss_step_bytes(const Config *c, int n_rows);

#endif
