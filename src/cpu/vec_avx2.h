/* The vector of vec_ops.h in 256 bits. Included by X_avx2.c only. */
#ifndef WEN_CPU_VEC_AVX2_H
#define WEN_CPU_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>

typedef __m256 Vec;
enum { VEC_LANES = 8 };

static inline __m256i vec_mask(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static inline Vec vec_set(float x) { return _mm256_set1_ps(x); }
static inline Vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
static inline Vec vec_load_n(const float *p, int n) { return _mm256_maskload_ps(p, vec_mask(n)); }
static inline void vec_store(float *p, Vec x) { _mm256_storeu_ps(p, x); }
static inline void vec_store_n(float *p, int n, Vec x) { _mm256_maskstore_ps(p, vec_mask(n), x); }
static inline Vec vec_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline Vec vec_set_f16(uint16_t h) { return _mm256_set1_ps(_cvtsh_ss(h)); }
static inline Vec vec_load_i8(const int8_t *p)
{
    __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)p);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}
static inline Vec vec_load_bf16(const uint16_t *p)
{
    __m128i h = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}
static inline void vec_store_f16(uint16_t *p, Vec x)
{
    _mm_storeu_si128((__m128i *)(void *)p,
                     _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void vec_store_bf16(uint16_t *p, Vec x)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i up = _mm256_add_epi32(_mm256_add_epi32(u, _mm256_set1_epi32(0x7fff)), odd);
    __m256i nan = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    up = _mm256_srli_epi32(_mm256_blendv_epi8(up, nan, is_nan), 16);
    __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(up), _mm256_extracti128_si256(up, 1));
    _mm_storeu_si128((__m128i *)(void *)p, packed);
}

static inline Vec vec_add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
static inline Vec vec_sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
static inline Vec vec_mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
static inline Vec vec_div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
static inline Vec vec_fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
static inline Vec vec_fms(Vec a, Vec b, Vec c) { return _mm256_fmsub_ps(a, b, c); }
static inline Vec vec_max(Vec x, Vec max) { return _mm256_max_ps(x, max); }

/* a < b ? x : y, lane by lane; a NaN ? a : x; the first n lanes of x, then those of y. */
static inline Vec vec_if_less(Vec a, Vec b, Vec x, Vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline Vec vec_if_nan(Vec a, Vec x)
{
    return _mm256_blendv_ps(x, a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
}
static inline Vec vec_first(Vec x, int n, Vec y)
{
    return _mm256_blendv_ps(y, x, _mm256_castsi256_ps(vec_mask(n)));
}
/* Bit i: lane i of a is greater than that of b (less or equal). */
static inline uint32_t vec_greater(Vec a, Vec b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ));
}
static inline uint32_t vec_less_equal(Vec a, Vec b)
{
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LE_OQ));
}

/* p * 2^n, where n is in the low bits of t. */
static inline Vec vec_scale_by(Vec p, Vec t)
{
    __m256i n = _mm256_slli_epi32(_mm256_castps_si256(t), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), n));
}

/* The lanes added by halves. */
static inline float vec_sum(Vec x)
{
    __m128 z = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    z = _mm_add_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
}
static inline float vec_largest(Vec x)
{
    __m128 z = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    z = _mm_max_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_max_ss(z, _mm_movehdup_ps(z)));
}

/* Sixteen sums in double. */
typedef struct Sums {
    __m256d quarter[4];
} Sums;

static inline Sums sums_zero(void)
{
    __m256d zero = _mm256_setzero_pd();
    return (Sums){{zero, zero, zero, zero}};
}
/* The lanes of 16 floats, each to its own sum. */
static inline void sums_add(Sums *s, const Vec x[2])
{
    for (int i = 0; i < 2; i++) {
        __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(x[i]));
        __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(x[i], 1));
        s->quarter[2 * i] = _mm256_add_pd(s->quarter[2 * i], low);
        s->quarter[2 * i + 1] = _mm256_add_pd(s->quarter[2 * i + 1], high);
    }
}
static inline double sums_total(const Sums *s)
{
    __m256d a = _mm256_add_pd(s->quarter[0], s->quarter[2]);
    __m256d b = _mm256_add_pd(s->quarter[1], s->quarter[3]);
    __m256d y = _mm256_add_pd(a, b);
    __m128d z = _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
    return _mm_cvtsd_f64(_mm_add_sd(z, _mm_unpackhi_pd(z, z)));
}

/* The low 64 bits of the products, from 32-bit halves. */
static inline __m256i vec_mul64(__m256i a, __m256i b)
{
    __m256i cross = _mm256_add_epi64(_mm256_mul_epu32(_mm256_srli_epi64(a, 32), b),
                                     _mm256_mul_epu32(a, _mm256_srli_epi64(b, 32)));
    return _mm256_add_epi64(_mm256_mul_epu32(a, b), _mm256_slli_epi64(cross, 32));
}

/* The top 24 bits of ~rng_counter_at(key, id) for the ids from `first` on, as numbers / 2^24. */
static inline __m256i race_bits4(uint64_t key, int first)
{
    __m256i ids = _mm256_add_epi64(_mm256_set1_epi64x(first), _mm256_setr_epi64x(0, 1, 2, 3));
    __m256i x = _mm256_add_epi64(ids, _mm256_set1_epi64x((long long)0xd1b54a32d192ed03u));
    x = _mm256_xor_si256(x, _mm256_set1_epi64x((long long)key));
    x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 30));
    x = vec_mul64(x, _mm256_set1_epi64x((long long)0xbf58476d1ce4e5b9u));
    x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 27));
    x = vec_mul64(x, _mm256_set1_epi64x((long long)0x94d049bb133111ebu));
    x = _mm256_xor_si256(x, _mm256_srli_epi64(x, 31));
    return _mm256_srli_epi64(_mm256_xor_si256(x, _mm256_set1_epi64x(-1)), 40);
}
static inline Vec vec_race_rest(uint64_t key, int first)
{
    __m256 low = _mm256_castsi256_ps(race_bits4(key, first));
    __m256 high = _mm256_castsi256_ps(race_bits4(key, first + 4));
    /* The even 32-bit lanes of both, then in order. */
    __m256i even = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(2, 0, 2, 0)));
    __m256i bits = _mm256_permute4x64_epi64(even, _MM_SHUFFLE(3, 1, 2, 0));
    return _mm256_mul_ps(_mm256_cvtepi32_ps(bits), _mm256_set1_ps(0x1p-24f));
}

#endif
