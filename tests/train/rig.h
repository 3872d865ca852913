/* Small models in training, for the tests of train/. */
#ifndef WEN_TESTS_TRAIN_RIG_H
#define WEN_TESTS_TRAIN_RIG_H

#include "support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "train/micro.h"

#include <stdio.h>
#include <string.h>

static const char rig_dense[] =
    "{'model_type':'qwen3','hidden_size':24,'num_hidden_layers':2,'vocab_size':50,"
    "'num_attention_heads':4,'num_key_value_heads':2,'head_dim':8,'intermediate_size':40,"
    "'max_position_embeddings':256,'rms_norm_eps':1e-6,'rope_theta':10000.0,"
    "'tie_word_embeddings':true}";
static const char rig_untied[] =
    "{'model_type':'qwen3','hidden_size':24,'num_hidden_layers':2,'vocab_size':50,"
    "'num_attention_heads':4,'num_key_value_heads':2,'head_dim':8,'intermediate_size':40,"
    "'max_position_embeddings':256,'rms_norm_eps':1e-6,'rope_theta':10000.0,"
    "'tie_word_embeddings':false}";
static const char rig_qwen2[] =
    "{'model_type':'qwen2','hidden_size':24,'num_hidden_layers':2,'vocab_size':50,"
    "'num_attention_heads':3,'num_key_value_heads':1,'intermediate_size':40,"
    "'max_position_embeddings':256,'rms_norm_eps':1e-6,'rope_theta':10000.0,"
    "'tie_word_embeddings':true}";
static const char rig_moe[] =
    "{'model_type':'qwen3_moe','hidden_size':24,'num_hidden_layers':2,'vocab_size':50,"
    "'num_attention_heads':4,'num_key_value_heads':2,'head_dim':8,'intermediate_size':40,"
    "'num_experts':8,'num_experts_per_tok':2,'moe_intermediate_size':16,'norm_topk_prob':true,"
    "'decoder_sparse_step':1,'mlp_only_layers':[],"
    "'max_position_embeddings':256,'rms_norm_eps':1e-6,'rope_theta':10000.0,"
    "'tie_word_embeddings':true}";

/* A model with random masters, and gradients for it. */
typedef struct Rig {
    Backend *backend;
    Config config;
    Params params;
    Micro micro;
    float *masters, *flat, *tied;
    LayerGrads *layers;
    Grads grads;
    MoeTotals totals;
} Rig;

static const Param *rig_param(const Params *p, int place)
{
    for (int i = 0; i < p->n + p->n_frozen; i++)
        if (!params_at(p, i)->is_adapter && params_at(p, i)->place == place)
            return params_at(p, i);
    return NULL;
}

/* Gains and biases away from 1 and 0, or their gradients would be tested at a special point. */
static void rig_move_vectors(Rig *rig)
{
    Backend *b = rig->backend;
    Rng rng = {11};
    const Param *param;
    for (int place = 0; (param = rig_param(&rig->params, place)); place++) {
        float values[64];
        if (!param->vector)
            continue;
        assert_true(param->size <= 64);
        float *at = param->is_frozen ? values : rig->masters + param->offset;
        if (param->is_frozen)
            b->fetch(b, values, param->vector, sizeof(float) * param->size);
        for (size_t j = 0; j < param->size; j++)
            at[j] += 0.2f * (float)rng_normal(&rng);
        if (param->is_frozen)
            b->upload(b, param->vector, values, sizeof(float) * param->size);
    }
}

