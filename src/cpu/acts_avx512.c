/* Activations for quantized and BF16 weights, AVX-512. See acts.h. */
#include "cpu/matmul_avx512.h"

#include <math.h>

/* Largest magnitude of 32 numbers, as bits: these order numbers, and NaN above infinity. */
INLINE uint32_t largest_magnitude(__m512i a, __m512i b)
{
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    a = _mm512_and_si512(a, magnitude);
    b = _mm512_and_si512(b, magnitude);
    return _mm512_reduce_max_epu32(_mm512_max_epu32(a, b));
}

void acts_quantize_avx512(const float *x, int n, ActBlock *blocks)
{
    for (int i = 0; i < n; i += BLOCK_COLS, x += BLOCK_COLS, blocks++) {
        __m512 a = _mm512_loadu_ps(x), b = _mm512_loadu_ps(x + 16);
        uint32_t largest = largest_magnitude(_mm512_castps_si512(a), _mm512_castps_si512(b));
        float amax;
        memcpy(&amax, &largest, sizeof amax);
        if (!(amax >= ACTS_TINY && amax < INFINITY)) { /* rare: nothing, infinity, NaN */
            acts_quantize(x, BLOCK_COLS, blocks);
            continue;
        }
        __m512 inverse = _mm512_set1_ps(127.0f / amax);
        __m512i qa = _mm512_cvtps_epi32(_mm512_mul_ps(a, inverse));
        __m512i qb = _mm512_cvtps_epi32(_mm512_mul_ps(b, inverse));
        int first = _mm512_reduce_add_epi32(qa), second = _mm512_reduce_add_epi32(qb);
        _mm_storeu_si128((__m128i *)(void *)blocks->quants, _mm512_cvtepi32_epi8(qa));
        _mm_storeu_si128((__m128i *)(void *)(blocks->quants + 16), _mm512_cvtepi32_epi8(qb));
        blocks->scale = amax / 127.0f;
        blocks->sum = (float)(first + second);
        blocks->minus_sum = -(first + second);
        blocks->minus_second = -second;
    }
}

void acts_round_bf16_avx512(const float *x, int n, uint16_t *out)
{
    const __m512i one = _mm512_set1_epi32(1), below_half = _mm512_set1_epi32(0x7fff);
    const __m512i quiet = _mm512_set1_epi32(0x40);
    for (int i = 0; i < n; i += 16) {
        __mmask16 mask = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xffff;
        __m512 v = _mm512_maskz_loadu_ps(mask, x + i);
        __m512i bits = _mm512_castps_si512(v), high = _mm512_srli_epi32(bits, 16);
        __m512i up = _mm512_add_epi32(below_half, _mm512_and_si512(high, one));
        __m512i rounded = _mm512_srli_epi32(_mm512_add_epi32(bits, up), 16);
        __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
        rounded = _mm512_mask_or_epi32(rounded, is_nan, high, quiet);
        _mm512_mask_cvtepi32_storeu_epi16(out + i, mask, rounded);
    }
}
