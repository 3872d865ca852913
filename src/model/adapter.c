/* See adapter.h. */
#include "model/adapter.h"

#include "base/rng.h"

#include <stdio.h>
#include <string.h>

enum { MATRIX_NAME_BYTES = 96 };

static const char *const paths[N_PROJECTIONS] = {
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj",    "mlp.up_proj",      "mlp.down_proj"};

const char *projection_path(Projection p) { return paths[p]; }

const char *projection_name(Projection p)
{
    return paths[p] + (p < PROJECTION_GATE ? sizeof "self_attn" : sizeof "mlp");
}

bool projection_shape(const Config *c, int l, Projection p, int *n_rows, int *n_cols)
{
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int outputs[N_PROJECTIONS] = {q, kv, kv, c->d_model, c->d_ff, c->d_ff, c->d_model};
    *n_rows = outputs[p];
    *n_cols = p == PROJECTION_O ? q : p == PROJECTION_DOWN ? c->d_ff : c->d_model;
    return p < PROJECTION_GATE || !c->is_moe_layer[l];
}

/* ---- Open and close --------------------------------------------------------------------------
 */

Adapter *adapter_new(const Model *model, int rank, float scale)
{
    Adapter *a = mem_alloc(sizeof *a);
    a->model = model;
    a->rank = rank;
    a->scale = scale;
    a->layers = ARENA_ARRAY(&a->arena, LowRankLayer, model->config.n_layers);
    return a;
}

static bool pack(Adapter *a, const NamedTensor *source, Weight **out, Error *err)
{
    Backend *b = a->model->backend;
    const Tensor *t = &source->tensor;
    *out = b->weight_new(b, t, 1, err);
    if (!*out)
        return error_add(err, "%s", source->name);
    a->weight_bytes += b->weight_bytes(*out);
    a->identity = rng_mix(a->identity ^ str_hash((Str){t->data, t->bytes}));
    return true;
}

/* The pair of one matrix, if the package has one; *n_used counts them. */
static bool load_pair(Adapter *a, const AdapterPackage *package, int l, Projection p, int *n_used,
                      Error *err)
{
    char name[MATRIX_NAME_BYTES];
    int n_rows, n_cols;
    if (!projection_shape(&a->model->config, l, p, &n_rows, &n_cols))
        return true;
    snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, paths[p]);
    const AdapterPair *pair = adapter_package_find(package, name);
    if (!pair)
        return true;
    (*n_used)++;
    a->identity = rng_mix(a->identity ^ str_hash(str_from(name)));
    LowRank *at = &a->layers[l][p];
    return adapter_pair_fits(package, pair, n_rows, n_cols, err) && pack(a, pair->a, &at->a, err) &&
           pack(a, pair->b, &at->b, err);
}

static bool refuse(const AdapterPackage *package, const AdapterPair *pair, Error *err)
{
    if (!strstr(pair->name, ".experts."))
        return adapter_pair_misplaced(package, pair, err);
    return error_set(err, ERROR_UNSUPPORTED,
                     "%s: tensor %.200s: experts are not adapted while they run; merge the adapter "
                     "into the model (wen quantize --lora)",
                     package->path, pair->a->name);
}

/* Names the first pair that no matrix of the model was found for. */
static bool refuse_leftover(const Adapter *a, const AdapterPackage *package, Error *err)
{
    for (int i = 0; i < package->n; i++) {
        bool is_used = false;
        for (int l = 0; l < a->model->config.n_layers; l++)
            for (int p = 0; p < N_PROJECTIONS; p++) {
                char name[MATRIX_NAME_BYTES];
                snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, paths[p]);
                is_used |= a->layers[l][p].a && str_equals(str_from(package->pairs[i].name), name);
            }
        if (!is_used)
            return refuse(package, &package->pairs[i], err);
    }
    return true;
}

