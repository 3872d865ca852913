/* The draft model of speculation: a smaller one with the same tokenizer, which says what the large
 * one will probably say. Its tokens are drawn with the noise of their positions under the same
 * options, so a draft that equals the model's own distribution is the model's own token.
 *
 * It has keys and values of its own, in pages as many as the engine's, and finds shared beginnings
 * there as the engine does. */
#ifndef WEN_ENGINE_DRAFTER_H
#define WEN_ENGINE_DRAFTER_H

#include "engine/sequence.h"

/* A sequence that wants drafts, behind those that it has. */
typedef struct DraftJob {
    Sequence *sequence;
    int n_wanted;
    int first_row, n_rows; /* of the batch; set by drafter_run */
    bool is_over;          /* likewise */
} DraftJob;

typedef struct Drafter {
    Model *model;
    KvPages kv;
    Step step;
    double seconds;                  /* that a draft took lately; 0: not known yet */
    int32_t *ids, *positions, *rows; /* host memory, [DRAFTER_BATCH_TOKENS] */
    SeqSpan *spans;                  /* [DRAFT_ROWS_MAX], as all below */
    SampleRow *sample_rows;
    Sampled *sampled;
} Drafter;

/* In a step: ids that the draft model has not seen yet, then drafts. */
enum { DRAFTER_BATCH_TOKENS = 256 };

/* Model, borrowed until close; pages and context as the engine's. */
Drafter *drafter_open(Model *model, DType kv_type, int n_pages, int context, Error *err) MUST_USE;
void drafter_close(Drafter *d); /* NULL is fine */

/* Makes drafts for n (at most DRAFT_ROWS_MAX) sequences side by side. One that is still behind by
 * more ids than fit into a step catches up and gets none. */
void drafter_run(Drafter *d, DraftJob *jobs, int n);
/* Of the drafts, the first n_true have become ids: what is computed of them stays. */
void drafter_settle(Drafter *d, Sequence *s, int n_true);

#endif
