/* Products with E4M3 weights and a scale for every 128 columns, for the AVX-512 levels: a record of
 * up to two tiles is turned into bfloat16 in scratch that stays in the first-level cache, as BF16
 * weights lie in memory, and meets up to 12 rows of x; its sums are scaled and added to y. */
#ifndef WEN_CPU_MATMUL_F8_AVX512_H
#define WEN_CPU_MATMUL_F8_AVX512_H

#include "cpu/matmul_avx512.h"

enum { F8_STEPS = 64, F8_HEADER_BYTES = 64, F8_STEP_BYTES = 32 };

/* Thirty-two E4M3 numbers as bfloat16. Exponents move by a whole number, but not those of
 * subnormals, which a table has. */
INLINE __m512i e4m3_to_bf16(__m256i codes)
{
    /* m * 2^-9 for m = 0 .. 7 */
    const __m512i subnormals = _mm512_set4_epi64(
        0, 0, 0x3c603c403c203c00, 0x3bc03b803b000000); /* words 7..4, 3..0 of 16 are the low ones */
    __m512i wide = _mm512_cvtepu8_epi16(codes);
    __m512i size = _mm512_slli_epi16(_mm512_and_si512(wide, _mm512_set1_epi16(0x7f)), 4);
    __m512i sign = _mm512_slli_epi16(_mm512_and_si512(wide, _mm512_set1_epi16(0x80)), 8);
    __m512i normal = _mm512_add_epi16(size, _mm512_set1_epi16(120 << 7));
    __mmask32 is_small = _mm512_testn_epi16_mask(wide, _mm512_set1_epi16(0x78));
    __m512i index = _mm512_and_si512(wide, _mm512_set1_epi16(7));
    __m512i small = _mm512_permutexvar_epi16(index, subnormals);
    return _mm512_or_si512(sign, _mm512_mask_mov_epi16(normal, is_small, small));
}

INLINE void f8_unpack(const uint8_t *record, uint8_t *out)
{
    const uint8_t *codes = record + F8_HEADER_BYTES;
    for (int s = 0; s < F8_STEPS; s++) {
        __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)(codes + F8_STEP_BYTES * s));
        _mm512_store_si512(out + 64 * s, e4m3_to_bf16(v));
    }
}

/* y += or = scale * (the record's sums), `rows` rows of x. */
INLINE void f8_panel(PlainKind kind, int rows, const PlainPanel *p, const __m512 scale[2])
{
    __m512 acc[2][PLAIN_ROWS];
    for (int t = 0; t < rows; t++)
        acc[0][t] = acc[1][t] = _mm512_setzero_ps();
    for (int s = 0; s < F8_STEPS; s++) {
        __m512i a = _mm512_load_si512(p->w[0] + 64 * s), b = _mm512_load_si512(p->w[1] + 64 * s);
        for (int t = 0; t < rows; t++) {
            const uint8_t *x = p->x + (size_t)t * p->x_stride + 4 * s;
            acc[0][t] = plain_step(kind, acc[0][t], a, x);
            acc[1][t] = plain_step(kind, acc[1][t], b, x);
        }
    }
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < 2; i++) {
            float *y = p->y + (size_t)t * p->y_stride + i * TILE_ROWS;
            __m512 sum = p->is_first ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(p->mask[i], y);
            _mm512_mask_storeu_ps(y, p->mask[i], _mm512_fmadd_ps(scale[i], acc[i][t], sum));
        }
}

INLINE void f8_rows(PlainKind kind, int rows, const PlainPanel *p, const __m512 scale[2])
{
#define ROWS(n)                                                                                    \
    case n:                                                                                        \
        f8_panel(kind, n, p, scale);                                                               \
        break
    switch (rows) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
        ROWS(7);
        ROWS(8);
        ROWS(9);
        ROWS(10);
        ROWS(11);
        ROWS(12);
    }
#undef ROWS
}

INLINE void f8_product(PlainKind kind, const Product *p)
{
    uint8_t *unpacked = p->scratch; /* [2][F8_STEPS][64] */
    const size_t record_bytes = F8_HEADER_BYTES + F8_STEPS * F8_STEP_BYTES;
    const int n_records = p->acts.n_cols / (2 * F8_STEPS);
    const int n_groups = (p->acts.n_rows + PLAIN_ROWS - 1) / PLAIN_ROWS;
    for (int tile = 0; tile < p->n_tiles; tile += 2) {
        const uint8_t *record[2] = {p->tiles + (size_t)tile * p->tile_bytes};
        /* An odd last tile is taken twice, and stored once. */
        record[1] = record[0] + (tile + 1 < p->n_tiles ? p->tile_bytes : 0);
        for (int r = 0; r < n_records; r++) {
            PlainPanel panel = {.w = {unpacked, unpacked + 64 * F8_STEPS},
                                .x_stride = p->acts.bf16_stride * 2,
                                .y_stride = p->y_stride,
                                .mask = {tile_mask(p, tile), tile_mask(p, tile + 1)},
                                .is_first = r == 0};
            __m512 scale[2];
            for (int i = 0; i < 2; i++) {
                const uint8_t *at = record[i] + (size_t)r * record_bytes;
                scale[i] = _mm512_loadu_ps(at);
                f8_unpack(at, unpacked + 64 * F8_STEPS * i);
            }
            for (int group = 0; group < n_groups; group++) {
                int from = p->acts.n_rows * group / n_groups;
                int rows = p->acts.n_rows * (group + 1) / n_groups - from;
                panel.x = (const uint8_t *)(p->acts.bf16 + (size_t)from * p->acts.bf16_stride +
                                            (size_t)r * 2 * F8_STEPS);
                panel.y = p->y + (size_t)from * p->y_stride + (size_t)tile * TILE_ROWS;
                f8_rows(kind, rows, &panel, scale);
            }
        }
    }
}

#endif
