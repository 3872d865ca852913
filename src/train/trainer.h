/* One training run's state and its step: batch, gradient, update. One Trainer is one run in one
 * folder; run.h is the loop around it.
 */
#ifndef WEN_TRAIN_TRAINER_H
#define WEN_TRAIN_TRAINER_H

#include "train/checkpoint.h"

typedef struct TrainerOptions {
    const char *out; /* the run's folder */
    int n_threads;   /* 0: one a processor */
    bool is_fresh;   /* forget what is in the folder */
    /* A line on each source of data that was read; NULL: silent. */
    void (*line)(void *context, const char *text);
    void *context;
} TrainerOptions;

/* What one step was like. */
typedef struct StepReport {
    double loss;                                        /* mean over scored tokens, in nats */
    double balance_loss, max_violation, router_entropy; /* mixture models; else 0 */
    double rate, seconds;
    int64_t n_tokens;
    OptimReport optim;
} StepReport;

typedef struct Trainer Trainer;

/* Everything is read and checked, memory taken, and the newest checkpoint of the folder resumed.
 * `config` is borrowed until close. */
Trainer *trainer_open(const TrainConfig *config, const TrainerOptions *options,
                      Error *err) MUST_USE;
void trainer_close(Trainer *t); /* NULL is fine */

const TrainConfig *trainer_config(const Trainer *t);
const char *trainer_folder(const Trainer *t);
const Progress *trainer_progress(const Trainer *t);
/* The model in training; its weights change with every step. */
Model *trainer_model(const Trainer *t);
const Data *trainer_data(const Trainer *t);

/* One step of the optimizer. */
bool trainer_step(Trainer *t, StepReport *report, Error *err) MUST_USE;
/* Writes a checkpoint. */
bool trainer_save(const Trainer *t, Error *err) MUST_USE;
/* Writes the model to `folder` (export.h). */
bool trainer_export(const Trainer *t, const char *folder, Error *err) MUST_USE;

#endif
