/* See params.h. */
#include "train/params.h"

#include "base/bug.h"
#include "base/rng.h"
#include "tensor/quant.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { TENSORS_MAX = 3 + 15 * CONFIG_LAYERS_MAX, PATTERNS_MAX = 64 };

/* ---- Listing ---------------------------------------------------------------------------------
 */

typedef struct Maker {
    Params *p;
    DType type;
    const LearnOptions *learn;
    bool was_met[PATTERNS_MAX]; /* of learn->freeze */
    int layer;
    int n_placed;
    Error *err;
} Maker;

void param_matrix_name(const Param *param, int mat, char name[PARAM_NAME_BYTES])
{
    const char *mark = strstr(param->name, "%d");
    if (mark)
        snprintf(name, PARAM_NAME_BYTES, "%.*s%d%s", (int)(mark - param->name), param->name, mat,
                 mark + 2);
    else
        snprintf(name, PARAM_NAME_BYTES, "%s", param->name);
}

/* Whether the patterns freeze a tensor; all matrices of a bank, or none. */
static bool decide(Maker *m, Param *param)
{
    int n = 0;
    for (int mat = 0; mat < param->n_mats; mat++) {
        char name[PARAM_NAME_BYTES];
        bool is_met = false;
        param_matrix_name(param, mat, name);
        for (int i = 0; i < m->learn->n_freeze; i++)
            if (fnmatch(m->learn->freeze[i], name, 0) == 0)
                is_met = m->was_met[i] = true;
        n += is_met;
    }
    param->is_frozen = n > 0 || m->learn->rank > 0;
    if (param->is_frozen && param->n_mats > 1 && m->p->divides_experts)
        return error_set(
            m->err, ERROR_UNSUPPORTED,
            "run.expert_parallel: %s is frozen; only experts that learn can be divided "
            "over ranks",
            param->name);
    if (n == 0 || n == param->n_mats)
        return true;
    return error_set(m->err, ERROR_UNSUPPORTED,
                     "model.freeze: %d of the %d experts of %s; they are frozen together or not at "
                     "all",
                     n, param->n_mats, param->name);
}

/* Gives a tensor its place: in the flat arrays, or among the frozen ones. */
static Param *place(Params *p, const Param *param)
{
    Param *to = param->is_frozen ? &p->frozen[p->n_frozen++] : &p->items[p->n++];
    *to = *param;
    to->size = (size_t)param->n_mats * (size_t)param->n_rows * (size_t)param->n_cols;
    if (!param->is_frozen) {
        to->offset = p->size;
        p->size += (to->size + 15) / 16 * 16; /* every tensor begins on a cache line */
    }
    return to;
}

/* Lists one tensor of the model. slot: offsetof its gradient in LayerGrads, or in Grads. */
static Param *list(Maker *m, const char *part, int n_mats, int n_rows, int n_cols, size_t slot)
{
    Param param = {.n_mats = n_mats,
                   .n_rows = n_rows,
                   .n_cols = n_cols,
                   .place = m->n_placed++,
                   .layer = m->layer,
                   .slot = slot};
    if (m->layer < 0)
        snprintf(param.name, PARAM_NAME_BYTES, "%s", part);
    else
        snprintf(param.name, PARAM_NAME_BYTES, "model.layers.%d.%s", m->layer, part);
    return decide(m, &param) ? place(m->p, &param) : NULL;
}

static bool make_weight(Maker *m, const char *part, int n_mats, int n_rows, int n_cols, size_t slot,
                        Weight **w)
{
    Param *param = list(m, part, n_mats, n_rows, n_cols, slot);
    if (!param)
        return false;
    Backend *b = m->p->model->backend;
    const Tensor empty = {.type = m->type, .n_dims = 3, .dims = {n_mats, n_rows, n_cols}};
    param->is_residual = strstr(part, "o_proj") || strstr(part, "down_proj");
    param->is_embedding = m->layer < 0;
    if (n_mats > 1 && m->p->divides_experts)
        *w = b->bank_new_divided(b, m->type, n_mats, n_rows, n_cols, m->err);
    else
        *w = b->weight_new(b, &empty, n_mats, m->err);
    param->weight = *w;
    return *w || error_add(m->err, "%s", param->name);
}

