/* See forward.h; docs/model.md has the same as mathematics. Shapes: t tokens of the batch, hd =
 * head_dim; a dimension n * hd is n heads side by side. */
#include "model/forward.h"

#include "model/adapter.h"

#include <math.h>

/* What a layer's queries see. With chunks, they turn otherwise for keys of other chunks: q is still
 * as it was before its rotation. */
static Sight sight_of(const Model *m, int l, const Rotations *rope, Mat q, Step *step)
{
    const Config *c = &m->config;
    Backend *b = m->backend;
    Sight sight = {.scale = 1.0f / sqrtf((float)c->head_dim),
                   .window = c->has_window[l] ? c->window : 0};
    if (!m->positions.has_chunks)
        return sight;
    sight.chunk = c->dual_chunk.chunk;
    sight.q_before = step_mat(step, q.rows, q.cols);
    sight.q_far = step_mat(step, q.rows, q.cols);
    b->copy(b, q, sight.q_before);
    b->copy(b, q, sight.q_far);
    b->rope(b, sight.q_before, rope->before);
    b->rope(b, sight.q_far, rope->far);
    return sight;
}

/* x += Attention(RMSNorm(x)) */
static void attention_block(const Model *m, int l, KvStore *kv, const Batch *batch,
                            const Rotations *rope, Mat x, Step *step, LayerSaved *saved)
{
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    Backend *b = m->backend;
    const int t = batch->n_tokens, hd = c->head_dim;
    const float eps = (float)c->rms_eps;

    Mat h = step_mat(step, t, c->d_model);
    Mat q = step_mat(step, t, c->n_heads * hd);
    Mat k = step_mat(step, t, c->n_kv_heads * hd);
    Mat v = step_mat(step, t, c->n_kv_heads * hd);
    Mat mixed = saved ? saved->mixed : step_mat(step, t, c->n_heads * hd);

    if (saved)
        b->copy(b, x, saved->x);
    b->rms_norm(b, x, layer->attn_norm, eps, h);
    b->matmul(b, 3, (Weight *[]){layer->q, layer->k, layer->v}, h, (Mat[]){q, k, v});
    adapt(b, batch, l, PROJECTION_Q, 3, h, (Mat[]){q, k, v}, step);
    if (c->has_qkv_bias) {
        b->add_bias(b, q, layer->q_bias);
        b->add_bias(b, k, layer->k_bias);
        b->add_bias(b, v, layer->v_bias);
    }
    if (saved) {
        b->copy(b, q, saved->q);
        b->copy(b, k, saved->k);
        b->copy(b, v, saved->v);
    }
    if (c->has_qk_norm) { /* over each head by itself, before the rotation */
        b->rms_norm(b, mat_heads(q, hd), layer->q_norm, eps, mat_heads(q, hd));
        b->rms_norm(b, mat_heads(k, hd), layer->k_norm, eps, mat_heads(k, hd));
    }
    const Sight sight = sight_of(m, l, rope, q, step);
    b->rope(b, q, rope->queries);
    b->rope(b, k, rope->keys);
    b->kv_write(b, kv, l, batch, k, v);
    b->attention(b, kv, l, batch, &sight, q, mixed);
    b->matmul(b, 1, (Weight *[]){layer->o}, mixed, &h);
    adapt(b, batch, l, PROJECTION_O, 1, mixed, &h, step);
    b->add(b, x, h);
}

/* x += SwiGLU(RMSNorm(x)) */
static void dense_block(const Model *m, int l, const Batch *batch, Mat x, Step *step,
                        LayerSaved *saved)
{
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    Backend *b = m->backend;

    Mat h = step_mat(step, x.rows, c->d_model);
    Mat gate = saved ? saved->gate : step_mat(step, x.rows, c->d_ff);
    Mat up = saved ? saved->up : step_mat(step, x.rows, c->d_ff);
    Mat act = saved ? step_mat(step, x.rows, c->d_ff) : gate;

    if (saved)
        b->copy(b, x, saved->mid);
    b->rms_norm(b, x, layer->ffn_norm, (float)c->rms_eps, h);
    b->matmul(b, 2, (Weight *[]){layer->gate, layer->up}, h, (Mat[]){gate, up});
    adapt(b, batch, l, PROJECTION_GATE, 2, h, (Mat[]){gate, up}, step);
    b->swiglu(b, gate, up, act);
    b->matmul(b, 1, (Weight *[]){layer->down}, act, &h);
    adapt(b, batch, l, PROJECTION_DOWN, 1, act, &h, step);
    b->add(b, x, h);
}

