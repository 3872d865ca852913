/* Taking packed blocks apart in registers, AVX-512: what packed_open_block does in plain C.
 * Included by the products, which are unrolled for each type's layout. */
#ifndef WEN_CPU_UNPACK_AVX512_H
#define WEN_CPU_UNPACK_AVX512_H

#include "cpu/matmul_avx512.h"

/* Eight vectors of codes. */
INLINE void load_codes(int bits, const uint8_t *p, __m512i q[8])
{
    if (bits < 4) {
        const __m512i pair = _mm512_set1_epi8(3), third = _mm512_set1_epi8(4);
        for (int g = 0; g < 8; g++) {
            __m512i v = _mm512_loadu_si512(p + 64 * (g / 4));
            q[g] = _mm512_and_si512(_mm512_srli_epi16(v, 2 * (g % 4)), pair);
            if (bits == 3) {
                v = _mm512_loadu_si512(p + 128);
                v = g < 2 ? _mm512_slli_epi16(v, 2 - g) : _mm512_srli_epi16(v, g - 2);
                q[g] = _mm512_ternarylogic_epi32(q[g], v, third, 0xf8); /* q | (v & third) */
            }
        }
        return;
    }
    if (bits == 8) {
        for (int g = 0; g < 8; g++)
            q[g] = _mm512_loadu_si512(p + 64 * g);
        return;
    }
    const __m512i nibble = _mm512_set1_epi8(15);
    for (int g = 0; g < 4; g++) {
        __m512i v = _mm512_loadu_si512(p + 64 * g);
        q[g] = _mm512_and_si512(v, nibble);
        q[g + 4] = _mm512_and_si512(_mm512_srli_epi16(v, 4), nibble);
    }
    if (bits == 5) {
        const __m512i bit = _mm512_set1_epi8(16);
        __m512i v = _mm512_loadu_si512(p + 256);
        for (int g = 0; g < 8; g++) {
            __m512i high = g < 4 ? _mm512_slli_epi16(v, 4 - g) : _mm512_srli_epi16(v, g - 4);
            q[g] = _mm512_ternarylogic_epi32(q[g], high, bit, 0xf8); /* q | (high & bit) */
        }
    }
    if (bits == 6) {
        const __m512i pair = _mm512_set1_epi8(48);
        for (int g = 0; g < 8; g++) {
            __m512i v = _mm512_loadu_si512(p + 256 + 64 * (g / 4));
            int left = 4 - 2 * (g % 4);
            __m512i high = left >= 0 ? _mm512_slli_epi16(v, left) : _mm512_srli_epi16(v, -left);
            q[g] = _mm512_ternarylogic_epi32(q[g], high, pair, 0xf8);
        }
    }
}

/* Eight vectors of unsigned numbers. */
INLINE void load_quants(PackedLayout s, const uint8_t *p, __m512i q[8])
{
    load_codes(s.bits, p, q);
    if (s.codes == PACKED_LINEAR)
        return;
    const int8_t *values = s.codes == PACKED_IQ4 ? IQ4_VALUES : E2M1_VALUES;
    __m512i table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)values));
    table = _mm512_add_epi8(table, _mm512_set1_epi8((char)(1 << s.offset_shift)));
    for (int g = 0; g < 8; g++)
        q[g] = _mm512_shuffle_epi8(table, q[g]);
}

INLINE __m512 halves_at(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

INLINE __m512 bytes_at(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(v));
}

INLINE __m512 signed_bytes_at(const uint8_t *p)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(v));
}

/* The scales of a block: as packed_open_block has them. */
typedef struct BlockScales {
    __m512 scale, extra, min[2];
} BlockScales;

/* Q4_K and Q5_K. Bytes 0-3, 4-7 and 8-11 of all rows' scales: docs/formats.md has the twelve. */
INLINE void load_q45_scales(const uint8_t *record, BlockScales *out)
{
    const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15);
    const __m512i high2 = _mm512_set1_epi8(48);
    __m512i q0 = _mm512_loadu_si512(record + 64), q1 = _mm512_loadu_si512(record + 128);
    __m512i q2 = _mm512_loadu_si512(record + 192);
    _Alignas(64) uint8_t sc[2][64], m[2][64];
    __m512i q0_high = _mm512_and_si512(_mm512_srli_epi16(q0, 2), high2);
    __m512i q1_high = _mm512_and_si512(_mm512_srli_epi16(q1, 2), high2);
    __m512i q2_high = _mm512_and_si512(_mm512_srli_epi16(q2, 4), low4);
    _mm512_store_si512(sc[0], _mm512_and_si512(q0, low6));
    _mm512_store_si512(m[0], _mm512_and_si512(q1, low6));
    _mm512_store_si512(sc[1], _mm512_or_si512(_mm512_and_si512(q2, low4), q0_high));
    _mm512_store_si512(m[1], _mm512_or_si512(q2_high, q1_high));
    __m512 d = halves_at(record);
    __m512 minus_dmin = _mm512_sub_ps(_mm512_setzero_ps(), halves_at(record + 32));
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        out[b].scale = _mm512_mul_ps(d, bytes_at(sc[b / 4] + 16 * (b % 4)));
        out[b].extra = _mm512_mul_ps(minus_dmin, bytes_at(m[b / 4] + 16 * (b % 4)));
    }
}