static bool make_vector(Maker *m, const char *part, int n, size_t slot, float **vector)
{
    Param *param = list(m, part, 1, 1, n, slot);
    if (!param)
        return false;
    Backend *b = m->p->model->backend;
    *vector = param->vector = b->alloc(b, sizeof(float) * (size_t)n, param->name, m->err);
    return *vector != NULL;
}

#define IN_LAYER(field) offsetof(LayerGrads, field)
#define IN_MODEL(field) offsetof(Grads, field)

static bool make_attention(Maker *m, Layer *layer)
{
    const Config *c = &m->p->model->config;
    const int d = c->d_model, q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int hd = c->head_dim;
    bool ok = make_vector(m, "input_layernorm.weight", d, IN_LAYER(attn_norm), &layer->attn_norm) &&
              make_weight(m, "self_attn.q_proj.weight", 1, q, d, IN_LAYER(q), &layer->q) &&
              make_weight(m, "self_attn.k_proj.weight", 1, kv, d, IN_LAYER(k), &layer->k) &&
              make_weight(m, "self_attn.v_proj.weight", 1, kv, d, IN_LAYER(v), &layer->v) &&
              make_weight(m, "self_attn.o_proj.weight", 1, d, q, IN_LAYER(o), &layer->o);
    if (ok && c->has_qkv_bias)
        ok = make_vector(m, "self_attn.q_proj.bias", q, IN_LAYER(q_bias), &layer->q_bias) &&
             make_vector(m, "self_attn.k_proj.bias", kv, IN_LAYER(k_bias), &layer->k_bias) &&
             make_vector(m, "self_attn.v_proj.bias", kv, IN_LAYER(v_bias), &layer->v_bias);
    if (ok && c->has_qk_norm)
        ok = make_vector(m, "self_attn.q_norm.weight", hd, IN_LAYER(q_norm), &layer->q_norm) &&
             make_vector(m, "self_attn.k_norm.weight", hd, IN_LAYER(k_norm), &layer->k_norm);
    return ok && make_vector(m, "post_attention_layernorm.weight", d, IN_LAYER(ffn_norm),
                             &layer->ffn_norm);
}

static bool make_feed_forward(Maker *m, Layer *layer)
{
    const Config *c = &m->p->model->config;
    const int d = c->d_model, e = c->n_experts, f = c->d_expert;
    if (!c->is_moe_layer[m->layer])
        return make_weight(m, "mlp.gate_proj.weight", 1, c->d_ff, d, IN_LAYER(gate),
                           &layer->gate) &&
               make_weight(m, "mlp.up_proj.weight", 1, c->d_ff, d, IN_LAYER(up), &layer->up) &&
               make_weight(m, "mlp.down_proj.weight", 1, d, c->d_ff, IN_LAYER(down), &layer->down);
    return make_weight(m, "mlp.gate.weight", 1, e, d, IN_LAYER(router), &layer->router) &&
           make_weight(m, "mlp.experts.%d.gate_proj.weight", e, f, d, IN_LAYER(gate),
                       &layer->gate) &&
           make_weight(m, "mlp.experts.%d.up_proj.weight", e, f, d, IN_LAYER(up), &layer->up) &&
           make_weight(m, "mlp.experts.%d.down_proj.weight", e, d, f, IN_LAYER(down), &layer->down);
}

