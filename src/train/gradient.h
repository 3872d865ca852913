/* The gradient of a global batch: micro-batches, grains, ranks.
 *
 * The batch is cut into grains of whole rows. A grain's gradient is one chain of sums; grains are
 * added in a binary tree over their numbers. A rank owns whole grains, and sums over ranks go by
 * the same tree (dist/comm.h), so the bits are those of one rank. docs/training.md has the reasons.
 */
#ifndef WEN_TRAIN_GRADIENT_H
#define WEN_TRAIN_GRADIENT_H

#include "train/micro.h"
#include "train/shards.h"

/* How ranks divide what a parameter takes (Rajbhandari et al. 2020, arXiv 1910.02054). */
typedef enum ZeroStage {
    ZERO_NONE,      /* everything is on every rank */
    ZERO_OPTIMIZER, /* masters and moments in parts */
    ZERO_GRADIENTS  /* sums of gradients too: whole is only that of the grain in work */
} ZeroStage;

typedef struct GradientOptions {
    int grains; /* a power of two that the ranks, also one, divide */
    int micro_rows;
    int row_tokens; /* at most */
    bool recomputes;
    ZeroStage zero;
    float balance; /* coefficient of the load-balancing loss */
} GradientOptions;

typedef struct GradientReport {
    double loss;                                        /* mean over scored tokens, in nats */
    double balance_loss, max_violation, router_entropy; /* mixture models; else 0 */
    int64_t n_tokens;
} GradientReport;

typedef struct Gradient Gradient;

/* shards: how the sum is divided; one part with ZERO_NONE. Both are borrowed. */
Gradient *gradient_open(const Params *p, const Shards *shards, const GradientOptions *options,
                        Error *err) MUST_USE;
void gradient_close(Gradient *g); /* NULL is fine */

/* The gradient of the mean loss of `rows`, the global batch, which every rank brings; with an
 * objective, of the loss with its weights (loss and gradient are then sums, not means). *part: this
 * rank's part of it, device memory, valid until the next call or use of gradient_memory. False when
 * a rank has failed. */
bool gradient_batch(Gradient *g, const Rows *rows, const Objective *objective, const float **part,
                    GradientReport *report, Error *err) MUST_USE;

/* The weighted sum of losses (objective NULL: cross-entropies, in nats) of rows that are not
 * trained on; this rank alone computes it. */
double gradient_score(Gradient *g, const Rows *rows, const Objective *objective);

/* Memory for a whole flat array, free to use between batches. */
float *gradient_memory(Gradient *g);

#endif
