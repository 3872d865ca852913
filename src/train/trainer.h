/* The loop: batches, gradients, steps, checkpoints, the log. One Trainer is one run in one folder.
 */
#ifndef WEN_TRAIN_TRAINER_H
#define WEN_TRAIN_TRAINER_H

#include "train/checkpoint.h"

#include <signal.h>

typedef struct TrainerOptions {
    const char *out; /* the run's folder */
    int n_threads;   /* 0: one a processor */
    bool is_fresh;   /* forget what is in the folder */
    /* Set to non-zero (by a signal, say): the step in work is finished, a checkpoint written, and
     * trainer_run returns. May be NULL. */
    const volatile sig_atomic_t *stop;
    /* One line after every log_every steps; NULL: silent. */
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

/* Everything is read and checked, memory taken, and the newest checkpoint of the folder resumed. */
Trainer *trainer_open(const TrainConfig *config, const TrainerOptions *options,
                      Error *err) MUST_USE;
void trainer_close(Trainer *t); /* NULL is fine */

const Progress *trainer_progress(const Trainer *t);
/* One step of the optimizer. */
bool trainer_step(Trainer *t, StepReport *report, Error *err) MUST_USE;
/* To the end of the schedule, or until stopped; *is_done says which. Then the model is written to
 * OUT/model. */
bool trainer_run(Trainer *t, bool *is_done, Error *err) MUST_USE;

#endif
