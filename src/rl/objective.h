/* From rewards to the weight of every token in the gradient: GRPO and its relatives.
 *
 * All of them raise or lower log-probabilities of sampled tokens, so all of them are cross-entropy
 * with signed weights: minimizing sum_t w_t (-log p_t) has the gradient of -J when w_t = dJ / dlog
 * p_t. This file computes those w_t, on the host, in double, from three log-probabilities of each
 * token: now, when it was sampled, and under the reference model.
 *
 * Sources: GRPO arXiv 2402.03300; DAPO 2503.14476; Dr. GRPO 2503.20783; GSPO 2507.18071; CISPO
 * 2506.13585; dual clip 1912.09729; the k3 estimator, J. Schulman, "Approximating KL divergence".
 */
#ifndef WEN_RL_OBJECTIVE_H
#define WEN_RL_OBJECTIVE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum PolicyKind {
    POLICY_GRPO,  /* min(r A, clip(r) A) for each token */
    POLICY_GSPO,  /* the same for whole answers, r their geometric mean */
    POLICY_CISPO, /* A min(r, 1 + clip_high), the ratio held constant: no token drops out */
} PolicyKind;

typedef enum PolicyMean {
    MEAN_TOKENS,    /* over all sampled tokens of the batch (DAPO) */
    MEAN_SEQUENCES, /* over each answer's tokens, then over answers (GRPO) */
    MEAN_CONSTANT,  /* over answers times `length` (Dr. GRPO): no bias by length */
} PolicyMean;

typedef enum AdvantageScale {
    SCALE_DEVIATION, /* (R - mean) / (deviation + 1e-6) within the group (GRPO) */
    SCALE_NONE,      /* R - mean (Dr. GRPO) */
} AdvantageScale;

typedef struct Policy {
    PolicyKind kind;
    PolicyMean mean;
    AdvantageScale scale;
    double clip_low, clip_high; /* 0.2, 0.28; GSPO 3e-4, 4e-4 */
    double dual_clip;           /* A < 0: ratios above it are cut off; 0: none */
    double kl;                  /* weight of k3 to the reference model; 0: there is none */
    double length;              /* MEAN_CONSTANT: tokens that an answer may have */
} Policy;

/* The published settings by name: "grpo" "dapo" "dr_grpo" "gspo" "cispo"; false: no such name. */
bool policy_named(const char *name, Policy *policy);

/* A sampled answer: n tokens of the model (forced and environment tokens left out). */
typedef struct Answer {
    int n;
    double advantage;
    const float *sampled;   /* [n] log-probabilities when it was sampled */
    const float *reference; /* [n] under the reference model; NULL when kl is 0 */
} Answer;

/* Advantages of n rewards of one group. A group of equal rewards has none: zeros. */
void policy_advantages(const Policy *p, const double *rewards, int n, double *advantages);

/* What the whole batch of an update has; the same for all micro-batches of it. */
typedef struct PolicyBatch {
    int64_t n_answers, n_tokens;
} PolicyBatch;

/* Sums over tokens, for reports. */
typedef struct PolicyStats {
    int64_t n_tokens, n_clipped;
    double kl;         /* k3 between the policy that sampled and the one now */
    double kl_largest; /* |log-probability now - when sampled| */
    double reference_kl;
    double ratio;        /* of now to sampled */
    double neg_logprobs; /* an estimate of the entropy: tokens were drawn at temperature 1 */
} PolicyStats;

/* weights[i] of the answer's tokens from `now` [n], their log-probabilities under the weights as
 * they are. Adds to *stats. */
void policy_weights(const Policy *p, const PolicyBatch *batch, const Answer *a, const float *now,
                    float *weights, PolicyStats *stats);

/* The value of J for that answer, as policy_weights differentiates it: for tests. */
double policy_value(const Policy *p, const PolicyBatch *batch, const Answer *a, const double *now);

/* DAPO's soft punishment of length: 0 up to limit - soft tokens, falling to -1 at the limit. */
double policy_length_penalty(int n_tokens, int limit, int soft);

#endif
