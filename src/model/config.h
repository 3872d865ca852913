/* Hyper-parameters of a Qwen model, read from config.json's keys and checked once, here: code
 * behind this header never meets an absurd number. */
#ifndef WEN_MODEL_CONFIG_H
#define WEN_MODEL_CONFIG_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

enum {
    CONFIG_LAYERS_MAX = 256,
    CONFIG_HEADS_MAX = 512,
    CONFIG_HEAD_DIM_MAX = 256,
    CONFIG_EXPERTS_MAX = 1024,
    CONFIG_WIDTH_MAX = 1 << 17, /* d_model, d_ff */
    CONFIG_VOCAB_MAX = 1 << 21,
    CONFIG_CONTEXT_MAX = 1 << 24,
    CONFIG_EOS_MAX = 8,
};

/* YaRN (Peng et al. 2023; transformers modeling_rope_utils.py). factor 1: plain RoPE. */
typedef struct RopeScaling {
    double factor;
    int original_context;
    double beta_fast, beta_slow;
    double attention_factor;       /* 0: 0.1 ln(factor) + 1, or from the mscales */
    double mscale, mscale_all_dim; /* 0: not given */
    bool truncate;
} RopeScaling;

typedef struct Config {
    const char *family; /* "qwen2", "qwen3", "qwen3_moe": config.json's model_type */
    int n_layers, d_model, n_heads, n_kv_heads, head_dim;
    int d_ff;                                /* of dense layers */
    int n_vocab;                             /* rows of the embedding, padding included */
    int n_experts, n_experts_used, d_expert; /* 0 for dense models */
    bool normalizes_experts;                 /* norm_topk_prob */
    bool is_moe_layer[CONFIG_LAYERS_MAX];
    bool has_qkv_bias; /* Qwen2 */
    bool has_qk_norm;  /* Qwen3 */
    bool is_tied;      /* the head is the embedding */
    double rms_eps;
    double rope_theta;
    RopeScaling rope_scaling;
    int context_max; /* max_position_embeddings, times the YaRN factor where that extends it */
    int n_eos;
    int32_t eos_ids[CONFIG_EOS_MAX]; /* of config.json; generation_config.json may name more */
} Config;

/* Reads config.json. Errors name the key and the value. */
bool config_read(Config *c, const json_t *json, Error *err) MUST_USE;

/* --yarn FACTOR[:ORIGINAL]: stretches the context by `factor` (1: off). */
bool config_set_yarn(Config *c, double factor, int original_context, Error *err) MUST_USE;

/* The rotation frequencies, radians per position, and the factor for cos and sin.
 *   inv_freq [head_dim / 2] */
void config_rope(const Config *c, double *inv_freq, float *attention_factor);

/* Numbers for people and plans. Parameters: the tied head counted once. */
int64_t config_n_parameters(const Config *c);
int64_t config_n_active_parameters(const Config *c);
/* Elements of keys and values that one position takes, all layers. */
int64_t config_kv_elements(const Config *c);

#endif
