/* See distill_config.h. */
#include "rl/distill_config.h"

#include <stddef.h>

#define KINDS "reverse_kl|forward_kl|jsd|sampled"

#define AT(field) offsetof(DistillConfig, field)
static const Field fields[] = {
    {"teacher.model", FIELD_TEXT, AT(teacher), 0, 0, 0, NULL, false},
    {"distill.divergence", FIELD_CHOICE, AT(kind), 0, 0, 0, KINDS, false},
    {"distill.beta", FIELD_REAL, AT(divergence.beta), 1e-3, 0.999, 0.5, NULL, false},
    {"distill.top", FIELD_INT, AT(divergence.top), 0, DIVERGENCE_TOP_MAX, 0, NULL, false},
    {"distill.cross_entropy", FIELD_REAL, AT(divergence.cross_entropy), 0, 1, 0, NULL, false},
    {"prompts.path", FIELD_TEXT, AT(prompts.path), 0, 0, 0, NULL, false},
    {"prompts.families", FIELD_JSON, AT(prompts.families), 0, 0, 0, NULL, false},
    {"prompts.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, false},
    {"rollout.problems", FIELD_INT, AT(n_problems), 1, 1 << 16, 64, NULL, false},
    {"rollout.group", FIELD_INT, AT(group), 1, 1 << 12, 1, NULL, false},
    {"rollout.max_tokens", FIELD_INT, AT(max_tokens), 1, 1 << 20, 256, NULL, false},
    {"rollout.max_turns", FIELD_INT, AT(max_turns), 1, 64, 4, NULL, false},
    {"rollout.think", FIELD_CHOICE, AT(thinks), 0, 0, 2, "no|yes|both", false},
};
static const FieldTable table = {fields, sizeof fields / sizeof *fields};

static bool check_together(const DistillConfig *c, Error *err)
{
    const Divergence *d = &c->divergence;
    if (!c->teacher)
        return error_set(err, ERROR_FORMAT, "teacher.model: give the model to learn from");
    if (c->train.ranks != 1)
        return error_set(err, ERROR_FORMAT,
                         "run.ranks: distillation is on one rank; give it threads instead");
    if (d->kind == DIVERGENCE_SAMPLED && d->top > 0)
        return error_set(err, ERROR_FORMAT, "distill.top: sampled looks at the drawn token alone");
    if (distill_config_is_on_policy(c))
        return d->cross_entropy == 0 ||
               error_set(err, ERROR_FORMAT,
                         "distill.cross_entropy: it is for data.sources; the student's own replies "
                         "are no examples");
    if (d->kind == DIVERGENCE_SAMPLED)
        return error_set(err, ERROR_FORMAT,
                         "distill.divergence: sampled needs the student's own replies; leave out "
                         "data.sources");
    if (c->prompts.path || c->prompts.families)
        return error_set(err, ERROR_FORMAT,
                         "prompts: the student's replies or data.sources; give one of the two");
    return true;
}

bool distill_config_read(DistillConfig *c, const char *path, const char *const *sets, int n_sets,
                         Error *err)
{
    *c = (DistillConfig){0};
    if (!train_config_read_more(&c->train, STAGE_DISTILL, &table, path, sets, n_sets, err))
        return false;
    c->divergence.kind = (DivergenceKind)c->kind;
    c->prompts.seed = (uint64_t)c->seed;
    c->prompts.is_even = true;
    if (check_together(c, err))
        return true;
    distill_config_close(c);
    return error_add(err, "%s", path);
}

void distill_config_close(DistillConfig *c)
{
    train_config_close(&c->train);
    *c = (DistillConfig){0};
}

bool distill_config_is_on_policy(const DistillConfig *c) { return c->train.n_sources == 0; }
