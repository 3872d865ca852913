/* The parameters of a model in training: a list of the tensors that learn, each with its place in
 * flat f32 arrays. Masters, gradients and optimizer state are such arrays; the model's weights, in
 * the type that products are computed in, are made anew from the masters after every step.
 *
 * Tensors that are frozen have their weights and nothing else. With an adapter all of the model is
 * frozen, and the adapter's matrices learn. */
#ifndef WEN_TRAIN_PARAMS_H
#define WEN_TRAIN_PARAMS_H

#include "formats/package.h"
#include "train/backward.h"

enum { PARAM_NAME_BYTES = 96 };

typedef struct Param {
    char name[PARAM_NAME_BYTES]; /* Hugging Face's; in a bank "%d" stands for the expert */
    int n_mats, n_rows, n_cols;  /* n_mats 1 but for banks; a vector is one row */
    size_t offset, size;         /* elements; the offset in the flat arrays, unless frozen */
    Weight *weight;              /* matrices and banks; borrowed from model or adapter */
    float *vector;               /* the others */
    bool is_embedding;           /* or head */
    bool is_residual;            /* o_proj, down_proj: writes to the residual stream */
    bool is_adapter;             /* no tensor of the model, but of the adapter beside it */
    bool is_frozen;
    int place; /* among all tensors of the model, or of the adapter: a key of random numbers */
    int layer; /* -1: in none. And where its gradient's place goes: bytes into LayerGrads or Grads
                */
    size_t slot;
} Param;

typedef struct Params {
    Model *model;     /* owned */
    Adapter *adapter; /* owned; NULL: none is trained */
    Param *items;     /* [n]: those that learn */
    int n;
    Param *frozen; /* [n_frozen] */
    int n_frozen;
    size_t size;      /* elements of a flat array */
    size_t tied_size; /* of the second gradient that a tied embedding has; 0: it has none */
    bool divides_experts;
    Arena arena;
} Params;

/* What learns. Zeros: everything. */
typedef struct LearnOptions {
    const char *const *freeze; /* [n_freeze]: patterns of names (fnmatch), such as
                                  "model.layers.0.*" */
    int n_freeze;
    int rank; /* of an adapter, with all of the model frozen; 0: none */
    double alpha;
    bool is_rslora;       /* its scale is alpha / sqrt(rank), else alpha / rank */
    unsigned projections; /* bit p: Projection p is adapted; 0: all that can be */
} LearnOptions;

/* The i-th of n + n_frozen tensors: those that learn, then the frozen ones. */
const Param *params_at(const Params *p, int i);
/* The name of matrix `mat` of a parameter, the expert filled in. */
void param_matrix_name(const Param *param, int mat, char name[PARAM_NAME_BYTES]);

/* A model of that shape whose weights are zeros of `type` (F32 or BF16), and its parameters. A tied
 * head is listed once, as the embedding. divides_experts: each rank holds its share of the experts
 * (backend.h, bank_new_divided), and all ranks run the model together. `learn` may be NULL; a
 * pattern that fits no name, experts of a layer that do not freeze together, and targets that the
 * model has not are errors. */
bool params_open(Params *p, const Config *c, Backend *b, DType type, bool divides_experts,
                 const LearnOptions *learn, Error *err) MUST_USE;
void params_close(Params *p); /* a zeroed one is fine */

/* Random masters, host memory [size], and frozen weights: matrices normal with deviation
 * `deviation`, those that write to the residual stream divided by sqrt(2 n_layers); gains 1; biases
 * 0. A function of the seed, the tensor and the index alone: freezing changes no number. */
bool params_init(const Params *p, double deviation, uint64_t seed, float *masters,
                 Error *err) MUST_USE;
/* Masters and frozen weights from a checkpoint of any type; the adapter's as params_init has them,
 * which is as PEFT has them: A uniform in +-1 / sqrt(columns), B zero. */
bool params_load(const Params *p, const Package *package, uint64_t seed, float *masters,
                 Error *err) MUST_USE;
/* Weights of the model from masters in device memory. */
void params_publish(const Params *p, const float *masters);

/* Gradients at their places in a flat array `grads`; those of frozen tensors are NULL. The
 * embedding's share of a tied head's gradient goes to `tied` [tied_size]. `layers`: the caller's
 * [n_layers]. */
Grads params_grads(const Params *p, float *grads, float *tied, LayerGrads *layers);

#endif
