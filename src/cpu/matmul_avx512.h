/* What the files of the AVX-512 levels share: the products with F32, F16 and BF16 weights.
 *
 * The lanes of a register are 16 rows of W. Two tiles times up to 12 rows of x are 24 sums in
 * registers; every column (pair of columns for BF16) is one load of each tile and one broadcast of
 * each row of x. With many rows the columns are taken in panels that stay in the caches while all
 * rows pass; between panels the sums wait in y. */
#ifndef WEN_CPU_MATMUL_AVX512_H
#define WEN_CPU_MATMUL_AVX512_H

#include "cpu/matmul.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

void matmul_q_kernels_avx512(MatmulKernels *kernels);
void acts_quantize_avx512(const float *x, int n, ActBlock *blocks);
void acts_round_bf16_avx512(const float *x, int n, uint16_t *out);

typedef enum PlainKind {
    PLAIN_F32,
    PLAIN_F16,
    PLAIN_BF16,    /* without the instruction for it */
    PLAIN_BF16_DOT /* vdpbf16ps */
} PlainKind;

enum {
    PLAIN_ROWS = 12,
    PLAIN_PANEL_BYTES = 16 * 1024 /* of a tile */
};

/* The rows of W in a tile, as a mask for its row of y; 0 past the last tile. */
INLINE __mmask16 tile_mask(const Product *p, int tile)
{
    int left = p->n_rows - tile * TILE_ROWS;
    return left >= TILE_ROWS ? 0xffff : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
}

/* Some columns of two tiles, and where their sums are. A step is what 4 bytes of x hold: a column,
 * or a pair of columns of BF16. */
typedef struct PlainPanel {
    const uint8_t *w[2];
    const uint8_t *x; /* rows x_stride bytes apart */
    size_t x_stride;
    int n_steps;
    float *y;
    size_t y_stride;
    __mmask16 mask[2];
    bool is_first;
} PlainPanel;

INLINE __m512 plain_step(PlainKind kind, __m512 acc, __m512i w, const uint8_t *x)
{
    int32_t bits;
    memcpy(&bits, x, sizeof bits);
    __m512i pair = _mm512_set1_epi32(bits);
    const __m512i odd = _mm512_set1_epi32((int32_t)0xffff0000);
    switch (kind) {
    case PLAIN_F32:
    case PLAIN_F16:
        return _mm512_fmadd_ps(_mm512_castsi512_ps(w), _mm512_castsi512_ps(pair), acc);
    case PLAIN_BF16:
        acc = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(w, odd)),
                              _mm512_castsi512_ps(_mm512_and_si512(pair, odd)), acc);
        return _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(w, 16)),
                               _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16)), acc);
    case PLAIN_BF16_DOT:
#ifdef __AVX512BF16__
        return _mm512_dpbf16_ps(acc, (__m512bh)w, (__m512bh)pair);
#endif
        break;
    }
    return acc;
}

/* Bytes of a step in a tile. */
INLINE size_t plain_step_bytes(PlainKind kind) { return kind == PLAIN_F16 ? 32 : 64; }

INLINE __m512i plain_load(PlainKind kind, const uint8_t *w)
{
    if (kind == PLAIN_F16)
        return _mm512_castps_si512(
            _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)w)));
    return _mm512_loadu_si512(w);
}

INLINE void plain_panel(PlainKind kind, int rows, const PlainPanel *p)
{
    __m512 acc[2][PLAIN_ROWS];
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < 2; i++)
            acc[i][t] = p->is_first
                            ? _mm512_setzero_ps()
                            : _mm512_maskz_loadu_ps(p->mask[i],
                                                    p->y + (size_t)t * p->y_stride + i * TILE_ROWS);
    const uint8_t *w0 = p->w[0], *w1 = p->w[1], *x = p->x;
    for (int s = 0; s < p->n_steps; s++) {
        __m512i a = plain_load(kind, w0), b = plain_load(kind, w1);
        for (int t = 0; t < rows; t++) {
            acc[0][t] = plain_step(kind, acc[0][t], a, x + (size_t)t * p->x_stride);
            acc[1][t] = plain_step(kind, acc[1][t], b, x + (size_t)t * p->x_stride);
        }
        w0 += plain_step_bytes(kind);
        w1 += plain_step_bytes(kind);
        x += 4;
    }
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < 2; i++)
            _mm512_mask_storeu_ps(p->y + (size_t)t * p->y_stride + i * TILE_ROWS, p->mask[i],
                                  acc[i][t]);
}

INLINE void plain_rows(PlainKind kind, int rows, const PlainPanel *p)
{
#define ROWS(n)                                                                                    \
    case n:                                                                                        \
        plain_panel(kind, n, p);                                                                   \
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

INLINE void plain_product(PlainKind kind, const Product *p)
{
    bool is_bf16 = kind == PLAIN_BF16 || kind == PLAIN_BF16_DOT;
    const uint8_t *x = (const uint8_t *)(is_bf16 ? (const void *)p->acts.bf16 : p->acts.f32);
    size_t x_stride = is_bf16 ? p->acts.bf16_stride * 2 : p->acts.f32_stride * 4;
    int n_steps = is_bf16 ? (p->acts.n_cols + 1) / 2 : p->acts.n_cols;
    int n_groups = (p->acts.n_rows + PLAIN_ROWS - 1) / PLAIN_ROWS;
    int steps = n_groups == 1 ? n_steps : (int)(PLAIN_PANEL_BYTES / plain_step_bytes(kind));
    for (int tile = 0; tile < p->n_tiles; tile += 2) {
        const uint8_t *w = p->tiles + (size_t)tile * p->tile_bytes;
        for (int s = 0; s < n_steps; s += steps) {
            PlainPanel panel = {.x_stride = x_stride,
                                .n_steps = n_steps - s < steps ? n_steps - s : steps,
                                .y_stride = p->y_stride,
                                .mask = {tile_mask(p, tile), tile_mask(p, tile + 1)},
                                .is_first = s == 0};
            panel.w[0] = panel.w[1] = w + (size_t)s * plain_step_bytes(kind);
            if (tile + 1 < p->n_tiles) /* else the one tile twice, stored once */
                panel.w[1] += p->tile_bytes;
            for (int group = 0; group < n_groups; group++) {
                int from = p->acts.n_rows * group / n_groups;
                int rows = p->acts.n_rows * (group + 1) / n_groups - from;
                panel.x = x + (size_t)from * x_stride + (size_t)s * 4;
                panel.y = p->y + (size_t)from * p->y_stride + (size_t)tile * TILE_ROWS;
                plain_rows(kind, rows, &panel);
            }
        }
    }
}

#endif
