/* The engine's inside, shared by engine.c, engine_step.c, adapted.c and score.c. */
#ifndef WEN_ENGINE_ENGINE_STATE_H
#define WEN_ENGINE_ENGINE_STATE_H

#include "engine/drafter.h"

/* A sequence's part of the step being made: rows first_row .. of the batch, its drafts last. */
typedef struct Planned {
    Sequence *sequence;
    int first_row, n_rows;
    bool is_prompt;   /* not a stream that waits for its next token */
    int first_logits; /* row of the logits that belongs to row 0, if that had any */
    int n_true;       /* rows whose tokens, and all before, stand in the sequence's ids */
    int drawn_row;    /* whose logits the next token is drawn from; -1: none */
} Planned;

struct Engine {
    Model *model;
    EngineOptions options;
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
    StepCost step_cost;   /* of steps without prompts */
    Drafter *drafter;     /* NULL: no draft model */
    int32_t *host_ids, *host_positions, *host_rows; /* [max_batch_tokens] */
    SeqSpan *host_spans;                            /* [max_sequences] */
    AdaptedRows *adapted;                           /* [max_sequences * ENGINE_ADAPTERS_MAX] */
    SampleRow *sample_rows;                         /* [max_sequences + DRAFT_ROWS_MAX] */
    Sampled *sampled;                               /* likewise */
    EngineStats stats;
};

/* ---- engine.c ------------------------------------------------------------------------------- */

void sequence_list_push(Sequence ***list, int *n, int *n_max, Sequence *s, bool at_front);
void sequence_list_remove(Sequence **list, int *n, const Sequence *s);
void engine_drop_pages(Engine *e, Sequence *s);
/* It is done: it waits and runs no more, and its pages are free. */
void engine_retire(Engine *e, Sequence *s);

/* ---- adapted.c: adapters of the sequences of a step ----------------------------------------- */

/* Whether these adapters may be used: of this model, with scales that are numbers. */
bool adapters_check(const Engine *e, const AdapterUse *adapters, int n, Error *err) MUST_USE;
/* Brings planned sequences with the same adapters side by side, so that their rows are one product.
 * The order in a batch changes no result. */
void adapted_group(Engine *e);
/* Fills e->adapted from the plan in that order; returns how many. */
int adapted_list(Engine *e);

#endif
