/* See quant.h. This file has the plain types and the dispatch; quant_block.c has the blocks of 32,
 * quant_k.c the blocks of 256. */
#include "tensor/quant.h"

#include "base/bug.h"
#include "tensor/quant_search.h"
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
    case DTYPE_F32:
        memcpy(out, blocks, (size_t)n * sizeof *out);
        return;
    case DTYPE_F16:
        decode_f16(blocks, out, n);
        return;
    case DTYPE_BF16:
        decode_bf16(blocks, out, n);
        return;
    case DTYPE_Q8_0:
        decode_q8_0(blocks, out, n);
        return;
    case DTYPE_Q4_0:
        decode_q4_0(blocks, out, n);
        return;
    case DTYPE_Q4_1:
        decode_q4_1(blocks, out, n);
        return;
    case DTYPE_Q5_0:
        decode_q5_0(blocks, out, n);
        return;
    case DTYPE_Q5_1:
        decode_q5_1(blocks, out, n);
        return;
    case DTYPE_Q4_K:
        decode_q4_k(blocks, out, n);
        return;
    case DTYPE_Q5_K:
        decode_q5_k(blocks, out, n);
        return;
    case DTYPE_Q6_K:
        decode_q6_k(blocks, out, n);
        return;
    case DTYPE_COUNT:
        break;
    }
    ASSERT(!"an element type");
}

static void encode_f16(const float *in, uint8_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        store_u16(out + 2 * i, half_saturated(in[i]));
}

static void encode_bf16(const float *in, uint8_t *out, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        store_u16(out + 2 * i, bf16_from_float(in[i]));
}

typedef void Encoder(const float *in, uint8_t *blocks, int64_t n);

/* No block type reaches beyond 65504 * 63 * 31, so larger numbers may be cut before the search,
 * where their squares would overflow. */
static void encode_blocks(Encoder *encode, DType type, const float *in, uint8_t *out, int64_t n)
{
    static const float LIMIT = 1e9f;
    float chunk[QK_K];
    for (int64_t i = 0; i < n; i += QK_K) {
        int64_t count = n - i < QK_K ? n - i : QK_K;
        for (int64_t j = 0; j < count; j++)
            chunk[j] = in[i + j] > LIMIT ? LIMIT : in[i + j] < -LIMIT ? -LIMIT : in[i + j];
        encode(chunk, out, count);
        out += dtype_row_bytes(type, count);
    }
}

void quant_encode(DType type, const float *in, void *blocks, int64_t n)
{
    ASSERT(n >= 0 && n % dtype_info(type)->block_len == 0);
    static Encoder *const encoders[DTYPE_COUNT] = {
        [DTYPE_Q8_0] = encode_q8_0, [DTYPE_Q4_0] = encode_q4_0, [DTYPE_Q4_1] = encode_q4_1,
        [DTYPE_Q5_0] = encode_q5_0, [DTYPE_Q5_1] = encode_q5_1, [DTYPE_Q4_K] = encode_q4_k,
        [DTYPE_Q5_K] = encode_q5_k, [DTYPE_Q6_K] = encode_q6_k,
    };
    switch (type) {
    case DTYPE_F32:
        memcpy(blocks, in, (size_t)n * sizeof *in);
        return;
    case DTYPE_F16:
        encode_f16(in, blocks, n);
        return;
    case DTYPE_BF16:
        encode_bf16(in, blocks, n);
        return;
    default:
        encode_blocks(encoders[type], type, in, blocks, n);
        return;
    }
}
