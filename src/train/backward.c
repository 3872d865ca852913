/* See backward.h. Each function undoes one of forward.c's, last operation first; dx is the gradient
 * of the residual stream, which runs through all layers and is added to by every block. */
#include "train/backward.h"

#include "base/bug.h"

#include <math.h>
#include <string.h>

static bool has_any(float *const *grads, int n)
{
    for (int i = 0; i < n; i++)
        if (grads[i])
            return true;
    return false;
}

/* dw_i += dy_i^T x for those of n weights that learn. */
static void weights_backward(Backend *b, int n, Weight *const w[], const Mat dy[], Mat x,
                             float *const dw[])
{
    for (int i = 0; i < n; i++)
        if (dw[i])
            b->matmul_backward_w(b, 1, &w[i], &dy[i], x, &dw[i]);
}

static void banks_backward(Backend *b, int n, Weight *const w[], const MoeRoutes *routes,
                           const Mat dy[], Mat x, float *const dw[])
{
    for (int i = 0; i < n; i++)
        if (dw[i])
            b->matmul_experts_backward_w(b, 1, &w[i], routes, &dy[i], x, &dw[i]);
}

static void bias_backward(Backend *b, Mat dy, float *dbias)
{
    if (dbias)
        b->bias_backward(b, dy, dbias);
}

/* ---- Adapters: the mirror of model/adapter.c -------------------------------------------------
 */

/* Whether an adapter stands beside any of n projections from `first` on. */
static bool is_adapted(const BackwardJob *job, int l, Projection first, int n)
{
    bool is_any = false;
    for (int i = 0; i < n && job->batch->n_adapted > 0; i++)
        is_any |= job->batch->adapted->adapter->layers[l][first + i].a != NULL;
    return is_any;
}

/* y_i += B_i low_i, low_i = scale A_i x, for some rows; dx is added to. */
static void adapt_rows_backward(const BackwardJob *job, int l, Projection first, int n, Mat x,
                                const Mat dy[], Mat dx, Step *step)
{
    const AdaptedRows *rows = job->batch->adapted;
    const LowRank *pairs = &rows->adapter->layers[l][first];
    const LowRankGrads *grads = &job->grads->layers[l].low_rank[first];
    const float scale = rows->adapter->scale * rows->scale;
    const int rank = rows->adapter->rank;
    const size_t numbers = (size_t)x.rows * (size_t)rank, start = step->used;
    Backend *b = job->model->backend;
    Weight *a[N_PROJECTIONS];
    Mat low[N_PROJECTIONS], dlow[N_PROJECTIONS];
    int which[N_PROJECTIONS], n_used = 0;
    for (int i = 0; i < n; i++) {
        if (!pairs[i].a)
            continue;
        which[n_used] = i;
        a[n_used] = pairs[i].a;
        low[n_used] = step_mat(step, x.rows, rank);
        dlow[n_used++] = step_mat(step, x.rows, rank);
    }
    Mat change = step_mat(step, x.rows, x.cols);
    b->matmul(b, n_used, a, x, low);
    for (int i = 0; i < n_used; i++) {
        const int p = which[i];
        b->blend(b, numbers, scale, low[i].data, 0.0f, low[i].data);
        weights_backward(b, 1, &pairs[p].b, &dy[p], low[i], &grads[p].b);
        b->matmul_backward_x(b, 1, &pairs[p].b, &dy[p], dlow[i]);
        b->blend(b, numbers, scale, dlow[i].data, 0.0f, dlow[i].data);
        weights_backward(b, 1, &a[i], &dlow[i], x, &grads[p].a);
    }
    b->matmul_backward_x(b, n_used, a, dlow, change);
    b->add(b, dx, change);
    step->used = start;
}

/* Of adapt: dx += what comes through the adapter; its gradients are added. Blocks are of an even
 * number of rows, so a gradient in bfloat16 is the same chain of pairs as without them. */
