/* The parameters of a model in training: a list of all tensors, each with its place in flat f32
 * arrays. Masters, gradients and optimizer state are such arrays; the model's weights, in the type
 * that products are computed in, are made anew from the masters after every step. */
#ifndef WEN_TRAIN_PARAMS_H
#define WEN_TRAIN_PARAMS_H

#include "train/backward.h"

enum { PARAM_NAME_BYTES = 96 };

typedef struct Param {
    char name[PARAM_NAME_BYTES]; /* Hugging Face's; in a bank "%d" stands for the expert */
    int n_mats, n_rows, n_cols;  /* n_mats 1 but for banks; a vector is one row */
    size_t offset, size;         /* elements, in the flat arrays */
    Weight *weight;              /* matrices and banks; borrowed from the model */
    float *vector;               /* the others */
    bool is_embedding;           /* or head */
    bool is_residual;            /* o_proj, down_proj: writes to the residual stream */
} Param;

typedef struct Params {
    Model *model; /* owned */
    Param *items;
    int n;
    size_t size; /* elements of a flat array */
    bool divides_experts;
    Arena arena;
} Params;

/* The name of matrix `mat` of a parameter, the expert filled in. */
void param_matrix_name(const Param *param, int mat, char name[PARAM_NAME_BYTES]);

/* A model of that shape whose weights are zeros of `type` (F32 or BF16), and its parameters. A tied
 * head is listed once, as the embedding. divides_experts: each rank holds its share of the experts
 * (backend.h, bank_new_divided), and all ranks run the model together. */
bool params_open(Params *p, const Config *c, Backend *b, DType type, bool divides_experts,
                 Error *err) MUST_USE;
void params_close(Params *p); /* a zeroed one is fine */

/* Random masters, host memory [size]: matrices normal with deviation `deviation`, those that write
 * to the residual stream divided by sqrt(2 n_layers); gains 1; biases 0. A function of the seed,
 * the tensor and the index alone. */
void params_init(const Params *p, double deviation, uint64_t seed, float *masters);
/* Masters from a checkpoint of any type. */
bool params_load(const Params *p, const Package *package, float *masters, Error *err) MUST_USE;
/* Weights of the model from masters in device memory. */
void params_publish(const Params *p, const float *masters);

/* Gradients at their places in a flat array `grads`. The embedding's share of a tied head's
 * gradient goes to `tied` [n_vocab, d_model] (unused when not tied). `layers`: the caller's
 * [n_layers]. */
Grads params_grads(const Params *p, float *grads, float *tied, LayerGrads *layers);

#endif
