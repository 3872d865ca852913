/* Blocks of 256 elements (ggml's "K-quants"): Q2_K is sixteen groups of 16 with a 4-bit scale and a
 * 4-bit minimum each, Q3_K the same with a 6-bit scale, Q4_K and Q5_K are eight groups of 32 with a
 * 6-bit scale and a 6-bit minimum each, Q6_K sixteen groups of 16 with an 8-bit scale; one or two
 * halves scale those. Layouts: ggml's ggml-common.h; docs/formats.md draws them. */
#include "tensor/quant_types.h"

enum {
    Q2_K_BYTES = 84,
    Q3_K_BYTES = 110,
    Q4_K_BYTES = 144,
    Q5_K_BYTES = 176,
    Q6_K_BYTES = 210,
    GROUPS = 8,
    GROUP = 32
};

/* Scale and minimum of group j out of the twelve packed bytes. */
static void unpack_scale_min(const uint8_t *q, int j, int *scale, int *min)
{
    if (j < 4) {
        *scale = q[j] & 63;
        *min = q[j + 4] & 63;
    } else {
        *scale = (q[j + 4] & 15) | q[j - 4] >> 6 << 4;
        *min = q[j + 4] >> 4 | q[j] >> 6 << 4;
    }
}

void decode_q4_k(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += Q4_K_BYTES) {
        float d = load_half(b), dmin = load_half(b + 2);
        for (int g = 0; g < GROUPS; g++) {
            int scale, min, shift = g % 2 * 4;
            unpack_scale_min(b + 4, g, &scale, &min);
            float step = d * (float)scale, low = dmin * (float)min;
            const uint8_t *qs = b + 16 + g / 2 * GROUP;
            for (int j = 0; j < GROUP; j++)
                out[i + g * GROUP + j] = step * (float)(qs[j] >> shift & 15) - low;
        }
    }
}

void decode_q5_k(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += Q5_K_BYTES) {
        float d = load_half(b), dmin = load_half(b + 2);
        const uint8_t *high = b + 16;
        for (int g = 0; g < GROUPS; g++) {
            int scale, min, shift = g % 2 * 4;
            unpack_scale_min(b + 4, g, &scale, &min);
            float step = d * (float)scale, low = dmin * (float)min;
            const uint8_t *qs = b + 48 + g / 2 * GROUP;
            for (int j = 0; j < GROUP; j++) {
                int q = (qs[j] >> shift & 15) | (high[j] >> g & 1) << 4;
                out[i + g * GROUP + j] = step * (float)q - low;
            }
        }
    }
}

void decode_q6_k(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += Q6_K_BYTES) {
        const int8_t *scales = (const int8_t *)b + 192;
        float d = load_half(b + 208);
        for (int j = 0; j < QK_K; j++) {
            /* Each half of 128 has four quarters of 32: low nibbles of 64 bytes, then high ones;
             * the upper two bits of the quarters share a byte. */
            int half = j / 128, quarter = j / 32 % 4, l = j % 32;
            int low = b[half * 64 + quarter % 2 * 32 + l] >> quarter / 2 * 4 & 15;
            int high = b[128 + half * 32 + l] >> quarter * 2 & 3;
            out[i + j] = d * (float)scales[j / 16] * (float)((low | high << 4) - 32);
        }
    }
}

/* Two bits of element j: a byte of qs has those of four elements 32 apart. */
static int two_bits(const uint8_t *qs, int j)
{
    return qs[j / 128 * 32 + j % 32] >> j / 32 % 4 * 2 & 3;
}

void decode_q2_k(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += Q2_K_BYTES) {
        float d = load_half(b + 80), dmin = load_half(b + 82);
        for (int j = 0; j < QK_K; j++) {
            uint8_t scales = b[j / 16];
            out[i + j] =
                d * (float)(scales & 15) * (float)two_bits(b + 16, j) - dmin * (float)(scales >> 4);
        }
    }
}

/* Scale of group g out of the twelve packed bytes: -32 .. 31. */
static int q3_scale(const uint8_t *q, int g)
{
    return (q[g % 8] >> g / 8 * 4 & 15) + (q[8 + g % 4] >> g / 4 * 2 & 3) * 16 - 32;
}

void decode_q3_k(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += Q3_K_BYTES) {
        float d = load_half(b + 108);
        for (int j = 0; j < QK_K; j++) {
            int q = two_bits(b + 32, j) + (b[j % 32] >> j / 32 & 1) * 4 - 4;
            out[i + j] = d * (float)q3_scale(b + 96, j / 16) * (float)q;
        }
    }
}
