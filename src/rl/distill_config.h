/* The configuration of `wen train distill`: the trainer's keys and those of distillation. */
#ifndef WEN_RL_DISTILL_CONFIG_H
#define WEN_RL_DISTILL_CONFIG_H

#include "rl/divergence.h"
#include "rl/prompts.h"
#include "train/train_config.h"

typedef struct DistillConfig {
    TrainConfig train; /* first: the fields' offsets count from here */
    /* teacher */
    const char *teacher; /* a model: a folder or a GGUF */
    /* distill */
    int kind; /* a DivergenceKind until it is read */
    Divergence divergence;
    /* On-policy: no data.sources. */
    PromptOptions prompts;
    int64_t seed;
    int n_problems, group; /* of a step: problems, and replies to each */
    int max_tokens, max_turns;
    int thinks; /* 0, 1, THINKS_BOTH */
} DistillConfig;

bool distill_config_read(DistillConfig *c, const char *path, const char *const *sets, int n_sets,
                         Error *err) MUST_USE;
void distill_config_close(DistillConfig *c); /* a zeroed one is fine */

/* Whether the student learns from its own replies; else from data.sources. */
bool distill_config_is_on_policy(const DistillConfig *c);

#endif
