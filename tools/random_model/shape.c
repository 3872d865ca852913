/* See shape.h. Numbers of the released models: their config.json files; of Qwen2.5 above 0.5B and
 * below 72B: mlc-ai/mlc-llm python/mlc_llm/model/model_preset.py. */
#include "random_model/shape.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VOCAB = 151936, VOCAB_QWEN25_BIG = 152064, VOCAB_TINY = 1024 };

/* clang-format off */
/* name, family, kind, hidden, layers, heads, kv heads, head_dim, ffn, vocab, context, */
/* experts, used, expert ffn, step, normalizes, tied, eps, theta, yarn factor, yarn original */
static const Shape shapes[] = {
    {"qwen3-0.6b", "qwen3", KIND_HYBRID, 1024, 28, 16, 8, 128, 3072, VOCAB, 40960,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"qwen3-1.7b", "qwen3", KIND_HYBRID, 2048, 28, 16, 8, 128, 6144, VOCAB, 40960,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"qwen3-4b", "qwen3", KIND_HYBRID, 2560, 36, 32, 8, 128, 9728, VOCAB, 40960,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"qwen3-8b", "qwen3", KIND_HYBRID, 4096, 36, 32, 8, 128, 12288, VOCAB, 40960,
     0, 0, 0, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"qwen3-14b", "qwen3", KIND_HYBRID, 5120, 40, 40, 8, 128, 17408, VOCAB, 40960,
     0, 0, 0, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"qwen3-32b", "qwen3", KIND_HYBRID, 5120, 64, 64, 8, 128, 25600, VOCAB, 40960,
     0, 0, 0, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"qwen3-30b-a3b", "qwen3_moe", KIND_HYBRID, 2048, 48, 32, 4, 128, 6144, VOCAB, 40960,
     128, 8, 768, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"qwen3-235b-a22b", "qwen3_moe", KIND_HYBRID, 4096, 94, 64, 4, 128, 12288, VOCAB, 40960,
     128, 8, 1536, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"qwen2.5-0.5b", "qwen2", KIND_QWEN2, 896, 24, 14, 2, 64, 4864, VOCAB, 32768,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"qwen2.5-1.5b", "qwen2", KIND_QWEN2, 1536, 28, 12, 2, 128, 8960, VOCAB, 32768,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"qwen2.5-3b", "qwen2", KIND_QWEN2, 2048, 36, 16, 2, 128, 11008, VOCAB, 32768,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"qwen2.5-7b", "qwen2", KIND_QWEN2, 3584, 28, 28, 4, 128, 18944, VOCAB_QWEN25_BIG, 32768,
     0, 0, 0, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"qwen2.5-14b", "qwen2", KIND_QWEN2, 5120, 48, 40, 8, 128, 13824, VOCAB_QWEN25_BIG, 32768,
     0, 0, 0, 1, 1, 0, 1e-5, 1e6, 0, 0},
    {"qwen2.5-32b", "qwen2", KIND_QWEN2, 5120, 64, 40, 8, 128, 27648, VOCAB_QWEN25_BIG, 32768,
     0, 0, 0, 1, 1, 0, 1e-5, 1e6, 0, 0},
    {"qwen2.5-72b", "qwen2", KIND_QWEN2, 8192, 80, 64, 8, 128, 29568, VOCAB_QWEN25_BIG, 32768,
     0, 0, 0, 1, 1, 0, 1e-6, 1e6, 0, 0},
    /* Row lengths are multiples of 256, so that every block type applies; the heads together are
     * wider than the model. */
    {"tiny", "qwen3", KIND_HYBRID, 256, 4, 4, 2, 128, 768, VOCAB_TINY, 4096,
     0, 0, 0, 1, 1, 1, 1e-6, 1e6, 0, 0},
    {"tiny-moe", "qwen3_moe", KIND_HYBRID, 256, 4, 8, 2, 64, 768, VOCAB_TINY, 4096,
     16, 4, 256, 1, 1, 0, 1e-6, 1e6, 0, 0},
    {"tiny-qwen2", "qwen2", KIND_QWEN2, 256, 4, 4, 1, 64, 768, VOCAB_TINY, 4096,
     0, 0, 0, 1, 1, 1, 1e-5, 1e6, 0, 0},
    {"tiny-yarn", "qwen3", KIND_HYBRID, 256, 4, 2, 1, 128, 512, VOCAB_TINY, 2048,
     0, 0, 0, 1, 1, 0, 1e-6, 1e4, 4, 512},
    /* For unit tests: a forward pass in a blink. Rows too short for the blocks of 256. */
    {"micro", "qwen3", KIND_HYBRID, 64, 2, 4, 2, 32, 160, VOCAB_TINY, 2048,
     0, 0, 0, 1, 1, 1, 1e-6, 1e4, 0, 0},
    {"micro-moe", "qwen3_moe", KIND_HYBRID, 64, 3, 4, 1, 32, 160, VOCAB_TINY, 2048,
     8, 3, 96, 1, 1, 0, 1e-6, 1e4, 0, 0},
    {"micro-qwen2", "qwen2", KIND_QWEN2, 96, 2, 3, 1, 32, 192, VOCAB_TINY, 2048,
     0, 0, 0, 1, 1, 1, 1e-6, 1e4, 0, 0},
};
/* clang-format on */
enum { N_SHAPES = sizeof shapes / sizeof *shapes };

