/* Activations for quantized and BF16 weights, AVX2. See acts.h. */
#include "cpu/matmul_avx2.h"

#include <math.h>

INLINE __m256i magnitudes_at(const float *x)
{
    __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)x);
    return _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
}

/* Largest magnitude of 32 numbers, as bits: these order numbers, and NaN above infinity. */
INLINE uint32_t largest_magnitude(const float *x)
{
    __m256i m = _mm256_max_epu32(_mm256_max_epu32(magnitudes_at(x), magnitudes_at(x + 8)),
                                 _mm256_max_epu32(magnitudes_at(x + 16), magnitudes_at(x + 24)));
    __m128i n = _mm_max_epu32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
    n = _mm_max_epu32(n, _mm_shuffle_epi32(n, 0x4e));
    n = _mm_max_epu32(n, _mm_shuffle_epi32(n, 0xb1));
    return (uint32_t)_mm_cvtsi128_si32(n);
}

INLINE int sum_of(__m256i v)
{
    __m128i n = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    n = _mm_add_epi32(n, _mm_shuffle_epi32(n, 0x4e));
    n = _mm_add_epi32(n, _mm_shuffle_epi32(n, 0xb1));
    return _mm_cvtsi128_si32(n);
}

void acts_quantize_avx2(const float *x, int n, ActBlock *blocks)
{
    /* Packing works within 128-bit halves: this puts the groups of four back in order. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (int i = 0; i < n; i += BLOCK_COLS, x += BLOCK_COLS, blocks++) {
        uint32_t largest = largest_magnitude(x);
        float amax;
        memcpy(&amax, &largest, sizeof amax);
        if (!(amax >= ACTS_TINY && amax < INFINITY)) { /* rare: nothing, infinity, NaN */
            acts_quantize(x, BLOCK_COLS, blocks);
            continue;
        }
        __m256 inverse = _mm256_set1_ps(127.0f / amax);
        __m256i q[4];
        for (int j = 0; j < 4; j++)
            q[j] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * j), inverse));
        int first = sum_of(_mm256_add_epi32(q[0], q[1]));
        int second = sum_of(_mm256_add_epi32(q[2], q[3]));
        __m256i bytes =
            _mm256_packs_epi16(_mm256_packs_epi32(q[0], q[1]), _mm256_packs_epi32(q[2], q[3]));
        _mm256_storeu_si256((__m256i *)(void *)blocks->quants,
                            _mm256_permutevar8x32_epi32(bytes, order));
        blocks->scale = amax / 127.0f;
        blocks->sum = (float)(first + second);
        blocks->minus_sum = -(first + second);
        blocks->minus_second = -second;
    }
}

void acts_round_bf16_avx2(const float *x, int n, uint16_t *out)
{
    const __m256i one = _mm256_set1_epi32(1), below_half = _mm256_set1_epi32(0x7fff);
    const __m256i quiet = _mm256_set1_epi32(0x40);
    int i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_loadu_ps(x + i);
        __m256i bits = _mm256_castps_si256(v), high = _mm256_srli_epi32(bits, 16);
        __m256i up = _mm256_add_epi32(below_half, _mm256_and_si256(high, one));
        __m256i rounded = _mm256_srli_epi32(_mm256_add_epi32(bits, up), 16);
        __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
        rounded = _mm256_blendv_epi8(rounded, _mm256_or_si256(high, quiet), is_nan);
        __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded, rounded), 0x08);
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm256_castsi256_si128(packed));
    }
    acts_round_bf16(x + i, n - i, out + i);
}
