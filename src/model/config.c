/* See config.h. */
#include "model/config.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static bool read_int(const json_t *json, const char *key, int64_t low, int64_t high,
                     int64_t fallback, int *out, Error *err)
{
    const json_t *value = json_object_get(json, key);
    *out = 0;
    if (!value || json_is_null(value)) {
        if (fallback == INT64_MIN)
            return error_set(err, ERROR_FORMAT, "config.json: \"%s\" is missing", key);
        *out = (int)fallback;
        return true;
    }
    if (!json_is_integer(value))
        return error_set(err, ERROR_FORMAT, "config.json: \"%s\" is not a whole number", key);
    json_int_t n = json_integer_value(value);
    if (n < low || n > high)
        return error_set(err, ERROR_LIMIT, "config.json: \"%s\" is %lld; %lld to %lld are possible",
                         key, (long long)n, (long long)low, (long long)high);
    *out = (int)n;
    return true;
}

static bool read_real(const json_t *json, const char *key, double low, double high, double fallback,
                      double *out, Error *err)
{
    const json_t *value = json_object_get(json, key);
    *out = fallback;
    if (!value || json_is_null(value)) {
        if (isnan(fallback))
            return error_set(err, ERROR_FORMAT, "config.json: \"%s\" is missing", key);
        return true;
    }
    if (!json_is_number(value))
        return error_set(err, ERROR_FORMAT, "config.json: \"%s\" is not a number", key);
    *out = json_number_value(value);
    if (!(*out >= low && *out <= high))
        return error_set(err, ERROR_LIMIT, "config.json: \"%s\" is %g; %g to %g are possible", key,
                         *out, low, high);
    return true;
}

static bool read_bool(const json_t *json, const char *key, bool fallback, bool *out, Error *err)
{
    const json_t *value = json_object_get(json, key);
    *out = fallback;
    if (!value || json_is_null(value))
        return true;
    if (!json_is_boolean(value))
        return error_set(err, ERROR_FORMAT, "config.json: \"%s\" is not true or false", key);
    *out = json_is_true(value);
    return true;
}

static bool read_family(Config *c, const json_t *json, Error *err)
{
    static const char *const families[] = {"qwen2", "qwen3", "qwen3_moe"};
    const char *type = json_string_value(json_object_get(json, "model_type"));
    if (!type)
        return error_set(err, ERROR_FORMAT, "config.json: \"model_type\" is missing");
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strcmp(type, families[i]) == 0)
            c->family = families[i];
    if (!c->family)
        return error_set(err, ERROR_UNSUPPORTED,
                         "config.json: model_type \"%.64s\" is not one of qwen2, qwen3, qwen3_moe",
                         type);
    c->has_qkv_bias = strcmp(c->family, "qwen2") == 0;
    c->has_qk_norm = !c->has_qkv_bias;
    const char *act = json_string_value(json_object_get(json, "hidden_act"));
    if (act && strcmp(act, "silu") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "config.json: hidden_act \"%.64s\"; only silu",
                         act);
    bool bias;
    if (!read_bool(json, "attention_bias", c->has_qkv_bias, &bias, err))
        return false;
    if (bias != c->has_qkv_bias)
        return error_set(err, ERROR_UNSUPPORTED, "config.json: attention_bias %s in a %s model",
                         bias ? "true" : "false", c->family);
    return true;
}

/* Layers with a window: those that layer_types names, else all from max_window_layers on. */
static bool read_window(Config *c, const json_t *json, Error *err)
{
    bool slides;
    int n_full;
    if (!read_bool(json, "use_sliding_window", false, &slides, err))
        return false;
    if (!slides)
        return true;
    if (!read_int(json, "sliding_window", 1, INT_MAX, 0, &c->window, err) ||
        !read_int(json, "max_window_layers", 0, INT_MAX, c->n_layers, &n_full, err))
        return false;
    const json_t *types = json_object_get(json, "layer_types");
    if (json_is_array(types) && json_array_size(types) != (size_t)c->n_layers)
        return error_set(err, ERROR_FORMAT,
                         "config.json: \"layer_types\" is not one for each layer");
    bool is_any = false;
    for (int l = 0; l < c->n_layers && c->window > 0; l++) {
        const char *type = json_string_value(json_array_get(types, (size_t)l));
        if (type && strcmp(type, "sliding_attention") != 0 && strcmp(type, "full_attention") != 0)
            return error_set(err, ERROR_UNSUPPORTED, "config.json: layer type \"%.64s\"", type);
        c->has_window[l] = type ? strcmp(type, "sliding_attention") == 0 : l >= n_full;
        is_any |= c->has_window[l];
    }
    if (!is_any)
        c->window = 0;
    return true;
}

