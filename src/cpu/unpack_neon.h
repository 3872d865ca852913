/* Taking packed blocks apart in registers, NEON: what packed_open_block does in plain C. Included
 * by the products, which are unrolled for each type's layout. A tile is four quarters of four rows.
 */
#ifndef WEN_CPU_UNPACK_NEON_H
#define WEN_CPU_UNPACK_NEON_H

#include "cpu/matmul_neon.h"

enum { QUARTER_BYTES = 16, GROUPS = 8 };

/* Every byte shifted left, or right when `by` is negative. */
INLINE uint8x16_t shifted(uint8x16_t v, int by) { return vshlq_u8(v, vdupq_n_s8((int8_t)by)); }

/* Bits `bits` of v, shifted to where they belong, or'ed to q. */
INLINE uint8x16_t with_bits(uint8x16_t q, uint8x16_t v, int by, uint8_t bits)
{
    return vorrq_u8(q, vandq_u8(shifted(v, by), vdupq_n_u8(bits)));
}

/* The codes of one quarter of a tile; p: the block's quants, plus QUARTER_BYTES a quarter. */
INLINE void load_codes(int bits, const uint8_t *p, uint8x16_t q[GROUPS])
{
    for (int g = 0; g < GROUPS; g++) {
        if (bits == 8)
            q[g] = vld1q_u8(p + VECTOR_BYTES * g);
        else if (bits < 4)
            q[g] = vandq_u8(shifted(vld1q_u8(p + VECTOR_BYTES * (g / 4)), -2 * (g % 4)),
                            vdupq_n_u8(3));
        else if (g < 4)
            q[g] = vandq_u8(vld1q_u8(p + VECTOR_BYTES * g), vdupq_n_u8(15));
        else
            q[g] = vshrq_n_u8(vld1q_u8(p + VECTOR_BYTES * (g - 4)), 4);
        if (bits == 3)
            q[g] = with_bits(q[g], vld1q_u8(p + 2 * VECTOR_BYTES), 2 - g, 4);
        if (bits == 5)
            q[g] = with_bits(q[g], vld1q_u8(p + 4 * VECTOR_BYTES), 4 - g, 16);
        if (bits == 6)
            q[g] = with_bits(q[g], vld1q_u8(p + (4 + g / 4) * VECTOR_BYTES), 4 - 2 * (g % 4), 48);
    }
}

/* Numbers that go in signed, without their offset. */
INLINE bool is_signed(PackedLayout s) { return s.bits == 8 || s.codes != PACKED_LINEAR; }

/* The numbers of one quarter of a tile; p as in load_codes. */
INLINE void load_quants(PackedLayout s, const uint8_t *p, int8x16_t q[GROUPS])
{
    uint8x16_t codes[GROUPS];
    load_codes(s.bits, p, codes);
    if (s.codes != PACKED_LINEAR) {
        const int8x16_t numbers = vld1q_s8(s.codes == PACKED_IQ4 ? IQ4_VALUES : E2M1_VALUES);
        for (int g = 0; g < GROUPS; g++)
            q[g] = vqtbl1q_s8(numbers, codes[g]);
        return;
    }
    const uint8x16_t flip = vdupq_n_u8(s.bits == 8 ? 0x80 : 0);
    for (int g = 0; g < GROUPS; g++)
        q[g] = vreinterpretq_s8_u8(veorq_u8(codes[g], flip));
}

/* Sixteen halves. */
INLINE void halves_at(const uint8_t *p, float32x4_t d[QUARTERS])
{
    for (int i = 0; i < QUARTERS; i++)
        d[i] = vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(p + 8 * i)));
}

INLINE void minus_halves_at(const uint8_t *p, float32x4_t d[QUARTERS])
{
    halves_at(p, d);
    for (int i = 0; i < QUARTERS; i++)
        d[i] = vsubq_f32(vdupq_n_f32(0), d[i]);
}

INLINE void store_tile(float *out, const float32x4_t x[QUARTERS])
{
    for (int i = 0; i < QUARTERS; i++)
        vst1q_f32(out + QUARTER_ROWS * i, x[i]);
}

/* out[0..15] = d[0..15] * the 16 bytes, signed. */
INLINE void scale_bytes(const float32x4_t d[QUARTERS], int8x16_t bytes, float *out)
{
    const int16x8_t low = vmovl_s8(vget_low_s8(bytes)), high = vmovl_high_s8(bytes);
    const int32x4_t wide[QUARTERS] = {vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low),
                                      vmovl_s16(vget_low_s16(high)), vmovl_high_s16(high)};
    for (int i = 0; i < QUARTERS; i++)
        vst1q_f32(out + QUARTER_ROWS * i, vmulq_f32(d[i], vcvtq_f32_s32(wide[i])));
}

/* The same of bytes below 128 that have no sign. */
INLINE void scale_codes(const float32x4_t d[QUARTERS], uint8x16_t bytes, float *out)
{
    scale_bytes(d, vreinterpretq_s8_u8(bytes), out);
}

/* The same, 32 taken away from each byte. */
INLINE void scale_centred(const float32x4_t d[QUARTERS], uint8x16_t bytes, float *out)
{
    scale_bytes(d, vsubq_s8(vreinterpretq_s8_u8(bytes), vdupq_n_s8(32)), out);
}

/* The scales of a block, as packed_open_block has them. */
typedef struct BlockScales {
    float scale[TILE_ROWS], extra[TILE_ROWS], min[2][TILE_ROWS];
} BlockScales;

