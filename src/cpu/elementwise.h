/* Leaf functions on rows of f32 that are not products: norms, rotations, activations. Any length,
 * any alignment. Every level gives the same bits (docs/numerics.md, "Norms and exp"). */
#ifndef WEN_CPU_ELEMENTWISE_H
#define WEN_CPU_ELEMENTWISE_H

typedef struct ElementwiseKernels {
    /* y[i] = x[i] / sqrt(mean(x^2) + eps) * w[i]; y may be x. */
    void (*rms_norm)(const float *x, const float *w, int n, float eps, float *y);
    /* Rotates n_heads heads in place; table: head_dim / 2 cosines, then as many sines. head_dim:
     * even. x_j' = x_j cos_j - x_{j+d/2} sin_j;  x_{j+d/2}' = x_{j+d/2} cos_j + x_j sin_j */
    void (*rope)(float *x, const float *table, int n_heads, int head_dim);
    /* out[i] = gate[i] / (1 + exp(-gate[i])) * up[i]; out may be gate. */
    void (*swiglu)(const float *gate, const float *up, int n, float *out);
    /* y[i] += x[i] */
    void (*add)(float *y, const float *x, int n);
    /* y[i] += a * x[i], one rounding. */
    void (*add_scaled)(float *y, float a, const float *x, int n);
    /* y[i] = exp(x[i] - shift); y may be x. Below -87 it is 0. */
    void (*exp)(const float *x, float shift, int n, float *y);
} ElementwiseKernels;

/* Each fills in the entries that its level has, over what is there; call them in this order. */
void elementwise_kernels_ref(ElementwiseKernels *kernels);
#if defined(__x86_64__)
void elementwise_kernels_avx2(ElementwiseKernels *kernels);
void elementwise_kernels_avx512(ElementwiseKernels *kernels);
#elif defined(__aarch64__)
void elementwise_kernels_neon(ElementwiseKernels *kernels);
#endif

#endif
