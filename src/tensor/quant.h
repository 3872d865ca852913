/* Rows of numbers between f32 and every element type of dtype.h, in plain C.
 *
 * Decoding is exact: it defines what a block means (layouts: ggml's ggml-common.h;
 * docs/formats.md). Encoding searches for the scales with the least squared error; its RMS error is
 * no larger than llama.cpp's for any type (docs/numerics.md has the figures). Both are pure
 * functions of the row. */
#ifndef WEN_TENSOR_QUANT_H
#define WEN_TENSOR_QUANT_H

#include "tensor/dtype.h"

/* out[n] from n elements stored as `type` at `blocks` (any alignment). n: multiple of block_len. */
void quant_decode(DType type, const void *blocks, float *out, int64_t n);

/* The reverse. Finite input; NaN and infinities are the caller's to refuse. */
void quant_encode(DType type, const float *in, void *blocks, int64_t n);
/* The same with the sum of weights[i] * (error of in[i])^2 made small; weights: [n], finite, none
 * below 0, or NULL for all the same. */
void quant_encode_weighted(DType type, const float *in, const float *weights, void *blocks,
                           int64_t n);

#endif
