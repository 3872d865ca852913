/* Quantized products in AVX2. */
#include "cpu/matmul_q_ymm.h"

void matmul_q_kernels_avx2(MatmulKernels *kernels) { fill_products(kernels); }