static const struct {
    const char *suffix;
    ShapeKind kind;
    const char *of; /* the shapes that were released so */
} variants[] = {
    {"-base", KIND_BASE,
     "qwen3-0.6b qwen3-1.7b qwen3-4b qwen3-8b qwen3-14b qwen3-30b-a3b qwen2.5-0.5b qwen2.5-1.5b "
     "qwen2.5-3b qwen2.5-7b qwen2.5-14b qwen2.5-32b qwen2.5-72b "},
    {"-instruct-2507", KIND_INSTRUCT, "qwen3-4b qwen3-30b-a3b qwen3-235b-a22b "},
    {"-thinking-2507", KIND_THINKING, "qwen3-4b qwen3-30b-a3b qwen3-235b-a22b "},
};
enum { N_VARIANTS = sizeof variants / sizeof *variants };

static bool has_variant(int shape, int variant)
{
    char word[80];
    snprintf(word, sizeof word, "%.60s ", shapes[shape].name);
    return strstr(variants[variant].of, word) != NULL;
}

static void make_variant(Shape *s, ShapeKind kind)
{
    const bool is_big = s->vocab_size == VOCAB_QWEN25_BIG;
    s->kind = kind;
    if (kind == KIND_BASE) {
        s->max_position_embeddings = is_big ? 131072 : 32768;
    } else {
        s->max_position_embeddings = 262144;
        s->rope_theta = strstr(s->name, "30b") ? 1e7 : 5e6;
    }
}

bool shape_find(Shape *shape, const char *name, Error *err)
{
    for (int i = 0; i < N_SHAPES; i++) {
        const size_t n = strlen(shapes[i].name);
        if (strncasecmp(name, shapes[i].name, n) != 0)
            continue;
        *shape = shapes[i];
        if (!name[n])
            return true;
        for (int v = 0; v < N_VARIANTS; v++) {
            if (strcasecmp(name + n, variants[v].suffix) != 0 || !has_variant(i, v))
                continue;
            make_variant(shape, variants[v].kind);
            snprintf(shape->name, sizeof shape->name, "%s%s", shapes[i].name, variants[v].suffix);
            return true;
        }
    }
    return error_set(err, ERROR_ARGUMENT, "no shape is called \"%s\"; --list names them", name);
}

void shape_print_names(void)
{
    for (int i = 0; i < N_SHAPES; i++) {
        puts(shapes[i].name);
        for (int v = 0; v < N_VARIANTS; v++)
            if (has_variant(i, v))
                printf("%s%s\n", shapes[i].name, variants[v].suffix);
    }
}

#define INT_KEY(key)                                                                               \
    {                                                                                              \
#key, offsetof(Shape, key), false                                                          \
    }
#define REAL_KEY(key)                                                                              \
    {                                                                                              \
#key, offsetof(Shape, key), true                                                           \
    }