static bool make_all(Maker *maker)
{
    Model *m = maker->p->model;
    const Config *c = &m->config;
    const int v = c->n_vocab, d = c->d_model;
    maker->layer = -1;
    if (!make_weight(maker, "model.embed_tokens.weight", 1, v, d, IN_MODEL(embed), &m->embed))
        return false;
    for (int l = 0; l < c->n_layers; l++) {
        maker->layer = l;
        if (!make_attention(maker, &m->layers[l]) || !make_feed_forward(maker, &m->layers[l]))
            return false;
    }
    maker->layer = -1;
    if (!make_vector(maker, "model.norm.weight", d, IN_MODEL(final_norm), &m->final_norm))
        return false;
    if (!c->is_tied)
        return make_weight(maker, "lm_head.weight", 1, v, d, IN_MODEL(head), &m->head);
    m->head = m->embed;
    return true;
}

/* ---- An adapter ------------------------------------------------------------------------------
 */

/* One matrix of a pair. */
static bool make_low_rank(Maker *m, int l, Projection p, bool is_a, int n_rows, int n_cols)
{
    Params *params = m->p;
    Backend *b = params->model->backend;
    LowRank *pair = &params->adapter->layers[l][p];
    const Tensor empty = {.type = m->type, .n_dims = 2, .dims = {n_rows, n_cols}};
    Param param = {.n_mats = 1,
                   .n_rows = n_rows,
                   .n_cols = n_cols,
                   .is_adapter = true,
                   .place = 2 * (l * N_PROJECTIONS + (int)p) + !is_a,
                   .layer = l,
                   .slot = IN_LAYER(low_rank) + (size_t)p * sizeof(LowRankGrads) +
                           (is_a ? offsetof(LowRankGrads, a) : offsetof(LowRankGrads, b))};
    snprintf(param.name, PARAM_NAME_BYTES, "model.layers.%d.%s.lora_%c.weight", l,
             projection_path(p), is_a ? 'A' : 'B');
    Weight **w = is_a ? &pair->a : &pair->b;
    *w = param.weight = b->weight_new(b, &empty, 1, m->err);
    if (!*w)
        return error_add(m->err, "%s", param.name);
    place(params, &param);
    return true;
}

static bool make_adapter(Maker *m)
{
    const LearnOptions *learn = m->learn;
    Model *model = m->p->model;
    const Config *c = &model->config;
    if (learn->rank > c->d_model)
        return error_set(m->err, ERROR_ARGUMENT, "lora.rank: %d is above the model's width %d",
                         learn->rank, c->d_model);
    const double divisor = learn->is_rslora ? sqrt(learn->rank) : learn->rank;
    m->p->adapter = adapter_new(model, learn->rank, (float)(learn->alpha / divisor));
    for (int l = 0; l < c->n_layers; l++)
        for (int i = 0; i < N_PROJECTIONS; i++) {
            const Projection p = (Projection)i;
            int n_rows, n_cols;
            if (learn->projections && !(learn->projections >> i & 1))
                continue;
            if (projection_shape(c, l, p, &n_rows, &n_cols)) {
                if (!make_low_rank(m, l, p, true, learn->rank, n_cols) ||
                    !make_low_rank(m, l, p, false, n_rows, learn->rank))
                    return false;
            } else if (learn->projections) {
                return error_set(m->err, ERROR_UNSUPPORTED,
                                 "lora.targets: %s: layer %d is a mixture, whose experts are not "
                                 "adapted; take targets among q_proj, k_proj, v_proj, o_proj",
                                 projection_name(p), l);
            }
        }
    return true;
}

/* ---- Open and close --------------------------------------------------------------------------
 */

static bool check_learning(const Maker *m)
{
    for (int i = 0; i < m->learn->n_freeze; i++)
        if (!m->was_met[i])
            return error_set(m->err, ERROR_ARGUMENT,
                             "model.freeze: no tensor has a name like \"%.100s\"",
                             m->learn->freeze[i]);
    return m->p->n > 0 ||
           error_set(m->err, ERROR_ARGUMENT, "model.freeze: nothing is left that could learn");
}

