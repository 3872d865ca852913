/* A run: steps to the end of the schedule, with the log, the checkpoints and the model that is
 * written at the end. */
#ifndef WEN_TRAIN_RUN_H
#define WEN_TRAIN_RUN_H

#include "train/evaluation.h"

#include <signal.h>

/* What a step is in a stage that makes its own batches. */
typedef struct StageSteps {
    /* Adds columns of its own to the log. */
    void (*add_columns)(void *context, RunLog *log);
    /* Updates, and the values of those columns; the run ends the step. */
    bool (*take)(void *context, Trainer *t, RunLog *log, StepReport *report, Error *err);
    /* How the last step went, for the progress line: "reward 0.412  score 0.375". */
    void (*describe)(void *context, Buf *out);
    void *context;
} StageSteps;

typedef struct RunOptions {
    StageSteps steps; /* zeroed: trainer_step */
    /* Set to non-zero (by a signal, say): the step in work is finished, a checkpoint written, and
     * run_stage returns. May be NULL. */
    const volatile sig_atomic_t *stop;
    /* One line after every log_every steps, of which the last is enough; NULL: silent. */
    void (*progress)(void *context, const char *text);
    /* A line that is worth keeping: what an evaluation found, how the run ended. NULL: silent. */
    void (*line)(void *context, const char *text);
    void *context;
    EvaluationHooks hooks; /* zeroed: eval.sources only */
    bool is_trial;         /* no model is written at the end */
} RunOptions;

/* All ranks call it; the first one writes and speaks. To the end of the schedule, or until stopped;
 * *is_done says which. log.csv is continued: lines of steps that a resumed run repeats are dropped.
 * At the end the model is written to OUT/model. */
bool run_stage(Trainer *t, const RunOptions *options, bool *is_done, Error *err) MUST_USE;

#endif
