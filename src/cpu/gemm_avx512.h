/* Transposition in registers, for the files of gemm.h that have AVX-512. */
#ifndef WEN_CPU_GEMM_AVX512_H
#define WEN_CPU_GEMM_AVX512_H

#include "cpu/gemm.h"

#include <immintrin.h>
#include <stdint.h>

/* `pack` of f32 panels, which the level with bfloat16 keeps. */
void gemm_pack_avx512(const GemmSide *side, GemmMode mode, int width, int from_i, int n_i,
                      int from_k, int n_k, void *panels);

/* Where sixteen rows or columns from number i on (a multiple of 16) begin in panels of `width`, at
 * row `row` of a panel. Of width GEMM_ROWS they are the whole rows of two panels. */
static inline uint32_t *gemm_place(void *panels, int width, int i, int row)
{
    char *panel = (char *)panels + (size_t)(i / width) * gemm_panel_bytes(width);
    return (uint32_t *)(void *)panel + (size_t)row * (size_t)width + i % width;
}

/* Stores n of sixteen registers, of sixteen words each, as rows `row` .. of panels; i as above, of
 * n_i in all. */
static inline void gemm_store_16(const __m512i r[16], int n, void *panels, int width, int i,
                                 int n_i, int row)
{
    uint32_t *to = gemm_place(panels, width, i, row);
    if (width != GEMM_ROWS) {
        for (int j = 0; j < n; j++)
            _mm512_storeu_si512(to + (size_t)j * (size_t)width, r[j]);
        return;
    }
    uint32_t *next = n_i - i > GEMM_ROWS ? gemm_place(panels, width, i + GEMM_ROWS, row) : NULL;
    for (int j = 0; j < n; j++, to += GEMM_ROWS) {
        _mm256_storeu_si256((__m256i *)(void *)to, _mm512_castsi512_si256(r[j]));
        if (next)
            _mm256_storeu_si256((__m256i *)(void *)(next + j * GEMM_ROWS),
                                _mm512_extracti64x4_epi64(r[j], 1));
    }
}

/* Sixteen-wide steps that fill the panels of n_i rows or columns. */
static inline int gemm_steps_end(int width, int n_i)
{
    return width == GEMM_ROWS ? n_i : (n_i + width - 1) / width * width;
}

/* Sixteen rows of sixteen numbers of 32 bits: rows become columns. */
static inline void transpose_16x16(__m512i r[16])
{
    __m512i t[16];
    for (int i = 0; i < 8; i++) {
        t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
        t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
        r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
        r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
    }
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

#endif
