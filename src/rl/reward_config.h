/* The configuration of `wen train reward`: the trainer's keys and those of preferences. */
#ifndef WEN_RL_REWARD_CONFIG_H
#define WEN_RL_REWARD_CONFIG_H

#include "train/train_config.h"

typedef struct RewardConfig {
    TrainConfig train;    /* first: the fields' offsets count from here */
    const char *pairs;    /* a file of preferences (pairs.h) */
    const char *held_out; /* another one, which is only scored; NULL: none */
    const char *token;    /* whose logit is the score; NULL until it is read: REWARD_TOKEN */
    double center;        /* weight of (r_chosen + r_rejected)^2 */
    int n_pairs;          /* of a step */
} RewardConfig;

bool reward_config_read(RewardConfig *c, const char *path, const char *const *sets, int n_sets,
                        Error *err) MUST_USE;
void reward_config_close(RewardConfig *c); /* a zeroed one is fine */

#endif
