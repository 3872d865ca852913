/* A GGUF file as a package: its key-values under config.json's and generation_config.json's names,
 * its token arrays as PackageText. Keys: llama.cpp's gguf-py constants.py; docs/formats.md. */
#include "formats/package_parts.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct Keys {
    const Gguf *gguf;
    const char *path;
    char arch[64];
    char key[160]; /* the last one asked for */
    json_t *config;
    Error *err;
} Keys;

/* "qwen3" + "block_count" -> "qwen3.block_count" */
static const char *arch_key(Keys *k, const char *name)
{
    snprintf(k->key, sizeof k->key, "%s.%s", k->arch, name);
    return k->key;
}

static bool read_u64(Keys *k, const char *name, uint64_t *value)
{
    return gguf_u64(k->gguf, arch_key(k, name), value) && *value <= INT32_MAX;
}

static void put_int(Keys *k, const char *config_key, uint64_t value)
{
    json_object_set_new(k->config, config_key, json_integer((json_int_t)value));
}

/* A count that the model cannot do without. */
static bool need_int(Keys *k, const char *name, const char *config_key, uint64_t *value)
{
    if (!read_u64(k, name, value))
        return error_set(k->err, ERROR_FORMAT, "%s: key %s is missing or not a whole number",
                         k->path, k->key);
    put_int(k, config_key, *value);
    return true;
}

/* False, with an error, when the key is there but not a finite number. */
static bool read_number(Keys *k, const char *key, double *value, bool *is_given)
{
    *is_given = gguf_find(k->gguf, key) != NULL;
    if (!*is_given || (gguf_f64(k->gguf, key, value) && isfinite(*value)))
        return true;
    return error_set(k->err, ERROR_FORMAT, "%s: key %s is not a finite number", k->path, key);
}

static bool put_number(Keys *k, const char *name, const char *config_key, json_t *object,
                       double fallback)
{
    double value = fallback;
    bool is_given;
    if (!read_number(k, arch_key(k, name), &value, &is_given))
        return false;
    if (is_given || !isnan(fallback))
        json_object_set_new(object, config_key, json_real(value));
    return true;
}

/* A float's shortest decimal: 9.99999997e-07 in the file was written as 1e-06. */
static double tidy_float(double value)
{
    char digits[32];
    for (int precision = 1; precision < 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        double shorter = 0;
        if (sscanf(digits, "%lf", &shorter) == 1 && (float)shorter == (float)value)
            return shorter;
    }
    return value;
}

static bool build_rope_scaling(Keys *k)
{
    Str type = STR("linear"); /* what llama.cpp takes when only a factor is given */
    double factor = 1, attention = 1;
    bool is_given;
    uint64_t original;
    if (!read_number(k, arch_key(k, "rope.scaling.factor"), &factor, &is_given))
        return false;
    bool has_type = gguf_str(k->gguf, arch_key(k, "rope.scaling.type"), &type);
    if (str_equals(type, "none") || (!has_type && factor == 1)) {
        json_object_set_new(k->config, "rope_scaling", json_null());
        return true;
    }
    char name[32];
    snprintf(name, sizeof name, "%.*s", STR_ARG(str_slice(type, 0, sizeof name - 1)));
    json_t *scaling = json_object();
    json_object_set_new(k->config, "rope_scaling", scaling);
    json_object_set_new(scaling, "rope_type", json_string(name));
    json_object_set_new(scaling, "factor", json_real(tidy_float(factor)));
    if (!str_equals(type, "yarn"))
        return true;
    if (read_u64(k, "rope.scaling.original_context_length", &original))
        json_object_set_new(scaling, "original_max_position_embeddings",
                            json_integer((json_int_t)original));
    if (!read_number(k, arch_key(k, "rope.scaling.attn_factor"), &attention, &is_given))
        return false;
    /* llama.cpp multiplies YaRN's own factor by this one; config.json's replaces it. */
    if (is_given && attention != 1)
        json_object_set_new(scaling, "attention_factor",
                            json_real(attention * (factor > 1 ? 0.1 * log(factor) + 1 : 1)));
    return put_number(k, "rope.scaling.yarn_beta_fast", "beta_fast", scaling, (double)NAN) &&
           put_number(k, "rope.scaling.yarn_beta_slow", "beta_slow", scaling, (double)NAN);
}

/* As wen quantize writes them. */
static void build_dual_chunk(Keys *k)
{
    uint64_t value;
    json_t *dual = json_object();
    if (read_u64(k, "attention.dual_chunk.size", &value))
        json_object_set_new(dual, "chunk_size", json_integer((json_int_t)value));
    if (read_u64(k, "attention.dual_chunk.local_size", &value))
        json_object_set_new(dual, "local_size", json_integer((json_int_t)value));
    if (read_u64(k, "attention.dual_chunk.original_context_length", &value))
        json_object_set_new(dual, "original_max_position_embeddings",
                            json_integer((json_int_t)value));
    if (json_object_size(dual) > 0)
        json_object_set(k->config, "dual_chunk_attention_config", dual);
    json_decref(dual);
}

