/* The kernels of elementwise.h on the vectors of vec_<isa>.h; included by elementwise_<isa>.c. */
#ifndef WEN_CPU_ELEMENTWISE_VECTOR_H
#define WEN_CPU_ELEMENTWISE_VECTOR_H

#include "cpu/elementwise.h"
#include "cpu/vec_ops.h"

static void rms_norm(const float *x, const float *w, int n, float eps, float *y)
{
    Vec lanes[SUM_VECS];
    int i = 0;
    for (int v = 0; v < SUM_VECS; v++)
        lanes[v] = vec_set(0);
    for (; i + SUM_LANES <= n; i += SUM_LANES)
        for (int v = 0; v < SUM_VECS; v++) {
            Vec a = vec_load(x + i + v * VEC_LANES);
            lanes[v] = vec_fma(a, a, lanes[v]);
        }
    for (int v = 0; v < SUM_VECS && i + v * VEC_LANES < n; v++) {
        Vec a = vec_load_n(x + i + v * VEC_LANES, vec_piece(n - i - v * VEC_LANES));
        lanes[v] = vec_fma(a, a, lanes[v]);
    }
    Vec inverse = vec_set(1.0f / sqrtf(vec_sum_lanes(lanes) / (float)n + eps));
    for (i = 0; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(y + i, vec_mul(vec_mul(vec_load(x + i), inverse), vec_load(w + i)));
    if (i < n) {
        Vec a = vec_load_n(x + i, n - i), b = vec_load_n(w + i, n - i);
        vec_store_n(y + i, n - i, vec_mul(vec_mul(a, inverse), b));
    }
}

static void rope(float *x, const float *table, int n_heads, int head_dim)
{
    int half = head_dim / 2;
    for (int h = 0; h < n_heads; h++) {
        float *low = x + (long)h * head_dim, *high = low + half;
        for (int j = 0; j < half; j += VEC_LANES) {
            int n = vec_piece(half - j);
            Vec a = vec_load_n(low + j, n), b = vec_load_n(high + j, n);
            Vec c = vec_load_n(table + j, n), s = vec_load_n(table + half + j, n);
            vec_store_n(low + j, n, vec_fms(a, c, vec_mul(b, s)));
            vec_store_n(high + j, n, vec_fma(b, c, vec_mul(a, s)));
        }
    }
}

static ALWAYS_INLINE Vec gated(Vec gate, Vec up)
{
    Vec e = vec_exp(vec_sub(vec_set(-0.0f), gate));
    return vec_mul(vec_div(gate, vec_add(vec_set(1), e)), up);
}

static void swiglu(const float *gate, const float *up, int n, float *out)
{
    int i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(out + i, gated(vec_load(gate + i), vec_load(up + i)));
    if (i < n)
        vec_store_n(out + i, n - i, gated(vec_load_n(gate + i, n - i), vec_load_n(up + i, n - i)));
}

static void add(float *y, const float *x, int n)
{
    int i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(y + i, vec_add(vec_load(y + i), vec_load(x + i)));
    if (i < n)
        vec_store_n(y + i, n - i, vec_add(vec_load_n(y + i, n - i), vec_load_n(x + i, n - i)));
}

static void add_scaled(float *y, float a, const float *x, int n)
{
    Vec scale = vec_set(a);
    int i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(y + i, vec_fma(scale, vec_load(x + i), vec_load(y + i)));
    if (i < n)
        vec_store_n(y + i, n - i,
                    vec_fma(scale, vec_load_n(x + i, n - i), vec_load_n(y + i, n - i)));
}

static void exp_all(const float *x, float shift, int n, float *y)
{
    Vec s = vec_set(shift);
    int i = 0;
    for (; i + VEC_LANES <= n; i += VEC_LANES)
        vec_store(y + i, vec_exp(vec_sub(vec_load(x + i), s)));
    if (i < n)
        vec_store_n(y + i, n - i, vec_exp(vec_sub(vec_load_n(x + i, n - i), s)));
}

static const ElementwiseKernels elementwise_vector = {rms_norm, rope,       swiglu,
                                                      add,      add_scaled, exp_all};

#endif
