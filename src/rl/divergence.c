/* See divergence.h.
 *
 * With log-probabilities s_i and t_i of the outcomes i (ids, or the top ones and the rest), a
 * divergence D = sum term(s_i, t_i) has the gradient p_i (g_i - sum_j p_j g_j) by the logits,
 * g_i = dD / dp_i up to a constant. pull(s, t) is p g, with the constant chosen so that it is
 * exactly 0 where s = t. Within the rest p_i is shared out as the student shares it. */
#include "rl/divergence.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- An outcome
 * -------------------------------------------------------------------------------------------- */

/* log((1 - share) + share e^x), exactly 0 at 0. */
static double log_mix(double share, double x)
{
    return x > 40 ? log(share) + x : log1p(share * expm1(x));
}

static double term(const Divergence *d, double s, double t)
{
    switch (d->kind) {
    case DIVERGENCE_REVERSE:
        return exp(s) * (s - t);
    case DIVERGENCE_FORWARD:
        return exp(t) * (t - s);
    case DIVERGENCE_JSD:
        return -d->beta * exp(t) * log_mix(1 - d->beta, s - t) -
               (1 - d->beta) * exp(s) * log_mix(d->beta, t - s);
    case DIVERGENCE_SAMPLED:
        break;
    }
    return 0;
}

static double pull(const Divergence *d, double s, double t)
{
    switch (d->kind) {
    case DIVERGENCE_REVERSE:
        return exp(s) * (s - t);
    case DIVERGENCE_FORWARD:
        return exp(s) - exp(t);
    case DIVERGENCE_JSD:
        return -(1 - d->beta) * exp(s) * log_mix(d->beta, t - s);
    case DIVERGENCE_SAMPLED:
        break;
    }
    return 0;
}

/* ---- A row
 * -------------------------------------------------------------------------------------------- */

/* Which ids are outcomes by themselves: asked in order of the ids. */
typedef struct Top {
    bool is_all;
    float least;
    int n_least; /* that are still taken of those equal to it */
} Top;

static void sift_down(float *heap, int n, int i)
{
    for (int child; (child = 2 * i + 1) < n; i = child) {
        child += child + 1 < n && heap[child + 1] < heap[child];
        if (heap[i] <= heap[child])
            return;
        const float kept = heap[i];
        heap[i] = heap[child];
        heap[child] = kept;
    }
}

/* The k-th largest, from a heap of the k largest. */
static Top find_top(const Divergence *d, const float *x, int n)
{
    float heap[DIVERGENCE_TOP_MAX];
    const int k = d->top < n ? d->top : n;
    if (k == 0 || d->kind == DIVERGENCE_SAMPLED)
        return (Top){.is_all = true};
    memcpy(heap, x, sizeof *heap * (size_t)k);
    for (int i = k / 2 - 1; i >= 0; i--)
        sift_down(heap, k, i);
    for (int i = k; i < n; i++)
        if (x[i] > heap[0]) {
            heap[0] = x[i];
            sift_down(heap, k, 0);
        }
    Top top = {.least = heap[0]};
    for (int i = 0; i < k; i++)
        top.n_least += heap[i] == top.least;
    return top;
}

static bool take_top(Top *top, float x)
{
    return top->is_all || x > top->least || (x == top->least && top->n_least-- > 0);
}

static int largest(const float *x, int n)
{
    int best = 0;
    for (int i = 1; i < n; i++)
        best = x[i] > x[best] ? i : best;
    return best;
}

static double log_sum_exp(const float *x, int n, int best)
{
    const double most = (double)x[best];
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - most);
    return most + log(sum);
}

/* Sums over a row. */
typedef struct RowSums {
    double value, pulls;
    double rest_s, rest_t; /* log-probabilities of the rest; rest_pull 0: there is none */
    double rest_pull;
} RowSums;

static RowSums sum_row(const Divergence *d, const float *student, const float *teacher,
                       double lse_s, double lse_t, int n, Top top, DivergenceRow *row)
{
    RowSums sums = {0};
    double kl = 0, entropy = 0, rest_s = 0, rest_t = 0;
    int n_rest = 0;
    for (int i = 0; i < n; i++) {
        const double s = (double)student[i] - lse_s, t = (double)teacher[i] - lse_t, p = exp(s);
        kl += p * (s - t);
        entropy -= p * s;
        if (take_top(&top, teacher[i])) {
            sums.value += term(d, s, t);
            sums.pulls += pull(d, s, t);
        } else {
            n_rest++;
            rest_s += p;
            rest_t += exp(t);
        }
    }
    if (n_rest > 0) { /* DBL_MIN: so small that its logarithm would be none */
        sums.rest_s = log(fmax(rest_s, DBL_MIN));
        sums.rest_t = log(fmax(rest_t, DBL_MIN));
        sums.rest_pull = pull(d, sums.rest_s, sums.rest_t);
        sums.value += term(d, sums.rest_s, sums.rest_t);
        sums.pulls += sums.rest_pull;
    }
    row->kl = kl;
    row->entropy = entropy;
    return sums;
}

DivergenceRow divergence_row(const Divergence *d, const float *teacher, int target, float weight,
                             int n, float *logits)
{
    DivergenceRow row;
    const int best_s = largest(logits, n), best_t = largest(teacher, n);
    const double lse_s = log_sum_exp(logits, n, best_s), lse_t = log_sum_exp(teacher, n, best_t);
    const double mix = d->cross_entropy, share = 1 - mix;
    const double target_s = (double)logits[target] - lse_s;
    Top top = find_top(d, teacher, n);
    RowSums sums = sum_row(d, logits, teacher, lse_s, lse_t, n, top, &row);
    double at_target = -mix; /* what the target is pulled beside the divergence */
    if (d->kind == DIVERGENCE_SAMPLED) {
        sums.value = target_s - ((double)teacher[target] - lse_t);
        at_target += share * sums.value;
    }
    const double pulls = share * sums.pulls + at_target;
    for (int i = 0; i < n; i++) {
        const double s = (double)logits[i] - lse_s, t = (double)teacher[i] - lse_t;
        const double own =
            take_top(&top, teacher[i]) ? pull(d, s, t) : exp(s - sums.rest_s) * sums.rest_pull;
        const double all = share * own + (i == target ? at_target : 0);
        logits[i] = (float)((double)weight * (all - exp(s) * pulls));
    }
    row.agrees = best_s == best_t;
    row.loss = share * sums.value - mix * target_s;
    return row;
}
