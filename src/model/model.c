/* Tensor names -> weights on the device. See model.h; names: docs/model.md. */
#include "model/model.h"

#include "tensor/quant.h"

#include <stdio.h>

enum { TENSOR_NAME_BYTES = 128 };

typedef struct Loader {
    Model *model;
    const Package *package;
    const ModelOptions *options;
    int done, total;
    int layer; /* whose tensors are being read; -1: the model's own */
    Error *err;
} Loader;

static void tensor_name(const Loader *loader, const char *part, char name[TENSOR_NAME_BYTES])
{
    if (loader->layer < 0)
        snprintf(name, TENSOR_NAME_BYTES, "%s", part);
    else
        snprintf(name, TENSOR_NAME_BYTES, "model.layers.%d.%s", loader->layer, part);
}

static bool find_tensor(Loader *loader, const char *part, int64_t n_rows, int64_t n_cols, Tensor *t)
{
    char name[TENSOR_NAME_BYTES];
    tensor_name(loader, part, name);
    if (!package_tensor(loader->package, name, t, loader->err))
        return false;
    if (tensor_n_rows(t) != n_rows || tensor_n_cols(t) != n_cols)
        return error_set(loader->err, ERROR_FORMAT,
                         "%s: tensor %s is [%lld, %lld]; the configuration asks for [%lld, %lld]",
                         package_path(loader->package), name, (long long)tensor_n_rows(t),
                         (long long)tensor_n_cols(t), (long long)n_rows, (long long)n_cols);
    return true;
}

static void count_one(Loader *loader)
{
    loader->done++;
    if (loader->options && loader->options->progress)
        loader->options->progress(loader->options->progress_context, loader->done, loader->total);
}

static bool load_vector(Loader *loader, const char *part, int n, float **out)
{
    Tensor t;
    if (!find_tensor(loader, part, 1, n, &t))
        return false;
    Backend *b = loader->model->backend;
    const size_t bytes = sizeof(float) * (size_t)n;
    float *host = mem_alloc(bytes), *scratch = mem_alloc(t.bytes);
    quant_decode(t.type, tensor_rows(&t, 0, 1, scratch), host, n);
    mem_free(scratch);
    *out = b->alloc(b, bytes, "a vector of the model", loader->err);
    if (*out)
        b->upload(b, *out, host, bytes);
    mem_free(host);
    count_one(loader);
    return *out != NULL;
}

static bool pack(Loader *loader, const Tensor *t, int n_mats, Weight **out)
{
    Backend *b = loader->model->backend;
    *out = b->weight_new(b, t, n_mats, loader->err);
    if (!*out)
        return error_add(loader->err, "%s", package_path(loader->package));
    loader->model->weight_bytes += b->weight_bytes(*out);
    count_one(loader);
    return true;
}

static bool load_matrix(Loader *loader, const char *part, int n_rows, int n_cols, Weight **out)
{
    Tensor t;
    return find_tensor(loader, part, n_rows, n_cols, &t) && pack(loader, &t, 1, out);
}

/* A bank of experts: stored as one tensor, or one by one under ...experts.E.PROJECTION.weight. */
static bool load_bank(Loader *loader, const char *projection, int n_rows, int n_cols, Weight **out)
{
    const int n = loader->model->config.n_experts;
    char part[64], name[TENSOR_NAME_BYTES];
    Tensor t;
    snprintf(part, sizeof part, "mlp.experts.%s.weight", projection);
    tensor_name(loader, part, name);
    if (package_has_tensor(loader->package, name))
        return find_tensor(loader, part, (int64_t)n * n_rows, n_cols, &t) &&
               pack(loader, &t, n, out);
    for (int e = 0; e < n; e++) {
        snprintf(part, sizeof part, "mlp.experts.%d.%s.weight", e, projection);
        if (!find_tensor(loader, part, n_rows, n_cols, &t))
            return false;
        if (e == 0) {
            const Tensor empty = {.type = t.type, .n_dims = 3, .dims = {n, n_rows, n_cols}};
            if (!pack(loader, &empty, n, out))
                return false;
        }
        Backend *b = loader->model->backend;
        b->weight_set(b, *out, e, &t);
    }
    return true;
}