/* x += sum over the chosen experts e of weight_e * SwiGLU_e(RMSNorm(x)) */
static void mixture_block(const Model *m, int l, Mat x, Step *step, LayerSaved *saved)
{
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    Backend *b = m->backend;
    const int t = x.rows, n_pairs = t * c->n_experts_used;

    Mat h = step_mat(step, t, c->d_model);
    Mat logits = saved ? saved->logits : step_mat(step, t, c->n_experts);
    MoeRoutes routes =
        saved ? saved->routes : step_routes(step, t, c->n_experts, c->n_experts_used);
    Mat pairs = step_mat(step, n_pairs, c->d_model); /* tokens' rows, expert after expert */
    Mat gate = saved ? saved->gate : step_mat(step, n_pairs, c->d_expert);
    Mat up = saved ? saved->up : step_mat(step, n_pairs, c->d_expert);
    Mat act = saved ? step_mat(step, n_pairs, c->d_expert) : gate;

    if (saved)
        b->copy(b, x, saved->mid);
    b->rms_norm(b, x, layer->ffn_norm, (float)c->rms_eps, h);
    b->matmul(b, 1, (Weight *[]){layer->router}, h, &logits);
    b->moe_route(b, logits, c->normalizes_experts, &routes);
    if (saved && saved->counts)
        b->moe_count(b, logits, &routes, saved->counts, saved->prob_sums, saved->entropy);
    b->gather_rows(b, h, routes.pair_token, pairs);
    b->matmul_experts(b, 2, (Weight *[]){layer->gate, layer->up}, &routes, pairs,
                      (Mat[]){gate, up});
    b->swiglu(b, gate, up, act);
    b->matmul_experts(b, 1, (Weight *[]){layer->down}, &routes, act, &pairs);
    b->moe_combine(b, &routes, pairs, h);
    b->add(b, x, h);
}

void forward_layer(const Model *m, int l, KvStore *kv, const Batch *batch, const Rotations *rope,
                   Mat x, Step *step, LayerSaved *saved)
{
    const size_t start = step->used;
    attention_block(m, l, kv, batch, rope, x, step, saved);
    step->used = start;
    if (m->config.is_moe_layer[l])
        mixture_block(m, l, x, step, saved);
    else
        dense_block(m, l, batch, x, step, saved);
    step->used = start;
}

static Mat rope_table(const Model *m, const Batch *batch, const Rotation *rotation, Mat table)
{
    m->backend->rope_table(m->backend, batch, rotation, table);
    return table;
}

Rotations forward_rotations(const Model *m, const Batch *batch, Step *step, const Saved *saved)
{
    const Positions *p = &m->positions;
    const int t = batch->n_tokens, hd = m->config.head_dim;
    Rotations rope = {.keys = saved ? saved->rope : step_mat(step, t, hd)};
    rope.queries = rope_table(m, batch, &p->keys, rope.keys);
    if (!p->are_alike)
        rope.queries = rope_table(m, batch, &p->queries, step_mat(step, t, hd));
    if (p->has_chunks) {
        rope.before = rope_table(m, batch, &p->before, step_mat(step, t, hd));
        rope.far = rope_table(m, batch, &p->far, step_mat(step, t, hd));
    }
    return rope;
}

void forward(const Model *m, KvStore *kv, const Batch *batch, Step *step, Saved *saved, Mat hidden)
{
    const Config *c = &m->config;
    Backend *b = m->backend;
    const size_t start = step->used;

    /* The residual stream; cosines and sines. */
    Mat x = saved ? saved->x : step_mat(step, batch->n_tokens, c->d_model);
    const Rotations rope = forward_rotations(m, batch, step, saved);
    b->embed(b, m->embed, batch->ids, x);

    for (int l = 0; l < c->n_layers; l++)
        forward_layer(m, l, kv, batch, &rope, x, step, saved ? &saved->layers[l] : NULL);
    b->rms_norm(b, x, m->final_norm, (float)c->rms_eps, hidden);
    step->used = start;
}

static size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

size_t forward_step_bytes(const Config *c, int n_tokens)
{
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const size_t h = step_mat_bytes(n_tokens, c->d_model);
    const bool has_chunks = c->dual_chunk.chunk > 0;
    const size_t n_tables = has_chunks         ? 4
                            : c->logn_from > 0 ? 2
                                               : 1,
                 n_queries = has_chunks ? 4 : 2;
    const size_t stream = h + n_tables * step_mat_bytes(n_tokens, c->head_dim);
    size_t widest = h + n_queries * step_mat_bytes(n_tokens, q) + 2 * step_mat_bytes(n_tokens, kv);
    widest = size_max(widest, h + 2 * step_mat_bytes(n_tokens, c->d_ff));
    if (c->n_experts > 0) {
        const int n_pairs = n_tokens * c->n_experts_used;
        widest = size_max(
            widest, h + step_mat_bytes(n_tokens, c->n_experts) + 4 * step_mat_bytes(n_pairs, 1) +
                        step_mat_bytes(1, c->n_experts + 1) + step_mat_bytes(n_pairs, c->d_model) +
                        2 * step_mat_bytes(n_pairs, c->d_expert));
    }
    return stream + widest + adapt_step_bytes(c, n_tokens);
}
