/* Held-out loss: documents that are not trained on, scored with the weights as they are.
 *
 * eval.sources lists them as data.sources does. Each source is scored by itself, every document
 * once and in order, up to eval.tokens tokens; the total is the mean over sources by their weights.
 */
#ifndef WEN_TRAIN_HELDOUT_H
#define WEN_TRAIN_HELDOUT_H

#include "train/trainer.h"

typedef struct HeldoutScore {
    double loss; /* nats a scored token */
    double bpb;  /* bits a byte of their text */
} HeldoutScore;

typedef struct HeldoutSource {
    char name[48]; /* its file's, without folder and ending; unique in the run */
    double weight;
    DataSource data;
    HeldoutScore score; /* of the last heldout_score */
} HeldoutSource;

typedef struct Heldout {
    Trainer *trainer; /* borrowed */
    HeldoutSource *sources;
    int n_sources;
    HeldoutScore total;
    /* A batch of rows that is being filled. */
    int *row_start, *doc_start;
    int32_t *ids, *targets;
    float *weights;
    int n_rows, n_docs, n_tokens;
    Arena arena;
} Heldout;

/* Reads and checks everything; no eval.sources: n_sources is 0. */
bool heldout_open(Heldout *h, Trainer *t, Error *err) MUST_USE;
void heldout_close(Heldout *h); /* a zeroed one is fine */
/* Fills in every source's score and the total. The training's state is left as it is. */
void heldout_score(Heldout *h);

#endif