static bool read_dual_chunk(Config *c, const json_t *json, Error *err)
{
    const json_t *dual = json_object_get(json, "dual_chunk_attention_config");
    int size, local, original;
    if (!json_is_object(dual))
        return true;
    if (!read_int(dual, "chunk_size", 1, CONFIG_CONTEXT_MAX, 8192, &size, err) ||
        !read_int(dual, "local_size", 0, CONFIG_CONTEXT_MAX, 1024, &local, err) ||
        !read_int(dual, "original_max_position_embeddings", 0, CONFIG_CONTEXT_MAX, 0, &original,
                  err))
        return false;
    if (local >= size || (size - local) % CONFIG_CHUNK_STEP != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "config.json: dual_chunk_attention_config: chunk_size - local_size is %d; "
                         "multiples of %d are possible",
                         size - local, CONFIG_CHUNK_STEP);
    if (c->window > 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "config.json: dual_chunk_attention_config beside use_sliding_window");
    c->dual_chunk = (DualChunk){size - local, size, original};
    return true;
}

static bool read_shape(Config *c, const json_t *json, Error *err)
{
    const int64_t required = INT64_MIN;
    if (!read_int(json, "num_hidden_layers", 1, CONFIG_LAYERS_MAX, required, &c->n_layers, err) ||
        !read_int(json, "hidden_size", 1, CONFIG_WIDTH_MAX, required, &c->d_model, err) ||
        !read_int(json, "num_attention_heads", 1, CONFIG_HEADS_MAX, required, &c->n_heads, err) ||
        !read_int(json, "num_key_value_heads", 1, CONFIG_HEADS_MAX, c->n_heads, &c->n_kv_heads,
                  err) ||
        !read_int(json, "head_dim", 8, CONFIG_HEAD_DIM_MAX, c->d_model / c->n_heads, &c->head_dim,
                  err) ||
        !read_int(json, "vocab_size", 1, CONFIG_VOCAB_MAX, required, &c->n_vocab, err) ||
        !read_int(json, "max_position_embeddings", 1, CONFIG_CONTEXT_MAX, required, &c->context_max,
                  err) ||
        !read_real(json, "rms_norm_eps", 0, 1, 1e-6, &c->rms_eps, err) ||
        !read_bool(json, "tie_word_embeddings", false, &c->is_tied, err))
        return false;
    if (c->n_heads % c->n_kv_heads != 0)
        return error_set(err, ERROR_FORMAT,
                         "config.json: %d attention heads cannot share %d key-value heads",
                         c->n_heads, c->n_kv_heads);
    if (c->head_dim < 8 || c->head_dim > CONFIG_HEAD_DIM_MAX || c->head_dim % 8 != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "config.json: head_dim %d; multiples of 8 up to %d are possible",
                         c->head_dim, CONFIG_HEAD_DIM_MAX);
    if (c->n_heads * c->head_dim > CONFIG_WIDTH_MAX)
        return error_set(err, ERROR_LIMIT, "config.json: %d heads of %d are too wide", c->n_heads,
                         c->head_dim);
    return read_window(c, json, err) && read_dual_chunk(c, json, err);
}

