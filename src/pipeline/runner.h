/* The stages of a plan, one after the other: what is finished is skipped, what was interrupted goes
 * on, what has changed is made again with all that depends on it.
 *
 * Each stage is a command of its own, `wen RUN ...`, in a process of its own that writes to
 * OUT/NAME; its configuration, with paths in place of references, is OUT/configs/NAME.yaml, and
 * what it says goes to OUT/logs/NAME.log. A process that is interrupted goes on by its own means:
 * checkpoints, journals. OUT/pipeline.log has a line for each thing that happened. */
#ifndef WEN_PIPELINE_RUNNER_H
#define WEN_PIPELINE_RUNNER_H

#include "pipeline/plan.h"

#include <signal.h>

typedef struct PipelineOptions {
    const char *out;
    const char *program; /* path of wen */
    int n_threads;       /* of each stage; 0: one a processor */
    const char *from;    /* this stage runs, finished or not; those before it are taken as they are
                            and have to be finished. NULL: whatever is not finished */
    const char *until;   /* the last one; NULL: all */
    /* Set to non-zero (by a signal, say): the stage at work is told to stop, which keeps what it
     * has done, and pipeline_run returns. May be NULL. */
    const volatile sig_atomic_t *stop;
    void (*progress)(void *context, const char *text); /* replaces itself; NULL clears it */
    void (*line)(void *context, const char *text);
    void *context;
} PipelineOptions;

/* All configurations are read before the first stage runs. False also when it was stopped
 * (ERROR_CANCELLED). At the end, whatever it is, OUT/report.html tells of the stages. */
bool pipeline_run(const Plan *plan, const PipelineOptions *options, Error *err) MUST_USE;

#endif
