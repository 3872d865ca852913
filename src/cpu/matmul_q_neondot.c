/* Quantized products with dot products of four bytes. */
#define WEN_DOT
#include "cpu/matmul_q_neon.h"

void matmul_kernels_neondot(MatmulKernels *kernels) { fill_products(kernels); }
