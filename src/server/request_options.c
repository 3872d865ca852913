/* See request_options.h: sampling, lengths, stops, logprobs, stream. */
#include "server/request_options.h"

#include "server/json_in.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS_MAX = 1 << 24 };

RequestDefaults request_defaults_none(void)
{
    wen_request none = wen_request_defaults();
    return (RequestDefaults){.sampling = none.sampling, .think = -1, .think_budget = -1};
}

void options_open(RequestOptions *o, const RequestDefaults *defaults)
{
    *o = (RequestOptions){
        .ask = wen_request_defaults(), .n = 1, .merges_thinking = defaults->merges_thinking};
    o->ask.sampling = defaults->sampling;
    o->ask.think = defaults->think;
    o->ask.think_budget = defaults->think_budget;
    o->ask.max_tokens = defaults->max_tokens;
    if (defaults->template_kwargs)
        o->kwargs = json_copy((json_t *)defaults->template_kwargs);
}

void options_close(RequestOptions *o)
{
    json_decref(o->tools);
    json_decref(o->kwargs);
    arena_close(&o->arena);
}

/* ---- Sampling -------------------------------------------------------------------------------- */

static bool read_float(const json_t *object, const char *where, const char *name, double min,
                       double max, float *value, Fault *fault)
{
    double real = (double)*value;
    if (!in_real(object, where, name, min, max, &real, fault))
        return false;
    *value = (float)real;
    return true;
}

static bool read_sampling(wen_sampling *s, const json_t *object, const char *where, Fault *fault)
{
    const struct {
        const char *name;
        float *value;
        double min, max;
    } reals[] = {
        {"temperature", &s->temperature, 0, 100},
        {"top_p", &s->top_p, 0, 1},
        {"min_p", &s->min_p, 0, 1},
        {"presence_penalty", &s->presence_penalty, -100, 100},
        {"frequency_penalty", &s->frequency_penalty, -100, 100},
        {"repeat_penalty", &s->repetition_penalty, 1e-6, 100},
        {"repetition_penalty", &s->repetition_penalty, 1e-6, 100},
    };
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++)
        if (!read_float(object, where, reals[i].name, reals[i].min, reals[i].max, reals[i].value,
                        fault))
            return false;
    if (s->top_p == 0) /* keeps nothing but the likeliest: the smallest share says the same */
        s->top_p = 1e-6F;
    int64_t top_k = s->top_k, seed = s->seed;
    if (!in_int(object, where, "top_k", -1, TOKENS_MAX, &top_k, fault) ||
        !in_int(object, where, "seed", INT64_MIN, INT64_MAX, &seed, fault))
        return false;
    if (in_get(object, "top_k"))
        s->top_k = top_k < 0 ? 0 : (int)top_k; /* -1: all, as in vLLM */
    if (in_get(object, "seed"))
        s->seed = seed >= -1 ? seed : seed & INT64_MAX;
    return true;
}

static bool read_bias(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    json_t *map = NULL, *value;
    const char *key;
    if (!in_object(object, where, "logit_bias", &map, fault))
        return false;
    if (!map)
        return true;
    if (json_object_size(map) > OPTIONS_BIAS_MAX)
        return fault_set(fault, 400, "logit_bias", "logit_bias: at most %d tokens",
                         OPTIONS_BIAS_MAX);
    o->bias_ids = ARENA_ARRAY(&o->arena, int32_t, json_object_size(map) + 1);
    o->bias = ARENA_ARRAY(&o->arena, float, json_object_size(map) + 1);
    int n = 0;
    json_object_foreach(map, key, value)
    {
        char *end;
        long id = strtol(key, &end, 10);
        double bias = json_number_value(value);
        if (end == key || *end || id < 0 || id > INT32_MAX || !json_is_number(value) ||
            !(bias >= -1e6 && bias <= 1e6))
            return fault_set(fault, 400, "logit_bias",
                             "logit_bias: must map token ids to numbers, such as {\"9707\": -5}");
        o->bias_ids[n] = (int32_t)id;
        o->bias[n++] = (float)bias;
    }
    o->ask.sampling.bias_ids = o->bias_ids;
    o->ask.sampling.bias = o->bias;
    o->ask.sampling.n_bias = n;
    return true;
}

/* ---- Length, stops, logprobs, stream --------------------------------------------------------- */

static bool read_length(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    static const char *const names[] = {"n_predict", "num_predict", "max_tokens",
                                        "max_output_tokens", "max_completion_tokens"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        /* Ollama and llama.cpp: -1 and -2 are "as many as there is room for". */
        int64_t n = 0, min = i < 2 ? -2 : 0;
        if (!in_int(object, where, names[i], min, INT_MAX, &n, fault))
            return false;
        if (!in_get(object, names[i]))
            continue;
        o->is_prompt_only = n == 0;
        o->ask.max_tokens = n < 0 ? 0 : n > TOKENS_MAX ? TOKENS_MAX : (int)n;
    }
    return true;
}

