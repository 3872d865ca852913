/* Speculation: tokens that might come next ("drafts") are computed in the same step as the last
 * known one, and kept as far as the model itself draws them. Memory is read once for all of them.
 *
 * It is exact. Each token is drawn from the model's own logits, under its own mask and penalties,
 * with the noise of its position (Sampled, backend.h), and only an equal draft is accepted; so the
 * answer has the same bytes with speculation and without, at every temperature. (Leviathan et al.,
 * arXiv 2211.17192, accept by probabilities and keep the distribution, not the text.)
 *
 * Here is what decides whether it pays: how many drafts to try, from what steps of so many rows
 * have cost and how often this sequence's drafts have come true. Both are measured, so they change
 * with the machine's load; they change the speed, never the text. */
#ifndef WEN_ENGINE_SPECULATION_H
#define WEN_ENGINE_SPECULATION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DRAFTS_MAX = 16,     /* of a sequence in a step */
    DRAFT_ROWS_MAX = 32, /* of all sequences in a step */
    DRAFT_MATCH_MIN = 3, /* ids that must agree before a continuation is copied */
};

/* Where drafts come from; EngineOptions.speculation holds them as bits 1 << source. */
typedef enum DraftSource {
    DRAFT_LOOKUP, /* the sequence's own ids: what followed where its end stood before */
    DRAFT_MODEL,  /* a smaller model with the same tokenizer, asked with the same noise */
    N_DRAFT_SOURCES,
} DraftSource;

/* Prompt lookup: where the longest ending of ids (at least DRAFT_MATCH_MIN) last stood, what came
 * behind it. Returns how many of at most n_max drafts there are. */
int draft_lookup(const int32_t *ids, int n_ids, int n_max, int32_t *drafts);

/* What a step takes by its rows, a line through the last steps: sums that fade. */
typedef struct StepCost {
    double weight, rows, rows2, seconds, rows_seconds;
} StepCost;
void step_cost_add(StepCost *cost, int n_rows, double seconds);
/* Seconds of a step of n_rows; 0: no step was measured yet. */
double step_cost(const StepCost *cost, double n_rows);

/* How drafts of one source have come true for one sequence: sums that fade. A draft behind a wrong
 * one was not tried. */
typedef struct Acceptance {
    double tried, accepted;
} Acceptance;
void acceptance_add(Acceptance *a, int n_drafts, int n_accepted);
/* It did not pay: what was measured fades, so that it is tried again later. */
void acceptance_fade(Acceptance *a);
/* The probability that a draft behind true ones is true. */
double acceptance_rate(const Acceptance *a);

/* How many drafts (0 .. n_max) give the most tokens a second, added to a step of n_rows rows and
 * n_streams sequences; a draft takes draft_seconds to make. */
int draft_length(const StepCost *cost, double draft_seconds, const Acceptance *a, int n_streams,
                 int n_rows, int n_max);

#endif
