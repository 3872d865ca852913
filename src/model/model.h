/* A Qwen model on a device: configuration and weights, immutable while it runs. */
#ifndef WEN_MODEL_MODEL_H
#define WEN_MODEL_MODEL_H

#include "backend/backend.h"
#include "base/mem.h"
#include "formats/package.h"
#include "model/positions.h"

/* One block. Vectors are f32 in device memory; matrices are [out, in]. */
typedef struct Layer {
    float *attn_norm;                /* [d_model] */
    Weight *q, *k, *v, *o;           /* [n_heads*head_dim, d_model], [n_kv_heads*head_dim, d_model]
                                        twice, [d_model, n_heads*head_dim] */
    float *q_bias, *k_bias, *v_bias; /* Qwen2; else NULL */
    float *q_norm, *k_norm;          /* [head_dim], Qwen3; else NULL */
    float *ffn_norm;                 /* [d_model] */
    Weight *gate, *up, *down;        /* [d_ff, d_model] twice, [d_model, d_ff]; in a mixture layer
                                        banks of n_experts: [d_expert, d_model] twice,
                                        [d_model, d_expert] */
    Weight *router;                  /* [n_experts, d_model]; NULL in a dense layer */
} Layer;

typedef struct Model {
    Config config;
    Backend *backend;  /* borrowed */
    Layer *layers;     /* [n_layers] */
    Weight *embed;     /* [n_vocab, d_model] */
    Weight *head;      /* the same handle as embed when tied */
    float *final_norm; /* [d_model] */
    double *inv_freq;  /* [head_dim / 2], host */
    Positions positions;
    DType matrix_type; /* of the first layer's q: what the model "is" */
    size_t weight_bytes;
    Arena arena; /* lifetime: model */
} Model;

typedef struct ModelOptions {
    double yarn_factor; /* 0: as the file says */
    int yarn_original;  /* 0: the file's max_position_embeddings */
    /* Called as tensors are packed; NULL: silent. */
    void (*progress)(void *context, int done, int total);
    void *progress_context;
} ModelOptions;

/* Packs all weights for the device; the package may be closed afterwards. Shapes are checked
 * against the configuration; a missing or misshapen tensor is an error that names it. `options` may
 * be NULL. */
Model *model_open(const Package *package, Backend *backend, const ModelOptions *options,
                  Error *err) MUST_USE;
void model_close(Model *model); /* NULL is fine */

#endif
