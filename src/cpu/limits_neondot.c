/* The int8 loop of limits.h in dot products. */
#include "cpu/limits_neon.h"

static inline int32x4_t multiply(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    return vdotq_s32(sum, a, b);
}

static double int8_neondot(long n, float *sink) { return limit_int8(multiply, 2 * 16, n, sink); }

void limit_kernels_neondot(LimitKernels *kernels) { kernels->int8 = int8_neondot; }
