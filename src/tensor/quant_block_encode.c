/* Encoding of the blocks of 32 (layouts: quant_block.c). Scales are stored as halves, so the last
 * choice is made among the halves next to the fitted scale, by the error they really leave. */
#include "tensor/quant_search.h"
#include "tensor/quant_types.h"

#include <math.h>

/* The next half away from zero (steps > 0) or towards it. */
static uint16_t half_beside(uint16_t h, int steps)
{
    int magnitude = (h & 0x7fff) + steps;
    magnitude = magnitude < 0 ? 0 : magnitude > 0x7bff ? 0x7bff : magnitude;
    return (uint16_t)((h & 0x8000) | magnitude);
}

/* Q8_0: neighbouring halves are far enough apart to move most roundings, so the candidates are the
 * halves themselves, from where the extreme number is just representable to 2 % above. */
static uint16_t best_scale_q8(const float *x, const float *w)
{
    enum { CANDIDATES_MAX = 64 };
    float extreme = 0, best_error = INFINITY;
    for (int i = 0; i < QK; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    /* A negative scale puts the extreme on the side of the 128th level. */
    uint16_t best = 0;
    for (int side = 0; side < 2; side++) {
        float bound = side ? 127.0f : -128.0f;
        uint16_t first = half_beside(half_saturated(extreme / bound), -4);
        for (int k = 0; k < CANDIDATES_MAX; k++) {
            uint16_t h = half_beside(first, k);
            float scale = half_to_float(h);
            if (fabsf(extreme) < fabsf(scale) * 125)
                break;
            float error = scale_error(x, w, QK, scale, -128, 127);
            if (error < best_error) {
                best_error = error;
                best = h;
            }
        }
    }
    return best_error < INFINITY ? best : half_saturated(extreme / 127);
}

void encode_q8_0(const float *in, const float *w, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += 34) {
        uint16_t scale = best_scale_q8(in + i, w + i);
        store_u16(b, scale);
        scale_codes(in + i, QK, half_to_float(scale), -128, 127, b + 2);
        for (int j = 0; j < QK; j++)
            b[2 + j] ^= 0x80; /* code 0 is -128 */
    }
}

static uint16_t best_half_scale(const float *x, const float *w, int q_low, int q_high)
{
    uint16_t fitted = half_saturated(scale_fit(x, w, QK, q_low, q_high)), best = fitted;
    float best_error = INFINITY;
    for (int k = -2; k <= 2; k++) {
        uint16_t h = half_beside(fitted, k);
        float error = scale_error(x, w, QK, half_to_float(h), q_low, q_high);
        if (error < best_error) {
            best_error = error;
            best = h;
        }
    }
    return best;
}

static void best_half_line(const float *x, const float *w, int q_high, uint16_t *step,
                           uint16_t *offset)
{
    float fitted_step, fitted_offset, best_error = INFINITY;
    affine_fit(x, w, QK, q_high, &fitted_step, &fitted_offset);
    uint16_t first_step = half_saturated(fitted_step), first_offset = half_saturated(fitted_offset);
    for (int k = -1; k <= 1; k++)
        for (int l = -1; l <= 1; l++) {
            uint16_t s = half_beside(first_step, k), o = half_beside(first_offset, l);
            float error = affine_error(x, w, QK, half_to_float(s), half_to_float(o), q_high);
            if (error < best_error) {
                best_error = error;
                *step = s;
                *offset = o;
            }
        }
}

static void pack_nibbles(const uint8_t *codes, uint8_t *qs)
{
    for (int j = 0; j < QK / 2; j++)
        qs[j] = (uint8_t)((codes[j] & 15) | (codes[j + QK / 2] & 15) << 4);
}

static uint32_t fifth_bits(const uint8_t *codes)
{
    uint32_t bits = 0;
    for (int j = 0; j < QK; j++)
        bits |= (uint32_t)(codes[j] >> 4) << j;
    return bits;
}

void encode_q4_0(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK];
    for (int64_t i = 0; i < n; i += QK, b += 18) {
        uint16_t scale = best_half_scale(in + i, w + i, -8, 7);
        scale_codes(in + i, QK, half_to_float(scale), -8, 7, codes);
        store_u16(b, scale);
        pack_nibbles(codes, b + 2);
    }
}

void encode_q5_0(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK];
    for (int64_t i = 0; i < n; i += QK, b += 22) {
        uint16_t scale = best_half_scale(in + i, w + i, -16, 15);
        scale_codes(in + i, QK, half_to_float(scale), -16, 15, codes);
        store_u16(b, scale);
        store_u32(b + 2, fifth_bits(codes));
        pack_nibbles(codes, b + 6);
    }
}

void encode_q4_1(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK];
    for (int64_t i = 0; i < n; i += QK, b += 20) {
        uint16_t step = 0, offset = 0;
        best_half_line(in + i, w + i, 15, &step, &offset);
        affine_codes(in + i, QK, half_to_float(step), half_to_float(offset), 15, codes);
        store_u16(b, step);
        store_u16(b + 2, offset);
        pack_nibbles(codes, b + 4);
    }
}

void encode_q5_1(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK];
    for (int64_t i = 0; i < n; i += QK, b += 24) {
        uint16_t step = 0, offset = 0;
        best_half_line(in + i, w + i, 31, &step, &offset);
        affine_codes(in + i, QK, half_to_float(step), half_to_float(offset), 31, codes);
        store_u16(b, step);
        store_u16(b + 2, offset);
        store_u32(b + 4, fifth_bits(codes));
        pack_nibbles(codes, b + 8);
    }
}
