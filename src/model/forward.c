/* See forward.h; docs/model.md has the same as mathematics. Shapes: t tokens of the batch, hd =
 * head_dim; a dimension n * hd is n heads side by side. */
#include "model/forward.h"

#include <math.h>

/* x += Attention(RMSNorm(x)) */
static void attention_block(const Model *m, int l, KvStore *kv, const Batch *batch, Mat rope, Mat x,
                            Step *step)
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
    Mat mixed = step_mat(step, t, c->n_heads * hd);

    b->rms_norm(b, x, layer->attn_norm, eps, h);
    b->matmul(b, 3, (Weight *[]){layer->q, layer->k, layer->v}, h, (Mat[]){q, k, v});
    if (c->has_qkv_bias) {
        b->add_bias(b, q, layer->q_bias);
        b->add_bias(b, k, layer->k_bias);
        b->add_bias(b, v, layer->v_bias);
    }
    if (c->has_qk_norm) { /* over each head by itself, before the rotation */
        b->rms_norm(b, mat_heads(q, hd), layer->q_norm, eps, mat_heads(q, hd));
        b->rms_norm(b, mat_heads(k, hd), layer->k_norm, eps, mat_heads(k, hd));
    }
    b->rope(b, q, rope);
    b->rope(b, k, rope);
    b->kv_write(b, kv, l, batch, k, v);
    b->attention(b, kv, l, batch, 1.0f / sqrtf((float)hd), q, mixed);
    b->matmul(b, 1, (Weight *[]){layer->o}, mixed, &h);
    b->add(b, x, h);
}

/* x += SwiGLU(RMSNorm(x)) */
static void dense_block(const Model *m, int l, Mat x, Step *step)
{
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    Backend *b = m->backend;

    Mat h = step_mat(step, x.rows, c->d_model);
    Mat gate = step_mat(step, x.rows, c->d_ff);
    Mat up = step_mat(step, x.rows, c->d_ff);

    b->rms_norm(b, x, layer->ffn_norm, (float)c->rms_eps, h);
    b->matmul(b, 2, (Weight *[]){layer->gate, layer->up}, h, (Mat[]){gate, up});
    b->swiglu(b, gate, up, gate);
    b->matmul(b, 1, (Weight *[]){layer->down}, gate, &h);
    b->add(b, x, h);
}

/* x += sum over the chosen experts e of weight_e * SwiGLU_e(RMSNorm(x)) */
static void mixture_block(const Model *m, int l, Mat x, Step *step)
{
    const Config *c = &m->config;
    const Layer *layer = &m->layers[l];
    Backend *b = m->backend;
    const int t = x.rows, n_pairs = t * c->n_experts_used;

    Mat h = step_mat(step, t, c->d_model);
    Mat logits = step_mat(step, t, c->n_experts);
    MoeRoutes routes = step_routes(step, t, c->n_experts, c->n_experts_used);
    Mat pairs = step_mat(step, n_pairs, c->d_model); /* tokens' rows, expert after expert */
    Mat gate = step_mat(step, n_pairs, c->d_expert);
    Mat up = step_mat(step, n_pairs, c->d_expert);

    b->rms_norm(b, x, layer->ffn_norm, (float)c->rms_eps, h);
    b->matmul(b, 1, (Weight *[]){layer->router}, h, &logits);
    b->moe_route(b, logits, c->normalizes_experts, &routes);
    b->gather_rows(b, h, routes.pair_token, pairs);
    b->matmul_experts(b, 2, (Weight *[]){layer->gate, layer->up}, &routes, pairs,
                      (Mat[]){gate, up});
    b->swiglu(b, gate, up, gate);
    b->matmul_experts(b, 1, (Weight *[]){layer->down}, &routes, gate, &pairs);
    b->moe_combine(b, &routes, pairs, h);
    b->add(b, x, h);
}

void forward(const Model *m, KvStore *kv, const Batch *batch, Step *step, Mat hidden)
{
    const Config *c = &m->config;
    Backend *b = m->backend;
    const size_t start = step->used;

    Mat x = step_mat(step, batch->n_tokens, c->d_model);     /* the residual stream */
    Mat rope = step_mat(step, batch->n_tokens, c->head_dim); /* cosines and sines */
    b->embed(b, m->embed, batch->ids, x);
    b->rope_table(b, batch->positions, m->inv_freq, m->rope_factor, rope);

    for (int l = 0; l < c->n_layers; l++) {
        const size_t layer_start = step->used;
        attention_block(m, l, kv, batch, rope, x, step);
        step->used = layer_start;
        if (c->is_moe_layer[l])
            mixture_block(m, l, x, step);
        else
            dense_block(m, l, x, step);
        step->used = layer_start;
    }
    b->rms_norm(b, x, m->final_norm, (float)c->rms_eps, hidden);
    step->used = start;
}

static size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

size_t forward_step_bytes(const Config *c, int n_tokens)
{
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const size_t h = step_mat_bytes(n_tokens, c->d_model);
    const size_t stream = h + step_mat_bytes(n_tokens, c->head_dim);
    size_t widest = h + 2 * step_mat_bytes(n_tokens, q) + 2 * step_mat_bytes(n_tokens, kv);
    widest = size_max(widest, h + 2 * step_mat_bytes(n_tokens, c->d_ff));
    if (c->n_experts > 0) {
        const int n_pairs = n_tokens * c->n_experts_used;
        widest = size_max(
            widest, h + step_mat_bytes(n_tokens, c->n_experts) + 4 * step_mat_bytes(n_pairs, 1) +
                        step_mat_bytes(1, c->n_experts + 1) + step_mat_bytes(n_pairs, c->d_model) +
                        2 * step_mat_bytes(n_pairs, c->d_expert));
    }
    return stream + widest;
}
