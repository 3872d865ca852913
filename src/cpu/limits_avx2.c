/* The kernels of limits.h in AVX2. */
#include "cpu/limits.h"

#include <immintrin.h>

enum { CHAINS = 12 };

static double f32_avx2(long n, float *sink)
{
    const __m256 half = _mm256_set1_ps(0.5f), one = _mm256_set1_ps(1);
    __m256 a[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        a[j] = _mm256_set1_ps((float)j);
    for (long i = 0; i < n; i++)
        for (int j = 0; j < CHAINS; j++)
            a[j] = _mm256_fmadd_ps(a[j], half, one);
    for (int j = 1; j < CHAINS; j++)
        a[0] = _mm256_add_ps(a[0], a[j]);
    *sink += _mm256_cvtss_f32(a[0]);
    return 2.0 * 8 * CHAINS * (double)n;
}

/* Bytes to pairs to fours, then added: what a product of bytes takes before VNNI. */
static double int8_avx2(long n, float *sink)
{
    const __m256i ones = _mm256_set1_epi16(1), s = _mm256_set1_epi8(3);
    __m256i u = _mm256_set1_epi8(5), sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = _mm256_setzero_si256();
    for (long i = 0; i < n; i++) {
        for (int j = 0; j < CHAINS; j++) {
            __asm__ volatile("" : "+x"(u));
            sum[j] = _mm256_add_epi32(sum[j], _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), ones));
        }
    }
    for (int j = 1; j < CHAINS; j++)
        sum[0] = _mm256_add_epi32(sum[0], sum[j]);
    *sink += (float)_mm256_cvtsi256_si32(sum[0]);
    return 2.0 * 32 * CHAINS * (double)n;
}

static uint64_t read_avx2(const uint64_t *x, size_t n_lines)
{
    __m256i a = _mm256_setzero_si256(), b = a;
    for (size_t i = 0; i < n_lines; i++) {
        const __m256i *line = (const __m256i *)(const void *)(x + 8 * i);
        a = _mm256_add_epi64(a, _mm256_load_si256(line));
        b = _mm256_add_epi64(b, _mm256_load_si256(line + 1));
    }
    uint64_t words[4];
    _mm256_storeu_si256((__m256i *)(void *)words, _mm256_add_epi64(a, b));
    return words[0] + words[1] + words[2] + words[3];
}

void limit_kernels_avx2(LimitKernels *kernels)
{
    *kernels =
        (LimitKernels){.f32 = f32_avx2, .bf16 = f32_avx2, .int8 = int8_avx2, .read = read_avx2};
}
