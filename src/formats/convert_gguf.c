/* The key-values of a GGUF: copied from a GGUF, or made from a folder's config.json,
 * generation_config.json and tokenizer. Keys: llama.cpp's gguf-py constants.py. */
#include "formats/convert_parts.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { QUANTIZATION_VERSION = 2 };

typedef struct Pairs {
    GgufWriter *w;
    const Package *in;
    const json_t *config;
    const char *arch;
    char key[96];
    Error *err;
} Pairs;

static const char *arch_key(Pairs *p, const char *name)
{
    snprintf(p->key, sizeof p->key, "%s.%s", p->arch, name);
    return p->key;
}

static bool fail(Pairs *p, const char *key, const char *what)
{
    return error_set(p->err, ERROR_UNSUPPORTED, "%s: config: %s: %s", package_path(p->in), key,
                     what);
}

/* Writes a whole number of the config under the architecture's key. */
static bool put_count(Pairs *p, const char *name, const char *config_key, bool is_needed)
{
    const json_t *value = json_object_get(p->config, config_key);
    json_int_t number = json_integer_value(value);
    if (!value && !is_needed)
        return true;
    if (!json_is_integer(value) || number < 0 || number > INT32_MAX)
        return fail(p, config_key, "should be a whole number");
    gguf_put_u32(p->w, arch_key(p, name), (uint32_t)number);
    return true;
}

static bool put_number(Pairs *p, const char *key, const json_t *object, const char *config_key,
                       bool is_needed)
{
    const json_t *value = json_object_get(object, config_key);
    if ((!value || json_is_null(value)) && !is_needed)
        return true;
    float number = (float)json_number_value(value);
    if (!json_is_number(value) || !isfinite(number))
        return fail(p, config_key, "should be a number");
    gguf_put_f32(p->w, key, number);
    return true;
}

static bool put_rope_scaling(Pairs *p, const json_t *scaling)
{
    const json_t *type = json_object_get(scaling, "rope_type");
    const char *name = json_string_value(type ? type : json_object_get(scaling, "type"));
    if (!name || strcmp(name, "default") == 0)
        return true;
    if (strcmp(name, "yarn") != 0 && strcmp(name, "linear") != 0)
        return fail(p, "rope_scaling", "GGUF knows \"yarn\" and \"linear\" for this model only");
    gguf_put_str(p->w, arch_key(p, "rope.scaling.type"), str_from(name));
    if (!put_number(p, arch_key(p, "rope.scaling.factor"), scaling, "factor", true))
        return false;
    if (strcmp(name, "linear") == 0)
        return true;
    const json_t *original = json_object_get(scaling, "original_max_position_embeddings");
    json_int_t length = json_integer_value(original);
    if (original && (length <= 0 || length > INT32_MAX))
        return fail(p, "original_max_position_embeddings", "should be a whole number");
    if (original)
        gguf_put_u32(p->w, arch_key(p, "rope.scaling.original_context_length"), (uint32_t)length);
    /* config.json's factor replaces YaRN's own, GGUF's multiplies it. */
    double factor = json_number_value(json_object_get(scaling, "factor"));
    const json_t *attention = json_object_get(scaling, "attention_factor");
    if (json_is_number(attention))
        gguf_put_f32(
            p->w, arch_key(p, "rope.scaling.attn_factor"),
            (float)(json_number_value(attention) / (factor > 1 ? 0.1 * log(factor) + 1 : 1)));
    return put_number(p, arch_key(p, "rope.scaling.yarn_beta_fast"), scaling, "beta_fast", false) &&
           put_number(p, arch_key(p, "rope.scaling.yarn_beta_slow"), scaling, "beta_slow", false);
}

static bool put_rope(Pairs *p)
{
    /* Newer configs gather everything about RoPE in one object. */
    const json_t *parameters = json_object_get(p->config, "rope_parameters");
    const json_t *scaling = json_object_get(p->config, "rope_scaling");
    const json_t *base = json_object_get(p->config, "rope_theta") ? p->config : parameters;
    return put_number(p, arch_key(p, "rope.freq_base"), base, "rope_theta", true) &&
           put_rope_scaling(p, json_is_object(scaling) ? scaling : parameters);
}

