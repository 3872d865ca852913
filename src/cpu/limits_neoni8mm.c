/* The int8 loop of limits.h in products of small matrices: 2 x 8 times 8 x 2. */
#include "cpu/limits_neon.h"

static inline int32x4_t multiply(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    return vmmlaq_s32(sum, a, b);
}

static double int8_neoni8mm(long n, float *sink) { return limit_int8(multiply, 2 * 32, n, sink); }

void limit_kernels_neoni8mm(LimitKernels *kernels) { kernels->int8 = int8_neoni8mm; }
