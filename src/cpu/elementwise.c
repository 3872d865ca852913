/* Norms, rotations and activations in plain C: what the fast versions must equal, bit for bit. */
#include "cpu/elementwise.h"

#include "cpu/vector_math.h"

static void rms_norm(const float *x, const float *w, int n, float eps, float *y)
{
    float lanes[SUM_LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % SUM_LANES] = fmaf(x[i], x[i], lanes[i % SUM_LANES]);
    float inverse = 1.0f / sqrtf(sum_lanes(lanes) / (float)n + eps);
    for (int i = 0; i < n; i++)
        y[i] = x[i] * inverse * w[i];
}

static void rope(float *x, const float *table, int n_heads, int head_dim)
{
    int half = head_dim / 2;
    for (int h = 0; h < n_heads; h++) {
        float *low = x + (long)h * head_dim, *high = low + half;
        for (int j = 0; j < half; j++) {
            float a = low[j], b = high[j], c = table[j], s = table[half + j];
            low[j] = fmaf(a, c, -(b * s));
            high[j] = fmaf(b, c, a * s);
        }
    }
}

static void swiglu(const float *gate, const float *up, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = gate[i] / (1.0f + exp_f32(-gate[i])) * up[i];
}

static void add(float *y, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += x[i];
}

static void add_scaled(float *y, float a, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] = fmaf(a, x[i], y[i]);
}

static void exp_all(const float *x, float shift, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = exp_f32(x[i] - shift);
}

void elementwise_kernels_ref(ElementwiseKernels *kernels)
{
    *kernels = (ElementwiseKernels){rms_norm, rope, swiglu, add, add_scaled, exp_all};
}
