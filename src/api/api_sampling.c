/* How tokens are drawn when the request does not say: the model's generation_config.json, else
 * Qwen's recommendations (README and docs/source/getting_started/quickstart.md of QwenLM/Qwen3). */
#include "api/api.h"

#include <math.h>

typedef struct Defaults {
    double temperature, top_p;
    int top_k;
} Defaults;

static const Defaults thinking_defaults = {0.6, 0.95, 20};
static const Defaults plain_defaults = {0.7, 0.8, 20};

static bool near(double a, double b) { return fabs(a - b) < 1e-4; }

static double number_or(const json_t *object, const char *key, double fallback)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

/* One file serves both modes of a hybrid model; its values are those for thinking. */
static bool is_hybrid_file(const json_t *file)
{
    return near(number_or(file, "temperature", -1), thinking_defaults.temperature) &&
           near(number_or(file, "top_p", -1), thinking_defaults.top_p) &&
           near(number_or(file, "top_k", -1), thinking_defaults.top_k);
}

static Sampling model_sampling(const wen_model *m, bool thinks)
{
    const json_t *file = m->generation;
    Defaults d = thinks ? thinking_defaults : plain_defaults;
    bool is_switched = m->think_kind == THINK_HYBRID && !thinks && is_hybrid_file(file);
    if (json_is_false(json_object_get(file, "do_sample"))) {
        d = (Defaults){0, 1, 0};
    } else if (json_object_get(file, "temperature") && !is_switched) {
        /* A file that speaks of sampling means "off" where it is silent. */
        d.temperature = number_or(file, "temperature", 1);
        d.top_p = number_or(file, "top_p", 1);
        d.top_k = (int)number_or(file, "top_k", 0);
    }
    return (Sampling){
        .temperature = (float)d.temperature,
        .top_p = (float)d.top_p,
        .top_k = d.top_k > 0 ? d.top_k : 0,
        .min_p = (float)number_or(file, "min_p", 0),
        .repetition_penalty = (float)number_or(file, "repetition_penalty", 1),
    };
}

static float given_or(float given, float fallback) { return isnan(given) ? fallback : given; }

Sampling sampling_resolve(const wen_model *m, const wen_sampling *asked, bool thinks)
{
    Sampling s = model_sampling(m, thinks);
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
