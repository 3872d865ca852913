/* See objective.h. */
#include "rl/objective.h"

#include <math.h>
#include <string.h>

/* Differences of log-probabilities beyond it say nothing but that one of them is 0. */
#define LOG_RATIO_MAX 20.0

bool policy_named(const char *name, Policy *policy)
{
    static const struct {
        const char *name;
        Policy policy;
    } table[] = {
        {"grpo", {POLICY_GRPO, MEAN_SEQUENCES, SCALE_DEVIATION, 0.2, 0.2, 0, 0, 0}},
        {"dapo", {POLICY_GRPO, MEAN_TOKENS, SCALE_DEVIATION, 0.2, 0.28, 0, 0, 0}},
        {"dr_grpo", {POLICY_GRPO, MEAN_CONSTANT, SCALE_NONE, 0.2, 0.2, 0, 0, 0}},
        {"gspo", {POLICY_GSPO, MEAN_SEQUENCES, SCALE_DEVIATION, 3e-4, 4e-4, 0, 0, 0}},
        {"cispo", {POLICY_CISPO, MEAN_TOKENS, SCALE_DEVIATION, 1, 0.28, 0, 0, 0}},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(name, table[i].name) == 0) {
            *policy = table[i].policy;
            return true;
        }
    return false;
}

void policy_advantages(const Policy *p, const double *rewards, int n, double *advantages)
{
    double mean = 0, square = 0;
    bool is_mixed = false;
    for (int i = 0; i < n; i++) {
        mean += rewards[i] / n;
        is_mixed |= rewards[i] != rewards[0];
    }
    for (int i = 0; i < n; i++)
        square += (rewards[i] - mean) * (rewards[i] - mean);
    const double deviation = n > 1 ? sqrt(square / (n - 1)) : 0;
    for (int i = 0; i < n; i++) {
        /* Rounding of the mean must not make a signal where there is none. */
        const double centered = is_mixed ? rewards[i] - mean : 0;
        advantages[i] = p->scale == SCALE_DEVIATION ? centered / (deviation + 1e-6) : centered;
    }
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static double ratio_of(double now, double sampled)
{
    return exp(clamp(now - sampled, -LOG_RATIO_MAX, LOG_RATIO_MAX));
}

/* What a token of the answer counts in the mean. */
static double share(const Policy *p, const PolicyBatch *batch, const Answer *a)
{
    switch (p->mean) {
    case MEAN_TOKENS:
        return 1.0 / (double)batch->n_tokens;
    case MEAN_SEQUENCES:
        return 1.0 / ((double)batch->n_answers * a->n);
    case MEAN_CONSTANT:
        return 1.0 / ((double)batch->n_answers * p->length);
    }
    return 0;
}

/* Whether the objective is flat in the ratio there. */
static bool is_clipped(const Policy *p, double ratio, double advantage)
{
    if (advantage >= 0)
        return ratio > 1 + p->clip_high;
    return ratio < 1 - p->clip_low || (p->dual_clip > 0 && ratio > p->dual_clip);
}

static double clipped_value(const Policy *p, double ratio, double advantage)
{
    const double clipped = clamp(ratio, 1 - p->clip_low, 1 + p->clip_high) * advantage;
    const double value = fmin(ratio * advantage, clipped);
    return advantage < 0 && p->dual_clip > 0 ? fmax(value, p->dual_clip * advantage) : value;
}

/* The geometric mean of the answer's ratios. */
static double answer_ratio(const Answer *a, const float *now)
{
    double sum = 0;
    for (int i = 0; i < a->n; i++)
        sum += (double)now[i] - (double)a->sampled[i];
    return ratio_of(sum / a->n, 0);
}

static void count(const Answer *a, const float *now, const Policy *p, PolicyStats *stats)
{
    for (int i = 0; i < a->n; i++) {
        const double difference = (double)a->sampled[i] - (double)now[i];
        /* Exactly 0 for equal bits: expm1(0) - 0. */
        stats->kl += expm1(-difference) + difference;
        stats->kl_largest = fmax(stats->kl_largest, fabs(difference));
        stats->ratio += ratio_of((double)now[i], (double)a->sampled[i]);
        stats->neg_logprobs -= (double)now[i];
        if (p->kl > 0) {
            const double away = (double)a->reference[i] - (double)now[i];
            stats->reference_kl += expm1(clamp(away, -LOG_RATIO_MAX, LOG_RATIO_MAX)) - away;
        }
    }
    stats->n_tokens += a->n;
}

void policy_weights(const Policy *p, const PolicyBatch *batch, const Answer *a, const float *now,
                    float *weights, PolicyStats *stats)
{
    const double each = share(p, batch, a);
    const double whole = p->kind == POLICY_GSPO ? answer_ratio(a, now) : 0;
    for (int i = 0; i < a->n; i++) {
        const double ratio =
            p->kind == POLICY_GSPO ? whole : ratio_of((double)now[i], (double)a->sampled[i]);
        double weight;
        if (p->kind == POLICY_CISPO) {
            const bool is_cut = ratio > 1 + p->clip_high;
            weight = a->advantage * (is_cut ? 1 + p->clip_high : ratio);
            stats->n_clipped += is_cut;
        } else {
            const bool is_flat = is_clipped(p, ratio, a->advantage);
            weight = is_flat ? 0 : a->advantage * ratio;
            stats->n_clipped += is_flat;
        }
        if (p->kl > 0) { /* d k3 / d log p = 1 - exp(reference - log p) */
            const double away = (double)a->reference[i] - (double)now[i];
            weight -= p->kl * (1 - exp(clamp(away, -LOG_RATIO_MAX, LOG_RATIO_MAX)));
        }
        weights[i] = (float)(each * weight);
    }
    count(a, now, p, stats);
}

double policy_value(const Policy *p, const PolicyBatch *batch, const Answer *a, const double *now)
{
    const double each = share(p, batch, a);
    double sum = 0, logs = 0;
    for (int i = 0; i < a->n; i++)
        logs += now[i] - (double)a->sampled[i];
    for (int i = 0; i < a->n; i++) {
        const double ratio = p->kind == POLICY_GSPO ? ratio_of(logs / a->n, 0)
                                                    : ratio_of(now[i], (double)a->sampled[i]);
        if (p->kind == POLICY_CISPO) /* the ratio is a constant there */
            sum += a->advantage * fmin(ratio, 1 + p->clip_high) * now[i];
        else
            sum += clipped_value(p, ratio, a->advantage);
        if (p->kl > 0) {
            const double away = (double)a->reference[i] - now[i];
            sum -= p->kl * (expm1(away) - away);
        }
    }
    return each * sum;
}

double policy_length_penalty(int n_tokens, int limit, int soft)
{
    if (soft <= 0 || n_tokens <= limit - soft)
        return 0;
    return n_tokens >= limit ? -1 : -(double)(n_tokens - (limit - soft)) / soft;
}