static bool read_stops(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    static const char *const names[] = {"stop", "stop_sequences"};
    for (size_t k = 0; k < 2; k++) {
        const json_t *stop = in_get(object, names[k]);
        if (!stop)
            continue;
        int n = json_is_array(stop) ? (int)json_array_size(stop) : 1;
        if (n > OPTIONS_STOPS_MAX)
            return fault_set(fault, 400, names[k], "%s%s: at most %d strings", where, names[k],
                             OPTIONS_STOPS_MAX);
        o->ask.n_stops = 0;
        for (int i = 0; i < n; i++) {
            const json_t *text = json_is_array(stop) ? json_array_get(stop, (size_t)i) : stop;
            const char *value = json_string_value(text);
            if (!value || strlen(value) != json_string_length(text) || (!*value && n > 1))
                return fault_set(fault, 400, names[k],
                                 "%s%s: must be a string or an array of strings that are not empty",
                                 where, names[k]);
            if (*value)
                o->stops[o->ask.n_stops++] = value;
        }
        o->ask.stops = o->stops;
    }
    return true;
}

static bool read_logprobs(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    const json_t *logprobs = in_get(object, "logprobs");
    int64_t n_top = -1;
    if (!in_int(object, where, "top_logprobs", 0, OPTIONS_TOP_MAX, &n_top, fault))
        return false;
    if (json_is_boolean(logprobs)) {
        if (json_is_true(logprobs))
            o->ask.n_logprobs = n_top < 0 ? 0 : (int)n_top;
        else if (n_top > 0)
            return fault_set(fault, 400, "top_logprobs", "top_logprobs: needs \"logprobs\": true");
        return true;
    }
    if (!logprobs) {
        if (n_top > 0)
            o->ask.n_logprobs = (int)n_top;
        return true;
    }
    int64_t n = 0;
    if (!in_int(object, where, "logprobs", 0, OPTIONS_TOP_MAX, &n, fault))
        return false;
    o->ask.n_logprobs = (int)n;
    return true;
}

static bool read_stream(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    json_t *options = NULL;
    return in_bool(object, where, "stream", &o->is_stream, fault) &&
           in_object(object, where, "stream_options", &options, fault) &&
           in_bool(options, "stream_options.", "include_usage", &o->includes_usage, fault) &&
           in_bool(options, "stream_options.", "continuous_usage_stats", &o->has_usage_in_each,
                   fault) &&
           in_int(options, "stream_options.", "resume_seconds", 0, STREAM_SECONDS_MAX,
                  &o->resume_seconds, fault);
}

static bool read_rest(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    int64_t n = o->n;
    if (!in_int(object, where, "n", 1, OPTIONS_N_MAX, &n, fault))
        return false;
    o->n = (int)n;
    return in_text(object, where, "model", &o->model, fault) &&
           in_bool(object, where, "ignore_eos", &o->ask.ignores_eos, fault) &&
           in_bool(object, where, "continue_final_message", &o->ask.continues_last, fault) &&
           in_text(object, where, "cache_salt", &o->ask.cache_salt, fault);
}

bool options_read(RequestOptions *o, const json_t *object, const char *where, Fault *fault)
{
    return read_sampling(&o->ask.sampling, object, where, fault) &&
           read_bias(o, object, where, fault) && read_length(o, object, where, fault) &&
           read_stops(o, object, where, fault) && read_logprobs(o, object, where, fault) &&
           read_stream(o, object, where, fault) && read_rest(o, object, where, fault) &&
           options_read_thinking(o, object, where, fault) &&
           options_read_tools(o, object, where, fault) &&
           options_read_format(o, object, where, fault);
}

const char *options_dump(RequestOptions *o, const json_t *value)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    char *copy = arena_strndup(&o->arena, text ? text : "", text ? strlen(text) : 0);
    free(text);
    return copy;
}

void options_set_messages(RequestOptions *o, const json_t *messages)
{
    const json_t *role = json_object_get(json_array_get(messages, 0), "role");
    const char *first = json_string_value(role);
    if (!o->system || (first && strcmp(first, "system") == 0)) {
        o->ask.messages = options_dump(o, messages);
        return;
    }
    json_t *all = json_array();
    json_array_append_new(all, json_pack("{s:s, s:s}", "role", "system", "content", o->system));
    json_array_extend(all, (json_t *)messages);
    o->ask.messages = options_dump(o, all);
    json_decref(all);
}

bool options_read_made(RequestOptions *o, const json_t *settings, Fault *fault)
{
    o->system = json_string_value(json_object_get(settings, "system"));
    return options_read(o, json_object_get(settings, "parameters"), "parameters.", fault);
}

bool options_finish(RequestOptions *o, Fault *fault)
{
    if (!options_finish_tools(o, fault))
        return false;
    if (o->is_prompt_only && o->ask.messages)
        return fault_set(fault, 400, "max_tokens", "max_tokens: must be at least 1");
    if (o->ask.messages && o->tools)
        o->ask.tools = options_dump(o, o->tools);
    if (o->ask.messages && o->kwargs)
        o->ask.template_kwargs = options_dump(o, o->kwargs);
    return true;
}
