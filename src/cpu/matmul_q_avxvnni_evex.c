/* Quantized products with vpdpbusd in 256 bits, in the encoding of AVX-512: the same text as level
 * avxvnni, for processors that have it in no other. */
#define WEN_VNNI
#include "cpu/matmul_q_ymm.h"

void matmul_kernels_avxvnni_evex(MatmulKernels *kernels) { fill_products(kernels); }
