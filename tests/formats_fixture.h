/* Small made models for the tests of formats/: a folder of safetensors and a GGUF, dense or with
 * experts, with recognisable numbers in them. */
#ifndef WEN_TESTS_FORMATS_FIXTURE_H
#define WEN_TESTS_FORMATS_FIXTURE_H

#include "support.h"

#include "base/file.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "formats/gguf.h"
#include "formats/package.h"
#include "formats/safetensors.h"
#include "tensor/quant.h"

#include <stdio.h>
#include <string.h>

enum { FIXTURE_TENSORS_MAX = 512 };

typedef struct Fixture {
    int hidden, layers, heads, kv_heads, head_dim, ff, vocab, experts;
    bool is_qwen2, is_tied;
    DType type; /* of the folder's matrices */
    char names[FIXTURE_TENSORS_MAX][96];
    TensorInfo infos[FIXTURE_TENSORS_MAX];
    int n;
} Fixture;

static inline void fixture_add(Fixture *f, int64_t rows, int64_t cols, const char *name)
{
    assert_true(f->n < FIXTURE_TENSORS_MAX);
    snprintf(f->names[f->n], sizeof f->names[f->n], "%s", name);
    TensorInfo *t = &f->infos[f->n];
    *t = (TensorInfo){.name = f->names[f->n], .type = f->type, .n_dims = rows ? 2 : 1};
    t->dims[0] = rows ? rows : cols;
    t->dims[1] = rows ? cols : 0;
    f->n++;
}

static inline void fixture_add_layer(Fixture *f, int l)
{
    char name[96];
    int q = f->heads * f->head_dim, kv = f->kv_heads * f->head_dim;
#define IN_LAYER(rows, cols, ...)                                                                  \
    (snprintf(name, sizeof name, "model.layers.%d.", l),                                           \
     snprintf(name + strlen(name), sizeof name - strlen(name), __VA_ARGS__),                       \
     fixture_add(f, (rows), (cols), name))
    IN_LAYER(0, f->hidden, "input_layernorm.weight");
    IN_LAYER(q, f->hidden, "self_attn.q_proj.weight");
    IN_LAYER(kv, f->hidden, "self_attn.k_proj.weight");
    IN_LAYER(kv, f->hidden, "self_attn.v_proj.weight");
    IN_LAYER(f->hidden, q, "self_attn.o_proj.weight");
    if (f->is_qwen2) {
        IN_LAYER(0, q, "self_attn.q_proj.bias");
        IN_LAYER(0, kv, "self_attn.k_proj.bias");
        IN_LAYER(0, kv, "self_attn.v_proj.bias");
    } else {
        IN_LAYER(0, f->head_dim, "self_attn.q_norm.weight");
        IN_LAYER(0, f->head_dim, "self_attn.k_norm.weight");
    }
    IN_LAYER(0, f->hidden, "post_attention_layernorm.weight");
    if (f->experts)
        IN_LAYER(f->experts, f->hidden, "mlp.gate.weight");
    for (int e = 0; e < f->experts; e++) {
        IN_LAYER(f->ff, f->hidden, "mlp.experts.%d.gate_proj.weight", e);
        IN_LAYER(f->ff, f->hidden, "mlp.experts.%d.up_proj.weight", e);
        IN_LAYER(f->hidden, f->ff, "mlp.experts.%d.down_proj.weight", e);
    }
    if (!f->experts) {
        IN_LAYER(f->ff, f->hidden, "mlp.gate_proj.weight");
        IN_LAYER(f->ff, f->hidden, "mlp.up_proj.weight");
        IN_LAYER(f->hidden, f->ff, "mlp.down_proj.weight");
    }
#undef IN_LAYER
}

/* Fills in the tensor list from the sizes. */
static inline void fixture_plan(Fixture *f)
{
    f->n = 0;
    fixture_add(f, f->vocab, f->hidden, "model.embed_tokens.weight");
    for (int l = 0; l < f->layers; l++)
        fixture_add_layer(f, l);
    fixture_add(f, 0, f->hidden, "model.norm.weight");
    if (!f->is_tied)
        fixture_add(f, f->vocab, f->hidden, "lm_head.weight");
}

static inline int64_t fixture_size(const TensorInfo *t)
{
    return t->dims[0] * (t->n_dims > 1 ? t->dims[1] : 1);
}

/* The value of element i of a tensor: normal, a pure function of name and i. */
static inline float fixture_value(const char *name, int64_t i)
{
    Rng rng = {rng_counter(str_hash(str_from(name)), (uint64_t)i, 5)};
    return bf16_to_float(bf16_from_float((float)(0.05 * rng_normal(&rng))));
}