static void rig_open_learning(Rig *rig, const char *json, DType type, int n_threads, int tokens_max,
                              bool recomputes, const LearnOptions *learn)
{
    Error err = {0};
    json_error_t where;
    json_t *config = json_loads(json, JSON_DECODE_ANY, &where);
    char text[1024];
    size_t n = strlen(json);
    assert_true(n < sizeof text);
    memcpy(text, json, n + 1);
    for (size_t i = 0; i < n; i++)
        if (text[i] == '\'')
            text[i] = '"';
    json_decref(config);
    config = json_loads(text, 0, &where);
    assert_non_null(config);
    *rig = (Rig){0};
    assert_ok(config_read(&rig->config, config, &err));
    json_decref(config);
    rig->backend = backend_open("cpu", n_threads, &err);
    assert_non_null(rig->backend);
    assert_ok(params_open(&rig->params, &rig->config, rig->backend, type, false, learn, &err));
    assert_ok(micro_open(&rig->micro, &rig->params, tokens_max, recomputes, &err));
    const Config *c = &rig->config;
    const size_t n_tied = (size_t)c->n_vocab * (size_t)c->d_model;
    rig->masters = mem_alloc(sizeof(float) * rig->params.size);
    rig->flat = mem_alloc(sizeof(float) * rig->params.size);
    rig->tied = mem_alloc(sizeof(float) * n_tied);
    rig->layers = mem_alloc(sizeof *rig->layers * (size_t)c->n_layers);
    rig->grads = params_grads(&rig->params, rig->flat, rig->tied, rig->layers);
    const size_t n_counts = (size_t)c->n_layers * (size_t)(c->n_experts + 1);
    rig->totals =
        (MoeTotals){mem_alloc(sizeof(int64_t) * n_counts), mem_alloc(sizeof(double) * n_counts),
                    mem_alloc(sizeof(double) * n_counts)};
    assert_ok(params_init(&rig->params, 0.15, 7, rig->masters, &err));
    rig_move_vectors(rig);
    params_publish(&rig->params, rig->masters);
}

static inline void rig_open(Rig *rig, const char *json, DType type, int n_threads, int tokens_max,
                            bool recomputes)
{
    rig_open_learning(rig, json, type, n_threads, tokens_max, recomputes, NULL);
}

static void rig_close(Rig *rig)
{
    micro_close(&rig->micro);
    params_close(&rig->params);
    mem_free(rig->masters);
    mem_free(rig->flat);
    mem_free(rig->tied);
    mem_free(rig->layers);
    mem_free(rig->totals.counts);
    mem_free(rig->totals.prob_sums);
    mem_free(rig->totals.entropy);
    rig->backend->close(rig->backend);
}

/* The gradient of rows cut at `cuts` (n_cuts + 1 micro-batches); returns the loss. Mixture models:
 * counts first, as the trainer does. */
static inline double rig_gradient(Rig *rig, const Rows *rows, const int *cuts, int n_cuts,
                                  float balance)
{
    const Config *c = &rig->config;
    double loss = 0, unused = 0, weights = 0;
    memset(rig->flat, 0, sizeof(float) * rig->params.size);
    memset(rig->tied, 0, sizeof(float) * (size_t)c->n_vocab * (size_t)c->d_model);
    memset(rig->totals.counts, 0, sizeof(int64_t) * (size_t)(c->n_layers * c->n_experts));
    for (int i = 0; i < rows->doc_start[rows->row_start[rows->n_rows]]; i++)
        weights += (double)rows->weights[i];
    const float scale = (float)(1 / weights);
    const Balance b = {balance, rows_n_tokens(rows, 0, rows->n_rows), rig->totals.counts};
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0, from = 0; i <= n_cuts; i++) {
            const int to = i < n_cuts ? cuts[i] : rows->n_rows;
            micro_load(&rig->micro, rows, from, to, scale);
            micro_forward(&rig->micro, pass == 0 ? &rig->totals : NULL);
            if (pass == 1)
                micro_loss(&rig->micro, NULL, &rig->grads, c->n_experts > 0 ? &b : NULL, &loss);
            else
                micro_loss(&rig->micro, NULL, NULL, NULL, &unused);
            from = to;
        }
    if (rig->params.tied_size > 0)
        for (size_t i = 0; i < rig->params.tied_size; i++)
            rig->flat[i] += rig->tied[i];
    assert_true(loss == unused);
    return loss;
}

/* Three rows of packed documents, some tokens not scored; even lengths and odd ones. */
enum { RIG_TOKENS = 9 + 5 + 70 + 11 + 20 };
static const int rig_row_start[] = {0, 2, 3, 5};
static const int rig_doc_start[] = {0, 9, 14, 84, 95, 115};
static inline const Rows *rig_rows(void)
{
    static int32_t ids[RIG_TOKENS], targets[RIG_TOKENS];
    static float weights[RIG_TOKENS];
    static Rows rows;
    Rng rng = {3};
    for (int i = 0; i < RIG_TOKENS; i++) {
        ids[i] = (int32_t)rng_below(&rng, 50);
        targets[i] = (int32_t)rng_below(&rng, 50);
        weights[i] = rng_below(&rng, 4) == 0 ? 0.0f : 1.0f + (float)(i % 2) * 0.5f;
    }
    rows = (Rows){3, rig_row_start, rig_doc_start, ids, targets, weights};
    return &rows;
}

#endif
