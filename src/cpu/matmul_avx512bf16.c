/* Products with BF16 and FP8 weights through vdpbf16ps: the odd column's product is added first,
 * then the even one's, each with one rounding, as the other levels do; but results below 2^-126
 * count as zero. */
#include "cpu/matmul_f8_avx512.h"

static void product_bf16_avx512bf16(const Product *p) { plain_product(PLAIN_BF16_DOT, p); }

static void product_f8_avx512bf16(const Product *p) { f8_product(PLAIN_BF16_DOT, p); }

void matmul_kernels_avx512bf16(MatmulKernels *kernels)
{
    kernels->product[DTYPE_BF16] = product_bf16_avx512bf16;
    kernels->product[DTYPE_F8_128] = product_f8_avx512bf16;
}
