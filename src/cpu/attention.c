/* Attention over a page in plain C: what the fast versions must equal, bit for bit. */
#include "cpu/attention.h"

#include "cpu/vector_math.h"

#include <string.h>

static float widen_one(DType type, const void *in, size_t i)
{
    if (type == DTYPE_F32)
        return ((const float *)in)[i];
    uint16_t h = ((const uint16_t *)in)[i];
    return type == DTYPE_F16 ? half_to_float(h) : bf16_to_float(h);
}

static void widen(DType type, const void *in, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = widen_one(type, in, (size_t)i);
}

static void narrow(DType type, const float *in, int n, void *out)
{
    if (type == DTYPE_F32) {
        memcpy(out, in, sizeof(float) * (size_t)n);
        return;
    }
    uint16_t *h = out;
    for (int i = 0; i < n; i++)
        h[i] = type == DTYPE_F16 ? half_from_float(in[i]) : bf16_from_float(in[i]);
}

/* weights[j] = exp(score_j - max) of the keys that the row sees, 0 behind them. Updates max and
 * sum; returns what the weighted values so far are to be multiplied with. */
static float soften(const AttentionPage *p, int row, float weights[KV_PAGE_TOKENS])
{
    const float *q = p->q + (size_t)row * (size_t)p->head_dim;
    int n = p->n_keys[row];
    memset(weights, 0, sizeof(float) * KV_PAGE_TOKENS);
    for (int d = 0; d < p->head_dim; d++)
        for (int j = 0; j < n; j++) {
            float key = widen_one(p->type, p->keys, (size_t)(d * KV_PAGE_TOKENS + j));
            weights[j] = fmaf(q[d], key, weights[j]);
        }
    float max = p->state.max[row];
    for (int j = 0; j < n; j++) {
        weights[j] *= p->scale;
        max = weights[j] > max ? weights[j] : max;
    }
    float correction = exp_f32(p->state.max[row] - max);
    float lanes[SUM_LANES];
    for (int j = 0; j < n; j++)
        weights[j] = exp_f32(weights[j] - max);
    memcpy(lanes, weights, sizeof lanes);
    p->state.max[row] = max;
    p->state.sum[row] = fmaf(p->state.sum[row], correction, sum_lanes(lanes));
    return correction;
}

static void page(const AttentionPage *p)
{
    _Static_assert((int)SUM_LANES == KV_PAGE_TOKENS, "a page's weights are summed as one row");
    for (int row = 0; row < p->n_rows; row++) {
        float weights[KV_PAGE_TOKENS];
        float correction = soften(p, row, weights);
        float *acc = p->state.acc + (size_t)row * (size_t)p->v_cols;
        for (int c = 0; c < p->v_cols; c++)
            acc[c] *= correction;
        for (int j = 0; j < p->n_keys[row]; j++)
            for (int c = 0; c < p->v_cols; c++) {
                float value = widen_one(p->type, p->values, (size_t)(j * p->v_cols + c));
                acc[c] = fmaf(weights[j], value, acc[c]);
            }
    }
}

void attention_kernels_ref(AttentionKernels *kernels)
{
    *kernels = (AttentionKernels){page, widen, narrow};
}
