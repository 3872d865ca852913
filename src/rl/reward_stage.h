/* `wen train reward`: a model learns to tell the better of two answers, in a run that can be
 * resumed to the bit. A step takes the next pairs of a shuffled epoch; every eval.every steps and
 * at the end held-out pairs are scored. */
#ifndef WEN_RL_REWARD_STAGE_H
#define WEN_RL_REWARD_STAGE_H

#include "rl/reward_config.h"
#include "train/run.h"

typedef struct RewardStage RewardStage;

/* Reads all pairs: what can be wrong with them is found here. The config is borrowed until close.
 * `line` (NULL: silent) is told how many pairs a file has. */
RewardStage *reward_stage_open(const RewardConfig *config,
                               void (*line)(void *context, const char *text), void *context,
                               Error *err) MUST_USE;
/* Before its trainer is closed. NULL is fine. */
void reward_stage_close(RewardStage *s);

/* What makes a trainer's run a run of this stage: for TrainerOptions and RunOptions. */
StageState reward_stage_state(RewardStage *s);
StageSteps reward_stage_steps(RewardStage *s);

#endif
