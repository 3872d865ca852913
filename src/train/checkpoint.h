/* Checkpoints: OUT/checkpoints/STEP/ with
 *   state.json           step, optimizer's counters, the configuration, tokens and seconds so far
 *   tensors.safetensors  "masters", "m", "v": flat f32 arrays in the order of Params
 *   data.bin             what the stage itself needs: the data's cursor, say
 * A folder is written beside its place and renamed when all of it is on the disk, so that a killed
 * process or a full disk leaves the one before. The model is in no other state than this, and it is
 * the same for any number of ranks: the first one writes what all have, and each reads its part. */
#ifndef WEN_TRAIN_CHECKPOINT_H
#define WEN_TRAIN_CHECKPOINT_H

#include "train/data.h"
#include "train/optim.h"
#include "train/ranks.h"

/* Where a run stands. */
typedef struct Progress {
    int64_t step; /* steps done */
    int64_t n_tokens;
    double seconds;
} Progress;

/* A stage's own part of a checkpoint. */
typedef struct StageState {
    void (*save)(void *context, Buf *out);
    bool (*load)(void *context, Str saved); /* false: it does not fit */
    void *context;
} StageState;

/* Writes OUT/checkpoints/STEP and removes the oldest beyond `keep`. All ranks call it. */
bool checkpoint_save(const char *out, int keep, const Progress *progress, const Optim *o,
                     const Ranks *ranks, const StageState *state, const TrainConfig *c,
                     Error *err) MUST_USE;

/* The newest checkpoint's step, or -1 when there is none. */
int64_t checkpoint_newest(const char *out);
/* Takes it up: masters, moments, counters, cursor; a configuration that may not change and did is
 * an error that lists the differences. Weights are published. All ranks call it; `whole`: see
 * optim_step. */
bool checkpoint_load(const char *out, int64_t step, Progress *progress, Optim *o, float *whole,
                     const StageState *state, const TrainConfig *c, Error *err) MUST_USE;
/* Removes what a process that was killed while it wrote has left. */
bool checkpoint_remove_unfinished(const char *out, Error *err) MUST_USE;
/* Removes all of a run's checkpoints. */
bool checkpoint_remove_all(const char *out, Error *err) MUST_USE;

#endif
