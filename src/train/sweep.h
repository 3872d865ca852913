/* Sweeps: many short runs, from whose losses the learning rate, the batch and the weights of the
 * sources are chosen for a long one.
 *
 * First a grid: every shape, number of tokens, batch and rate. Over each row of rates a parabola in
 * the rate's logarithm gives the best rate and its loss; the best batch is the one with the lowest.
 * With several shapes or numbers of tokens, power laws carry the best rate and the best batch
 * (in tokens) to the base's own size and length. Then mixtures: random weights, a law of each
 * source's held-out loss, and the weights that it says are best.
 *
 * OUT/trials/NAME/ has a run each, with its log and report; OUT/tuned.yaml the complete
 * configuration with the chosen values; OUT/report.html tables and plots. Started again, it goes
 * on. */
#ifndef WEN_TRAIN_SWEEP_H
#define WEN_TRAIN_SWEEP_H

#include "train/fit.h"
#include "train/sweep_trial.h"

typedef struct SweepOptions {
    TrialOptions trial;
    void (*line)(void *context, const char *text); /* one a trial; NULL: silent */
} SweepOptions;

/* What the rates of one shape, number of tokens and batch say. */
typedef struct SweepRow {
    int shape, tokens, rows; /* indices */
    int first;               /* of its trials; there are config->n_rates */
    Parabola best;
    bool is_known; /* not all of them diverged */
} SweepRow;

typedef struct Sweep {
    const SweepConfig *config; /* borrowed */
    const SweepOptions *options;
    Trial *trials; /* the grid, then the mixtures */
    int n_trials, n_grid;
    SweepRow *table;
    int n_table;
    /* Power laws over (parameters, tokens); several shapes or numbers of tokens only. */
    double rate_law[3], batch_law[3];
    bool has_law;
    Saturation loss_law; /* of the best losses over parameters, or over tokens */
    bool has_loss_law;
    double target_parameters, target_tokens;
    MixtureLaw mixture_law;
    bool has_mixture;
    /* What is chosen. */
    double rate;
    int rows;
    double *weights;      /* [target.n_sources], summing to 1 */
    const char *notes[4]; /* what to be careful with; static */
    int n_notes;
    Arena arena;
} Sweep;

/* Everything is checked before the first trial. *is_done: false when it was stopped. */
bool sweep_run(const SweepConfig *config, const SweepOptions *options, bool *is_done,
               Error *err) MUST_USE;

/* sweep_report.c: OUT/report.html. */
bool sweep_report_write(const Sweep *s, Error *err) MUST_USE;

#endif
