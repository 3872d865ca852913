/* See assets.h. */
#include "engine/assets.h"

#include <math.h>

Tokenizer *assets_tokenizer(const Package *package, Error *err)
{
    const PackageText *text = package_text(package);
    const TokenizerFiles files = {
        .tokenizer_json = text->tokenizer_json,
        .vocab_json = text->vocab_json,
        .merges_txt = text->merges_txt,
        .tokenizer_config_json = text->tokenizer_config_json,
        .added_tokens_json = text->added_tokens_json,
        .tokens = text->tokens,
        .merges = text->merges,
        .token_types = text->token_types,
        .n_tokens = text->n_tokens,
        .n_merges = text->n_merges,
        .pre = text->pre,
        .bos_id = text->bos_id,
        .eos_id = text->eos_id,
        .pad_id = text->pad_id,
        .add_bos = text->add_bos,
    };
    Tokenizer *t = tokenizer_open(&files, err);
    if (!t)
        error_add(err, "%s", package_path(package));
    return t;
}

/* ---- generation_config.json ------------------------------------------------------------------ */

int assets_generation_eos(const json_t *generation, int n_vocab, int32_t ids[CONFIG_EOS_MAX])
{
    const json_t *eos = json_object_get(generation, "eos_token_id");
    size_t n_given = json_is_array(eos) ? json_array_size(eos) : json_is_integer(eos) ? 1 : 0;
    int n = 0;
    for (size_t i = 0; i < n_given && n < CONFIG_EOS_MAX; i++) {
        const json_t *id = json_is_array(eos) ? json_array_get(eos, i) : eos;
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value >= 0 && value < n_vocab)
            ids[n++] = (int32_t)value;
    }
    return n;
}

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

Sampling assets_sampling(const json_t *file, bool is_hybrid, bool thinks)
{
    Defaults d = thinks ? thinking_defaults : plain_defaults;
    bool is_switched = is_hybrid && !thinks && is_hybrid_file(file);
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
