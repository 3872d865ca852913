/* Low-rank adapters (LoRA) at work: beside a product y = W x they add scale * B (A x), in the rows
 * of those sequences that asked for it. The weights of the base stay as they are, whatever their
 * type, so sequences with different adapters, or none, share a batch.
 *
 * A matrix may be adapted if it is a projection of attention or of a dense feed-forward layer;
 * routers and experts are not. */
#ifndef WEN_MODEL_ADAPTER_H
#define WEN_MODEL_ADAPTER_H

#include "formats/adapter_package.h"
#include "model/model.h"

/* Those that share an input are neighbours. */
typedef enum Projection {
    PROJECTION_Q,
    PROJECTION_K,
    PROJECTION_V,
    PROJECTION_O,
    PROJECTION_GATE,
    PROJECTION_UP,
    PROJECTION_DOWN,
    N_PROJECTIONS
} Projection;

/* "q_proj", ...: Hugging Face's name of the module; and with its block: "self_attn.q_proj". */
const char *projection_name(Projection p);
const char *projection_path(Projection p);
/* The matrix is [*n_rows, *n_cols] in layer l; false when that layer has none, or a bank. */
bool projection_shape(const Config *c, int l, Projection p, int *n_rows, int *n_cols);

typedef struct LowRank {
    Weight *a; /* [rank, n_cols]; NULL: this matrix is as it was */
    Weight *b; /* [n_rows, rank] */
} LowRank;

typedef LowRank LowRankLayer[N_PROJECTIONS];

typedef struct Adapter {
    const Model *model; /* borrowed */
    int rank;
    float scale;          /* alpha / rank, or alpha / sqrt(rank) */
    uint64_t identity;    /* of the contents: adapters of equal files have equal ones */
    LowRankLayer *layers; /* [n_layers] */
    size_t weight_bytes;
    Arena arena; /* lifetime: adapter */
} Adapter;

/* Packs an adapter's matrices, in the type they are stored in; the package may be closed
 * afterwards. A pair that fits no matrix of the model is an error that names its tensor. */
Adapter *adapter_open(const Model *model, const AdapterPackage *package, Error *err) MUST_USE;
/* One that changes nothing yet: the caller makes pairs. */
Adapter *adapter_new(const Model *model, int rank, float scale);
/* May be called while the model runs, but not while a batch with this adapter does. NULL is fine.
 */
void adapter_close(Adapter *adapter);

/* y_i += scale * B_i (A_i x) in the batch's adapted rows, for the n projections of layer l that
 * begin with `first` and share the input x. A row's result depends on that row and its adapters
 * only; other rows are not touched.
 *   x [n_tokens, n_cols];  y_i [n_tokens, n_rows_i];  uses adapt_step_bytes of `step` */
void adapt(Backend *b, const Batch *batch, int l, Projection first, int n, Mat x, const Mat y[],
           Step *step);
size_t adapt_step_bytes(const Config *c, int n_tokens);

/* Rows are taken so many at a time: scratch does not grow with the batch. Even, for the backward
 * pass (train/backward.h). */
enum { ADAPT_ROWS = 256 };

#endif
