/* Rollouts as a batch for the trainer: which answers, in which rows, and the weight of each token
 * once the trainer knows how likely it holds it now. */
#ifndef WEN_RL_UPDATE_H
#define WEN_RL_UPDATE_H

#include "rl/objective.h"
#include "rl/rollout.h"
#include "train/micro.h"

/* An answer in the batch. */
typedef struct UpdateAnswer {
    const Rollout *rollout; /* borrowed until update_free */
    double advantage;
    const float *reference; /* [rollout->ids.n] log-probabilities; NULL: policy->kl is 0 */
} UpdateAnswer;

typedef struct Update {
    const Policy *policy; /* borrowed */
    PolicyBatch batch;
    PolicyStats stats; /* summed up by the objective */
    Rows rows;
    Objective objective;
    int *doc_answer, *doc_start, *row_start; /* documents are answers, in the order of rows */
    int *place_doc;                          /* [tokens] */
    const UpdateAnswer *answers;
    float *sampled, *reference; /* of one answer */
    Arena arena;
} Update;

/* Packs n answers first-fit, the longest first, into rows of at most row_tokens tokens; the number
 * of rows is a multiple of `grains`. Answers are borrowed until update_free, as is the policy. An
 * answer that is longer than a row is an error with both numbers. */
bool update_make(Update *u, const Policy *policy, const UpdateAnswer *answers, int n,
                 int row_tokens, int grains, Error *err) MUST_USE;
void update_free(Update *u); /* a zeroed one is fine */

#endif
