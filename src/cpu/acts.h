/* Activations in the forms that weights are multiplied with.
 *
 *  - F32 and F16 weights take the f32 rows as they are.
 *  - BF16 and FP8 weights take rows rounded to bfloat16, filled up to an even length with a zero.
 *  - Quantized weights take int8 rows: every 32 columns of every row have their own scale,
 *    max|x| / 127, and x / scale rounded to nearest even. It depends on that row alone.
 */
#ifndef WEN_CPU_ACTS_H
#define WEN_CPU_ACTS_H

#include "base/pool.h"
#include "tensor/tensor.h"

/* Thirty-two int8 activations. Their sums correct for the offset of unsigned weights and are stored
 * negative, as the kernels use them. */
typedef struct ActBlock {
    float scale;
    float sum;            /* of the quants */
    int32_t minus_sum;    /* minus that */
    int32_t minus_second; /* minus the sum of the last 16 */
    int8_t quants[32];
} ActBlock;

typedef struct Acts {
    int n_rows, n_cols;
    const float *f32; /* [n_rows], f32_stride apart */
    size_t f32_stride;
    const uint16_t *bf16;   /* [n_rows, bf16_stride]; NULL when not asked for */
    size_t bf16_stride;     /* n_cols rounded up to even */
    const ActBlock *blocks; /* [n_rows, n_cols / 32]; NULL when not asked for */
} Acts;

enum { ACTS_BF16 = 1, ACTS_INT8 = 2 }; /* forms to make, or'ed */

#define ACTS_TINY 0x1p-100f

typedef struct ActsKernels {
    /* n: multiple of 32. A block with an infinity or a NaN gets the scale NaN and zero quants;
     * one whose max|x| is below ACTS_TINY counts as zeros. */
    void (*quantize)(const float *x, int n, ActBlock *blocks);
    /* Rounds n numbers to nearest even. */
    void (*round_bf16)(const float *x, int n, uint16_t *out);
} ActsKernels;

/* The form that a weight type is multiplied with: 0 for f32. */
unsigned acts_form(DType type);
/* Memory that acts_make needs for up to n_rows rows of up to n_cols columns, any form. */
size_t acts_bytes(int n_rows, int n_cols);
/* Makes the forms of x in `memory` (64-byte aligned), many rows in parallel. */
Acts acts_make(const ActsKernels *kernels, Pool *pool, Mat x, unsigned forms, void *memory);

/* Rows from .. from+n-1. */
Acts acts_rows(Acts acts, int from, int n);

void acts_quantize(const float *x, int n, ActBlock *blocks);
void acts_round_bf16(const float *x, int n, uint16_t *out);

#endif
