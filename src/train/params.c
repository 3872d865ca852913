/* See params.h. */
#include "train/params.h"

#include "base/rng.h"
#include "tensor/quant.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Adds one tensor to the list; layer < 0: the model's own. */
static Param *list(Params *p, int layer, const char *part, int n_mats, int n_rows, int n_cols)
{
    Param *param = &p->items[p->n++];
    if (layer < 0)
        snprintf(param->name, PARAM_NAME_BYTES, "%s", part);
    else
        snprintf(param->name, PARAM_NAME_BYTES, "model.layers.%d.%s", layer, part);
    param->n_mats = n_mats;
    param->n_rows = n_rows;
    param->n_cols = n_cols;
    param->offset = p->size;
    param->size = (size_t)n_mats * (size_t)n_rows * (size_t)n_cols;
    p->size += (param->size + 15) / 16 * 16; /* every tensor begins on a cache line */
    return param;
}

typedef struct Maker {
    Params *p;
    DType type;
    int layer;
    Error *err;
} Maker;

static bool make_weight(Maker *m, const char *part, int n_mats, int n_rows, int n_cols, Weight **w)
{
    Param *param = list(m->p, m->layer, part, n_mats, n_rows, n_cols);
    Backend *b = m->p->model->backend;
    const Tensor empty = {m->type, 3, {n_mats, n_rows, n_cols}, NULL, 0};
    param->is_residual = strstr(part, "o_proj") || strstr(part, "down_proj");
    if (n_mats > 1 && m->p->divides_experts)
        *w = b->bank_new_divided(b, m->type, n_mats, n_rows, n_cols, m->err);
    else
        *w = b->weight_new(b, &empty, n_mats, m->err);
    param->weight = *w;
    return *w || error_add(m->err, "%s", param->name);
}

static bool make_vector(Maker *m, const char *part, int n, float **vector)
{
    Param *param = list(m->p, m->layer, part, 1, 1, n);
    Backend *b = m->p->model->backend;
    *vector = param->vector = b->alloc(b, sizeof(float) * (size_t)n, param->name, m->err);
    return *vector != NULL;
}

static bool make_attention(Maker *m, Layer *layer)
{
    const Config *c = &m->p->model->config;
    const int d = c->d_model, q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    bool ok = make_vector(m, "input_layernorm.weight", d, &layer->attn_norm) &&
              make_weight(m, "self_attn.q_proj.weight", 1, q, d, &layer->q) &&
              make_weight(m, "self_attn.k_proj.weight", 1, kv, d, &layer->k) &&
              make_weight(m, "self_attn.v_proj.weight", 1, kv, d, &layer->v) &&
              make_weight(m, "self_attn.o_proj.weight", 1, d, q, &layer->o);
    if (ok && c->has_qkv_bias)
        ok = make_vector(m, "self_attn.q_proj.bias", q, &layer->q_bias) &&
             make_vector(m, "self_attn.k_proj.bias", kv, &layer->k_bias) &&
             make_vector(m, "self_attn.v_proj.bias", kv, &layer->v_bias);
    if (ok && c->has_qk_norm)
        ok = make_vector(m, "self_attn.q_norm.weight", c->head_dim, &layer->q_norm) &&
             make_vector(m, "self_attn.k_norm.weight", c->head_dim, &layer->k_norm);
    return ok && make_vector(m, "post_attention_layernorm.weight", d, &layer->ffn_norm);
}

static bool make_feed_forward(Maker *m, Layer *layer)
{
    const Config *c = &m->p->model->config;
    const int d = c->d_model, e = c->n_experts, f = c->d_expert;
    if (!c->is_moe_layer[m->layer])
        return make_weight(m, "mlp.gate_proj.weight", 1, c->d_ff, d, &layer->gate) &&
               make_weight(m, "mlp.up_proj.weight", 1, c->d_ff, d, &layer->up) &&
               make_weight(m, "mlp.down_proj.weight", 1, d, c->d_ff, &layer->down);
    return make_weight(m, "mlp.gate.weight", 1, e, d, &layer->router) &&
           make_weight(m, "mlp.experts.%d.gate_proj.weight", e, f, d, &layer->gate) &&
           make_weight(m, "mlp.experts.%d.up_proj.weight", e, f, d, &layer->up) &&
           make_weight(m, "mlp.experts.%d.down_proj.weight", e, d, f, &layer->down);
}

static bool make_all(Maker *maker)
{
    Params *p = maker->p;
    Model *m = p->model;
    const Config *c = &m->config;
    maker->layer = -1;
    if (!make_weight(maker, "model.embed_tokens.weight", 1, c->n_vocab, c->d_model, &m->embed))
        return false;
    p->items[p->n - 1].is_embedding = true;
    for (int l = 0; l < c->n_layers; l++) {
        maker->layer = l;
        if (!make_attention(maker, &m->layers[l]) || !make_feed_forward(maker, &m->layers[l]))
            return false;
    }
    maker->layer = -1;
    if (!make_vector(maker, "model.norm.weight", c->d_model, &m->final_norm))
        return false;
    m->head = m->embed;
    if (c->is_tied)
        return true;
    m->head = NULL;
    if (!make_weight(maker, "lm_head.weight", 1, c->n_vocab, c->d_model, &m->head))
        return false;
    p->items[p->n - 1].is_embedding = true;
    return true;
}

