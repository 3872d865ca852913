/* Blocks of 32 elements with one scale (Q8_0, Q4_0, Q5_0) or a scale and a minimum (Q4_1, Q5_1).
 * Layouts: ggml's ggml-common.h; docs/formats.md draws them. In the 4 and 5 bit types byte j of qs
 * holds elements j (low nibble) and j + 16 (high nibble). */
#include "tensor/quant_types.h"

void decode_q8_0(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += 34) {
        float d = load_half(b);
        for (int j = 0; j < QK; j++)
            out[i + j] = (float)(int8_t)b[2 + j] * d;
    }
}

void decode_q4_0(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += 18) {
        float d = load_half(b);
        for (int j = 0; j < QK / 2; j++) {
            out[i + j] = (float)((b[2 + j] & 15) - 8) * d;
            out[i + j + QK / 2] = (float)((b[2 + j] >> 4) - 8) * d;
        }
    }
}

void decode_q4_1(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += 20) {
        float d = load_half(b), m = load_half(b + 2);
        for (int j = 0; j < QK / 2; j++) {
            out[i + j] = (float)(b[4 + j] & 15) * d + m;
            out[i + j + QK / 2] = (float)(b[4 + j] >> 4) * d + m;
        }
    }
}

/* The fifth bits: bit j belongs to element j. */
static int q5_low(uint32_t high, uint8_t q, int j) { return (q & 15) | (int)(high >> j & 1) << 4; }

static int q5_high(uint32_t high, uint8_t q, int j)
{
    return q >> 4 | (int)(high >> (j + QK / 2) & 1) << 4;
}

void decode_q5_0(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += 22) {
        float d = load_half(b);
        uint32_t high = load_u32(b + 2);
        for (int j = 0; j < QK / 2; j++) {
            out[i + j] = (float)(q5_low(high, b[6 + j], j) - 16) * d;
            out[i + j + QK / 2] = (float)(q5_high(high, b[6 + j], j) - 16) * d;
        }
    }
}

void decode_q5_1(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += 24) {
        float d = load_half(b), m = load_half(b + 2);
        uint32_t high = load_u32(b + 4);
        for (int j = 0; j < QK / 2; j++) {
            out[i + j] = (float)q5_low(high, b[8 + j], j) * d + m;
            out[i + j + QK / 2] = (float)q5_high(high, b[8 + j], j) * d + m;
        }
    }
}
