/* Quantized products with dot products of four bytes, and of small matrices. */
#define WEN_DOT
#define WEN_MM
#include "cpu/matmul_q_neon.h"

void matmul_kernels_neoni8mm(MatmulKernels *kernels) { fill_products(kernels); }
