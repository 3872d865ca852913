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
    CONFIG_CHUNK_STEP = 64, /* of dual chunk attention: a page of keys and values */
};

/* How rotations reach further than they were trained for; docs/model.md has the formulas. */
typedef enum RopeKind {
    ROPE_PLAIN,
    ROPE_LINEAR,   /* every frequency / factor */
    ROPE_NTK,      /* a larger base */
    ROPE_DYNAMIC,  /* the base grows with the sequence's length, as transformers has it */
    ROPE_QWEN_NTK, /* likewise, as the first Qwen has it: use_dynamic_ntk */
    ROPE_YARN,     /* Peng et al. 2023; transformers modeling_rope_utils.py */
} RopeKind;

typedef struct RopeScaling {
    RopeKind kind;
    double factor;        /* 1: plain RoPE, but for ROPE_QWEN_NTK, which has none */
    int original_context; /* positions that it was trained for */
    /* YaRN's own. */
    double beta_fast, beta_slow;
    double attention_factor;       /* 0: 0.1 ln(factor) + 1, or from the mscales */
    double mscale, mscale_all_dim; /* 0: not given */
    bool truncate;
} RopeScaling;

/* Dual chunk attention (An et al. 2024; the 1M releases' dual_chunk_attention_config). Their sparse
 * prefill is a shortcut for it that is not taken. */
typedef struct DualChunk {
    int chunk;    /* positions of a chunk: chunk_size - local_size; 0: off */
    int reach;    /* chunk_size: the farthest that a query turns from its chunk's beginning */
    int original; /* scores grow with sequences that are longer; 0: never */
} DualChunk;

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
    int logn_from; /* queries behind so many positions grow (use_logn_attn); 0: none do */
    int window;    /* positions that layers with a window see; 0: no layer has one */
    bool has_window[CONFIG_LAYERS_MAX];
    DualChunk dual_chunk;
    int context_max; /* max_position_embeddings, times the factor where that extends it */
    int n_eos;
    int32_t eos_ids[CONFIG_EOS_MAX]; /* of config.json; generation_config.json may name more */
} Config;

/* Reads config.json. Errors name the key and the value. */
bool config_read(Config *c, const json_t *json, Error *err) MUST_USE;

/* --yarn FACTOR[:ORIGINAL]: stretches the context by `factor` (1: off). */
bool config_set_yarn(Config *c, double factor, int original_context, Error *err) MUST_USE;

/* Numbers for people and plans. Parameters: the tied head counted once. */
int64_t config_n_parameters(const Config *c);
int64_t config_n_active_parameters(const Config *c);
/* Elements of keys and values that one position takes, all layers. */
int64_t config_kv_elements(const Config *c);

#endif
