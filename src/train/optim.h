/* From a gradient to new masters: clipping, skipping of spikes, the learning rate's schedule, AdamW
 * and Muon. */
#ifndef WEN_TRAIN_OPTIM_H
#define WEN_TRAIN_OPTIM_H

#include "train/shards.h"

typedef enum ScheduleShape {
    SCHEDULE_CONSTANT,
    SCHEDULE_LINEAR, /* from the peak to the end */
    SCHEDULE_COSINE,
    SCHEDULE_WSD /* the peak, then linearly to the end over the last decay_steps */
} ScheduleShape;

typedef struct Schedule {
    ScheduleShape shape;
    int64_t warmup_steps; /* linearly from 0 */
    int64_t decay_steps;  /* WSD */
    int64_t steps;
    double peak, end; /* learning rates */
} Schedule;

/* The learning rate of step 0 .. steps-1. */
double schedule_rate(const Schedule *s, int64_t step);

typedef enum OptimKind {
    OPTIM_ADAMW,
    OPTIM_MUON /* for matrices inside layers; AdamW for the rest */
} OptimKind;

typedef struct OptimOptions {
    OptimKind kind;
    double beta1, beta2, eps;
    double weight_decay; /* of matrices; norms and biases do not decay */
    double clip;         /* largest norm of the gradient; 0: as it is */
    double momentum;     /* Muon's */
    double skip_z;       /* a step whose gradient norm lies this many deviations above the mean of
                            the last SPIKE_WINDOW steps is skipped; 0: never */
} OptimOptions;

enum { SPIKE_WINDOW = 128 };

/* What a resumed run needs besides masters, m and v. Plain data. */
typedef struct OptimState {
    int64_t n_updates; /* AdamW's and Muon's count, without skipped steps */
    int64_t n_norms;   /* ever seen: the window's place */
    double norms[SPIKE_WINDOW];
} OptimState;

typedef struct Optim {
    const Params *params;
    OptimOptions options;
    OptimState state;
    Shards shards;
    float *masters, *m, *v; /* [shards_size], device: this rank's part; m is Muon's momentum too */
    float *work;            /* Muon: room for its iterations */
    size_t work_bytes;
} Optim;

/* Masters, m and v are zeros at first. n_parts: 1, or the backend's number of ranks, over which
 * they are divided. */
bool optim_open(Optim *o, const Params *p, const OptimOptions *options, int n_parts,
                Error *err) MUST_USE;
void optim_close(Optim *o); /* a zeroed one is fine */

typedef struct OptimReport {
    double grad_norm; /* before clipping */
    bool is_skipped;
} OptimReport;

/* One step with this rank's part of the gradient, `grads` (device); publishes the new weights. A
 * gradient that is not finite is an error: nothing has been changed. All ranks take it together.
 *
 * `whole` here and below: device memory [params->size] that may be overwritten, in which parts are
 * gathered; not used when nothing is divided. */
bool optim_step(Optim *o, const float *grads, float *whole, double rate, OptimReport *report,
                Error *err) MUST_USE;
/* The model's weights from the masters. */
void optim_publish(const Optim *o, float *whole);
/* All masters, on every rank: in `whole`, or where they are. */
const float *optim_masters(const Optim *o, float *whole);
/* Sets masters to this rank's part of host memory [params->size]. */
void optim_set_masters(Optim *o, const float *masters);

#endif