static const struct {
    const char *name;
    size_t offset;
    bool is_real;
} keys[] = {
    INT_KEY(hidden_size),
    INT_KEY(num_hidden_layers),
    INT_KEY(num_attention_heads),
    INT_KEY(num_key_value_heads),
    INT_KEY(head_dim),
    INT_KEY(intermediate_size),
    INT_KEY(vocab_size),
    INT_KEY(max_position_embeddings),
    INT_KEY(num_experts),
    INT_KEY(num_experts_per_tok),
    INT_KEY(moe_intermediate_size),
    INT_KEY(decoder_sparse_step),
    INT_KEY(norm_topk_prob),
    INT_KEY(tie_word_embeddings),
    INT_KEY(yarn_original),
    REAL_KEY(rms_norm_eps),
    REAL_KEY(rope_theta),
    REAL_KEY(yarn_factor),
};

bool shape_set(Shape *shape, const char *assignment, Error *err)
{
    const char *equals = strchr(assignment, '=');
    for (size_t i = 0; equals && i < sizeof keys / sizeof *keys; i++) {
        if (strlen(keys[i].name) != (size_t)(equals - assignment) ||
            strncmp(keys[i].name, assignment, (size_t)(equals - assignment)) != 0)
            continue;
        char *end;
        const double value = strtod(equals + 1, &end);
        if (end == equals + 1 || *end || !(value >= 0 && value < 1e9) ||
            (!keys[i].is_real && floor(value) != value))
            return error_set(err, ERROR_ARGUMENT, "--set %s: not a number that fits", assignment);
        if (keys[i].is_real)
            *(double *)(void *)((char *)shape + keys[i].offset) = value;
        else
            *(int *)(void *)((char *)shape + keys[i].offset) = (int)value;
        return true;
    }
    return error_set(err, ERROR_ARGUMENT,
                     "--set %s: KEY=NUMBER with one of config.json's keys, "
                     "yarn_factor or yarn_original is wanted",
                     assignment);
}

static bool is_moe(const Shape *s) { return strcmp(s->family, "qwen3_moe") == 0; }

bool shape_check(const Shape *s, Error *err)
{
    if (s->hidden_size < 1 || s->num_hidden_layers < 1 || s->num_attention_heads < 1 ||
        s->num_key_value_heads < 1 || s->head_dim < 2 || s->intermediate_size < 1 ||
        s->vocab_size < 1 || s->max_position_embeddings < 1 || s->decoder_sparse_step < 1 ||
        s->rms_norm_eps <= 0 || s->rope_theta <= 1)
        return error_set(err, ERROR_ARGUMENT, "a size of the shape is zero");
    if (s->head_dim % 2 || s->num_attention_heads % s->num_key_value_heads)
        return error_set(err, ERROR_ARGUMENT,
                         "head_dim %d must be even, and %d heads a multiple of "
                         "%d kv heads",
                         s->head_dim, s->num_attention_heads, s->num_key_value_heads);
    if (strcmp(s->family, "qwen2") == 0 && s->head_dim * s->num_attention_heads != s->hidden_size)
        return error_set(err, ERROR_ARGUMENT, "a Qwen2's head_dim is hidden_size / heads = %d / %d",
                         s->hidden_size, s->num_attention_heads);
    if (is_moe(s) && (s->num_experts < 1 || s->num_experts_per_tok < 1 ||
                      s->num_experts_per_tok > s->num_experts || s->moe_intermediate_size < 1))
        return error_set(err, ERROR_ARGUMENT, "%d of %d experts of %d", s->num_experts_per_tok,
                         s->num_experts, s->moe_intermediate_size);
    if ((s->yarn_factor != 0) != (s->yarn_original != 0) ||
        (s->yarn_factor != 0 && s->yarn_factor < 1))
        return error_set(err, ERROR_ARGUMENT,
                         "yarn_factor (at least 1) and yarn_original go "
                         "together");
    return true;
}

bool shape_is_moe_layer(const Shape *s, int layer)
{
    return is_moe(s) && (layer + 1) % s->decoder_sparse_step == 0;
}

static void put_int(json_t *object, const char *key, int value)
{
    json_object_set_new(object, key, json_integer(value));
}

static void put_bool(json_t *object, const char *key, bool value)
{
    json_object_set_new(object, key, json_boolean(value));
}

