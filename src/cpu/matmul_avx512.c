/* Products with F32, F16, BF16 and FP8 weights, AVX-512. See matmul_avx512.h. */
#include "cpu/matmul_f8_avx512.h"

static void product_f32_avx512(const Product *p) { plain_product(PLAIN_F32, p); }

static void product_f16_avx512(const Product *p) { plain_product(PLAIN_F16, p); }

static void product_bf16_avx512(const Product *p) { plain_product(PLAIN_BF16, p); }

static void product_f8_avx512(const Product *p) { f8_product(PLAIN_BF16, p); }

void matmul_kernels_avx512(MatmulKernels *kernels)
{
    matmul_q_kernels_avx512(kernels);
    kernels->product[DTYPE_F32] = product_f32_avx512;
    kernels->product[DTYPE_F16] = product_f16_avx512;
    kernels->product[DTYPE_BF16] = product_bf16_avx512;
    kernels->product[DTYPE_F8_128] = product_f8_avx512;
    kernels->acts = (ActsKernels){acts_quantize_avx512, acts_round_bf16_avx512};
}
