/* What has been done of a pipeline: OUT/pipeline.json, written anew and whole after every change.
 *
 * A stage is `begun` (its command has been started: the folder belongs to it, and a command with
 * the same key goes on there), `finished`, or `stale`: what it was made from is being made again.
 * Its key is a hash of all that it is made from: the command, its configuration, files of the
 * pipeline's folder, and the keys of the stages that it refers to. */
#ifndef WEN_PIPELINE_STATE_H
#define WEN_PIPELINE_STATE_H

#include "pipeline/plan.h"

typedef enum StageState { STAGE_NEW, STAGE_STALE, STAGE_BEGUN, STAGE_FINISHED } StageState;

typedef struct PipelineState {
    char *path;
    json_t *stages; /* {NAME: {"state", "key", "run", "settings", "args", "seconds"}} */
} PipelineState;

bool state_open(PipelineState *s, const char *out, Error *err) MUST_USE;
void state_close(PipelineState *s); /* a zeroed one is fine */

StageState state_of_stage(const PipelineState *s, const char *name);
uint64_t state_key(const PipelineState *s, const char *name); /* 0: none */
double state_seconds(const PipelineState *s, const char *name);

/* Notes it and writes the file; seconds: what the stage has taken so far. */
bool state_note(PipelineState *s, const PlanStage *stage, StageState state, uint64_t key,
                double seconds, Error *err) MUST_USE;
/* Stages that are not STAGE_NEW become stale; the file is written by the next state_note. */
void state_spoil(PipelineState *s, const char *name);

/* keys: of the stages before it. */
uint64_t stage_key(const PlanStage *stage, const uint64_t *keys, int n);
/* What differs from how the stage was made, "a.b: 1 -> 2" apart by ";"; empty: not its own. */
void state_differences(const PipelineState *s, const PlanStage *stage, Buf *out);

#endif