/* As the released files have it, including what has no effect. Keys are sorted when written. */
json_t *shape_config(const Shape *s, const SpecialIds *ids, const char *torch_dtype)
{
    const bool is_qwen2 = strcmp(s->family, "qwen2") == 0;
    const char *class_name = is_qwen2    ? "Qwen2ForCausalLM"
                             : is_moe(s) ? "Qwen3MoeForCausalLM"
                                         : "Qwen3ForCausalLM";
    json_t *c = json_pack(
        "{s:[s], s:f, s:i, s:i, s:s, s:i, s:f, s:i, s:i, s:i, s:s, s:i, s:i, s:i, s:f, s:f, s:n, "
        "s:n, s:b, s:s, s:s, s:b, s:b, s:i}",
        "architectures", class_name, "attention_dropout", 0.0, "bos_token_id", ids->endoftext,
        "eos_token_id", s->kind == KIND_BASE ? ids->endoftext : ids->im_end, "hidden_act", "silu",
        "hidden_size", s->hidden_size, "initializer_range", 0.02, "intermediate_size",
        s->intermediate_size, "max_position_embeddings", s->max_position_embeddings,
        "max_window_layers", s->num_hidden_layers, "model_type", s->family, "num_attention_heads",
        s->num_attention_heads, "num_hidden_layers", s->num_hidden_layers, "num_key_value_heads",
        s->num_key_value_heads, "rms_norm_eps", s->rms_norm_eps, "rope_theta", s->rope_theta,
        "rope_scaling", "sliding_window", "tie_word_embeddings", s->tie_word_embeddings,
        "torch_dtype", torch_dtype, "transformers_version", "4.51.0", "use_cache", 1,
        "use_sliding_window", 0, "vocab_size", s->vocab_size);
    if (is_qwen2) { /* named, but switched off by use_sliding_window */
        put_int(c, "sliding_window", s->vocab_size == VOCAB_QWEN25_BIG ? 131072 : 32768);
    } else {
        put_int(c, "head_dim", s->head_dim);
        put_bool(c, "attention_bias", false);
    }
    if (s->yarn_factor != 0)
        json_object_set_new(c, "rope_scaling",
                            json_pack("{s:s, s:f, s:i}", "rope_type", "yarn", "factor",
                                      s->yarn_factor, "original_max_position_embeddings",
                                      s->yarn_original));
    if (is_moe(s)) {
        put_int(c, "decoder_sparse_step", s->decoder_sparse_step);
        json_object_set_new(c, "mlp_only_layers", json_array());
        put_int(c, "moe_intermediate_size", s->moe_intermediate_size);
        put_bool(c, "norm_topk_prob", s->norm_topk_prob);
        put_int(c, "num_experts", s->num_experts);
        put_int(c, "num_experts_per_tok", s->num_experts_per_tok);
        put_bool(c, "output_router_logits", false);
        json_object_set_new(c, "router_aux_loss_coef", json_real(0.001));
    }
    return c;
}

bool shape_sampling(const Shape *s, double *temperature, double *top_p)
{
    const bool is_hot = s->kind == KIND_HYBRID || s->kind == KIND_THINKING;
    *temperature = is_hot ? 0.6 : 0.7;
    *top_p = is_hot ? 0.95 : 0.8;
    return s->kind != KIND_BASE;
}

json_t *shape_generation_config(const Shape *s, const SpecialIds *ids)
{
    double temperature, top_p;
    if (!shape_sampling(s, &temperature, &top_p))
        return json_pack("{s:i, s:b, s:i, s:i, s:s}", "bos_token_id", ids->endoftext, "do_sample",
                         0, "eos_token_id", ids->endoftext, "max_new_tokens", 2048,
                         "transformers_version", "4.51.0");
    return json_pack("{s:i, s:b, s:[i, i], s:i, s:f, s:i, s:f, s:s}", "bos_token_id",
                     ids->endoftext, "do_sample", 1, "eos_token_id", ids->im_end, ids->endoftext,
                     "pad_token_id", ids->endoftext, "temperature", temperature, "top_k", 20,
                     "top_p", top_p, "transformers_version", "4.51.0");
}

/* The spreads. Wanted: logits with a standard deviation of about 2.5, attention that looks at some
 * ten to a hundred of a thousand keys, every block's output felt at the end.
 *  - A matrix behind a norm has sd 1/sqrt(columns): outputs near 1.
 *  - Scores have the sd g_q g_k of the q and k norms' weights, here 1.7 (for Qwen2, which has no
 *    such norms, the projections carry it): of n keys about n exp(-1.7^2) count.
 *  - The 2 n_layers block outputs add up to STREAM, which hides the token's own embedding;
 * otherwise a tied head would answer with the last token again. */
