/* One short run of a sweep, in a folder of its own. A trial that is finished is found again; one
 * that was cut is resumed. */
#ifndef WEN_TRAIN_SWEEP_TRIAL_H
#define WEN_TRAIN_SWEEP_TRIAL_H

#include "train/sweep_config.h"

#include <signal.h>

typedef struct Trial {
    char name[64]; /* its folder under OUT/trials */
    /* Indices into the sweep's lists; the rate may lie between the grid's. */
    int shape, tokens, rows;
    double rate;
    const double *mixture; /* [target.n_sources]; NULL: the base's weights */
    /* What came out. */
    double loss;     /* held-out loss, or the mean loss of the last tenth; NAN: it diverged */
    double *heldout; /* [target.eval.n_sources], borrowed from the sweep */
    int64_t n_parameters, n_steps;
} Trial;

typedef struct TrialOptions {
    const char *out; /* the sweep's folder */
    int n_threads;
    const volatile sig_atomic_t *stop;                 /* as RunOptions' */
    void (*progress)(void *context, const char *text); /* likewise */
    void *context;
} TrialOptions;

/* The trial's configuration is one that can be run. Fills in n_steps. */
bool trial_check(Trial *t, const SweepConfig *c, Error *err) MUST_USE;
/* *is_done: false when it was stopped. A trial that diverges is no error. */
bool trial_run(Trial *t, const SweepConfig *c, const TrialOptions *options, bool *is_done,
               Error *err) MUST_USE;

#endif
