/* What the files of the AVX2 level share. */
#ifndef WEN_CPU_MATMUL_AVX2_H
#define WEN_CPU_MATMUL_AVX2_H

#include "cpu/matmul.h"

#include <immintrin.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

void matmul_q_kernels_avx2(MatmulKernels *kernels);
void product_f8_avx2(const Product *p);
void acts_quantize_avx2(const float *x, int n, ActBlock *blocks);
void acts_round_bf16_avx2(const float *x, int n, uint16_t *out);

/* Rows of W in a tile: 16, or fewer in the last. */
INLINE int tile_rows(const Product *p, int tile)
{
    int left = p->n_rows - tile * TILE_ROWS;
    return left < TILE_ROWS ? left : TILE_ROWS;
}

/* The sums of a tile (rows 0-7 and 8-15) to and from its place in y, of which n are there. */
INLINE void load_sums(const float *y, int n, __m256 *low, __m256 *high)
{
    float part[TILE_ROWS] = {0};
    if (n < TILE_ROWS) {
        memcpy(part, y, (size_t)n * sizeof(float));
        y = part;
    }
    *low = _mm256_loadu_ps(y);
    *high = _mm256_loadu_ps(y + 8);
}

INLINE void store_sums(float *y, int n, __m256 low, __m256 high)
{
    if (n == TILE_ROWS) {
        _mm256_storeu_ps(y, low);
        _mm256_storeu_ps(y + 8, high);
        return;
    }
    float part[TILE_ROWS];
    _mm256_storeu_ps(part, low);
    _mm256_storeu_ps(part + 8, high);
    memcpy(y, part, (size_t)n * sizeof(float));
}

#endif