/* Writes tensors from .. to-1 as one safetensors file. */
static inline void fixture_write_shard(const Fixture *f, int from, int to, const char *path)
{
    Error err = {0};
    SafetensorsWriter *w = safetensors_writer_open(path, f->infos + from, to - from, NULL, &err);
    assert_non_null(w);
    for (int i = from; i < to; i++) {
        const TensorInfo *t = &f->infos[i];
        int64_t n = fixture_size(t);
        float *values = mem_alloc((size_t)n * sizeof *values);
        uint16_t *halves = mem_alloc((size_t)n * sizeof *halves);
        for (int64_t j = 0; j < n; j++) {
            values[j] = fixture_value(t->name, j);
            halves[j] =
                t->type == DTYPE_BF16 ? bf16_from_float(values[j]) : half_from_float(values[j]);
        }
        if (t->type == DTYPE_F32)
            assert_ok(safetensors_writer_write(w, values, (size_t)n * 4, &err));
        else
            assert_ok(safetensors_writer_write(w, halves, (size_t)n * 2, &err));
        mem_free(values);
        mem_free(halves);
    }
    assert_ok(safetensors_writer_commit(w, &err));
}

static inline void fixture_write_text(const char *dir, const char *name, const char *text)
{
    char *path = file_join(dir, name);
    test_write(path, text, strlen(text));
    mem_free(path);
}

static inline void fixture_write_config(const Fixture *f, const char *dir)
{
    Buf config = {0};
    buf_printf(
        &config,
        "{\"architectures\":[\"%s\"],\"model_type\":\"%s\",\"hidden_size\":%d,"
        "\"num_hidden_layers\":%d,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
        "\"head_dim\":%d,\"intermediate_size\":%d,\"vocab_size\":%d,\"rms_norm_eps\":1e-06,"
        "\"rope_theta\":1000000,\"rope_scaling\":null,\"tie_word_embeddings\":%s,"
        "\"max_position_embeddings\":40960,\"hidden_act\":\"silu\",\"torch_dtype\":\"bfloat16\","
        "\"bos_token_id\":5,\"eos_token_id\":6",
        f->is_qwen2  ? "Qwen2ForCausalLM"
        : f->experts ? "Qwen3MoeForCausalLM"
                     : "Qwen3ForCausalLM",
        f->is_qwen2  ? "qwen2"
        : f->experts ? "qwen3_moe"
                     : "qwen3",
        f->hidden, f->layers, f->heads, f->kv_heads, f->head_dim, f->ff, f->vocab,
        f->is_tied ? "true" : "false");
    if (f->experts)
        buf_printf(&config,
                   ",\"num_experts\":%d,\"num_experts_per_tok\":2,\"moe_intermediate_size\":%d,"
                   "\"norm_topk_prob\":true,\"decoder_sparse_step\":1,\"mlp_only_layers\":[]",
                   f->experts, f->ff);
    buf_puts(&config, "}");
    fixture_write_text(dir, "config.json", config.data);
    buf_free(&config);
}

/* A whole folder: one file, or n_shards with an index. */
static inline void fixture_write_folder(const Fixture *f, const char *dir, int n_shards)
{
    Error err = {0};
    assert_ok(file_make_dir(dir, &err));
    fixture_write_config(f, dir);
    if (n_shards == 1) {
        char *path = file_join(dir, "model.safetensors");
        fixture_write_shard(f, 0, f->n, path);
        mem_free(path);
        return;
    }
    Buf index = {0};
    buf_puts(&index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int s = 0; s < n_shards; s++) {
        char name[64];
        int from = f->n * s / n_shards, to = f->n * (s + 1) / n_shards;
        snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", s + 1, n_shards);
        char *path = file_join(dir, name);
        fixture_write_shard(f, from, to, path);
        mem_free(path);
        for (int i = from; i < to; i++)
            buf_printf(&index, "%s\"%s\":\"%s\"", i ? "," : "", f->infos[i].name, name);
    }
    buf_puts(&index, "}}");
    fixture_write_text(dir, "model.safetensors.index.json", index.data);
    buf_free(&index);
}

/* The usual small dense model. */
static inline Fixture *fixture_dense(void)
{
    Fixture *f = mem_alloc(sizeof *f);
    f->hidden = 64;
    f->layers = 2;
    f->heads = 4;
    f->kv_heads = 2;
    f->head_dim = 32;
    f->ff = 96;
    f->vocab = 7;
    f->type = DTYPE_BF16;
    fixture_plan(f);
    return f;
}

#endif