static bool read_experts(Config *c, const json_t *json, Error *err)
{
    const int64_t required = INT64_MIN;
    if (strcmp(c->family, "qwen3_moe") != 0)
        return read_int(json, "intermediate_size", 1, CONFIG_WIDTH_MAX, required, &c->d_ff, err);
    int step = 1;
    if (!read_int(json, "intermediate_size", 1, CONFIG_WIDTH_MAX, 1, &c->d_ff, err) ||
        !read_int(json, "num_experts", 1, CONFIG_EXPERTS_MAX, required, &c->n_experts, err) ||
        !read_int(json, "num_experts_per_tok", 1, c->n_experts, required, &c->n_experts_used,
                  err) ||
        !read_int(json, "moe_intermediate_size", 1, CONFIG_WIDTH_MAX, required, &c->d_expert,
                  err) ||
        !read_int(json, "decoder_sparse_step", 1, CONFIG_LAYERS_MAX, 1, &step, err) ||
        !read_bool(json, "norm_topk_prob", false, &c->normalizes_experts, err))
        return false;
    for (int l = 0; l < c->n_layers; l++)
        c->is_moe_layer[l] = (l + 1) % step == 0;
    const json_t *dense = json_object_get(json, "mlp_only_layers");
    for (size_t i = 0; i < json_array_size(dense); i++) {
        json_int_t l = json_integer_value(json_array_get(dense, i));
        if (l < 0 || l >= c->n_layers)
            return error_set(err, ERROR_FORMAT, "config.json: \"mlp_only_layers\" names layer %lld",
                             (long long)l);
        c->is_moe_layer[l] = false;
    }
    return true;
}

/* The context reaches as far as the factor stretches it. */
static void extend_context(Config *c)
{
    const double stretched = c->rope_scaling.factor * c->rope_scaling.original_context;
    if (stretched > c->context_max)
        c->context_max = stretched < CONFIG_CONTEXT_MAX ? (int)stretched : CONFIG_CONTEXT_MAX;
}

static bool read_yarn(Config *c, const json_t *scaling, Error *err)
{
    RopeScaling *s = &c->rope_scaling;
    double factor;
    int original;
    return read_real(scaling, "factor", 1, 1024, (double)NAN, &factor, err) &&
           read_int(scaling, "original_max_position_embeddings", 1, CONFIG_CONTEXT_MAX,
                    c->context_max, &original, err) &&
           config_set_yarn(c, factor, original, err) &&
           read_real(scaling, "beta_fast", 0, 1e6, s->beta_fast, &s->beta_fast, err) &&
           read_real(scaling, "beta_slow", 0, 1e6, s->beta_slow, &s->beta_slow, err) &&
           read_real(scaling, "attention_factor", 0, 100, 0, &s->attention_factor, err) &&
           read_real(scaling, "mscale", 0, 100, 0, &s->mscale, err) &&
           read_real(scaling, "mscale_all_dim", 0, 100, 0, &s->mscale_all_dim, err) &&
           read_bool(scaling, "truncate", true, &s->truncate, err);
}

/* Linear and NTK: a factor, and positions that it starts from. */
static bool read_stretch(Config *c, const json_t *scaling, RopeKind kind, Error *err)
{
    double factor;
    int original;
    if (!read_real(scaling, "factor", 1, 1024, (double)NAN, &factor, err) ||
        !read_int(scaling, "original_max_position_embeddings", 1, CONFIG_CONTEXT_MAX,
                  c->context_max, &original, err))
        return false;
    c->rope_scaling = (RopeScaling){.kind = kind, .factor = factor, .original_context = original};
    extend_context(c);
    return true;
}

static bool read_rope_scaling(Config *c, const json_t *scaling, Error *err)
{
    static const struct {
        const char *name;
        RopeKind kind;
    } kinds[] = {{"default", ROPE_PLAIN},
                 {"linear", ROPE_LINEAR},
                 {"ntk", ROPE_NTK},
                 {"dynamic", ROPE_DYNAMIC},
                 {"yarn", ROPE_YARN}};
    const char *type = json_string_value(json_object_get(scaling, "rope_type"));
    if (!type)
        type = json_string_value(json_object_get(scaling, "type"));
    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(type, kinds[i].name) != 0)
            continue;
        return kinds[i].kind == ROPE_PLAIN ||
               (kinds[i].kind == ROPE_YARN ? read_yarn(c, scaling, err)
                                           : read_stretch(c, scaling, kinds[i].kind, err));
    }
    return !type || error_set(err, ERROR_UNSUPPORTED,
                              "config.json: rope_scaling of type \"%.64s\"; only linear, ntk, "
                              "dynamic and yarn",
                              type);
}

