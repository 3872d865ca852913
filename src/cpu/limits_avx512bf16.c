/* The kernels of limits.h that AVX-512 BF16 does better. */
#include "cpu/limits.h"

#include <immintrin.h>

enum { CHAINS = 16 };

static double bf16(long n, float *sink)
{
    const __m512bh x = _mm512_cvtne2ps_pbh(_mm512_set1_ps(0.5f), _mm512_set1_ps(0.25f));
    __m512 sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm512_setzero_ps();
    for (long i = 0; i < n; i++)
        for (int j = 0; j < CHAINS; j++)
            sum[j] = _mm512_dpbf16_ps(sum[j], x, x);
    for (int j = 1; j < CHAINS; j++)
        sum[0] = _mm512_add_ps(sum[0], sum[j]);
    *sink += _mm512_reduce_add_ps(sum[0]);
    return 2.0 * 32 * CHAINS * (double)n;
}

void limit_kernels_avx512bf16(LimitKernels *kernels) { kernels->bf16 = bf16; }
