/* The int8 loop of limits_<isa>.c with vpdpbusd in 256 bits. */
#ifndef WEN_CPU_LIMITS_VNNI_H
#define WEN_CPU_LIMITS_VNNI_H

#include "cpu/limits.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static double limit_int8(long n, float *sink)
{
    const __m256i s = _mm256_set1_epi8(3);
    __m256i u = _mm256_set1_epi8(5), sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm256_setzero_si256();
    for (long i = 0; i < n; i++) {
        for (int j = 0; j < CHAINS; j++) {
            __asm__ volatile("" : "+x"(u));
#ifdef __AVXVNNI__
            sum[j] = _mm256_dpbusd_avx_epi32(sum[j], u, s);
#else
            sum[j] = _mm256_dpbusd_epi32(sum[j], u, s);
#endif
        }
    }
    for (int j = 1; j < CHAINS; j++)
        sum[0] = _mm256_add_epi32(sum[0], sum[j]);
    *sink += (float)_mm256_cvtsi256_si32(sum[0]);
    return 2.0 * 32 * CHAINS * (double)n;
}

#endif