/* The first Qwen's keys. seq_length: what it was trained for. */
static bool read_first_qwen(Config *c, const json_t *json, Error *err)
{
    bool is_dynamic, is_logn;
    int trained;
    if (!read_bool(json, "use_dynamic_ntk", false, &is_dynamic, err) ||
        !read_bool(json, "use_logn_attn", false, &is_logn, err) ||
        !read_int(json, "seq_length", 1, CONFIG_CONTEXT_MAX,
                  c->rope_scaling.factor > 1 ? c->rope_scaling.original_context : c->context_max,
                  &trained, err))
        return false;
    if (is_logn)
        c->logn_from = trained;
    if (is_dynamic && c->rope_scaling.kind != ROPE_PLAIN)
        return error_set(err, ERROR_UNSUPPORTED,
                         "config.json: use_dynamic_ntk beside rope_scaling");
    if (is_dynamic)
        c->rope_scaling =
            (RopeScaling){.kind = ROPE_QWEN_NTK, .factor = 1, .original_context = trained};
    return true;
}

static bool read_rope(Config *c, const json_t *json, Error *err)
{
    const json_t *scaling = json_object_get(json, "rope_scaling");
    const json_t *parameters = json_object_get(json, "rope_parameters"); /* transformers 5 */
    double theta = 10000;
    if (json_is_object(parameters)) {
        if (!read_real(parameters, "rope_theta", 1.5, 1e12, theta, &theta, err))
            return false;
        if (!json_is_object(scaling))
            scaling = parameters;
    }
    if (!read_real(json, "rope_theta", 1.5, 1e12, theta, &c->rope_theta, err))
        return false;
    c->rope_scaling = (RopeScaling){.factor = 1};
    if (json_is_object(scaling) && !read_rope_scaling(c, scaling, err))
        return false;
    return read_first_qwen(c, json, err);
}

static bool read_eos(Config *c, const json_t *json, Error *err)
{
    const json_t *eos = json_object_get(json, "eos_token_id");
    size_t n = json_is_array(eos) ? json_array_size(eos) : json_is_integer(eos) ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_is_array(eos) ? json_array_get(eos, i) : eos;
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value >= c->n_vocab || c->n_eos == CONFIG_EOS_MAX)
            return error_set(err, ERROR_FORMAT,
                             "config.json: \"eos_token_id\" holds %lld, or too many ids",
                             (long long)value);
        c->eos_ids[c->n_eos++] = (int32_t)value;
    }
    return true;
}

bool config_read(Config *c, const json_t *json, Error *err)
{
    *c = (Config){0};
    if (!json_is_object(json))
        return error_set(err, ERROR_FORMAT, "config.json: not an object");
    return read_family(c, json, err) && read_shape(c, json, err) && read_experts(c, json, err) &&
           read_rope(c, json, err) && read_eos(c, json, err);
}

bool config_set_yarn(Config *c, double factor, int original_context, Error *err)
{
    if (!(factor >= 1 && factor <= 1024))
        return error_set(err, ERROR_ARGUMENT, "YaRN factor %g; 1 to 1024 are possible", factor);
    if (original_context < 1 || original_context > CONFIG_CONTEXT_MAX)
        return error_set(err, ERROR_ARGUMENT, "YaRN original context %d is out of range",
                         original_context);
    c->rope_scaling = (RopeScaling){
        .kind = factor > 1 ? ROPE_YARN : ROPE_PLAIN,
        .factor = factor,
        .original_context = original_context,
        .beta_fast = 32,
        .beta_slow = 1,
        .truncate = true,
    };
    extend_context(c);
    return true;
}

static int64_t layer_parameters(const Config *c, int layer, int n_experts)
{
    const int64_t d = c->d_model, q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    int64_t n = 2 * d + 2 * d * q + 2 * d * kv;
    if (c->has_qk_norm)
        n += 2 * c->head_dim;
    if (c->has_qkv_bias)
        n += q + 2 * kv;
    if (c->is_moe_layer[layer])
        return n + d * c->n_experts + 3 * d * c->d_expert * n_experts;
    return n + 3 * d * c->d_ff;
}

static int64_t count_parameters(const Config *c, int n_experts)
{
    int64_t n = c->d_model + (int64_t)c->n_vocab * c->d_model * (c->is_tied ? 1 : 2);
    for (int l = 0; l < c->n_layers; l++)
        n += layer_parameters(c, l, n_experts);
    return n;
}

int64_t config_n_parameters(const Config *c) { return count_parameters(c, c->n_experts); }

int64_t config_n_active_parameters(const Config *c)
{
    return count_parameters(c, c->n_experts_used);
}

int64_t config_kv_elements(const Config *c)
{
    return (int64_t)c->n_layers * 2 * c->n_kv_heads * c->head_dim;
}
