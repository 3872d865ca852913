/* See speculation.h. */
#include "engine/speculation.h"

/* Each step counts this much less than the one after it. */
static const double STEP_FADE = 0.97, TRIAL_FADE = 0.9;
/* Before anything is known: drafts are taken to be true this often, as if so many had been tried;
 * a row more is taken to cost so much of a step, as if it had been measured with so much weight. */
static const double RATE_PRIOR = 0.6, RATE_PRIOR_TRIED = 3;
static const double ROW_PRIOR = 0.1, ROW_PRIOR_WEIGHT = 0.05;
/* A step that took longer than this many times the expectation was disturbed. */
static const double OUTLIER = 3;
/* Tokens won must be worth this many times the seconds lost. */
static const double MARGIN = 1.1;

/* ---- Lookup ---------------------------------------------------------------------------------- */

int draft_lookup(const int32_t *ids, int n_ids, int n_max, int32_t *drafts)
{
    enum { MATCH_ENOUGH = 32 };
    int best = DRAFT_MATCH_MIN - 1, behind = 0;
    for (int end = n_ids - 1; end >= DRAFT_MATCH_MIN && best < MATCH_ENOUGH; end--) {
        int n = 0;
        while (n < end && n < MATCH_ENOUGH && ids[end - 1 - n] == ids[n_ids - 1 - n])
            n++;
        if (n > best) {
            best = n;
            behind = end;
        }
    }
    if (behind == 0)
        return 0;
    /* Where the copy reaches the end of ids it goes on with itself: a passage that repeats. */
    for (int i = 0; i < n_max; i++)
        drafts[i] = behind + i < n_ids ? ids[behind + i] : drafts[behind + i - n_ids];
    return n_max;
}

/* ---- Cost ------------------------------------------------------------------------------------ */

void step_cost_add(StepCost *c, int n_rows, double seconds)
{
    double expected = step_cost(c, n_rows), n = n_rows;
    if (expected > 0 && seconds > OUTLIER * expected)
        seconds = OUTLIER * expected;
    c->weight = STEP_FADE * c->weight + 1;
    c->rows = STEP_FADE * c->rows + n;
    c->rows2 = STEP_FADE * c->rows2 + n * n;
    c->seconds = STEP_FADE * c->seconds + seconds;
    c->rows_seconds = STEP_FADE * c->rows_seconds + n * seconds;
}

/* Least squares, with the slope held to the prior as far as the steps were all alike. */
double step_cost(const StepCost *c, double n_rows)
{
    if (c->weight == 0)
        return 0;
    double rows = c->rows / c->weight, seconds = c->seconds / c->weight;
    double variance = c->rows2 / c->weight - rows * rows;
    double covariance = c->rows_seconds / c->weight - rows * seconds;
    double prior = ROW_PRIOR * seconds / (1 + ROW_PRIOR * (rows - 1));
    double slope = (covariance + ROW_PRIOR_WEIGHT * prior) / (variance + ROW_PRIOR_WEIGHT);
    double at = seconds + slope * (n_rows - rows);
    double least = 0.1 * seconds; /* noise can tilt the line below anything possible */
    return at > least ? at : least;
}

/* ---- Acceptance ------------------------------------------------------------------------------ */

void acceptance_add(Acceptance *a, int n_drafts, int n_accepted)
{
    int n_tried = n_accepted < n_drafts ? n_accepted + 1 : n_drafts;
    a->tried = TRIAL_FADE * a->tried + n_tried;
    a->accepted = TRIAL_FADE * a->accepted + n_accepted;
}

void acceptance_fade(Acceptance *a)
{
    a->tried *= STEP_FADE;
    a->accepted *= STEP_FADE;
}

double acceptance_rate(const Acceptance *a)
{
    return (a->accepted + RATE_PRIOR * RATE_PRIOR_TRIED) / (a->tried + RATE_PRIOR_TRIED);
}

int draft_length(const StepCost *cost, double draft_seconds, const Acceptance *a, int n_streams,
                 int n_rows, int n_max)
{
    const double rate = acceptance_rate(a), plain = step_cost(cost, n_rows);
    if (plain == 0)
        return 0;
    double true_so_far = 1, won = 0, best = n_streams / plain;
    int n_best = 0;
    for (int k = 1; k <= n_max; k++) {
        true_so_far *= rate;
        won += true_so_far;
        double seconds = step_cost(cost, n_rows + k) + k * draft_seconds;
        double tokens_per_s = (n_streams + won) / seconds;
        bool pays = won / n_streams > MARGIN * (seconds / plain - 1);
        if (pays && tokens_per_s > best) {
            best = tokens_per_s;
            n_best = k;
        }
    }
    return n_best;
}
