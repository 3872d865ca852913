/* See rl_config.h. */
#include "rl/rl_config.h"

#include "rl/reward_text.h"

#include <stddef.h>

#define METHODS "grpo|dapo|dr_grpo|gspo|cispo"
static const char *const methods[] = {"grpo", "dapo", "dr_grpo", "gspo", "cispo"};

#define AT(field) offsetof(RlConfig, field)
static const Field fields[] = {
    {"prompts.path", FIELD_TEXT, AT(prompts.path), 0, 0, 0, NULL, false},
    {"prompts.families", FIELD_JSON, AT(prompts.families), 0, 0, 0, NULL, false},
    {"prompts.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, false},
    {"prompts.raise", FIELD_REAL, AT(prompts.raise), 0, 2, 0.7, NULL, false},
    {"prompts.lower", FIELD_REAL, AT(prompts.lower), -1, 1, 0.3, NULL, false},
    {"rollout.problems", FIELD_INT, AT(n_problems), 1, 1 << 16, 16, NULL, false},
    {"rollout.group", FIELD_INT, AT(group), 2, 1 << 12, 8, NULL, false},
    {"rollout.max_tokens", FIELD_INT, AT(max_tokens), 1, 1 << 20, 256, NULL, false},
    {"rollout.max_turns", FIELD_INT, AT(max_turns), 1, 64, 4, NULL, false},
    {"rollout.think", FIELD_CHOICE, AT(thinks), 0, 0, 1, "no|yes|both", false},
    {"rollout.resample", FIELD_INT, AT(resample), 0, 64, 0, NULL, false},
    {"reward.program", FIELD_TEXT, AT(program), 0, 0, 0, NULL, false},
    {"reward.timeout_s", FIELD_REAL, AT(timeout_s), 0.001, 86400, 30, NULL, true},
    {"reward.judge", FIELD_TEXT, AT(judge.path), 0, 0, 0, NULL, false},
    {"reward.judge_prompt", FIELD_TEXT, AT(judge.template), 0, 0, 0, NULL, false},
    {"reward.judge_thought", FIELD_INT, AT(judge.thought), 0, 1 << 16, 0, NULL, false},
    {"reward.model", FIELD_TEXT, AT(model), 0, 0, 0, NULL, false},
    {"reward.token", FIELD_TEXT, AT(token), 0, 0, 0, NULL, false},
    {"reward.format", FIELD_REAL, AT(format), 0, 1, 0, NULL, false},
    {"reward.soft_tokens", FIELD_INT, AT(soft_tokens), 0, 1 << 20, 0, NULL, false},
    {"reward.mask_cut", FIELD_BOOL, AT(masks_cut), 0, 1, 0, NULL, false},
    {"policy.method", FIELD_CHOICE, AT(method), 0, 0, 1, METHODS, false},
    {"policy.clip_low", FIELD_REAL, AT(clip_low), -1, 1, -1, NULL, false},
    {"policy.clip_high", FIELD_REAL, AT(clip_high), -1, 1e9, -1, NULL, false},
    {"policy.dual_clip", FIELD_REAL, AT(policy.dual_clip), 0, 1e9, 0, NULL, false},
    {"policy.kl", FIELD_REAL, AT(policy.kl), 0, 100, 0, NULL, false},
    {"policy.updates", FIELD_INT, AT(updates), 1, 1024, 1, NULL, false},
};
static const FieldTable table = {fields, sizeof fields / sizeof *fields};

static bool check_together(RlConfig *c, Error *err)
{
    if (c->train.ranks != 1)
        return error_set(err, ERROR_FORMAT,
                         "run.ranks: reinforcement learning samples and trains "
                         "on one rank; give it threads instead");
    if (c->n_problems % c->updates)
        return error_set(err, ERROR_FORMAT,
                         "policy.updates: %d problems cannot be divided into %d updates",
                         c->n_problems, c->updates);
    if (c->prompts.raise < c->prompts.lower)
        return error_set(err, ERROR_FORMAT, "prompts: raise lies below lower");
    if (c->soft_tokens > c->max_tokens)
        return error_set(err, ERROR_FORMAT, "reward.soft_tokens: more than rollout.max_tokens");
    if ((c->program != NULL) + (c->judge.path != NULL) + (c->model != NULL) > 1)
        return error_set(err, ERROR_FORMAT, "reward: program, judge or model; give one of them");
    if (c->token && !c->model)
        return error_set(err, ERROR_FORMAT,
                         "reward.token: it is of reward.model, which is missing");
    if (!c->token)
        c->token = REWARD_TOKEN;
    return grader_check(&c->judge, err);
}

bool rl_config_read(RlConfig *c, const char *path, const char *const *sets, int n_sets, Error *err)
{
    *c = (RlConfig){0};
    if (!train_config_read_more(&c->train, STAGE_RL, &table, path, sets, n_sets, err))
        return false;
    const double dual_clip = c->policy.dual_clip, kl = c->policy.kl;
    const bool is_known = policy_named(methods[c->method], &c->policy);
    (void)is_known; /* the choices are its names */
    c->policy.dual_clip = dual_clip;
    c->policy.kl = kl;
    c->policy.length = c->max_tokens;
    if (c->clip_low >= 0)
        c->policy.clip_low = c->clip_low;
    if (c->clip_high >= 0)
        c->policy.clip_high = c->clip_high;
    c->prompts.seed = (uint64_t)c->seed;
    if (check_together(c, err))
        return true;
    rl_config_close(c);
    return error_add(err, "%s", path);
}

void rl_config_close(RlConfig *c)
{
    train_config_close(&c->train);
    *c = (RlConfig){0};
}