static void adapt_backward(const BackwardJob *job, int l, Projection first, int n, Mat x,
                           const Mat dy[], Mat dx, Step *step)
{
    ASSERT(job->batch->n_adapted <= 1);
    if (!is_adapted(job, l, first, n))
        return;
    const AdaptedRows *rows = job->batch->adapted;
    const int end = rows->first_row + rows->n_rows;
    for (int row = rows->first_row; row < end; row += ADAPT_ROWS) {
        const int n_rows = end - row < ADAPT_ROWS ? end - row : ADAPT_ROWS;
        Mat from[N_PROJECTIONS];
        for (int i = 0; i < n; i++)
            from[i] = mat_rows(dy[i], row, n_rows);
        adapt_rows_backward(job, l, first, n, mat_rows(x, row, n_rows), from,
                            mat_rows(dx, row, n_rows), step);
    }
}

static size_t adapt_backward_step_bytes(const Config *c, int n_tokens)
{
    const int rows = n_tokens < ADAPT_ROWS ? n_tokens : ADAPT_ROWS;
    const int rank = c->d_model < ADAPTER_RANK_MAX ? c->d_model : ADAPTER_RANK_MAX;
    return 3 * step_mat_bytes(rows, rank) + adapt_step_bytes(c, n_tokens);
}

/* ---- Blocks ----------------------------------------------------------------------------------
 */

/* The heads as attention read them: normalized and rotated copies of what was saved. */
static Mat rotated_heads(const Model *m, Mat saved, const float *norm, Mat rope, Step *step)
{
    Backend *b = m->backend;
    const int hd = m->config.head_dim;
    Mat heads = step_mat(step, saved.rows, saved.cols);
    if (m->config.has_qk_norm)
        b->rms_norm(b, mat_heads(saved, hd), norm, (float)m->config.rms_eps, mat_heads(heads, hd));
    else
        b->copy(b, saved, heads);
    b->rope(b, heads, rope);
    return heads;
}

/* x += Attention(RMSNorm(x)) */
static void attention_block_backward(const BackwardJob *job, int l, Mat dx, Step *step)
{
    const Model *m = job->model;
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    const LayerGrads *grads = &job->grads->layers[l];
    const LayerSaved *s = &job->saved->layers[l];
    const Mat rope = job->saved->rope;
    Backend *b = m->backend;
    const int t = dx.rows, hd = c->head_dim;
    const float eps = (float)c->rms_eps;

    Mat dmixed = step_mat(step, t, c->n_heads * hd);
    Mat dk = step_mat(step, t, c->n_kv_heads * hd);
    Mat dv = step_mat(step, t, c->n_kv_heads * hd);
    Mat h = step_mat(step, t, c->d_model);
    Mat dh = step_mat(step, t, c->d_model);

    weights_backward(b, 1, (Weight *[]){layer->o}, &dx, s->mixed, (float *[]){grads->o});
    b->matmul_backward_x(b, 1, (Weight *[]){layer->o}, &dx, dmixed);
    adapt_backward(job, l, PROJECTION_O, 1, s->mixed, &dx, dmixed, step);
    Mat q = rotated_heads(m, s->q, layer->q_norm, rope, step);
    Mat k = rotated_heads(m, s->k, layer->k_norm, rope, step);
    Mat dq = q;
    b->attention_backward(b, job->batch, 1.0f / sqrtf((float)hd), hd, q, k, s->v, s->mixed, dmixed,
                          dq, dk, dv);
    b->rope_backward(b, dq, rope);
    b->rope_backward(b, dk, rope);
    if (c->has_qk_norm) {
        b->rms_norm_backward(b, mat_heads(s->q, hd), layer->q_norm, eps, mat_heads(dq, hd), false,
                             mat_heads(dq, hd), grads->q_norm);
        b->rms_norm_backward(b, mat_heads(s->k, hd), layer->k_norm, eps, mat_heads(dk, hd), false,
                             mat_heads(dk, hd), grads->k_norm);
    }
    if (c->has_qkv_bias) {
        bias_backward(b, dq, grads->q_bias);
        bias_backward(b, dk, grads->k_bias);
        bias_backward(b, dv, grads->v_bias);
    }
    Weight *const qkv[] = {layer->q, layer->k, layer->v};
    const Mat dqkv[] = {dq, dk, dv};
    float *const dw[] = {grads->q, grads->k, grads->v};
    if (has_any(dw, 3) || is_adapted(job, l, PROJECTION_Q, 3)) {
        b->rms_norm(b, s->x, layer->attn_norm, eps, h);
        weights_backward(b, 3, qkv, dqkv, h, dw);
    }
    b->matmul_backward_x(b, 3, qkv, dqkv, dh);
    adapt_backward(job, l, PROJECTION_Q, 3, h, dqkv, dh, step);
    b->rms_norm_backward(b, s->x, layer->attn_norm, eps, dh, true, dx, grads->attn_norm);
}

