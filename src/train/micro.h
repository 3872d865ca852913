/* One micro-batch: rows of packed documents through forward, loss and backward.
 *
 * A row is what the data loader packs: documents one after another, each a sequence of its own with
 * positions from 0 and nothing to see of the others. Rows are the unit in which a batch may be cut
 * into micro-batches: a row is filled up to an even number of tokens, and of scored positions, so
 * that gradients in bfloat16, which sum in pairs, do not depend on the cut. */
#ifndef WEN_TRAIN_MICRO_H
#define WEN_TRAIN_MICRO_H

#include "train/loss.h"
#include "train/params.h"

/* A batch of rows, host memory, borrowed. Document d has tokens doc_start[d] .. doc_start[d+1]-1;
 * row r has documents row_start[r] .. row_start[r+1]-1. */
typedef struct Rows {
    int n_rows;
    const int *row_start, *doc_start;
    const int32_t *ids, *targets; /* what follows each token; any id where the weight is 0 */
    const float *weights;         /* of each token's loss; 0: not scored */
} Rows;

/* Tokens of rows from .. to-1 as the model sees them, filling included. */
int rows_n_tokens(const Rows *rows, int from, int to);

/* What is minimized, where it is not the targets' mean cross-entropy. Parts that are NULL change
 * nothing.
 *
 * `weigh`: weights that depend on how likely the model holds the targets now: policy gradients,
 * say. Between forward and loss of each micro-batch it is given the scored tokens: places[i] is
 * token i's place in Rows, logprobs[i] = log p(target), weights[i] the one of Rows, to be replaced
 * by the one that counts (as it is: nothing scales it). A place of -1 only fills a row up. All
 * tokens of a document come in one call, in order.
 *
 * `see`, between forward and loss too: the batch, for another model to look at. Then row_loss (see
 * loss.h) is called for its scored tokens. */
typedef struct Objective {
    void (*weigh)(void *context, int n, const int *places, const float *logprobs, float *weights);
    void (*see)(void *context, const Batch *batch);
    RowLoss row_loss;
    void *context; /* of the first two */
} Objective;

typedef struct Micro {
    const Params *params;
    int tokens_max;
    bool recomputes;
    Step step;
    KvStore *kv;
    Saved saved;
    Arena arena;
    /* Host and device copies of what a batch is made of. */
    int32_t *ids, *positions, *pages, *score_rows, *score_targets;
    float *score_weights, *losses;
    int *score_places; /* in Rows; -1: it only fills */
    SeqSpan *seqs;
    struct MicroDevice *device;
    /* The batch that is loaded. */
    Batch batch;
    AdaptedRows adapted; /* all rows, if an adapter is trained */
    LossRows loss;
    Mat hidden;
    size_t loaded; /* step->used behind Saved */
} Micro;

/* Room for up to tokens_max tokens at a time. */
bool micro_open(Micro *m, const Params *p, int tokens_max, bool recomputes, Error *err) MUST_USE;
void micro_close(Micro *m); /* a zeroed one is fine */

/* Takes rows from .. to-1; their weights are multiplied by `scale` (1 / weights of the global
 * batch). They have at most tokens_max tokens, filling included. */
void micro_load(Micro *m, const Rows *rows, int from, int to, float scale);
/* What mixture layers did, summed over micro-batches; device memory. */
typedef struct MoeTotals {
    int64_t *counts;   /* [n_layers, n_experts] */
    double *prob_sums; /* [n_layers, n_experts] */
    double *entropy;   /* [n_layers] */
} MoeTotals;

/* Through the layers. `totals` (NULL: do not count) are added to. */
void micro_forward(Micro *m, const MoeTotals *totals);
/* Lets the objective see the batch, and replaces the weights by what it says, from what
 * micro_forward left. */
void micro_weigh(Micro *m, const Objective *objective);
/* The loss (objective NULL: cross-entropy) and, with grads, the backward pass of what micro_forward
 * left. Adds weight * loss of
 * each scored row to *loss, in order, weights as scaled. */
void micro_loss(Micro *m, const Objective *objective, const Grads *grads, const Balance *balance,
                double *loss);

#endif
