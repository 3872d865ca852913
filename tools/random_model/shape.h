/* The shapes that make_model knows: the released Qwen models and small ones for tests. */
#ifndef WEN_TOOLS_SHAPE_H
#define WEN_TOOLS_SHAPE_H

#include "formats/names.h"
#include "formats/tensor_table.h"

#include <jansson.h>

typedef enum ShapeKind { /* which release: end ids and sampling defaults follow from it */
                         KIND_HYBRID,
                         KIND_BASE,
                         KIND_INSTRUCT,
                         KIND_THINKING,
                         KIND_QWEN2,
} ShapeKind;

typedef struct Shape {
    char name[64];
    const char *family; /* model_type: "qwen2", "qwen3", "qwen3_moe" */
    ShapeKind kind;
    /* config.json's numbers, in its own names so that --set reads them. */
    int hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim;
    int intermediate_size, vocab_size, max_position_embeddings;
    int num_experts, num_experts_per_tok, moe_intermediate_size, decoder_sparse_step;
    int norm_topk_prob, tie_word_embeddings; /* 0 or 1 */
    double rms_norm_eps, rope_theta;
    double yarn_factor; /* 0: plain RoPE */
    int yarn_original;
} Shape;

/* "qwen3-0.6b", "qwen3-4b-instruct-2507", "tiny-moe"; case is ignored. */
bool shape_find(Shape *shape, const char *name, Error *err) MUST_USE;
/* "num_hidden_layers=2". */
bool shape_set(Shape *shape, const char *assignment, Error *err) MUST_USE;
/* Whether the numbers fit together; call after the last shape_set. */
bool shape_check(const Shape *shape, Error *err) MUST_USE;
/* All names, one a line, to standard output. */
void shape_print_names(void);

bool shape_is_moe_layer(const Shape *shape, int layer);

/* The ids that configurations name. */
typedef struct SpecialIds {
    int endoftext, im_end;
} SpecialIds;

/* config.json and generation_config.json. `torch_dtype`: "bfloat16", ... */
json_t *shape_config(const Shape *shape, const SpecialIds *ids, const char *torch_dtype);
json_t *shape_generation_config(const Shape *shape, const SpecialIds *ids);
/* The temperature and top-p of that file; false for base models, which sample nothing. */
bool shape_sampling(const Shape *shape, double *temperature, double *top_p);

/* What one tensor (for experts: one expert's) looks like and how its values are spread. */
typedef struct TensorPlan {
    int n_mats; /* 1, or the experts of a bank */
    int n_rows; /* 0: a vector */
    int n_cols;
    float mean, sd;
} TensorPlan;

/* False when the model has no such tensor in that layer (-1: outside the layers). */
bool shape_tensor(const Shape *shape, TensorPart part, int layer, TensorPlan *plan);

#endif
