/* See reward_config.h. */
#include "rl/reward_config.h"

#include "rl/reward_text.h"

#include <stddef.h>

#define AT(field) offsetof(RewardConfig, field)
static const Field fields[] = {
    {"reward.pairs", FIELD_TEXT, AT(pairs), 0, 0, 0, NULL, false},
    {"reward.held_out", FIELD_TEXT, AT(held_out), 0, 0, 0, NULL, true},
    {"reward.token", FIELD_TEXT, AT(token), 0, 0, 0, NULL, false},
    {"reward.center", FIELD_REAL, AT(center), 0, 100, 0.01, NULL, false},
    {"reward.batch", FIELD_INT, AT(n_pairs), 1, 1 << 20, 32, NULL, false},
};
static const FieldTable table = {fields, sizeof fields / sizeof *fields};

static bool check_together(const RewardConfig *c, Error *err)
{
    if (!c->pairs)
        return error_set(err, ERROR_FORMAT,
                         "reward.pairs: give a file of {\"prompt\", \"chosen\", \"rejected\"}");
    if (c->train.ranks != 1)
        return error_set(err, ERROR_FORMAT,
                         "run.ranks: a reward model is trained on one rank; give it threads "
                         "instead");
    return c->n_pairs % c->train.grains == 0 ||
           error_set(err, ERROR_FORMAT, "reward.batch: %d pairs cannot be divided into %d grains",
                     c->n_pairs, c->train.grains);
}

bool reward_config_read(RewardConfig *c, const char *path, const char *const *sets, int n_sets,
                        Error *err)
{
    *c = (RewardConfig){0};
    if (!train_config_read_more(&c->train, STAGE_REWARD, &table, path, sets, n_sets, err))
        return false;
    if (!c->token)
        c->token = REWARD_TOKEN;
    if (check_together(c, err))
        return true;
    reward_config_close(c);
    return error_add(err, "%s", path);
}

void reward_config_close(RewardConfig *c)
{
    train_config_close(&c->train);
    *c = (RewardConfig){0};
}