bool params_open(Params *p, const Config *c, Backend *b, DType type, bool divides_experts,
                 const LearnOptions *learn, Error *err)
{
    static const LearnOptions everything;
    *p = (Params){.divides_experts = divides_experts && b->n_ranks > 1};
    if (p->divides_experts && c->n_experts % b->n_ranks)
        return error_set(err, ERROR_ARGUMENT,
                         "run.expert_parallel: %d experts cannot be divided over %d ranks",
                         c->n_experts, b->n_ranks);
    const int n_low_rank = 2 * N_PROJECTIONS * c->n_layers;
    p->items = ARENA_ARRAY(&p->arena, Param, 3 + 15 * c->n_layers + n_low_rank);
    p->frozen = ARENA_ARRAY(&p->arena, Param, 3 + 15 * c->n_layers);
    Model *m = p->model = mem_alloc(sizeof *m);
    m->config = *c;
    m->backend = b;
    m->matrix_type = type;
    m->layers = ARENA_ARRAY(&m->arena, Layer, c->n_layers);
    m->inv_freq = ARENA_ARRAY(&m->arena, double, c->head_dim / 2);
    positions_init(&m->positions, c, m->inv_freq);
    Maker maker = {.p = p, .type = type, .learn = learn ? learn : &everything, .err = err};
    ASSERT(maker.learn->n_freeze <= PATTERNS_MAX);
    if (make_all(&maker) && (maker.learn->rank == 0 || make_adapter(&maker)) &&
        check_learning(&maker)) {
        const bool learns_embedding = p->items[0].is_embedding && c->is_tied;
        p->tied_size = learns_embedding ? p->items[0].size : 0;
        return true;
    }
    params_close(p);
    return false;
}

void params_close(Params *p)
{
    adapter_close(p->adapter);
    model_close(p->model);
    arena_close(&p->arena);
    *p = (Params){0};
}

/* ---- Numbers ---------------------------------------------------------------------------------
 */

const Param *params_at(const Params *p, int i)
{
    return i < p->n ? &p->items[i] : &p->frozen[i - p->n];
}

/* Weights of one matrix (or the vector) from its values, host or device memory. */
static void publish(const Params *p, const Param *param, int mat, const float *values)
{
    Backend *b = p->model->backend;
    const size_t one = (size_t)param->n_rows * (size_t)param->n_cols;
    const Tensor t = {.type = DTYPE_F32,
                      .n_dims = 2,
                      .dims = {param->n_rows, param->n_cols},
                      .data = values,
                      .bytes = sizeof(float) * one};
    if (param->vector)
        b->upload(b, param->vector, values, sizeof(float) * one);
    else
        b->weight_set(b, param->weight, mat, &t);
}

static size_t matrix_size(const Param *param)
{
    return (size_t)param->n_rows * (size_t)param->n_cols;
}

/* Fills every matrix by `fill`: of those that learn in masters, of frozen ones in memory that is
 * published at once. */
typedef bool Fill(void *context, const Param *param, int mat, float *values);

static bool fill_all(const Params *p, Fill *fill, void *context, float *masters, Error *err)
{
    size_t most = 1;
    for (int i = 0; i < p->n_frozen; i++)
        most = matrix_size(&p->frozen[i]) > most ? matrix_size(&p->frozen[i]) : most;
    float *one = mem_try_alloc(sizeof *one * most, "a frozen matrix", err);
    bool ok = one != NULL;
    memset(masters, 0, sizeof(float) * p->size);
    for (int i = 0; i < p->n + p->n_frozen; i++) {
        const Param *param = params_at(p, i);
        for (int mat = 0; ok && mat < param->n_mats; mat++) {
            float *to =
                param->is_frozen ? one : masters + param->offset + (size_t)mat * matrix_size(param);
            ok = fill(context, param, mat, to);
            if (ok && param->is_frozen)
                publish(p, param, mat, to);
        }
    }
    mem_free(one);
    return ok;
}

