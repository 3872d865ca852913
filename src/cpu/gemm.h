/* General products C (+)= A B for the backward pass: both sides are packed into panels, then small
 * blocks of C are kept in registers.
 *
 *   C [m, n] f32;  A [m, k] and B [k, n] come from anywhere that GemmSide can describe
 *
 * Every element of C is one chain of fused multiply-adds over k in order, starting from what C
 * holds (or from 0), in f32: it depends neither on threads nor on how k is cut into calls. In
 * bfloat16 the chain takes k in pairs, the odd one first, as the instruction vdpbf16ps does; cuts
 * of k between calls must then be even. Every instruction-set level gives the same bits, but that
 * vdpbf16ps takes numbers below 2^-126 as zeros. */
#ifndef WEN_CPU_GEMM_H
#define WEN_CPU_GEMM_H

#include "base/pool.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum GemmMode {
    GEMM_F32,
    GEMM_BF16,       /* both sides rounded to bfloat16, pairs of k */
    GEMM_BF16_SINGLE /* the same rounding, but k one by one in order */
} GemmMode;

typedef enum GemmLayout {
    GEMM_ALONG,      /* element (i, k) of the side is data[i * stride + k] */
    GEMM_ACROSS,     /* ... is data[k * stride + i] */
    GEMM_TILES_F32,  /* a packed weight of this type (packed.h), whose rows are k and columns i; */
    GEMM_TILES_BF16, /* stride: bytes of a tile. Cuts of k are multiples of 16 */
} GemmLayout;

/* One side of the product; i counts rows of A or columns of B. */
typedef struct GemmSide {
    GemmLayout layout;
    const void *data;
    size_t stride;
} GemmSide;

typedef struct Gemm {
    GemmMode mode;
    int m, n, k;
    GemmSide a, b;
    float *c;
    size_t c_stride;
    bool accumulate; /* false: C is overwritten */
} Gemm;

enum {
    GEMM_ROWS = 8,         /* of a block of C: width of a panel of A */
    GEMM_COLS = 32,        /* width of a panel of B */
    GEMM_SLAB_BYTES = 1024 /* of k in a panel, per row: 256 f32 or 512 bfloat16 */
};

/* From one panel of a slab to the next: a cache line more than a power of two, or the same place of
 * all panels would be in one set of the cache. */
static inline size_t gemm_panel_bytes(int width) { return (size_t)width * GEMM_SLAB_BYTES + 64; }

typedef struct GemmKernels {
    /* Packs n_k values of k of n_i rows or columns into panels of `width` (GEMM_ROWS or GEMM_COLS)
     * of them, gemm_panel_bytes apart; what is missing in the last one becomes 0. A panel is
     * [n_k][width] f32, or [ceil(n_k / 2)][width][2] bfloat16. */
    void (*pack)(const GemmSide *side, GemmMode mode, int width, int from_i, int n_i, int from_k,
                 int n_k, void *panels);
    /* A block of C [GEMM_ROWS, GEMM_COLS] += a panel of A times one of B. */
    void (*block_f32)(int n_k, const void *a, const void *b, float *c, size_t c_stride);
    void (*block_bf16)(int n_k, const void *a, const void *b, float *c, size_t c_stride);
    /* Whether `pack` makes bfloat16 panels. Levels without the instruction pack the rounded numbers
     * as f32 and swap the two of a pair: the same chain from the f32 kernel. */
    bool has_bf16;
} GemmKernels;

void gemm_kernels_ref(GemmKernels *kernels);
#if defined(__x86_64__)
void gemm_kernels_avx2(GemmKernels *kernels);
void gemm_kernels_avx512(GemmKernels *kernels);
void gemm_kernels_avx512bf16(GemmKernels *kernels);
#elif defined(__aarch64__)
void gemm_kernels_neon(GemmKernels *kernels);
#endif

/* Bytes of scratch that gemm_run uses: with a pool, and alone on one worker. */
size_t gemm_scratch_bytes(bool has_pool);
/* pool NULL: on this thread. */
void gemm_run(const GemmKernels *kernels, const Gemm *g, Pool *pool, void *scratch);

#endif
