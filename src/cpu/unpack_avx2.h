/* Taking packed blocks apart in registers, AVX2: what packed_open_block does in plain C. Included
 * by the products, which are unrolled for each type's layout. A tile is two halves of eight rows.
 */
#ifndef WEN_CPU_UNPACK_AVX2_H
#define WEN_CPU_UNPACK_AVX2_H

#include "cpu/matmul_avx2.h"

enum { HALF_BYTES = 32, HALF_ROWS = 8 };

INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

INLINE void load_codes(int bits, const uint8_t *p, __m256i q[8])
{
    if (bits < 4) {
        const __m256i pair = _mm256_set1_epi8(3), third = _mm256_set1_epi8(4);
        for (int g = 0; g < 8; g++) {
            __m256i v = load(p + VECTOR_BYTES * (g / 4));
            q[g] = _mm256_and_si256(_mm256_srli_epi16(v, 2 * (g % 4)), pair);
            if (bits == 3) {
                v = load(p + 2 * VECTOR_BYTES);
                v = g < 2 ? _mm256_slli_epi16(v, 2 - g) : _mm256_srli_epi16(v, g - 2);
                q[g] = _mm256_or_si256(q[g], _mm256_and_si256(v, third));
            }
        }
        return;
    }
    if (bits == 8) {
        for (int g = 0; g < 8; g++)
            q[g] = load(p + VECTOR_BYTES * g);
        return;
    }
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int g = 0; g < 4; g++) {
        __m256i v = load(p + VECTOR_BYTES * g);
        q[g] = _mm256_and_si256(v, nibble);
        q[g + 4] = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    }
    if (bits == 5) {
        const __m256i bit = _mm256_set1_epi8(16);
        __m256i v = load(p + 256);
        for (int g = 0; g < 8; g++) {
            __m256i high = g < 4 ? _mm256_slli_epi16(v, 4 - g) : _mm256_srli_epi16(v, g - 4);
            q[g] = _mm256_or_si256(q[g], _mm256_and_si256(high, bit));
        }
    }
    if (bits == 6) {
        const __m256i pair = _mm256_set1_epi8(48);
        for (int g = 0; g < 8; g++) {
            __m256i v = load(p + 256 + VECTOR_BYTES * (g / 4));
            int left = 4 - 2 * (g % 4);
            __m256i high = left >= 0 ? _mm256_slli_epi16(v, left) : _mm256_srli_epi16(v, -left);
            q[g] = _mm256_or_si256(q[g], _mm256_and_si256(high, pair));
        }
    }
}

/* Numbers that need all eight bits, where products of such are too large for the level: they are
 * kept signed, without their offset of 128. */
INLINE bool is_wide(PackedLayout s)
{
#ifdef WEN_VNNI
    (void)s;
    return false;
#else
    return s.bits == 8 || s.codes == PACKED_IQ4;
#endif
}

/* The eight groups of one half of a tile; p: the block's quants, plus HALF_BYTES for rows 8-15.
 * Wide ones come out signed. */
INLINE void load_quants(PackedLayout s, const uint8_t *p, __m256i q[8])
{
    load_codes(s.bits, p, q);
    if (s.codes != PACKED_LINEAR) {
        const int8_t *values = s.codes == PACKED_IQ4 ? IQ4_VALUES : E2M1_VALUES;
        const __m128i table = _mm_loadu_si128((const __m128i *)(const void *)values);
        const char offset = (char)(is_wide(s) ? 0 : 1 << s.offset_shift);
        __m256i numbers =
            _mm256_add_epi8(_mm256_broadcastsi128_si256(table), _mm256_set1_epi8(offset));
        for (int g = 0; g < 8; g++)
            q[g] = _mm256_shuffle_epi8(numbers, q[g]);
    } else if (is_wide(s)) {
        for (int g = 0; g < 8; g++)
            q[g] = _mm256_xor_si256(q[g], _mm256_set1_epi8((char)0x80));
    }
}

