/* The configuration of `wen train rl`: the trainer's keys and those of reinforcement learning. */
#ifndef WEN_RL_RL_CONFIG_H
#define WEN_RL_RL_CONFIG_H

#include "rl/grader.h"
#include "rl/objective.h"
#include "rl/prompts.h"
#include "train/train_config.h"

typedef struct RlConfig {
    TrainConfig train; /* first: the fields' offsets count from here */
    /* prompts */
    PromptOptions prompts;
    int64_t seed;
    /* rollout */
    int n_problems, group; /* of a step: problems, and answers to each */
    int max_tokens, max_turns;
    int thinks;   /* 0, 1; 2: half of the problems each */
    int resample; /* times that problems whose groups are all alike are replaced; 0: they stay */
    /* reward */
    const char *program; /* this, or */
    GraderOptions judge; /* with a path, or */
    const char *model;   /* a reward model; all three NULL: the families' verifiers */
    const char *token;   /* of it; NULL until it is read: REWARD_TOKEN */
    double timeout_s;
    double format;   /* what an answer that ends by itself gets, right or wrong */
    int soft_tokens; /* the length over which an answer is punished softly (DAPO) */
    bool masks_cut;  /* answers that were cut by max_tokens teach nothing */
    /* policy */
    int method; /* of the names that policy_named knows */
    Policy policy;
    double clip_low, clip_high; /* below 0: the method's own */
    int updates;                /* of the optimizer in a step, each on its part of the groups */
} RlConfig;

bool rl_config_read(RlConfig *c, const char *path, const char *const *sets, int n_sets,
                    Error *err) MUST_USE;
void rl_config_close(RlConfig *c); /* a zeroed one is fine */

#endif
