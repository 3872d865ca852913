/* THE forward pass: ragged batch in, final hidden states out.
 *
 * Prefill, decode and scoring are one call; whether a sequence brings 8,192 rows or one makes no
 * difference to any row's result. */
#ifndef WEN_MODEL_FORWARD_H
#define WEN_MODEL_FORWARD_H

#include "model/model.h"

/* What the backward pass needs of one layer, [n_tokens, ...]. */
typedef struct LayerSaved {
    Mat x;        /* the layer's input, d_model */
    Mat q, k, v;  /* as projected, before norm and rotation */
    Mat mixed;    /* what attention gave, n_heads * head_dim */
    Mat mid;      /* the stream between the two blocks, d_model */
    Mat gate, up; /* d_ff; in a mixture layer [n_pairs, d_expert] */
    Mat logits;   /* mixture layers: the router's, and what it decided */
    MoeRoutes routes;
    /* Mixture layers, for moe_count (backend.h), device memory; counts NULL: not counted. */
    int64_t *counts;             /* [n_experts] */
    double *prob_sums, *entropy; /* [n_experts], one */
} LayerSaved;

/* Rotation tables of a batch, [n_tokens, head_dim]; see model/positions.h. */
typedef struct Rotations {
    Mat keys, queries; /* one matrix where they are alike */
    Mat before, far;   /* with dual chunk attention */
} Rotations;

/* What forward leaves for backward; its matrices live in a Step. */
typedef struct Saved {
    LayerSaved *layers; /* [n_layers] */
    Mat x;              /* the stream behind the last layer */
    Mat rope;           /* the rotation table of queries and keys */
} Saved;

/* Runs the batch's tokens through all layers, writing their keys and values into the pages that the
 * batch names, and leaves the normalized final hidden states in `hidden` [n_tokens, d_model].
 * `saved` NULL: inference; otherwise its matrices are filled (the same bits come out).
 * Uses forward_step_bytes of `step` and gives it back. Cannot fail. */
void forward(const Model *m, KvStore *kv, const Batch *batch, Step *step, Saved *saved, Mat hidden);

/* What forward makes first: the batch's rotation tables, in `step` but for saved's own. */
Rotations forward_rotations(const Model *m, const Batch *batch, Step *step, const Saved *saved);
/* One layer of it: x becomes the layer's output. */
void forward_layer(const Model *m, int l, KvStore *kv, const Batch *batch, const Rotations *rope,
                   Mat x, Step *step, LayerSaved *saved);

/* Bytes of Step that a batch of n_tokens takes. */
size_t forward_step_bytes(const Config *c, int n_tokens);

/* ---- head.c: what hidden states are turned into -------------------------------------------- */

/* logits[i] = head * hidden[rows[i]]; rows in device memory.
 *   logits [n, n_vocab];  uses n * d_model floats of `step` and gives them back. */
void head_logits(const Model *m, Mat hidden, const int32_t *rows, Step *step, Mat logits);

#endif