bool params_open(Params *p, const Config *c, Backend *b, DType type, bool divides_experts,
                 Error *err)
{
    *p = (Params){.divides_experts = divides_experts && b->n_ranks > 1};
    if (p->divides_experts && c->n_experts % b->n_ranks)
        return error_set(err, ERROR_ARGUMENT,
                         "run.expert_parallel: %d experts cannot be divided over %d ranks",
                         c->n_experts, b->n_ranks);
    p->items = ARENA_ARRAY(&p->arena, Param, 3 + 15 * c->n_layers);
    Model *m = p->model = mem_alloc(sizeof *m);
    m->config = *c;
    m->backend = b;
    m->matrix_type = type;
    m->layers = ARENA_ARRAY(&m->arena, Layer, c->n_layers);
    m->inv_freq = ARENA_ARRAY(&m->arena, double, c->head_dim / 2);
    config_rope(c, m->inv_freq, &m->rope_factor);
    Maker maker = {.p = p, .type = type, .err = err};
    if (make_all(&maker))
        return true;
    params_close(p);
    return false;
}

void params_close(Params *p)
{
    model_close(p->model);
    arena_close(&p->arena);
    *p = (Params){0};
}

void params_init(const Params *p, double deviation, uint64_t seed, float *masters)
{
    const double residual = deviation / sqrt(2.0 * p->model->config.n_layers);
    memset(masters, 0, sizeof(float) * p->size);
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        const bool is_bias = param->vector && strstr(param->name, ".bias");
        for (size_t j = 0; j < param->size; j++) {
            Rng rng = {rng_counter(seed, (uint64_t)i, j)};
            const double scale = param->is_residual ? residual : deviation;
            masters[param->offset + j] =
                param->weight ? (float)(scale * rng_normal(&rng)) : (is_bias ? 0.0f : 1.0f);
        }
    }
}

void param_matrix_name(const Param *param, int mat, char name[PARAM_NAME_BYTES])
{
    const char *mark = strstr(param->name, "%d");
    if (mark)
        snprintf(name, PARAM_NAME_BYTES, "%.*s%d%s", (int)(mark - param->name), param->name, mat,
                 mark + 2);
    else
        snprintf(name, PARAM_NAME_BYTES, "%s", param->name);
}

bool params_load(const Params *p, const Package *package, float *masters, Error *err)
{
    memset(masters, 0, sizeof(float) * p->size);
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        const size_t one = (size_t)param->n_rows * (size_t)param->n_cols;
        for (int mat = 0; mat < param->n_mats; mat++) {
            char name[PARAM_NAME_BYTES];
            Tensor t;
            param_matrix_name(param, mat, name);
            if (!package_tensor(package, name, &t, err))
                return false;
            if (tensor_n_rows(&t) != param->n_rows || tensor_n_cols(&t) != param->n_cols)
                return error_set(
                    err, ERROR_FORMAT,
                    "%s: tensor %s is [%lld, %lld]; the configuration asks for [%d, %d]",
                    package_path(package), name, (long long)tensor_n_rows(&t),
                    (long long)tensor_n_cols(&t), param->n_rows, param->n_cols);
            quant_decode(t.type, t.data, masters + param->offset + (size_t)mat * one, (int64_t)one);
        }
    }
    return true;
}

void params_publish(const Params *p, const float *masters)
{
    Backend *b = p->model->backend;
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        const float *from = masters + param->offset;
        const size_t one = (size_t)param->n_rows * (size_t)param->n_cols;
        if (param->vector)
            b->upload(b, param->vector, from, sizeof(float) * param->size);
        for (int mat = 0; param->weight && mat < param->n_mats; mat++) {
            const Tensor t = {DTYPE_F32,
                              2,
                              {param->n_rows, param->n_cols},
                              from + (size_t)mat * one,
                              sizeof(float) * one};
            b->weight_set(b, param->weight, mat, &t);
        }
    }
}

Grads params_grads(const Params *p, float *grads, float *tied, LayerGrads *layers)
{
    const Model *m = p->model;
    Grads g = {.layers = layers};
    float *at[3 + 15 * CONFIG_LAYERS_MAX];
    for (int i = 0; i < p->n; i++)
        at[i] = grads + p->items[i].offset;
    /* The order of make_all. */
    int i = 0;
    float *embed = at[i++];
    for (int l = 0; l < m->config.n_layers; l++) {
        LayerGrads *to = &layers[l];
        float **fields[] = {&to->attn_norm, &to->q, &to->k, &to->v, &to->o};
        *to = (LayerGrads){0};
        for (int j = 0; j < 5; j++)
            *fields[j] = at[i++];
        if (m->config.has_qkv_bias) {
            to->q_bias = at[i++];
            to->k_bias = at[i++];
            to->v_bias = at[i++];
        }
        if (m->config.has_qk_norm) {
            to->q_norm = at[i++];
            to->k_norm = at[i++];
        }
        to->ffn_norm = at[i++];
        if (m->config.is_moe_layer[l])
            to->router = at[i++];
        to->gate = at[i++];
        to->up = at[i++];
        to->down = at[i++];
    }
    g.final_norm = at[i++];
    g.head = m->config.is_tied ? embed : at[i++];
    g.embed = m->config.is_tied ? tied : embed;
    return g;
}
