/* Attention over a page in plain C: what the fast versions must equal, bit for bit. */
#include "cpu/attention.h"

#include "cpu/vector_math.h"

#include <math.h>
#include <string.h>

static float plain_number(DType type, const void *in, size_t i)
{
    if (type == DTYPE_F32)
        return ((const float *)in)[i];
    uint16_t h = ((const uint16_t *)in)[i];
    return type == DTYPE_F16 ? half_to_float(h) : bf16_to_float(h);
}

/* Number d of key j. */
static float key_number(const AttentionPage *p, int d, int j)
{
    const size_t i = (size_t)(d * KV_PAGE_TOKENS + j);
    if (p->type != DTYPE_Q8_0)
        return plain_number(p->type, p->keys, i);
    const uint16_t *scales =
        (const void *)((const char *)p->keys + (size_t)p->head_dim * KV_PAGE_TOKENS);
    return (float)((const int8_t *)p->keys)[i] *
           half_to_float(scales[d / KV_BLOCK * KV_PAGE_TOKENS + j]);
}

/* Number c of value j. */
static float value_number(const AttentionPage *p, int j, int c)
{
    const size_t i = (size_t)(j * p->v_cols + c);
    if (p->type != DTYPE_Q8_0)
        return plain_number(p->type, p->values, i);
    const uint16_t *scales =
        (const void *)((const char *)p->values + (size_t)p->v_cols * KV_PAGE_TOKENS);
    return (float)((const int8_t *)p->values)[i] *
           half_to_float(scales[j * kv_blocks(p->v_cols) + c / KV_BLOCK]);
}

static void widen(const AttentionPage *p, int n, float *keys, float *values)
{
    for (int d = 0; d < p->head_dim; d++)
        for (int j = 0; j < KV_PAGE_TOKENS; j++)
            keys[d * KV_PAGE_TOKENS + j] = key_number(p, d, j);
    for (int j = 0; j < n; j++)
        for (int c = 0; c < p->v_cols; c++)
            values[j * p->v_cols + c] = value_number(p, j, c);
}

/* Codes of a block; its scale. What is too large for a half saturates; a NaN makes all NaN. */
static uint16_t block_codes(const float *x, int n, int8_t *codes)
{
    float largest = 0;
    bool has_nan = false;
    for (int i = 0; i < n; i++) {
        largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
        has_nan |= x[i] != x[i];
    }
    const uint16_t scale = half_from_float(largest / 127 < 65504 ? largest / 127 : 65504);
    const float inverse = scale && !has_nan ? 1 / half_to_float(scale) : 0;
    for (int i = 0; i < n; i++) {
        float code = has_nan ? 1 : x[i] * inverse;
        code = code > 127 ? 127 : code < -127 ? -127 : code;
        codes[i] = (int8_t)rintf(code);
    }
    return has_nan ? 0x7e00 : scale;
}

void attention_narrow_q8(const float *in, int n, void *out)
{
    int8_t *codes = out;
    uint16_t *scales = (void *)(codes + n);
    for (int i = 0; i < n; i += KV_BLOCK) {
        const int left = n - i < KV_BLOCK ? n - i : KV_BLOCK;
        scales[i / KV_BLOCK] = block_codes(in + i, left, codes + i);
    }
}

static void narrow(DType type, const float *in, int n, void *out)
{
    if (type == DTYPE_Q8_0) {
        attention_narrow_q8(in, n, out);
        return;
    }
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
    const int first = p->first_keys ? p->first_keys[row] : 0, n = p->n_keys[row];
    memset(weights, 0, sizeof(float) * KV_PAGE_TOKENS);
    for (int d = 0; d < p->head_dim; d++)
        for (int j = first; j < n; j++)
            weights[j] = fmaf(q[d], key_number(p, d, j), weights[j]);
    float max = p->state.max[row];
    for (int j = first; j < n; j++) {
        weights[j] *= p->scale;
        max = weights[j] > max ? weights[j] : max;
    }
    float correction = exp_f32(p->state.max[row] - max);
    float lanes[SUM_LANES];
    for (int j = first; j < n; j++)
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
            for (int c = 0; c < p->v_cols; c++)
                acc[c] = fmaf(weights[j], value_number(p, j, c), acc[c]);
    }
}

void attention_kernels_ref(AttentionKernels *kernels)
{
    *kernels = (AttentionKernels){page, widen, narrow};
}
