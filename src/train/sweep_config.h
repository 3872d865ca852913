/* The configuration of `wen train sweep`: what is varied, over which range, with how many tokens a
 * trial. docs/training.md lists the keys. */
#ifndef WEN_TRAIN_SWEEP_CONFIG_H
#define WEN_TRAIN_SWEEP_CONFIG_H

#include "train/train_config.h"

enum { SWEEP_LIST_MAX = 16, SWEEP_RATES_MAX = 64, SWEEP_MIXTURES_MAX = 256, SWEEP_STEPS_MIN = 10 };

typedef struct SweepConfig {
    const char *base;               /* the configuration that is tuned */
    TrainStage stage;               /* of it */
    const char *write;              /* where the tuned one goes; NULL: OUT/tuned.yaml */
    json_t *set;                    /* {"group.name": value} for trials only; NULL: none */
    int64_t tokens[SWEEP_LIST_MAX]; /* of a trial; several: how optima move with them */
    int n_tokens;
    double rates[SWEEP_RATES_MAX]; /* schedule.peak, rising; one: not varied */
    int n_rates;
    int rows[SWEEP_LIST_MAX]; /* batch.rows, rising; one: not varied */
    int n_rows;
    json_t *shapes[SWEEP_LIST_MAX]; /* model.shape's keys over the base's; one {}: not varied */
    int n_shapes;
    int n_mixtures; /* 0: weights are not varied */
    int64_t seed;
    double least;      /* a source's weight at least, all together 1 */
    json_t *json;      /* complete; owned */
    json_t *values[4]; /* as written: tokens, rates' and rows' and shapes' lists */
    double rate_from, rate_to;
    TrainConfig target; /* the base, as it is */
    TrainConfig trial;  /* the base with `set` */
} SweepConfig;

/* Reads and checks the sweep and its base; texts "a.b=value" override the sweep's keys. */
bool sweep_config_read(SweepConfig *c, const char *path, const char *const *sets, int n_sets,
                       Error *err) MUST_USE;
void sweep_config_close(SweepConfig *c); /* a zeroed one is fine */

/* Texts "group.name=value", for train_config_read. */
typedef struct SetList {
    char *items[64];
    int n;
} SetList;
void set_list_add(SetList *list, const char *format, ...) PRINTF_LIKE(2, 3);
void set_list_add_json(SetList *list, const char *key, const json_t *value);
/* Those of sweep.set. */
void set_list_add_trial(SetList *list, const SweepConfig *c);
void set_list_close(SetList *list);
bool set_list_read(const SetList *list, const SweepConfig *c, TrainConfig *out,
                   Error *err) MUST_USE;

#endif
