/* Leaf functions of the matrix product y = x W^T: some tiles of a packed weight times some rows of
 * activations. No threads, no allocation; cpu_weight.c splits the work.
 *
 * Every element of y is one chain of operations over the columns in their order (docs/numerics.md,
 * "Products"), the same for any number of rows and on every instruction-set level: a row's result
 * is the same alone and in a batch. */
#ifndef WEN_CPU_MATMUL_H
#define WEN_CPU_MATMUL_H

#include "cpu/acts.h"
#include "cpu/packed.h"

/* Scratch of one worker, 64-byte aligned: weights unpacked for several rows of activations. */
enum { PRODUCT_SCRATCH_BYTES = 64 * 1024 };

typedef struct Product {
    DType type;
    const uint8_t *tiles; /* n_tiles tiles of tile_bytes */
    size_t tile_bytes;
    int n_tiles;
    int n_rows; /* rows of W in them: 16 * n_tiles, or less when the last tile is not full */
    Acts acts;  /* its n_rows, n_cols: rows of y, columns of W; has the form of the weight type */
    float *y;   /* [acts.n_rows, n_rows], overwritten */
    size_t y_stride;
    void *scratch; /* PRODUCT_SCRATCH_BYTES */
} Product;

typedef void ProductKernel(const Product *p);

typedef struct MatmulKernels {
    ProductKernel *product[DTYPE_COUNT];
    ActsKernels acts;
} MatmulKernels;

/* Each fills in the entries that its level has, over what is there; call them in this order. */
void matmul_kernels_ref(MatmulKernels *kernels);
#if defined(__x86_64__)
void matmul_kernels_avx2(MatmulKernels *kernels);
void matmul_kernels_avxvnni(MatmulKernels *kernels);
void matmul_kernels_avxvnni_evex(MatmulKernels *kernels); /* the same in another encoding */
void matmul_kernels_avx512(MatmulKernels *kernels);
void matmul_kernels_avx512bf16(MatmulKernels *kernels);
#elif defined(__aarch64__)
void matmul_kernels_neon(MatmulKernels *kernels);
void matmul_kernels_neondot(MatmulKernels *kernels);
void matmul_kernels_neoni8mm(MatmulKernels *kernels);
#endif

#endif