/* Keys of our own: llama.cpp passes over them, and agrees up to the first chunk's end. */
static bool put_dual_chunk(Pairs *p)
{
    static const char *const names[] = {"chunk_size", "local_size",
                                        "original_max_position_embeddings"};
    static const char *const keys[] = {"attention.dual_chunk.size",
                                       "attention.dual_chunk.local_size",
                                       "attention.dual_chunk.original_context_length"};
    const json_t *dual = json_object_get(p->config, "dual_chunk_attention_config");
    for (size_t i = 0; json_is_object(dual) && i < sizeof names / sizeof *names; i++) {
        const json_t *value = json_object_get(dual, names[i]);
        if (!value)
            continue;
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > INT32_MAX)
            return fail(p, names[i], "should be a whole number");
        gguf_put_u32(p->w, arch_key(p, keys[i]), (uint32_t)json_integer_value(value));
    }
    return true;
}

static bool put_experts(Pairs *p, const ConvertPlan *plan)
{
    for (int i = 0; i < plan->n; i++)
        if (plan->tensors[i].name.part == PART_FFN_GATE)
            return fail(p, "num_experts", "a GGUF cannot mix layers with and without experts");
    if (json_is_false(json_object_get(p->config, "norm_topk_prob")))
        return fail(p, "norm_topk_prob", "GGUF's readers take it for true");
    return put_count(p, "expert_count", "num_experts", true) &&
           put_count(p, "expert_used_count", "num_experts_per_tok", true) &&
           put_count(p, "expert_feed_forward_length", "moe_intermediate_size", true);
}

static bool put_head_dim(Pairs *p)
{
    const json_t *value = json_object_get(p->config, "head_dim");
    json_int_t hidden = json_integer_value(json_object_get(p->config, "hidden_size"));
    json_int_t heads = json_integer_value(json_object_get(p->config, "num_attention_heads"));
    json_int_t head_dim = json_is_integer(value) ? json_integer_value(value)
                          : heads > 0            ? hidden / heads
                                                 : 0;
    if (head_dim <= 0 || head_dim > INT32_MAX)
        return fail(p, "head_dim", "should be a whole number");
    gguf_put_u32(p->w, arch_key(p, "attention.key_length"), (uint32_t)head_dim);
    gguf_put_u32(p->w, arch_key(p, "attention.value_length"), (uint32_t)head_dim);
    return true;
}

static bool put_shape(Pairs *p, const ConvertPlan *plan)
{
    static const char *const unsayable[] = {"use_sliding_window", "use_dynamic_ntk",
                                            "use_logn_attn"};
    for (size_t i = 0; i < sizeof unsayable / sizeof *unsayable; i++)
        if (json_is_true(json_object_get(p->config, unsayable[i])))
            return fail(p, unsayable[i], "GGUF cannot say so for this model");
    if (!put_count(p, "block_count", "num_hidden_layers", true) ||
        !put_count(p, "context_length", "max_position_embeddings", true) ||
        !put_count(p, "embedding_length", "hidden_size", true) ||
        !put_count(p, "feed_forward_length", "intermediate_size", plan->n_experts == 0) ||
        !put_count(p, "attention.head_count", "num_attention_heads", true) ||
        !put_count(p, "attention.head_count_kv", "num_key_value_heads", true) || !put_head_dim(p) ||
        !put_number(p, arch_key(p, "attention.layer_norm_rms_epsilon"), p->config, "rms_norm_eps",
                    true))
        return false;
    return put_rope(p) && put_dual_chunk(p) && (plan->n_experts == 0 || put_experts(p, plan));
}

static bool put_sampling(Pairs *p)
{
    const json_t *g = package_generation_config(p->in);
    const json_t *top_k = json_object_get(g, "top_k");
    if (json_is_integer(top_k) && llabs(json_integer_value(top_k)) <= INT32_MAX)
        gguf_put_i32(p->w, "general.sampling.top_k", (int32_t)json_integer_value(top_k));
    return put_number(p, "general.sampling.top_p", g, "top_p", false) &&
           put_number(p, "general.sampling.min_p", g, "min_p", false) &&
           put_number(p, "general.sampling.temp", g, "temperature", false) &&
           put_number(p, "general.sampling.penalty_repeat", g, "repetition_penalty", false);
}

static void put_id(GgufWriter *w, const char *key, int32_t id)
{
    if (id >= 0)
        gguf_put_u32(w, key, (uint32_t)id);
}

