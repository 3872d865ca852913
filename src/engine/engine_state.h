/* The engine's inside, shared by engine.c, adapted.c and score.c. */
#ifndef WEN_ENGINE_ENGINE_STATE_H
#define WEN_ENGINE_ENGINE_STATE_H

#include "engine/sequence.h"

/* A sequence's part of the step being made: rows first_row .. of the batch. */
typedef struct Planned {
    Sequence *sequence;
    int first_row, n_rows;
} Planned;

struct Engine {
    Model *model;
    SequenceRules rules;
    KvPages kv;
    Step step; /* lifetime: step; made once */
    int max_sequences, max_batch_tokens;

    int64_t last_id;
    Sequence **all; /* until their EVENT_DONE was taken */
    int n_all, n_all_max;
    Sequence **waiting; /* oldest first */
    int n_waiting, n_waiting_max;
    Sequence **running; /* oldest first, [max_sequences] */
    int n_running;
    Sequence *delivered; /* its EVENT_DONE was handed out; freed at the next call */

    Planned *planned; /* [max_sequences] */
    int n_planned, n_planned_tokens;
    double token_seconds; /* what a prompt's token took lately; 0: not known yet */
    int32_t *host_ids, *host_positions, *host_rows; /* [max_batch_tokens] */
    SeqSpan *host_spans;                            /* [max_sequences] */
    AdaptedRows *adapted;                           /* [max_sequences * ENGINE_ADAPTERS_MAX] */
    SampleRow *sample_rows;                         /* [max_sequences] */
    Sampled *sampled;                               /* [max_sequences] */
    EngineStats stats;
};

/* ---- adapted.c: adapters of the sequences of a step ----------------------------------------- */

/* Whether these adapters may be used: of this model, with scales that are numbers. */
bool adapters_check(const Engine *e, const AdapterUse *adapters, int n, Error *err) MUST_USE;
/* Brings planned sequences with the same adapters side by side, so that their rows are one product.
 * The order in a batch changes no result. */
void adapted_group(Engine *e);
/* Fills e->adapted from the plan in that order; returns how many. */
int adapted_list(Engine *e);

#endif