/* x += SwiGLU(RMSNorm(x)) */
static void dense_block_backward(const BackwardJob *job, int l, Mat dx, Step *step)
{
    const Model *m = job->model;
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    const LayerGrads *grads = &job->grads->layers[l];
    const LayerSaved *s = &job->saved->layers[l];
    Backend *b = m->backend;
    const float eps = (float)c->rms_eps;

    Mat act = step_mat(step, dx.rows, c->d_ff);
    Mat dgate = step_mat(step, dx.rows, c->d_ff); /* of the activation first */
    Mat dup = act;
    Mat h = step_mat(step, dx.rows, c->d_model);
    Mat dh = step_mat(step, dx.rows, c->d_model);

    if (grads->down || is_adapted(job, l, PROJECTION_DOWN, 1)) {
        b->swiglu(b, s->gate, s->up, act);
        weights_backward(b, 1, (Weight *[]){layer->down}, &dx, act, (float *[]){grads->down});
    }
    b->matmul_backward_x(b, 1, (Weight *[]){layer->down}, &dx, dgate);
    adapt_backward(job, l, PROJECTION_DOWN, 1, act, &dx, dgate, step);
    b->swiglu_backward(b, s->gate, s->up, dgate, dgate, dup);
    Weight *const gate_up[] = {layer->gate, layer->up};
    const Mat dgate_up[] = {dgate, dup};
    float *const dw[] = {grads->gate, grads->up};
    if (has_any(dw, 2) || is_adapted(job, l, PROJECTION_GATE, 2)) {
        b->rms_norm(b, s->mid, layer->ffn_norm, eps, h);
        weights_backward(b, 2, gate_up, dgate_up, h, dw);
    }
    b->matmul_backward_x(b, 2, gate_up, dgate_up, dh);
    adapt_backward(job, l, PROJECTION_GATE, 2, h, dgate_up, dh, step);
    b->rms_norm_backward(b, s->mid, layer->ffn_norm, eps, dh, true, dx, grads->ffn_norm);
}

/* The router's share of dh, and its weight's gradient. dweight: of the chosen experts' weights. */
static void router_backward(const BackwardJob *job, int l, const float *dweight, Mat h, Mat dh,
                            Step *step)
{
    const Model *m = job->model;
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    const LayerSaved *s = &job->saved->layers[l];
    const Balance *balance = job->balance;
    Backend *b = m->backend;

    Mat dlogits = step_mat(step, h.rows, c->n_experts);
    Mat dh_router = step_mat(step, h.rows, c->d_model);
    const float factor =
        balance ? balance->coefficient * (float)c->n_experts / (float)balance->n_tokens : 0.0f;
    const int64_t *counts = balance ? balance->counts + (size_t)l * (size_t)c->n_experts : NULL;
    b->moe_route_backward(b, s->logits, &s->routes, c->normalizes_experts, dweight, factor, counts,
                          dlogits);
    weights_backward(b, 1, (Weight *[]){layer->router}, &dlogits, h,
                     (float *[]){job->grads->layers[l].router});
    b->matmul_backward_x(b, 1, (Weight *[]){layer->router}, &dlogits, dh_router);
    b->add(b, dh, dh_router);
}

