/* See quant.h. This file has the plain types and the dispatch; quant_block.c has the blocks of 32,
 * quant_k.c the blocks of 256. */
#include "tensor/quant.h"

#include "base/bug.h"
#include "tensor/quant_types.h"

static void decode_f16(const uint8_t *in, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = load_half(in + 2 * i);
}

static void decode_bf16(const uint8_t *in, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = bf16_to_float(load_u16(in + 2 * i));
}

void quant_decode(DType type, const void *blocks, float *out, int64_t n)
{
    ASSERT(n >= 0 && n % dtype_info(type)->block_len == 0);
    switch (type) {
    case DTYPE_F32: memcpy(out, blocks, (size_t)n * sizeof *out); return;
    case DTYPE_F16: decode_f16(blocks, out, n); return;
    case DTYPE_BF16: decode_bf16(blocks, out, n); return;
    case DTYPE_Q8_0: decode_q8_0(blocks, out, n); return;
    case DTYPE_Q4_0: decode_q4_0(blocks, out, n); return;
    case DTYPE_Q4_1: decode_q4_1(blocks, out, n); return;
    case DTYPE_Q5_0: decode_q5_0(blocks, out, n); return;
    case DTYPE_Q5_1: decode_q5_1(blocks, out, n); return;
    case DTYPE_Q4_K: decode_q4_k(blocks, out, n); return;
    case DTYPE_Q5_K: decode_q5_k(blocks, out, n); return;
    case DTYPE_Q6_K: decode_q6_k(blocks, out, n); return;
    case DTYPE_COUNT: break;
    }
    ASSERT(!"an element type");
}
