/* THE forward pass: ragged batch in, final hidden states out.
 *
 * Prefill, decode and scoring are one call; whether a sequence brings 8,192 rows or one makes no
 * difference to any row's result. */
#ifndef WEN_MODEL_FORWARD_H
#define WEN_MODEL_FORWARD_H

#include "model/model.h"

/* Runs the batch's tokens through all layers, writing their keys and values into the pages that the
 * batch names, and leaves the normalized final hidden states in `hidden` [n_tokens, d_model].
 * Uses forward_step_bytes of `step` and gives it back. Cannot fail. */
void forward(const Model *m, KvStore *kv, const Batch *batch, Step *step, Mat hidden);

/* Bytes of Step that a batch of n_tokens takes. */
size_t forward_step_bytes(const Config *c, int n_tokens);

/* ---- head.c: what hidden states are turned into -------------------------------------------- */

/* logits[i] = head * hidden[rows[i]]; rows in device memory.
 *   logits [n, n_vocab];  uses n * d_model floats of `step` and gives them back. */
void head_logits(const Model *m, Mat hidden, const int32_t *rows, Step *step, Mat logits);

#endif