static bool build_experts(Keys *k, const TensorTable *tensors)
{
    uint64_t n_experts, value;
    if (!read_u64(k, "expert_count", &n_experts) || n_experts == 0)
        return true;
    put_int(k, "num_experts", n_experts);
    if (!need_int(k, "expert_used_count", "num_experts_per_tok", &value))
        return false;
    if (read_u64(k, "expert_feed_forward_length", &value)) {
        put_int(k, "moe_intermediate_size", value);
    } else {
        const NamedTensor *bank = tensor_table_find(tensors, "blk.0.ffn_gate_exps.weight");
        if (bank && bank->tensor.n_dims == 3)
            put_int(k, "moe_intermediate_size", (uint64_t)bank->tensor.dims[1]);
    }
    json_object_set_new(k->config, "norm_topk_prob", json_true());
    put_int(k, "decoder_sparse_step", 1);
    json_object_set_new(k->config, "mlp_only_layers", json_array());
    return true;
}

static void build_model_type(Keys *k)
{
    static const struct {
        const char *arch, *model_type, *class_name;
    } known[] = {{"qwen2", "qwen2", "Qwen2ForCausalLM"},
                 {"qwen3", "qwen3", "Qwen3ForCausalLM"},
                 {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"}};
    const char *model_type = k->arch;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(k->arch, known[i].arch) != 0)
            continue;
        model_type = known[i].model_type;
        json_object_set_new(k->config, "architectures", json_pack("[s]", known[i].class_name));
    }
    json_object_set_new(k->config, "model_type", json_string(model_type));
}

static bool build_shape(Keys *k, const TensorTable *tensors)
{
    uint64_t hidden, heads, kv_heads, value, head_dim;
    if (!need_int(k, "embedding_length", "hidden_size", &hidden) ||
        !need_int(k, "block_count", "num_hidden_layers", &value) ||
        !need_int(k, "attention.head_count", "num_attention_heads", &heads) ||
        !need_int(k, "context_length", "max_position_embeddings", &value))
        return false;
    if (!read_u64(k, "attention.head_count_kv", &kv_heads))
        kv_heads = heads;
    put_int(k, "num_key_value_heads", kv_heads);
    if (!read_u64(k, "attention.key_length", &head_dim))
        head_dim = heads ? hidden / heads : 0;
    put_int(k, "head_dim", head_dim);
    if (read_u64(k, "feed_forward_length", &value))
        put_int(k, "intermediate_size", value);
    const NamedTensor *embedding = tensor_table_find(tensors, "token_embd.weight");
    if (embedding)
        put_int(k, "vocab_size", (uint64_t)embedding->tensor.dims[0]);
    bool is_tied = !tensor_table_find(tensors, "output.weight");
    json_object_set_new(k->config, "tie_word_embeddings", json_boolean(is_tied));
    json_object_set_new(k->config, "attention_bias",
                        json_boolean(tensor_table_find(tensors, "blk.0.attn_q.bias")));
    json_object_set_new(k->config, "hidden_act", json_string("silu"));
    return true;
}

static bool build_config(Keys *k, const TensorTable *tensors)
{
    uint64_t id;
    double eps = 1e-6, theta = 10000; /* llama.cpp's default base */
    bool is_given;
    build_model_type(k);
    if (!build_shape(k, tensors) ||
        !read_number(k, arch_key(k, "attention.layer_norm_rms_epsilon"), &eps, &is_given) ||
        !read_number(k, arch_key(k, "rope.freq_base"), &theta, &is_given))
        return false;
    json_object_set_new(k->config, "rms_norm_eps", json_real(tidy_float(eps)));
    json_object_set_new(k->config, "rope_theta", json_real(tidy_float(theta)));
    if (gguf_u64(k->gguf, "tokenizer.ggml.bos_token_id", &id) && id <= INT32_MAX)
        put_int(k, "bos_token_id", id);
    if (gguf_u64(k->gguf, "tokenizer.ggml.eos_token_id", &id) && id <= INT32_MAX)
        put_int(k, "eos_token_id", id);
    build_dual_chunk(k);
    return build_rope_scaling(k) && build_experts(k, tensors);
}

/* general.sampling.*: what a model's publisher recommends. */
static bool build_generation(Keys *k, json_t **generation)
{
    static const char *const keys[][2] = {
        {"general.sampling.temp", "temperature"},
        {"general.sampling.top_k", "top_k"},
        {"general.sampling.top_p", "top_p"},
        {"general.sampling.min_p", "min_p"},
        {"general.sampling.penalty_repeat", "repetition_penalty"}};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        double value = 0;
        bool is_given;
        if (!read_number(k, keys[i][0], &value, &is_given)) {
            json_decref(object);
            return false;
        }
        if (is_given && i == 1)
            json_object_set_new(object, keys[i][1], json_integer((json_int_t)fmin(value, 1e9)));
        else if (is_given)
            json_object_set_new(object, keys[i][1], json_real(tidy_float(value)));
    }
    if (json_object_size(object) == 0) {
        json_decref(object);
        return true;
    }
    *generation = object;
    return true;
}

