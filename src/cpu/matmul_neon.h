/* What the files of ARM's levels share. A tile's sixteen rows are four registers. */
#ifndef WEN_CPU_MATMUL_NEON_H
#define WEN_CPU_MATMUL_NEON_H

#include "cpu/matmul.h"

#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { QUARTERS = 4, QUARTER_ROWS = 4 };

void matmul_q_kernels_neon(MatmulKernels *kernels);
void product_f8_neon(const Product *p);
void acts_quantize_neon(const float *x, int n, ActBlock *blocks);
void acts_round_bf16_neon(const float *x, int n, uint16_t *out);

/* Rows of W in a tile: 16, or fewer in the last. */
INLINE int tile_rows(const Product *p, int tile)
{
    int left = p->n_rows - tile * TILE_ROWS;
    return left < TILE_ROWS ? left : TILE_ROWS;
}

/* The sums of a tile to and from its place in y, of which n are there. */
INLINE void load_sums(const float *y, int n, float32x4_t sums[QUARTERS])
{
    float part[TILE_ROWS] = {0};
    if (n < TILE_ROWS) {
        memcpy(part, y, (size_t)n * sizeof(float));
        y = part;
    }
    for (int i = 0; i < QUARTERS; i++)
        sums[i] = vld1q_f32(y + QUARTER_ROWS * i);
}

INLINE void store_sums(float *y, int n, const float32x4_t sums[QUARTERS])
{
    float part[TILE_ROWS], *to = n < TILE_ROWS ? part : y;
    for (int i = 0; i < QUARTERS; i++)
        vst1q_f32(to + QUARTER_ROWS * i, sums[i]);
    if (n < TILE_ROWS)
        memcpy(y, part, (size_t)n * sizeof(float));
}

#endif
