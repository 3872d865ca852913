/* `wen train rl`: problems, rollouts, rewards, updates, in a run that can be resumed to the bit.
 *
 * A step draws problems (prompts.h), samples a group of answers to each (rollout.h), scores them
 * (reward.h), and takes policy.updates steps of the optimizer, each on its part of the groups
 * (update.h). What a step does is a function of the configuration, the weights and the prompts'
 * state; with the checkpoint it is all there is. */
#ifndef WEN_RL_RL_STAGE_H
#define WEN_RL_RL_STAGE_H

#include "rl/rl_config.h"
#include "train/run.h"

typedef struct RlStage RlStage;

/* Reads problems and starts the verifier: what can be wrong with either is found here. The config
 * is borrowed until close. */
RlStage *rl_stage_open(const RlConfig *config, Error *err) MUST_USE;
void rl_stage_close(RlStage *s); /* before its trainer is closed; NULL is fine */

/* What makes a trainer's run a run of this stage: for TrainerOptions and RunOptions. */
StageState rl_stage_state(RlStage *s);
StageSteps rl_stage_steps(RlStage *s);

#endif
