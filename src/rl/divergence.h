/* How far a student's next-token distribution p_S is from a teacher's p_T: values and gradients, a
 * row of logits at a time, in double with one order of sums.
 *
 * Sources: GKD, arXiv 2306.13649; K. Lu, "On-Policy Distillation" (Thinking Machines, 2025). */
#ifndef WEN_RL_DIVERGENCE_H
#define WEN_RL_DIVERGENCE_H

#include <stdbool.h>
#include <stdint.h>

typedef enum DivergenceKind {
    DIVERGENCE_REVERSE, /* sum p_S log(p_S / p_T): the student keeps to what the teacher would say
                         */
    DIVERGENCE_FORWARD, /* sum p_T log(p_T / p_S): the student covers all that it would say */
    DIVERGENCE_JSD, /* beta KL(p_T | M) + (1 - beta) KL(p_S | M), M = beta p_T + (1 - beta) p_S */
    /* log(p_S / p_T) of the target alone, which the student has drawn: reverse KL's estimate, with
     * the gradient of a policy whose advantage is the negative of it. */
    DIVERGENCE_SAMPLED
} DivergenceKind;

enum { DIVERGENCE_TOP_MAX = 1024 };

typedef struct Divergence {
    DivergenceKind kind;
    double beta; /* 0 < beta < 1 */
    /* The teacher's `top` likeliest ids one by one (the lowest first on ties), all others together
     * as one outcome; 0: every id by itself. At most DIVERGENCE_TOP_MAX. */
    int top;
    double cross_entropy; /* the loss is (1 - this) divergence + this -log p_S[target] */
} Divergence;

/* What a row was like, whatever the loss. */
typedef struct DivergenceRow {
    double loss;
    double kl;      /* reverse, over all ids */
    double entropy; /* the student's */
    bool agrees;    /* both have the same largest logit */
} DivergenceRow;

/* n logits of the student become weight times the loss's gradient. Equal rows have a divergence and
 * a gradient of exactly 0. */
DivergenceRow divergence_row(const Divergence *d, const float *teacher, int target, float weight,
                             int n, float *logits);

#endif
