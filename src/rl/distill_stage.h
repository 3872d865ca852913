/* `wen train distill`: a student learns from a teacher's distributions, in a run that can be
 * resumed to the bit.
 *
 * On-policy a step draws problems (prompts.h), samples the student's replies (rollout.h) and takes
 * one step of the optimizer on the divergence at every token that it wrote (distill.h). Off-policy
 * it does so on the tokens of data.sources that are learned from. */
#ifndef WEN_RL_DISTILL_STAGE_H
#define WEN_RL_DISTILL_STAGE_H

#include "rl/distill_config.h"
#include "train/run.h"

typedef struct DistillStage DistillStage;

/* Reads the problems and compares the vocabularies: what can be wrong with either is found here.
 * The config is borrowed until close. */
DistillStage *distill_stage_open(const DistillConfig *config, Error *err) MUST_USE;
/* Before its trainer is closed. NULL is fine. */
void distill_stage_close(DistillStage *s);

/* What makes a trainer's run a run of this stage: for TrainerOptions and RunOptions. */
StageState distill_stage_state(DistillStage *s);
StageSteps distill_stage_steps(DistillStage *s);

#endif