#define LOGIT_SD 2.5
#define STREAM 2.5
#define SCORE_GAIN 1.3
#define SWIGLU_RMS 0.65   /* of silu(1.2 z) u for standard normal z, u: about */
#define ATTENTION_RMS 0.4 /* of a softmax average of standard normal values: about */
#define MIXTURE_RMS 0.45  /* of a weighted sum of independent experts' outputs: about */

bool shape_tensor(const Shape *s, TensorPart part, int layer, TensorPlan *plan)
{
    const bool is_qwen2 = strcmp(s->family, "qwen2") == 0;
    const bool in_layer = layer >= 0, is_mixture = in_layer && shape_is_moe_layer(s, layer);
    const int d = s->hidden_size, q = s->num_attention_heads * s->head_dim;
    const int kv = s->num_key_value_heads * s->head_dim, ff = s->intermediate_size;
    const double in = 1 / sqrt(d), out = STREAM / sqrt(2.0 * s->num_hidden_layers);
    const double qk = is_qwen2 ? SCORE_GAIN * in : in;
#define PLAN(exists, mats, rows, cols, center, spread)                                             \
    (*plan = (TensorPlan){mats, rows, cols, (float)(center), (float)(spread)}, exists)
    switch (part) {
    case PART_TOKEN_EMBD:
        return PLAN(!in_layer, 1, s->vocab_size, d, 0, LOGIT_SD * in);
    case PART_OUTPUT_NORM:
        return PLAN(!in_layer, 1, 0, d, 1, 0.1);
    case PART_OUTPUT:
        return PLAN(!in_layer && !s->tie_word_embeddings, 1, s->vocab_size, d, 0, LOGIT_SD * in);
    case PART_ATTN_NORM:
        return PLAN(in_layer, 1, 0, d, 1, 0.1);
    case PART_ATTN_Q:
        return PLAN(in_layer, 1, q, d, 0, qk);
    case PART_ATTN_K:
        return PLAN(in_layer, 1, kv, d, 0, qk);
    case PART_ATTN_V:
        return PLAN(in_layer, 1, kv, d, 0, in);
    case PART_ATTN_OUTPUT:
        return PLAN(in_layer, 1, d, q, 0, out / ATTENTION_RMS / sqrt(q));
    case PART_ATTN_Q_NORM:
    case PART_ATTN_K_NORM:
        return PLAN(in_layer && !is_qwen2, 1, 0, s->head_dim, SCORE_GAIN, 0.15);
    case PART_ATTN_Q_BIAS:
        return PLAN(in_layer && is_qwen2, 1, 0, q, 0, 0.3);
    case PART_ATTN_K_BIAS:
        return PLAN(in_layer && is_qwen2, 1, 0, kv, 0, 0.3);
    case PART_ATTN_V_BIAS: /* the same for every position: a big one would drown the rest */
        return PLAN(in_layer && is_qwen2, 1, 0, kv, 0, 0.1);
    case PART_FFN_NORM:
        return PLAN(in_layer, 1, 0, d, 1, 0.1);
    case PART_FFN_GATE:
        return PLAN(in_layer && !is_mixture, 1, ff, d, 0, 1.2 * in);
    case PART_FFN_UP:
        return PLAN(in_layer && !is_mixture, 1, ff, d, 0, in);
    case PART_FFN_DOWN:
        return PLAN(in_layer && !is_mixture, 1, d, ff, 0, out / SWIGLU_RMS / sqrt(ff));
    case PART_ROUTER:
        return PLAN(is_mixture, 1, s->num_experts, d, 0, 2.5 * in);
    default:
        break;
    }
    const int expert_ff = s->moe_intermediate_size;
    if (part == PART_DOWN_EXPERTS)
        return PLAN(is_mixture, s->num_experts, d, expert_ff, 0,
                    out / (SWIGLU_RMS * MIXTURE_RMS) / sqrt(expert_ff));
    return PLAN(is_mixture, s->num_experts, expert_ff, d, 0,
                part == PART_GATE_EXPERTS ? 1.2 * in : in);
#undef PLAN
}
