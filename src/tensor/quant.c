/* See quant.h. This file has the plain types and the dispatch; quant_block.c has the blocks of 32,
 * quant_k.c the blocks of 256, quant_nonlinear.c those with code books, quant_group.c the groups
 * that only memory has. */
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

static void encode_f16(const float *in, const float *w, uint8_t *out, int64_t n)
{
    (void)w;
    for (int64_t i = 0; i < n; i++)
        store_u16(out + 2 * i, half_saturated(in[i]));
}

static void encode_bf16(const float *in, const float *w, uint8_t *out, int64_t n)
{
    (void)w;
    for (int64_t i = 0; i < n; i++)
        store_u16(out + 2 * i, bf16_from_float(in[i]));
}

static void decode_f32(const uint8_t *in, float *out, int64_t n)
{
    memcpy(out, in, (size_t)n * sizeof *out);
}

static void encode_f32(const float *in, const float *w, uint8_t *out, int64_t n)
{
    (void)w;
    memcpy(out, in, (size_t)n * sizeof *in);
}

typedef void Decoder(const uint8_t *blocks, float *out, int64_t n);
typedef void Encoder(const float *in, const float *w, uint8_t *blocks, int64_t n);

static const struct {
    Decoder *decode;
    Encoder *encode;
} codecs[DTYPE_COUNT] = {
    [DTYPE_F32] = {decode_f32, encode_f32},
    [DTYPE_F16] = {decode_f16, encode_f16},
    [DTYPE_BF16] = {decode_bf16, encode_bf16},
    [DTYPE_Q8_0] = {decode_q8_0, encode_q8_0},
    [DTYPE_Q4_0] = {decode_q4_0, encode_q4_0},
    [DTYPE_Q4_1] = {decode_q4_1, encode_q4_1},
    [DTYPE_Q5_0] = {decode_q5_0, encode_q5_0},
    [DTYPE_Q5_1] = {decode_q5_1, encode_q5_1},
    [DTYPE_Q4_K] = {decode_q4_k, encode_q4_k},
    [DTYPE_Q5_K] = {decode_q5_k, encode_q5_k},
    [DTYPE_Q6_K] = {decode_q6_k, encode_q6_k},
    [DTYPE_Q2_K] = {decode_q2_k, encode_q2_k},
    [DTYPE_Q3_K] = {decode_q3_k, encode_q3_k},
    [DTYPE_IQ4_NL] = {decode_iq4_nl, encode_iq4_nl},
    [DTYPE_IQ4_XS] = {decode_iq4_xs, encode_iq4_xs},
    [DTYPE_MXFP4] = {decode_mxfp4, encode_mxfp4},
    [DTYPE_A4_32] = {decode_a4_32, encode_a4_32},
    [DTYPE_A4_64] = {decode_a4_64, encode_a4_64},
    [DTYPE_A4_128] = {decode_a4_128, encode_a4_128},
    [DTYPE_A8_32] = {decode_a8_32, encode_a8_32},
    [DTYPE_A8_64] = {decode_a8_64, encode_a8_64},
    [DTYPE_A8_128] = {decode_a8_128, encode_a8_128},
    [DTYPE_F8_128] = {decode_f8_128, encode_f8_128},
};

/* Weights with a mean of 1, so that no sum of squares under- or overflows; all the same where none
 * are given or none is above zero. */
static void take_weights(const float *from, int64_t n, float to[QK_K])
{
    double sum = 0;
    for (int64_t i = 0; from && i < n; i++)
        sum += (double)from[i];
    for (int64_t i = 0; i < n; i++)
        to[i] = sum > 0 ? (float)((double)from[i] * (double)n / sum) : 1.0f;
}

/* No block type reaches beyond 65504 * 63 * 31, so larger numbers may be cut before the search,
 * where their squares would overflow. */
static void encode_blocks(Encoder *encode, DType type, const float *in, const float *weights,
                          uint8_t *out, int64_t n)
{
    static const float LIMIT = 1e9f;
    float chunk[QK_K], chunk_weights[QK_K];
    for (int64_t i = 0; i < n; i += QK_K) {
        int64_t count = n - i < QK_K ? n - i : QK_K;
        take_weights(weights ? weights + i : NULL, count, chunk_weights);
        for (int64_t j = 0; j < count; j++)
            chunk[j] = in[i + j] > LIMIT ? LIMIT : in[i + j] < -LIMIT ? -LIMIT : in[i + j];
        encode(chunk, chunk_weights, out, count);
        out += dtype_row_bytes(type, count);
    }
}

void quant_decode(DType type, const void *blocks, float *out, int64_t n)
{
    ASSERT(n >= 0 && n % dtype_info(type)->block_len == 0);
    codecs[type].decode(blocks, out, n);
}

void quant_encode_weighted(DType type, const float *in, const float *weights, void *blocks,
                           int64_t n)
{
    ASSERT(n >= 0 && n % dtype_info(type)->block_len == 0);
    if (dtype_info(type)->block_len == 1)
        codecs[type].encode(in, NULL, blocks, n);
    else
        encode_blocks(codecs[type].encode, type, in, weights, blocks, n);
}

void quant_encode(DType type, const float *in, void *blocks, int64_t n)
{
    quant_encode_weighted(type, in, NULL, blocks, n);
}