typedef struct Random {
    double deviation, residual;
    uint64_t seed;
} Random;

/* The adapter's numbers have keys behind all of the model's. */
static void fill_low_rank(const Random *random, const Param *param, float *values)
{
    const bool is_a = param->place % 2 == 0;
    const double bound = 1 / sqrt(param->n_cols);
    for (size_t j = 0; j < param->size; j++) {
        const uint64_t bits =
            rng_counter(random->seed, (uint64_t)TENSORS_MAX + (uint64_t)param->place, j);
        values[j] = is_a ? (float)(bound * (2 * rng_unit(bits) - 1)) : 0.0f;
    }
}

static bool fill_random(void *context, const Param *param, int mat, float *values)
{
    const Random *random = context;
    const bool is_bias = param->vector && strstr(param->name, ".bias");
    const double scale = param->is_residual ? random->residual : random->deviation;
    const size_t n = matrix_size(param), first = (size_t)mat * n;
    if (param->is_adapter) {
        fill_low_rank(random, param, values);
        return true;
    }
    for (size_t j = 0; j < n; j++) {
        Rng rng = {rng_counter(random->seed, (uint64_t)param->place, first + j)};
        values[j] = param->weight ? (float)(scale * rng_normal(&rng)) : (is_bias ? 0.0f : 1.0f);
    }
    return true;
}

bool params_init(const Params *p, double deviation, uint64_t seed, float *masters, Error *err)
{
    Random random = {deviation, deviation / sqrt(2.0 * p->model->config.n_layers), seed};
    return fill_all(p, fill_random, &random, masters, err);
}

typedef struct Loading {
    const Package *package;
    Random random;
    Error *err;
} Loading;

static bool fill_loaded(void *context, const Param *param, int mat, float *values)
{
    Loading *loading = context;
    char name[PARAM_NAME_BYTES];
    Tensor t;
    if (param->is_adapter)
        return fill_random(&loading->random, param, mat, values);
    param_matrix_name(param, mat, name);
    if (!package_tensor(loading->package, name, &t, loading->err))
        return false;
    if (tensor_n_rows(&t) != param->n_rows || tensor_n_cols(&t) != param->n_cols)
        return error_set(loading->err, ERROR_FORMAT,
                         "%s: tensor %s is [%lld, %lld]; the configuration asks for [%d, %d]",
                         package_path(loading->package), name, (long long)tensor_n_rows(&t),
                         (long long)tensor_n_cols(&t), param->n_rows, param->n_cols);
    void *made = t.data ? NULL : mem_try_alloc(t.bytes, "a matrix", loading->err);
    if (!t.data && !made)
        return false;
    quant_decode(t.type, tensor_rows(&t, 0, param->n_rows, made), values,
                 (int64_t)matrix_size(param));
    mem_free(made);
    return true;
}

bool params_load(const Params *p, const Package *package, uint64_t seed, float *masters, Error *err)
{
    Loading loading = {.package = package, .random = {.seed = seed}, .err = err};
    return fill_all(p, fill_loaded, &loading, masters, err);
}

void params_publish(const Params *p, const float *masters)
{
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        for (int mat = 0; mat < param->n_mats; mat++)
            publish(p, param, mat, masters + param->offset + (size_t)mat * matrix_size(param));
    }
}

Grads params_grads(const Params *p, float *grads, float *tied, LayerGrads *layers)
{
    Grads g = {.layers = layers};
    memset(layers, 0, sizeof *layers * (size_t)p->model->config.n_layers);
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        char *at = param->layer < 0 ? (char *)&g : (char *)&layers[param->layer];
        *(float **)(void *)(at + param->slot) = grads + param->offset;
    }
    if (p->tied_size > 0) {
        g.head = g.embed;
        g.embed = tied;
    }
    return g;
}