INLINE __m256 halves_at(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

INLINE __m128i bytes_at(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* out[0..15] = d[0..15] * the 16 bytes, signed or not. */
INLINE void scale_bytes(const __m256 d[2], __m128i bytes, bool is_signed, float *out)
{
    for (int half = 0; half < 2; half++) {
        __m256i wide = is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
        _mm256_storeu_ps(out + HALF_ROWS * half, _mm256_mul_ps(d[half], _mm256_cvtepi32_ps(wide)));
        bytes = _mm_unpackhi_epi64(bytes, bytes);
    }
}

/* The scales of a block, as packed_open_block has them. */
typedef struct BlockScales {
    float scale[TILE_ROWS], extra[TILE_ROWS], min[2][TILE_ROWS];
} BlockScales;

/* Q4_K and Q5_K. */
INLINE void load_q45_scales(const __m256 d[2], const uint8_t *record, BlockScales *out)
{
    const __m128i low6 = _mm_set1_epi8(63), low4 = _mm_set1_epi8(15);
    const __m128i high2 = _mm_set1_epi8(48);
    const __m256 zero = _mm256_setzero_ps();
    __m256 minus_dmin[2] = {_mm256_sub_ps(zero, halves_at(record + 32)),
                            _mm256_sub_ps(zero, halves_at(record + 48))};
    const uint8_t *q = record + 64; /* byte j of the rows' twelve: q + 16 j */
    for (int b = 0; b < 4; b++) {
        __m128i sc = bytes_at(q + 16 * b), m = bytes_at(q + 16 * (b + 4));
        __m128i both = bytes_at(q + 16 * (b + 8));
        __m128i sc_high = _mm_and_si128(_mm_srli_epi16(sc, 2), high2);
        __m128i m_high = _mm_and_si128(_mm_srli_epi16(m, 2), high2);
        __m128i m_low = _mm_and_si128(_mm_srli_epi16(both, 4), low4);
        scale_bytes(d, _mm_and_si128(sc, low6), false, out[b].scale);
        scale_bytes(minus_dmin, _mm_and_si128(m, low6), false, out[b].extra);
        scale_bytes(d, _mm_or_si128(_mm_and_si128(both, low4), sc_high), false, out[b + 4].scale);
        scale_bytes(minus_dmin, _mm_or_si128(m_low, m_high), false, out[b + 4].extra);
    }
}

/* Sixteen scales a row, a nibble each, and sixteen minima in the other nibbles. */
INLINE void load_q2_scales(const __m256 d[2], const uint8_t *record, BlockScales *out)
{
    const __m128i low4 = _mm_set1_epi8(15);
    const __m256 zero = _mm256_setzero_ps();
    __m256 minus_dmin[2] = {_mm256_sub_ps(zero, halves_at(record + 32)),
                            _mm256_sub_ps(zero, halves_at(record + 48))};
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        for (int half = 0; half < 2; half++) {
            __m128i v = bytes_at(record + 64 + 32 * b + 16 * half);
            scale_bytes(d, _mm_and_si128(v, low4), false, half ? out[b].extra : out[b].scale);
            scale_bytes(minus_dmin, _mm_and_si128(_mm_srli_epi16(v, 4), low4), false,
                        out[b].min[half]);
        }
    }
}

/* Sixteen six-bit scales a row in twelve bytes. */
INLINE void load_q3_scales(const __m256 d[2], const uint8_t *record, BlockScales *out)
{
    const __m128i low4 = _mm_set1_epi8(15), pair = _mm_set1_epi8(3);
    for (int j = 0; j < 2 * SUPER_BLOCKS; j++) {
        __m128i low = bytes_at(record + 32 + 16 * (j % 8));
        __m128i high = bytes_at(record + 32 + 16 * (8 + j % 4));
        low = _mm_and_si128(_mm_srli_epi16(low, j / 8 * 4), low4);
        high = _mm_and_si128(_mm_srli_epi16(high, j / 4 * 2), pair);
        low = _mm_or_si128(low, _mm_slli_epi16(high, 4));
        scale_bytes(d, _mm_sub_epi8(low, _mm_set1_epi8(32)), true,
                    j % 2 ? out[j / 2].extra : out[j / 2].scale);
    }
}

INLINE void load_xs_scales(const __m256 d[2], const uint8_t *record, BlockScales *out)
{
    const __m128i low4 = _mm_set1_epi8(15), pair = _mm_set1_epi16(3);
    __m128i tops[2] = {bytes_at(record + 32), bytes_at(record + 48)};
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        __m128i low = bytes_at(record + 64 + 16 * (b / 2));
        low = _mm_and_si128(_mm_srli_epi16(low, b % 2 * 4), low4);
        __m128i high = _mm_packus_epi16(_mm_and_si128(_mm_srli_epi16(tops[0], 2 * b), pair),
                                        _mm_and_si128(_mm_srli_epi16(tops[1], 2 * b), pair));
        low = _mm_or_si128(low, _mm_slli_epi16(high, 4));
        scale_bytes(d, _mm_sub_epi8(low, _mm_set1_epi8(32)), true, out[b].scale);
    }
}

/* e8m0_half of sixteen bytes. */
INLINE void load_powers(const uint8_t *p, float *out)
{
    const __m256i two = _mm256_set1_epi32(2);
    __m128i bytes = bytes_at(p);
    for (int half = 0; half < 2; half++) {
        __m256i e = _mm256_cvtepu8_epi32(bytes);
        __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
        __m256i tiny = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
        __m256i bits = _mm256_blendv_epi8(normal, tiny, _mm256_cmpgt_epi32(two, e));
        _mm256_storeu_si256((__m256i *)(void *)(out + HALF_ROWS * half), bits);
        bytes = _mm_unpackhi_epi64(bytes, bytes);
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
    __m256 d[2] = {halves_at(record), halves_at(record + 16)};
    switch (s.scales) {
    case PACKED_Q45_K:
        load_q45_scales(d, record, out);
        break;
    case PACKED_Q6_K:
        for (int b = 0; b < SUPER_BLOCKS; b++) {
            scale_bytes(d, bytes_at(record + 32 + 32 * b), true, out[b].scale);
            scale_bytes(d, bytes_at(record + 48 + 32 * b), true, out[b].extra);
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
        for (int half = 0; half < 2; half++) {
            _mm256_storeu_ps(out->scale + HALF_ROWS * half, d[half]);
            if (s.form == PACKED_MIN)
                _mm256_storeu_ps(out->extra + HALF_ROWS * half, halves_at(record + 32 + 16 * half));
        }
    }
}

#endif