static bool put_tokenizer(Pairs *p, int64_t n_rows)
{
    TokenArrays t = {0};
    const PackageText *text = package_text(p->in);
    bool ok = token_arrays_read(&t, p->in, n_rows, p->err);
    if (ok && t.n == 0) {
        gguf_put_str(p->w, "tokenizer.ggml.model", STR("none"));
    } else if (ok) {
        gguf_put_str(p->w, "tokenizer.ggml.model", STR("gpt2"));
        gguf_put_str(p->w, "tokenizer.ggml.pre", t.pre);
        gguf_put_str_array(p->w, "tokenizer.ggml.tokens", t.tokens, (uint64_t)t.n);
        gguf_put_i32_array(p->w, "tokenizer.ggml.token_type", t.types, (uint64_t)t.n);
        gguf_put_str_array(p->w, "tokenizer.ggml.merges", t.merges, (uint64_t)t.n_merges);
        put_id(p->w, "tokenizer.ggml.bos_token_id", t.bos_id);
        put_id(p->w, "tokenizer.ggml.eos_token_id", t.eos_id);
        put_id(p->w, "tokenizer.ggml.padding_token_id", t.pad_id);
        gguf_put_bool(p->w, "tokenizer.ggml.add_bos_token", t.add_bos);
    }
    if (ok && text->chat_template.bytes > 0)
        gguf_put_str(p->w, "tokenizer.chat_template", text->chat_template);
    token_arrays_free(&t);
    return ok;
}

/* The folder's own name; the parent of "." has no better one than the output's. */
static Str model_name(const Package *in, const char *out_path)
{
    Str path = str_from(package_path(in));
    while (path.bytes > 1 && path.data[path.bytes - 1] == '/')
        path.bytes--;
    if (path.bytes == 0 || path.data[path.bytes - 1] == '.' || path.data[path.bytes - 1] == '/')
        path = str_from(out_path);
    size_t begin = path.bytes;
    while (begin > 0 && path.data[begin - 1] != '/')
        begin--;
    path = str_slice(path, begin, path.bytes);
    return str_ends(path, STR(".gguf")) ? str_slice(path, 0, path.bytes - 5) : path;
}

static bool put_from_folder(Pairs *p, const ConvertPlan *plan, const char *out_path)
{
    const char *type = json_string_value(json_object_get(p->config, "model_type"));
    static const char *const known[][2] = {
        {"qwen2", "qwen2"}, {"qwen3", "qwen3"}, {"qwen3_moe", "qwen3moe"}};
    for (size_t i = 0; type && i < sizeof known / sizeof *known; i++)
        if (strcmp(type, known[i][0]) == 0)
            p->arch = known[i][1];
    if (!p->arch)
        return fail(p, "model_type", "should be qwen2, qwen3 or qwen3_moe");
    gguf_put_str(p->w, "general.architecture", str_from(p->arch));
    gguf_put_str(p->w, "general.type", STR("model"));
    gguf_put_str(p->w, "general.name", model_name(p->in, out_path));
    return put_sampling(p) && put_shape(p, plan) && put_tokenizer(p, plan->tensors[0].info.dims[0]);
}

static void copy_pairs(Pairs *p)
{
    static const char *const dropped[] = {"general.file_type",   "general.quantization_version",
                                          "general.alignment",   "split.no",
                                          "split.tensors.count", "split.count"};
    const Gguf *gguf = package_gguf(p->in);
    for (int i = 0; i < gguf_count(gguf); i++) {
        bool is_dropped = false;
        for (size_t j = 0; j < sizeof dropped / sizeof *dropped; j++)
            is_dropped |= strcmp(gguf_at(gguf, i)->key, dropped[j]) == 0;
        if (!is_dropped)
            gguf_put_value(p->w, gguf_at(gguf, i));
    }
}

bool convert_put_pairs(GgufWriter *w, const Package *in, const ConvertPlan *plan,
                       const char *out_path, Error *err)
{
    Pairs p = {.w = w, .in = in, .config = package_config(in), .err = err};
    if (package_gguf(in))
        copy_pairs(&p);
    else if (!put_from_folder(&p, plan, out_path))
        return false;
    gguf_put_u32(w, "general.quantization_version", QUANTIZATION_VERSION);
    gguf_put_u32(w, "general.file_type", plan->file_type);
    return true;
}
