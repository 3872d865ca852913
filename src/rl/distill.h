/* Distillation as an objective of the trainer: a teacher looks at every micro-batch, and the loss
 * of a scored token is the divergence of the student's next-token distribution from the teacher's.
 * Logits of both exist for a chunk of rows at a time; divergences are computed by the host, on
 * threads of its own. */
#ifndef WEN_RL_DISTILL_H
#define WEN_RL_DISTILL_H

#include "base/pool.h"
#include "rl/divergence.h"
#include "rl/teacher.h"
#include "train/micro.h"

/* Sums over scored tokens, for reports. */
typedef struct DistillStats {
    int64_t n_tokens, n_agree; /* n_agree: both hold the same token likeliest */
    double kl, entropy;        /* reverse KL over all ids; the student's entropy */
} DistillStats;

typedef struct Distill {
    Divergence divergence;
    Teacher *teacher; /* borrowed */
    Backend *backend;
    Pool *pool;
    DistillStats stats;  /* the caller may zero them */
    Objective objective; /* for trainer_update */
    /* Host copies of a chunk: [n_rows, n_vocab] and [n_rows]. */
    int n_rows, n_vocab;
    float *logits, *teacher_logits, *weights, *losses;
    int32_t *targets;
    DivergenceRow *rows;
    Arena arena;
} Distill;

/* `student`: the model in training. The objective points here: not to be copied. */
bool distill_open(Distill *d, const Divergence *divergence, Teacher *teacher, const Model *student,
                  Error *err) MUST_USE;
void distill_close(Distill *d); /* a zeroed one is fine */

#endif
