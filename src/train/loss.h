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

/* Another loss than cross-entropy, a chunk of rows at a time. `turn` is queued where xent would be
 * and does what it does: losses[i], and logits[i] becomes weights[i] times the loss's gradient.
 * `rows` is the chunk; memory of `losses` and of what it points to is the device's. */
typedef struct RowLoss {
    void (*turn)(void *context, const LossRows *rows, Mat logits, float *losses);
    void *context;
} RowLoss;

/* losses [n] (device) = the rows' losses: cross-entropies unless row_loss has a turn. With dhidden:
 * dhidden [tokens, d_model] = the gradient of the loss, and the head's weight's is added to dhead
 * (NULL: frozen). Without (data NULL): only the losses. Uses loss_step_bytes of `step` and gives it
 * back. */
void loss_rows(const Model *m, Mat hidden, const LossRows *rows, const RowLoss *row_loss,
               Mat dhidden, float *dhead, float *losses, Step *step);
/* logprobs [rows->n] = log p(targets[i]) of each row, the bits that sampling and scoring give;
 * targets and logprobs are host memory. Uses loss_step_bytes of `step` and gives it back. */
void loss_logprobs(const Model *m, Mat hidden, const LossRows *rows, const int32_t *targets,
                   float *logprobs, Step *step);
size_t loss_step_bytes(const Config *c, int n_rows);
/* Rows that a chunk has at most. */
int loss_chunk_rows(const Config *c);

#endif