Adapter *adapter_open(const Model *model, const AdapterPackage *package, Error *err)
{
    const Config *c = &model->config;
    Adapter *a = adapter_new(model, package->rank, package->scale);
    int n_used = 0;
    bool ok = package->rank <= c->d_model ||
              error_set(err, ERROR_UNSUPPORTED, "%s: rank %d is above the model's width %d",
                        package->path, package->rank, c->d_model);
    a->identity = rng_mix(str_hash((Str){(const char *)&a->scale, sizeof a->scale}));
    for (int l = 0; ok && l < c->n_layers; l++)
        for (int p = 0; ok && p < N_PROJECTIONS; p++)
            ok = load_pair(a, package, l, (Projection)p, &n_used, err);
    if (ok && (n_used == package->n || refuse_leftover(a, package, err)))
        return a;
    adapter_close(a);
    return NULL;
}

void adapter_close(Adapter *a)
{
    if (!a)
        return;
    Backend *b = a->model->backend;
    for (int l = 0; l < a->model->config.n_layers; l++)
        for (int p = 0; p < N_PROJECTIONS; p++) {
            const LowRank *pair = &a->layers[l][p];
            if (pair->a)
                b->weight_free(b, pair->a);
            if (pair->b)
                b->weight_free(b, pair->b);
        }
    arena_close(&a->arena);
    mem_free(a);
}

/* ---- At work ---------------------------------------------------------------------------------
 */

/* Some rows with one adapter; pairs [n] of projections with this input. */
static void adapt_rows(Backend *b, const LowRank *pairs, int n, int rank, float scale, Mat x,
                       const Mat y[], Step *step)
{
    const size_t start = step->used;
    const Mat *to[N_PROJECTIONS];
    Weight *a[N_PROJECTIONS], *back[N_PROJECTIONS];
    Mat low[N_PROJECTIONS];
    int n_used = 0;
    for (int i = 0; i < n; i++) {
        if (!pairs[i].a)
            continue;
        a[n_used] = pairs[i].a;
        back[n_used] = pairs[i].b;
        to[n_used] = &y[i];
        low[n_used++] = step_mat(step, x.rows, rank);
    }
    if (n_used > 0)
        b->matmul(b, n_used, a, x, low);
    for (int i = 0; i < n_used; i++) {
        Mat change = step_mat(step, x.rows, to[i]->cols);
        b->blend(b, (size_t)x.rows * (size_t)rank, scale, low[i].data, 0.0f, low[i].data);
        b->matmul(b, 1, &back[i], low[i], &change);
        b->add(b, *to[i], change);
        step->used -= step_mat_bytes(change.rows, change.cols);
    }
    step->used = start;
}

void adapt(Backend *b, const Batch *batch, int l, Projection first, int n, Mat x, const Mat y[],
           Step *step)
{
    for (int i = 0; i < batch->n_adapted; i++) {
        const AdaptedRows *rows = &batch->adapted[i];
        const Adapter *a = rows->adapter;
        const int end = rows->first_row + rows->n_rows;
        for (int row = rows->first_row; row < end; row += ADAPT_ROWS) {
            const int n_rows = end - row < ADAPT_ROWS ? end - row : ADAPT_ROWS;
            Mat to[N_PROJECTIONS];
            for (int j = 0; j < n; j++)
                to[j] = mat_rows(y[j], row, n_rows);
            adapt_rows(b, &a->layers[l][first], n, a->rank, a->scale * rows->scale,
                       mat_rows(x, row, n_rows), to, step);
        }
    }
}

size_t adapt_step_bytes(const Config *c, int n_tokens)
{
    const int rows = n_tokens < ADAPT_ROWS ? n_tokens : ADAPT_ROWS;
    const int rank = c->d_model < ADAPTER_RANK_MAX ? c->d_model : ADAPTER_RANK_MAX;
    int widest = c->n_heads * c->head_dim > c->d_model ? c->n_heads * c->head_dim : c->d_model;
    widest = c->d_ff > widest ? c->d_ff : widest;
    return 3 * step_mat_bytes(rows, rank) + step_mat_bytes(rows, widest);
}
