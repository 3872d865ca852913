/* Quantized products with AVX-VNNI: vpdpbusd in the encoding that processors without AVX-512 have.
 */
#define WEN_VNNI
#include "cpu/matmul_q_ymm.h"

void matmul_kernels_avxvnni(MatmulKernels *kernels) { fill_products(kernels); }