/* Sixteen scales a row, a nibble each, and sixteen minima in the other nibbles. */
INLINE void load_q2_scales(const uint8_t *record, BlockScales *out)
{
    const __m128i low4 = _mm_set1_epi8(15);
    __m512 d = halves_at(record);
    __m512 minus_dmin = _mm512_sub_ps(_mm512_setzero_ps(), halves_at(record + 32));
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        __m512 scale[2];
        for (int half = 0; half < 2; half++) {
            __m128i v =
                _mm_loadu_si128((const __m128i *)(const void *)(record + 64 + 32 * b + 16 * half));
            __m128i high = _mm_and_si128(_mm_srli_epi16(v, 4), low4);
            __m512i low = _mm512_cvtepu8_epi32(_mm_and_si128(v, low4));
            scale[half] = _mm512_mul_ps(d, _mm512_cvtepi32_ps(low));
            out[b].min[half] =
                _mm512_mul_ps(minus_dmin, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(high)));
        }
        out[b].scale = scale[0];
        out[b].extra = scale[1];
    }
}

/* Sixteen six-bit scales a row in twelve bytes: four vectors of four scales each. */
INLINE void load_q3_scales(const uint8_t *record, BlockScales *out)
{
    const __m512i low4 = _mm512_set1_epi8(15), high2 = _mm512_set1_epi8(48);
    __m512i q[2] = {_mm512_loadu_si512(record + 32), _mm512_loadu_si512(record + 96)};
    __m512i pairs = _mm512_loadu_si512(record + 160);
    _Alignas(64) uint8_t sc[4][64];
    for (int i = 0; i < 4; i++) {
        __m512i low = _mm512_and_si512(_mm512_srli_epi16(q[i % 2], 4 * (unsigned)(i / 2)), low4);
        __m512i high = i < 2 ? _mm512_slli_epi16(pairs, 4 - 2 * (unsigned)i)
                             : _mm512_srli_epi16(pairs, 2 * (unsigned)i - 4);
        low = _mm512_or_si512(low, _mm512_and_si512(high, high2));
        _mm512_store_si512(sc[i], _mm512_sub_epi8(low, _mm512_set1_epi8(32)));
    }
    __m512 d = halves_at(record);
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        out[b].scale = _mm512_mul_ps(d, signed_bytes_at(sc[b / 2] + 32 * (b % 2)));
        out[b].extra = _mm512_mul_ps(d, signed_bytes_at(sc[b / 2] + 32 * (b % 2) + 16));
    }
}

INLINE void load_xs_scales(const uint8_t *record, BlockScales *out)
{
    __m512 d = halves_at(record);
    __m512i high =
        _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(record + 32)));
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        __m512i low = _mm512_cvtepu8_epi32(
            _mm_loadu_si128((const __m128i *)(const void *)(record + 64 + 16 * (b / 2))));
        low =
            _mm512_and_si512(_mm512_srli_epi32(low, 4 * (unsigned)(b % 2)), _mm512_set1_epi32(15));
        __m512i top =
            _mm512_and_si512(_mm512_srli_epi32(high, 2 * (unsigned)b), _mm512_set1_epi32(3));
        low = _mm512_or_si512(low, _mm512_slli_epi32(top, 4));
        low = _mm512_sub_epi32(low, _mm512_set1_epi32(32));
        out[b].scale = _mm512_mul_ps(d, _mm512_cvtepi32_ps(low));
    }
}

/* e8m0_half of sixteen bytes. */
INLINE __m512 powers_at(const uint8_t *p)
{
    __m512i e = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    __m512i normal = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __m512i tiny = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), e);
    __mmask16 is_tiny = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(normal, is_tiny, tiny));
}

/* The scales of all blocks of a record. */
INLINE void load_scales(PackedLayout s, const uint8_t *record, BlockScales *out)
{
    switch (s.scales) {
    case PACKED_HALF:
        out->scale = halves_at(record);
        if (s.form == PACKED_MIN)
            out->extra = halves_at(record + 32);
        break;
    case PACKED_LINE:
        for (int b = 0; b < s.blocks; b++) {
            out[b].scale = _mm512_loadu_ps(record);
            out[b].extra = _mm512_loadu_ps(record + 64);
        }
        break;
    case PACKED_E8M0:
        out->scale = powers_at(record);
        break;
    case PACKED_Q45_K:
        load_q45_scales(record, out);
        break;
    case PACKED_Q6_K:
        for (int b = 0; b < SUPER_BLOCKS; b++) {
            __m512 d = halves_at(record);
            out[b].scale = _mm512_mul_ps(d, signed_bytes_at(record + 32 + 32 * b));
            out[b].extra = _mm512_mul_ps(d, signed_bytes_at(record + 48 + 32 * b));
        }
        break;
    case PACKED_Q2_K:
        load_q2_scales(record, out);
        break;
    case PACKED_Q3_K:
        load_q3_scales(record, out);
        break;
    case PACKED_IQ4_XS:
        load_xs_scales(record, out);
        break;
    }
}

#endif
