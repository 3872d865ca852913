/* How tokens are drawn: what the request says, else the model's defaults. */
#include "api/api.h"

#include "engine/assets.h"

#include <math.h>

static float given_or(float given, float fallback) { return isnan(given) ? fallback : given; }

Sampling sampling_resolve(const wen_model *m, const wen_sampling *asked, bool thinks)
{
    Sampling s = assets_sampling(m->generation, m->think_kind == THINK_HYBRID, thinks);
    s.temperature = given_or(asked->temperature, s.temperature);
    s.top_p = given_or(asked->top_p, s.top_p);
    s.min_p = given_or(asked->min_p, s.min_p);
    s.top_k = asked->top_k >= 0 ? asked->top_k : s.top_k;
    s.repetition_penalty = given_or(asked->repetition_penalty, s.repetition_penalty);
    s.presence_penalty = given_or(asked->presence_penalty, s.presence_penalty);
    s.frequency_penalty = given_or(asked->frequency_penalty, s.frequency_penalty);
    s.seed = (uint64_t)asked->seed;
    s.bias_ids = asked->bias_ids;
    s.bias = asked->bias;
    s.n_bias = asked->n_bias;
    return s;
}