/* x += sum over the chosen experts e of weight_e * SwiGLU_e(RMSNorm(x)) */
static void mixture_block_backward(const BackwardJob *job, int l, Mat dx, Step *step)
{
    const Model *m = job->model;
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    const LayerGrads *grads = &job->grads->layers[l];
    const LayerSaved *s = &job->saved->layers[l];
    const MoeRoutes *routes = &s->routes;
    Backend *b = m->backend;
    const int t = dx.rows, n_pairs = t * c->n_experts_used;
    const float eps = (float)c->rms_eps;

    Mat h = step_mat(step, t, c->d_model);
    Mat dh = step_mat(step, t, c->d_model);
    Mat pairs = step_mat(step, n_pairs, c->d_model); /* rows of dx, later of h */
    Mat dpairs = step_mat(step, n_pairs, c->d_model);
    Mat act = step_mat(step, n_pairs, c->d_expert);
    Mat dgate = step_mat(step, n_pairs, c->d_expert);
    Mat dup = act;
    float *dweight = step_take(step, sizeof(float) * (size_t)n_pairs);

    b->rms_norm(b, s->mid, layer->ffn_norm, eps, h);
    b->swiglu(b, s->gate, s->up, act);
    b->gather_rows(b, dx, routes->pair_token, pairs);
    b->matmul_experts_backward_x(b, 1, (Weight *[]){layer->down}, routes, &pairs, dgate);
    b->moe_combine_backward(b, routes, act, dgate, pairs, dweight);
    banks_backward(b, 1, (Weight *[]){layer->down}, routes, &pairs, act, (float *[]){grads->down});
    b->swiglu_backward(b, s->gate, s->up, dgate, dgate, dup);
    Weight *const gate_up[] = {layer->gate, layer->up};
    const Mat dgate_up[] = {dgate, dup};
    b->gather_rows(b, h, routes->pair_token, pairs);
    banks_backward(b, 2, gate_up, routes, dgate_up, pairs, (float *[]){grads->gate, grads->up});
    b->matmul_experts_backward_x(b, 2, gate_up, routes, dgate_up, dpairs);
    b->moe_gather_backward(b, routes, dpairs, dh);
    router_backward(job, l, dweight, h, dh, step);
    b->rms_norm_backward(b, s->mid, layer->ffn_norm, eps, dh, true, dx, grads->ffn_norm);
}

static void layer_backward(const BackwardJob *job, int l, Mat dx, Step *step)
{
    const size_t start = step->used;
    Backend *b = job->model->backend;
    LayerSaved *s = &job->saved->layers[l];
    if (job->recomputes) {
        Mat x = step_mat(step, dx.rows, dx.cols);
        b->copy(b, s->x, x);
        const Mat table = job->saved->rope; /* what is trained turns alike everywhere */
        const Rotations rope = {table, table, table, table};
        forward_layer(job->model, l, job->kv, job->batch, &rope, x, step, s);
        step->used = start;
    }
    if (job->model->config.is_moe_layer[l])
        mixture_block_backward(job, l, dx, step);
    else
        dense_block_backward(job, l, dx, step);
    step->used = start;
    attention_block_backward(job, l, dx, step);
    step->used = start;
}

/* The lowest layer with a gradient to find: the pass ends there. */
static int first_that_learns(const BackwardJob *job)
{
    static const LayerGrads none;
    const int n_layers = job->model->config.n_layers;
    int l = 0;
    while (!job->grads->embed && l < n_layers &&
           memcmp(&job->grads->layers[l], &none, sizeof none) == 0)
        l++;
    return l;
}

void backward(const BackwardJob *job, Mat dhidden, Step *step)
{
    const Model *m = job->model;
    Backend *b = m->backend;
    b->rms_norm_backward(b, job->saved->x, m->final_norm, (float)m->config.rms_eps, dhidden, false,
                         dhidden, job->grads->final_norm);
    for (int l = m->config.n_layers - 1; l >= first_that_learns(job); l--)
        layer_backward(job, l, dhidden, step);
    if (job->grads->embed)
        b->embed_backward(b, job->batch->ids, dhidden, job->grads->embed);
}

static size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

size_t backward_step_bytes(const Config *c, int n_tokens)
{
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const size_t h = step_mat_bytes(n_tokens, c->d_model);
    size_t widest = 2 * h + 2 * step_mat_bytes(n_tokens, q) + 3 * step_mat_bytes(n_tokens, kv);
    widest = size_max(widest, 2 * h + 2 * step_mat_bytes(n_tokens, c->d_ff));
    if (c->n_experts > 0) {
        const int n_pairs = n_tokens * c->n_experts_used;
        widest = size_max(widest, 3 * h + 2 * step_mat_bytes(n_pairs, c->d_model) +
                                      2 * step_mat_bytes(n_pairs, c->d_expert) +
                                      step_mat_bytes(n_pairs, 1) +
                                      step_mat_bytes(n_tokens, c->n_experts));
    }
    widest += adapt_backward_step_bytes(c, n_tokens);
    return size_max(widest, h + forward_step_bytes(c, n_tokens)); /* a layer computed again */
}
