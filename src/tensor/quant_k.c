/* Blocks of 256 elements (ggml's "K-quants"): Q4_K and Q5_K are eight groups of 32 with a 6-bit
 * scale and a 6-bit minimum each, Q6_K sixteen groups of 16 with an 8-bit scale; one or two halves
 * scale those. Layouts: ggml's ggml-common.h; docs/formats.md draws them. */
#include "tensor/quant_types.h"

enum { Q4_K_BYTES = 144, Q5_K_BYTES = 176, Q6_K_BYTES = 210, GROUPS = 8, GROUP = 32 };

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
