/* Inside tensor/: what quant.c dispatches to. Each function handles n elements, a multiple of the
 * type's block length; `blocks` may have any alignment. An encoder makes the sum of
 * w[i] * (error of in[i])^2 small; w >= 0 has some number above 0 in each 256 (the
 * types of memory only do not look at it). */
#ifndef WEN_TENSOR_QUANT_TYPES_H
#define WEN_TENSOR_QUANT_TYPES_H

#include <stdint.h>
#include <string.h>

#include "base/half.h"
#include "tensor/quant_codes.h"

enum { QK = 32, QK_K = 256 };

static inline uint16_t load_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }

static inline uint32_t load_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void store_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void store_u32(uint8_t *p, uint32_t v)
{
    store_u16(p, (uint16_t)v);
    store_u16(p + 2, (uint16_t)(v >> 16));
}

static inline float load_half(const uint8_t *p) { return half_to_float(load_u16(p)); }

void decode_q8_0(const uint8_t *blocks, float *out, int64_t n);
void decode_q4_0(const uint8_t *blocks, float *out, int64_t n);
void decode_q4_1(const uint8_t *blocks, float *out, int64_t n);
void decode_q5_0(const uint8_t *blocks, float *out, int64_t n);
void decode_q5_1(const uint8_t *blocks, float *out, int64_t n);
void decode_q4_k(const uint8_t *blocks, float *out, int64_t n);
void decode_q5_k(const uint8_t *blocks, float *out, int64_t n);
void decode_q6_k(const uint8_t *blocks, float *out, int64_t n);
void decode_q2_k(const uint8_t *blocks, float *out, int64_t n);
void decode_q3_k(const uint8_t *blocks, float *out, int64_t n);
void decode_iq4_nl(const uint8_t *blocks, float *out, int64_t n);
void decode_iq4_xs(const uint8_t *blocks, float *out, int64_t n);
void decode_mxfp4(const uint8_t *blocks, float *out, int64_t n);
void decode_a4_32(const uint8_t *blocks, float *out, int64_t n);
void decode_a4_64(const uint8_t *blocks, float *out, int64_t n);
void decode_a4_128(const uint8_t *blocks, float *out, int64_t n);
void decode_a8_32(const uint8_t *blocks, float *out, int64_t n);
void decode_a8_64(const uint8_t *blocks, float *out, int64_t n);
void decode_a8_128(const uint8_t *blocks, float *out, int64_t n);
void decode_f8_128(const uint8_t *blocks, float *out, int64_t n);

void encode_q8_0(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q4_0(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q4_1(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q5_0(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q5_1(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q4_k(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q5_k(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q6_k(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q2_k(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_q3_k(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_iq4_nl(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_iq4_xs(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_mxfp4(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_a4_32(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_a4_64(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_a4_128(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_a8_32(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_a8_64(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_a8_128(const float *in, const float *w, uint8_t *blocks, int64_t n);
void encode_f8_128(const float *in, const float *w, uint8_t *blocks, int64_t n);

#endif