static bool load_layer(Loader *loader, int l)
{
    const Config *c = &loader->model->config;
    Layer *layer = &loader->model->layers[l];
    const int d = c->d_model, q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    loader->layer = l;
    bool ok = load_vector(loader, "input_layernorm.weight", d, &layer->attn_norm) &&
              load_matrix(loader, "self_attn.q_proj.weight", q, d, &layer->q) &&
              load_matrix(loader, "self_attn.k_proj.weight", kv, d, &layer->k) &&
              load_matrix(loader, "self_attn.v_proj.weight", kv, d, &layer->v) &&
              load_matrix(loader, "self_attn.o_proj.weight", d, q, &layer->o) &&
              load_vector(loader, "post_attention_layernorm.weight", d, &layer->ffn_norm);
    if (ok && c->has_qkv_bias)
        ok = load_vector(loader, "self_attn.q_proj.bias", q, &layer->q_bias) &&
             load_vector(loader, "self_attn.k_proj.bias", kv, &layer->k_bias) &&
             load_vector(loader, "self_attn.v_proj.bias", kv, &layer->v_bias);
    if (ok && c->has_qk_norm)
        ok = load_vector(loader, "self_attn.q_norm.weight", c->head_dim, &layer->q_norm) &&
             load_vector(loader, "self_attn.k_norm.weight", c->head_dim, &layer->k_norm);
    if (!ok)
        return false;
    if (c->is_moe_layer[l])
        return load_matrix(loader, "mlp.gate.weight", c->n_experts, d, &layer->router) &&
               load_bank(loader, "gate_proj", c->d_expert, d, &layer->gate) &&
               load_bank(loader, "up_proj", c->d_expert, d, &layer->up) &&
               load_bank(loader, "down_proj", d, c->d_expert, &layer->down);
    return load_matrix(loader, "mlp.gate_proj.weight", c->d_ff, d, &layer->gate) &&
           load_matrix(loader, "mlp.up_proj.weight", c->d_ff, d, &layer->up) &&
           load_matrix(loader, "mlp.down_proj.weight", d, c->d_ff, &layer->down);
}

static bool load_ends(Loader *loader)
{
    Model *m = loader->model;
    const Config *c = &m->config;
    loader->layer = -1;
    if (!load_matrix(loader, "model.embed_tokens.weight", c->n_vocab, c->d_model, &m->embed) ||
        !load_vector(loader, "model.norm.weight", c->d_model, &m->final_norm))
        return false;
    /* Some tied checkpoints store the head as well; it equals the embedding. */
    if (c->is_tied) {
        m->head = m->embed;
        return true;
    }
    return load_matrix(loader, "lm_head.weight", c->n_vocab, c->d_model, &m->head);
}

static int count_tensors(const Config *c)
{
    int n = c->n_layers * (9 + 3 * c->has_qkv_bias + 2 * c->has_qk_norm) + (c->is_tied ? 2 : 3);
    for (int l = 0; l < c->n_layers; l++)
        n += c->is_moe_layer[l];
    return n;
}

static bool read_config(Model *m, const Package *package, const ModelOptions *options, Error *err)
{
    if (!config_read(&m->config, package_config(package), err))
        return error_add(err, "%s", package_path(package));
    if (!options || options->yarn_factor <= 0)
        return true;
    int original = options->yarn_original ? options->yarn_original : m->config.context_max;
    return config_set_yarn(&m->config, options->yarn_factor, original, err);
}

Model *model_open(const Package *package, Backend *backend, const ModelOptions *options, Error *err)
{
    Model *m = mem_alloc(sizeof *m);
    m->backend = backend;
    if (!read_config(m, package, options, err))
        goto fail;
    const Config *c = &m->config;
    m->layers = ARENA_ARRAY(&m->arena, Layer, c->n_layers);
    m->inv_freq = ARENA_ARRAY(&m->arena, double, c->head_dim / 2);
    positions_init(&m->positions, c, m->inv_freq);
    Loader loader = {.model = m, .package = package, .options = options, .err = err};
    loader.total = count_tensors(c);
    if (!load_ends(&loader))
        goto fail;
    for (int l = 0; l < c->n_layers; l++)
        if (!load_layer(&loader, l))
            goto fail;
    Tensor first;
    if (!package_tensor(package, "model.layers.0.self_attn.q_proj.weight", &first, err))
        goto fail;
    m->matrix_type = first.type;
    return m;
fail:
    model_close(m);
    return NULL;
}

static void free_vector(Backend *b, float *vector, int n)
{
    if (vector)
        b->free(b, vector, sizeof(float) * (size_t)n);
}

static void free_layer(Backend *b, const Config *c, const Layer *layer)
{
    Weight *weights[] = {layer->q,    layer->k,  layer->v,    layer->o,
                         layer->gate, layer->up, layer->down, layer->router};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        if (weights[i])
            b->weight_free(b, weights[i]);
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    free_vector(b, layer->attn_norm, c->d_model);
    free_vector(b, layer->ffn_norm, c->d_model);
    free_vector(b, layer->q_norm, c->head_dim);
    free_vector(b, layer->k_norm, c->head_dim);
    free_vector(b, layer->q_bias, q);
    free_vector(b, layer->k_bias, kv);
    free_vector(b, layer->v_bias, kv);
}

void model_close(Model *m)
{
    if (!m)
        return;
    Backend *b = m->backend;
    for (int l = 0; m->layers && l < m->config.n_layers; l++)
        free_layer(b, &m->config, &m->layers[l]);
    if (m->head && m->head != m->embed)
        b->weight_free(b, m->head);
    if (m->embed)
        b->weight_free(b, m->embed);
    free_vector(b, m->final_norm, m->config.d_model);
    arena_close(&m->arena);
    mem_free(m);
}