static bool string_array(Package *p, const char *key, const Str **strings, int *n, Error *err)
{
    const GgufValue *v = gguf_find(p->gguf, key);
    if (!v)
        return true;
    if (v->type != GGUF_ARRAY || v->item_type != GGUF_STRING || v->n_items > INT32_MAX)
        return error_set(err, ERROR_FORMAT, "%s: key %s is not an array of strings", p->path, key);
    *strings = v->strings;
    *n = (int)v->n_items;
    return true;
}

static bool token_types(Package *p, Error *err)
{
    const char *key = "tokenizer.ggml.token_type";
    const GgufValue *v = gguf_find(p->gguf, key);
    if (!v || p->text.n_tokens == 0)
        return true;
    if (v->type != GGUF_ARRAY || (v->item_type != GGUF_I32 && v->item_type != GGUF_U32) ||
        v->n_items != (uint64_t)p->text.n_tokens)
        return error_set(err, ERROR_FORMAT, "%s: key %s is not an array of %d 32-bit numbers",
                         p->path, key, p->text.n_tokens);
    /* Copied: the file need not have aligned it. */
    size_t bytes = (size_t)v->n_items * sizeof(int32_t);
    int32_t *types = arena_try_alloc(&p->arena, bytes, "token types", err);
    if (!types)
        return false;
    for (uint64_t i = 0; i < v->n_items; i++) {
        const uint8_t *item = v->items + 4 * i;
        types[i] = (int32_t)((uint32_t)item[0] | (uint32_t)item[1] << 8 | (uint32_t)item[2] << 16 |
                             (uint32_t)item[3] << 24);
    }
    p->text.token_types = types;
    return true;
}

static int32_t token_id(const Gguf *gguf, const char *key)
{
    uint64_t id;
    return gguf_u64(gguf, key, &id) && id <= INT32_MAX ? (int32_t)id : -1;
}

static bool read_text(Package *p, Error *err)
{
    PackageText *t = &p->text;
    Str model = STR("gpt2");
    (void)gguf_str(p->gguf, "tokenizer.ggml.model", &model);
    if (!str_equals(model, "gpt2") && gguf_find(p->gguf, "tokenizer.ggml.tokens"))
        return error_set(
            err, ERROR_UNSUPPORTED,
            "%s: key tokenizer.ggml.model is \"%.*s\"; only gpt2 (byte-level BPE) is read", p->path,
            STR_ARG(str_slice(model, 0, 32)));
    if (!string_array(p, "tokenizer.ggml.tokens", &t->tokens, &t->n_tokens, err) ||
        !string_array(p, "tokenizer.ggml.merges", &t->merges, &t->n_merges, err) ||
        !token_types(p, err))
        return false;
    (void)gguf_str(p->gguf, "tokenizer.ggml.pre", &t->pre);
    (void)gguf_str(p->gguf, "tokenizer.chat_template", &t->chat_template);
    (void)gguf_bool(p->gguf, "tokenizer.ggml.add_bos_token", &t->add_bos);
    t->bos_id = token_id(p->gguf, "tokenizer.ggml.bos_token_id");
    t->eos_id = token_id(p->gguf, "tokenizer.ggml.eos_token_id");
    t->pad_id = token_id(p->gguf, "tokenizer.ggml.padding_token_id");
    return true;
}

static bool is_word(Str s, size_t bytes_max)
{
    for (size_t i = 0; i < s.bytes; i++)
        if (!isalnum((unsigned char)s.data[i]) && s.data[i] != '-' && s.data[i] != '_')
            return false;
    return s.bytes > 0 && s.bytes <= bytes_max;
}

bool package_read_gguf(Package *p, bool need_weights, Error *err)
{
    p->gguf = p->memory.data ? gguf_read_memory(p->tensors, p->memory, p->path, err)
                             : gguf_read(p->tensors, p->path, err);
    if (!p->gguf)
        return false;
    Str arch;
    Keys k = {.gguf = p->gguf, .path = p->path, .err = err};
    if (!gguf_str(p->gguf, "general.architecture", &arch) || !is_word(arch, sizeof k.arch - 1))
        return error_set(err, ERROR_FORMAT, "%s: key general.architecture is missing or no name",
                         p->path);
    memcpy(k.arch, arch.data, arch.bytes);
    /* A file with only a vocabulary has no shapes, and needs none. */
    if (need_weights || tensor_table_count(p->tensors) > 0) {
        p->config = k.config = json_object();
        if (!build_config(&k, p->tensors))
            return false;
    }
    p->is_tied = !tensor_table_find(p->tensors, "output.weight");
    return build_generation(&k, &p->generation) && read_text(p, err);
}