/* Q4_K and Q5_K. */
INLINE void load_q45_scales(const float32x4_t d[QUARTERS], const uint8_t *record, BlockScales *out)
{
    const uint8x16_t low6 = vdupq_n_u8(63), low4 = vdupq_n_u8(15);
    const uint8_t *q = record + 64; /* byte j of the rows' twelve: q + 16 j */
    float32x4_t minus_dmin[QUARTERS];
    minus_halves_at(record + 32, minus_dmin);
    for (int b = 0; b < 4; b++) {
        uint8x16_t sc = vld1q_u8(q + 16 * b), m = vld1q_u8(q + 16 * (b + 4));
        uint8x16_t both = vld1q_u8(q + 16 * (b + 8));
        scale_codes(d, vandq_u8(sc, low6), out[b].scale);
        scale_codes(minus_dmin, vandq_u8(m, low6), out[b].extra);
        scale_codes(d, with_bits(vandq_u8(both, low4), sc, -2, 48), out[b + 4].scale);
        scale_codes(minus_dmin, with_bits(vshrq_n_u8(both, 4), m, -2, 48), out[b + 4].extra);
    }
}

/* Sixteen scales a row, a nibble each, and sixteen minima in the other nibbles. */
INLINE void load_q2_scales(const float32x4_t d[QUARTERS], const uint8_t *record, BlockScales *out)
{
    float32x4_t minus_dmin[QUARTERS];
    minus_halves_at(record + 32, minus_dmin);
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        for (int half = 0; half < 2; half++) {
            uint8x16_t v = vld1q_u8(record + 64 + 32 * b + 16 * half);
            scale_codes(d, vandq_u8(v, vdupq_n_u8(15)), half ? out[b].extra : out[b].scale);
            scale_codes(minus_dmin, vshrq_n_u8(v, 4), out[b].min[half]);
        }
    }
}

/* Sixteen six-bit scales a row in twelve bytes. */
INLINE void load_q3_scales(const float32x4_t d[QUARTERS], const uint8_t *record, BlockScales *out)
{
    for (int j = 0; j < 2 * SUPER_BLOCKS; j++) {
        uint8x16_t low = vld1q_u8(record + 32 + 16 * (j % 8));
        uint8x16_t high = vld1q_u8(record + 32 + 16 * (8 + j % 4));
        low = vandq_u8(shifted(low, -(j / 8 * 4)), vdupq_n_u8(15));
        scale_centred(d, with_bits(low, high, 4 - j / 4 * 2, 48),
                      j % 2 ? out[j / 2].extra : out[j / 2].scale);
    }
}

INLINE void load_xs_scales(const float32x4_t d[QUARTERS], const uint8_t *record, BlockScales *out)
{
    const uint8x16x2_t tops = vld2q_u8(record + 32); /* low bytes of the sixteen, then high ones */
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        uint8x16_t low = vld1q_u8(record + 64 + 16 * (b / 2));
        low = vandq_u8(shifted(low, -(b % 2 * 4)), vdupq_n_u8(15));
        scale_centred(d, with_bits(low, tops.val[b / 4], 4 - 2 * (b % 4), 48), out[b].scale);
    }
}

/* e8m0_half of sixteen bytes. */
INLINE void load_powers(const uint8_t *p, float *out)
{
    const uint8x16_t bytes = vld1q_u8(p);
    const uint16x8_t low = vmovl_u8(vget_low_u8(bytes)), high = vmovl_high_u8(bytes);
    const uint32x4_t wide[QUARTERS] = {vmovl_u16(vget_low_u16(low)), vmovl_high_u16(low),
                                       vmovl_u16(vget_low_u16(high)), vmovl_high_u16(high)};
    for (int i = 0; i < QUARTERS; i++) {
        uint32x4_t normal = vshlq_n_u32(vsubq_u32(wide[i], vdupq_n_u32(1)), 23);
        uint32x4_t tiny = vshlq_u32(vdupq_n_u32(0x00200000), vreinterpretq_s32_u32(wide[i]));
        uint32x4_t bits = vbslq_u32(vcltq_u32(wide[i], vdupq_n_u32(2)), tiny, normal);
        vst1q_f32(out + QUARTER_ROWS * i, vreinterpretq_f32_u32(bits));
    }
}

/* The scales of all blocks of a record. */
INLINE void load_scales(PackedLayout s, const uint8_t *record, BlockScales *out)
{
    if (s.scales == PACKED_LINE) {
        for (int b = 0; b < s.blocks; b++) {
            memcpy(out[b].scale, record, sizeof out[b].scale);
            memcpy(out[b].extra, record + sizeof out[b].scale, sizeof out[b].extra);
        }
        return;
    }
    if (s.scales == PACKED_E8M0) {
        load_powers(record, out->scale);
        return;
    }
    float32x4_t d[QUARTERS];
    halves_at(record, d);
    switch (s.scales) {
    case PACKED_Q45_K:
        load_q45_scales(d, record, out);
        break;
    case PACKED_Q6_K:
        for (int b = 0; b < SUPER_BLOCKS; b++) {
            const uint8_t *at = record + 32 + 32 * b;
            scale_bytes(d, vreinterpretq_s8_u8(vld1q_u8(at)), out[b].scale);
            scale_bytes(d, vreinterpretq_s8_u8(vld1q_u8(at + 16)), out[b].extra);
        }
        break;
    case PACKED_Q2_K:
        load_q2_scales(d, record, out);
        break;
    case PACKED_Q3_K:
        load_q3_scales(d, record, out);
        break;
    case PACKED_IQ4_XS:
        load_xs_scales(d, record, out);
        break;
    default:
        store_tile(out->scale, d);
        if (s.form == PACKED_MIN) {
            halves_at(record + 32, d);
            store_tile(out->extra, d);
        }
    }
}

#endif
