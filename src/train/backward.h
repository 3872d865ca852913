/* The backward pass: the mirror of model/forward.c, operation by operation in reverse.
 * docs/training.md says what is kept and what is made again. */
#ifndef WEN_TRAIN_BACKWARD_H
#define WEN_TRAIN_BACKWARD_H

#include "model/adapter.h"
#include "model/forward.h"

/* The same of a pair of an adapter. */
typedef struct LowRankGrads {
    float *a, *b;
} LowRankGrads;

/* Where gradients of weights are added: f32 in device memory, shaped as the weights of Layer are
 * (model.h). NULL: that weight is frozen. */
typedef struct LayerGrads {
    float *attn_norm, *q, *k, *v, *o, *q_bias, *k_bias, *v_bias, *q_norm, *k_norm;
    float *ffn_norm, *gate, *up, *down, *router;
    LowRankGrads low_rank[N_PROJECTIONS]; /* of the batch's adapter */
} LayerGrads;

/* A tied embedding has two gradients, as embedding and as head, which the optimizer adds up: each
 * is then one chain of sums, however the batch is cut. */
typedef struct Grads {
    LayerGrads *layers; /* [n_layers] */
    float *embed, *head, *final_norm;
} Grads;

/* The load-balancing loss of mixture layers over the whole global batch:
 * coefficient * n_experts * sum_i f_i P_i (arXiv 2501.11873), f_i from exact global counts. */
typedef struct Balance {
    float coefficient;
    int64_t n_tokens; /* of the global batch */
    int64_t *counts;  /* [n_layers, n_experts], device: pairs of each expert in the global batch */
} Balance;

/* Takes saved's matrices for n_tokens out of `step`; saved->layers is the caller's [n_layers]. With
 * `recomputes` only each layer's input has a place of its own; the rest is one layer's worth that
 * all share, and backward fills it again, layer by layer. */
void saved_take(Saved *saved, const Config *c, int n_tokens, bool recomputes, Step *step);
size_t saved_bytes(const Config *c, int n_tokens, bool recomputes);

typedef struct BackwardJob {
    const Model *model;
    KvStore *kv;
    const Batch *batch; /* with at most one adapter */
    Saved *saved;       /* of this batch's forward pass */
    bool recomputes;
    const Balance *balance; /* NULL: no such loss */
    const Grads *grads;
} BackwardJob;

/* dhidden [n_tokens, d_model]: gradient with respect to forward's `hidden`; overwritten. Adds every
 * weight's gradient to job->grads. Uses backward_step_bytes of `step` and gives it back. */
void backward(const BackwardJob *job, Mat dhidden, Step *step);
size_t backward_step_bytes(const Config *c, int n_tokens);

#endif
