/* Types that exist in memory only, as GPTQ, AWQ, MLX and FP8 weights are turned into: A4_n and
 * A8_n, groups of n numbers step * q + low with q of 4 or 8 bits; F8_128, scale * (an E4M3 number).
 *
 *   A4_n    f32 step, f32 low, n / 32 times 16 bytes: byte j holds elements j and j + 16
 *   A8_n    f32 step, f32 low, n bytes
 *   F8_128  f32 scale, 128 bytes
 */
#include "tensor/quant_search.h"
#include "tensor/quant_types.h"

#include <math.h>

enum { F8_COLS = 128 };

static float load_float(const uint8_t *p) { return float_from_bits(load_u32(p)); }

static void decode_affine(const uint8_t *b, float *out, int64_t n, int bits, int group)
{
    for (int64_t i = 0; i < n; i += group, out += group) {
        float step = load_float(b), low = load_float(b + 4);
        b += 8;
        for (int j = 0; j < group; j++) {
            int q = bits == 8 ? b[j] : b[j / QK * (QK / 2) + j % (QK / 2)] >> j % QK / 16 * 4 & 15;
            out[j] = step * (float)q + low;
        }
        b += group * bits / 8;
    }
}

/* From the smallest to the largest number in even steps. */
static void encode_affine(const float *in, uint8_t *b, int64_t n, int bits, int group)
{
    for (int64_t i = 0; i < n; i += group, in += group) {
        float low = in[0], high = in[0];
        uint8_t codes[128];
        for (int j = 1; j < group; j++) {
            low = fminf(low, in[j]);
            high = fmaxf(high, in[j]);
        }
        float step = (high - low) / (float)((1 << bits) - 1);
        affine_codes(in, group, step, low, (1 << bits) - 1, codes);
        store_u32(b, float_bits(step));
        store_u32(b + 4, float_bits(low));
        b += 8;
        if (bits == 8) {
            memcpy(b, codes, (size_t)group);
        } else {
            for (int j = 0; j < group; j += QK)
                for (int k = 0; k < QK / 2; k++)
                    b[j / 2 + k] = (uint8_t)(codes[j + k] | codes[j + k + QK / 2] << 4);
        }
        b += group * bits / 8;
    }
}

#define AFFINE(bits, group)                                                                        \
    void decode_a##bits##_##group(const uint8_t *blocks, float *out, int64_t n)                    \
    {                                                                                              \
        decode_affine(blocks, out, n, bits, group);                                                \
    }                                                                                              \
    void encode_a##bits##_##group(const float *in, const float *w, uint8_t *blocks, int64_t n)     \
    {                                                                                              \
        (void)w;                                                                                   \
        encode_affine(in, blocks, n, bits, group);                                                 \
    }

AFFINE(4, 32)
AFFINE(4, 64)
AFFINE(4, 128)
AFFINE(8, 32)
AFFINE(8, 64)
AFFINE(8, 128)

void decode_f8_128(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += F8_COLS, b += 4 + F8_COLS) {
        float scale = load_float(b);
        for (int j = 0; j < F8_COLS; j++)
            out[i + j] = scale * e4m3_to_float(b[4 + j]);
    }
}

uint8_t e4m3_from_float(float v)
{
    uint8_t sign = v < 0 ? 0x80 : 0;
    float size = fminf(fabsf(v), 448.0f);
    int exponent = 0;
    if (size >= 0x1p-6f)
        (void)frexpf(size, &exponent); /* size in [2^(exponent-1), 2^exponent) */
    else
        exponent = -5;
    /* Eighths of the number's power of two; 8 .. 16 for normal ones. */
    int eighths = (int)rintf(ldexpf(size, 4 - exponent));
    return (uint8_t)(sign | (((exponent + 5) << 3) + eighths));
}

void encode_f8_128(const float *in, const float *w, uint8_t *b, int64_t n)
{
    (void)w;
    for (int64_t i = 0; i < n; i += F8_COLS, b += 4 + F8_COLS) {
        float extreme = 0;
        for (int j = 0; j < F8_COLS; j++)
            extreme = fmaxf(extreme, fabsf(in[i + j]));
        float scale = extreme / 448.0f, inverse = scale > 1e-37f ? 1 / scale : 0;
        store_u32(b, float_bits(scale));
        for (int j = 0; j < F8_COLS; j++)
            b[4 + j] = e4m3_from_float(in[i + j] * inverse);
    }
}
