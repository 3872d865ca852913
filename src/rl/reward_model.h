/* A reward model in use: scores of conversations, and of rollouts for RL. */
#ifndef WEN_RL_REWARD_MODEL_H
#define WEN_RL_REWARD_MODEL_H

#include "rl/reward_text.h"
#include "rl/rollout.h"

typedef struct RewardModel RewardModel;

/* Its vocabulary, template and token are checked; no weights are read. */
RewardModel *reward_model_open(const char *path, const char *token, Error *err) MUST_USE;
void reward_model_close(RewardModel *m); /* NULL is fine; before the backend */
/* Its weights, on a backend that is borrowed until close. */
bool reward_model_load(RewardModel *m, Backend *backend, Error *err) MUST_USE;

const RewardText *reward_model_text(const RewardModel *m);
/* The scores of n conversations (reward_text_ids): any real numbers, the bits that they have as
 * logits in `wen score`, whoever stands beside them. Longer than the model's context is an error.
 */
bool reward_model_scores(RewardModel *m, const Ids *conversations, int n, float *scores,
                         Error *err) MUST_USE;
/* Sets the score of every answer: sigmoid of its conversation's. Rollouts have to have `turns`. */
bool reward_model_score(RewardModel *m, const Problem *problems, Rollouts *rollouts,
                        Error *err) MUST_USE;

#endif
