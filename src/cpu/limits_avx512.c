/* The kernels of limits.h in AVX-512 with VNNI. */
#include "cpu/limits.h"

#include <immintrin.h>

enum { CHAINS = 16 };

static double f32_avx512(long n, float *sink)
{
    const __m512 half = _mm512_set1_ps(0.5f), one = _mm512_set1_ps(1);
    __m512 a[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        a[j] = _mm512_set1_ps((float)j);
    for (long i = 0; i < n; i++)
        for (int j = 0; j < CHAINS; j++)
            a[j] = _mm512_fmadd_ps(a[j], half, one);
    for (int j = 1; j < CHAINS; j++)
        a[0] = _mm512_add_ps(a[0], a[j]);
    *sink += _mm512_reduce_add_ps(a[0]);
    return 2.0 * 16 * CHAINS * (double)n;
}

static double int8_avx512(long n, float *sink)
{
    const __m512i u = _mm512_set1_epi8(5), s = _mm512_set1_epi8(3);
    __m512i sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm512_setzero_si512();
    for (long i = 0; i < n; i++)
        for (int j = 0; j < CHAINS; j++)
            sum[j] = _mm512_dpbusd_epi32(sum[j], u, s);
    for (int j = 1; j < CHAINS; j++)
        sum[0] = _mm512_add_epi32(sum[0], sum[j]);
    *sink += (float)_mm512_reduce_add_epi32(sum[0]);
    return 2.0 * 64 * CHAINS * (double)n;
}

static uint64_t read_avx512(const uint64_t *x, size_t n_lines)
{
    __m512i a = _mm512_setzero_si512(), b = a;
    size_t i = 0;
    for (; i + 2 <= n_lines; i += 2) {
        a = _mm512_add_epi64(a, _mm512_load_si512(x + 8 * i));
        b = _mm512_add_epi64(b, _mm512_load_si512(x + 8 * i + 8));
    }
    if (i < n_lines)
        a = _mm512_add_epi64(a, _mm512_load_si512(x + 8 * i));
    return (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b));
}

void limit_kernels_avx512(LimitKernels *kernels)
{
    *kernels = (LimitKernels){
        .f32 = f32_avx512, .bf16 = f32_avx512, .int8 = int8_avx512, .read = read_avx512};
}
