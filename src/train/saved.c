/* The memory between forward and backward; see backward.h. */
#include "train/backward.h"

#include <stdint.h>

static void take_layer(LayerSaved *s, const Config *c, int l, int t, Step *step)
{
    const int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    s->q = step_mat(step, t, q);
    s->k = step_mat(step, t, kv);
    s->v = step_mat(step, t, kv);
    s->mixed = step_mat(step, t, q);
    s->mid = step_mat(step, t, c->d_model);
    const bool is_moe = c->is_moe_layer[l];
    const int rows = is_moe ? t * c->n_experts_used : t, width = is_moe ? c->d_expert : c->d_ff;
    s->gate = step_mat(step, rows, width);
    s->up = step_mat(step, rows, width);
    if (is_moe) {
        s->logits = step_mat(step, t, c->n_experts);
        s->routes = step_routes(step, t, c->n_experts, c->n_experts_used);
    }
}

void saved_take(Saved *saved, const Config *c, int n_tokens, bool recomputes, Step *step)
{
    saved->x = step_mat(step, n_tokens, c->d_model);
    saved->rope = step_mat(step, n_tokens, c->head_dim);
    for (int l = 0; l < c->n_layers; l++)
        saved->layers[l].x = step_mat(step, n_tokens, c->d_model);
    /* Layers that recompute start at the same place; the largest decides where it ends. */
    const size_t shared = step->used;
    size_t end = shared;
    for (int l = 0; l < c->n_layers; l++) {
        if (recomputes)
            step->used = shared;
        take_layer(&saved->layers[l], c, l, n_tokens, step);
        end = step->used > end ? step->used : end;
    }
    step->used = end;
}

/* The same walk over a Step without memory. */
size_t saved_bytes(const Config *c, int n_tokens, bool recomputes)
{
    LayerSaved layers[CONFIG_LAYERS_MAX];
    Saved saved = {.layers = layers};
    Step step = {.bytes = SIZE_MAX};
    saved_take(&saved, c, n_tokens, recomputes, &step);
    return step.used;
}
