/* The vector of vec_ops.h in 512 bits. Included by X_avx512.c only. */
#ifndef WEN_CPU_VEC_AVX512_H
#define WEN_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef __m512 Vec;
enum { VEC_LANES = 16 };

static inline __mmask16 vec_mask(int n) { return (__mmask16)((1u << n) - 1); }

static inline Vec vec_set(float x) { return _mm512_set1_ps(x); }
static inline Vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
static inline Vec vec_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(vec_mask(n), p);
}
static inline void vec_store(float *p, Vec x) { _mm512_storeu_ps(p, x); }
static inline void vec_store_n(float *p, int n, Vec x) { _mm512_mask_storeu_ps(p, vec_mask(n), x); }
static inline Vec vec_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}
static inline Vec vec_set_f16(uint16_t h) { return _mm512_set1_ps(_cvtsh_ss(h)); }
static inline Vec vec_load_i8(const int8_t *p)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
}
static inline Vec vec_load_bf16(const uint16_t *p)
{
    __m256i h = _mm256_loadu_si256((const __m256i *)(const void *)p);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}
static inline void vec_store_f16(uint16_t *p, Vec x)
{
    _mm256_storeu_si256((__m256i *)(void *)p,
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
static inline void vec_store_bf16(uint16_t *p, Vec x)
{
    __m512i u = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i up = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    __m512i nan = _mm512_or_si512(u, _mm512_set1_epi32(0x400000));
    up = _mm512_mask_mov_epi32(up, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), nan);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(up, 16)));
}

static inline Vec vec_add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
static inline Vec vec_sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
static inline Vec vec_mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
static inline Vec vec_div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
static inline Vec vec_fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
static inline Vec vec_fms(Vec a, Vec b, Vec c) { return _mm512_fmsub_ps(a, b, c); }
static inline Vec vec_max(Vec x, Vec max) { return _mm512_max_ps(x, max); }

/* a < b ? x : y, lane by lane; a NaN ? a : x; the first n lanes of x, then those of y. */
static inline Vec vec_if_less(Vec a, Vec b, Vec x, Vec y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
static inline Vec vec_if_nan(Vec a, Vec x)
{
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
}
static inline Vec vec_first(Vec x, int n, Vec y) { return _mm512_mask_mov_ps(y, vec_mask(n), x); }
/* Bit i: lane i of a is greater than that of b (less or equal). */
static inline uint32_t vec_greater(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ); }
static inline uint32_t vec_less_equal(Vec a, Vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }

/* p * 2^n, where n is in the low bits of t. */
static inline Vec vec_scale_by(Vec p, Vec t)
{
    __m512i n = _mm512_slli_epi32(_mm512_castps_si512(t), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), n));
}

/* The lanes added by halves. */
static inline float vec_sum(Vec x)
{
    __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 z = _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    z = _mm_add_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_add_ss(z, _mm_movehdup_ps(z)));
}
static inline float vec_largest(Vec x)
{
    __m256 y = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    __m128 z = _mm_max_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
    z = _mm_max_ps(z, _mm_movehl_ps(z, z));
    return _mm_cvtss_f32(_mm_max_ss(z, _mm_movehdup_ps(z)));
}

/* Sixteen sums in double. */
typedef struct Sums {
    __m512d low, high;
} Sums;

static inline Sums sums_zero(void) { return (Sums){_mm512_setzero_pd(), _mm512_setzero_pd()}; }
/* The lanes of 16 floats, each to its own sum. */
static inline void sums_add(Sums *s, const Vec x[1])
{
    s->low = _mm512_add_pd(s->low, _mm512_cvtps_pd(_mm512_castps512_ps256(x[0])));
    s->high = _mm512_add_pd(s->high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x[0], 1)));
}
static inline double sums_total(const Sums *s)
{
    __m512d x = _mm512_add_pd(s->low, s->high);
    __m256d y = _mm256_add_pd(_mm512_castpd512_pd256(x), _mm512_extractf64x4_pd(x, 1));
    __m128d z = _mm_add_pd(_mm256_castpd256_pd128(y), _mm256_extractf128_pd(y, 1));
    return _mm_cvtsd_f64(_mm_add_sd(z, _mm_unpackhi_pd(z, z)));
}

/* The top 24 bits of ~rng_counter_at(key, id) for the ids from `first` on, as numbers / 2^24. */
static inline __m512i race_bits8(uint64_t key, int first)
{
    __m512i ids =
        _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
    __m512i x = _mm512_add_epi64(ids, _mm512_set1_epi64((long long)0xd1b54a32d192ed03u));
    x = _mm512_xor_si512(x, _mm512_set1_epi64((long long)key));
    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 30));
    x = _mm512_mullo_epi64(x, _mm512_set1_epi64((long long)0xbf58476d1ce4e5b9u));
    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 27));
    x = _mm512_mullo_epi64(x, _mm512_set1_epi64((long long)0x94d049bb133111ebu));
    x = _mm512_xor_si512(x, _mm512_srli_epi64(x, 31));
    return _mm512_srli_epi64(_mm512_xor_si512(x, _mm512_set1_epi64(-1)), 40);
}
static inline Vec vec_race_rest(uint64_t key, int first)
{
    __m256i low = _mm512_cvtepi64_epi32(race_bits8(key, first));
    __m256i high = _mm512_cvtepi64_epi32(race_bits8(key, first + 8));
    __m512i bits = _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
    return _mm512_mul_ps(_mm512_cvtepi32_ps(bits), _mm512_set1_ps(0x1p-24f));
}

#endif
