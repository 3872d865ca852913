/* Leaf functions of the backward pass that are not products: rows of f32, any length, any
 * alignment. Written once, in row_grads_text.h, with a fixed order of sums, and compiled for every
 * instruction-set level: all levels give the same bits. */
#ifndef WEN_CPU_ROW_GRADS_H
#define WEN_CPU_ROW_GRADS_H

#include "backend/backend.h"

typedef struct BackwardKernels {
    /* 1 / sqrt(mean(x^2) + eps) */
    float (*rms_inverse)(const float *x, int n, float eps);
    /* One row's dx, given its inverse; see backend.h. */
    void (*rms_norm)(const float *x, const float *w, const float *dy, float inverse, int n,
                     bool accumulate, float *dx);
    /* dw[i] += sum over rows, in order, of dy x inverse[row]; n_cols at most COLUMNS_MAX. */
    void (*rms_norm_weight)(Mat x, Mat dy, const float *inverse, float *dw);
    /* sums[i] += sum over rows, in order; cols at most COLUMNS_MAX. */
    void (*column_sums)(Mat x, float *sums);
    void (*rope)(float *dx, const float *table, int n_heads, int head_dim);
    void (*swiglu)(const float *gate, const float *up, const float *dout, int n, float *dgate,
                   float *dup);
    /* y[i] = a x[i];  y[i] += x[i];  sum of x[i] y[i] */
    void (*scale)(const float *x, float a, int n, float *y);
    void (*add)(float *y, const float *x, int n);
    float (*dot)(const float *x, const float *y, int n);
    /* The largest of n numbers and the running maximum; sum of exp(x - max). */
    float (*max)(const float *x, int n, float so_far);
    float (*sum_exp)(const float *x, int n, float max);
    /* p[i] = exp(s[i] - lse);  ds[i] = p[i] (dp[i] - delta) scale; in place, s -> p, dp -> ds */
    void (*attention)(float *s, float *dp, int n, float lse, float delta, float scale);
    /* A row of xent; returns the loss. */
    float (*xent)(float *logits, int n, int target, float weight);
    double (*sum_squares)(const float *x, int n);
    /* y = a x + c y */
    void (*blend)(float a, const float *x, float c, int n, float *y);
    void (*adamw)(const AdamW *a, int n, float *param, const float *grad, float *m, float *v);
} BackwardKernels;

enum { COLUMNS_MAX = 64 };

/* Each fills in all entries, compiled for its level. */
void backward_kernels_ref(BackwardKernels *kernels);
#if defined(__x86_64__)
void backward_kernels_avx2(BackwardKernels *kernels);
void backward_kernels_avx512(BackwardKernels *kernels);
#elif defined(__aarch64__)
void backward_kernels_neon(BackwardKernels *kernels);
#endif

#endif
