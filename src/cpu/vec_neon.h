/* The vector of vec_ops.h in 128 bits of NEON. Included by X_neon.c only. */
#ifndef WEN_CPU_VEC_NEON_H
#define WEN_CPU_VEC_NEON_H

#include "base/rng.h"

#include <arm_neon.h>

typedef float32x4_t Vec;
enum { VEC_LANES = 4 };

/* All ones in the first n lanes. */
static inline uint32x4_t vec_mask(int n)
{
    static const int32_t lanes[VEC_LANES] = {0, 1, 2, 3};
    return vcgtq_s32(vdupq_n_s32(n), vld1q_s32(lanes));
}

static inline Vec vec_set(float x) { return vdupq_n_f32(x); }
static inline Vec vec_load(const float *p) { return vld1q_f32(p); }
static inline Vec vec_load_n(const float *p, int n)
{
    if (n == VEC_LANES)
        return vld1q_f32(p);
    Vec x = vdupq_n_f32(0);
    if (n > 0)
        x = vld1q_lane_f32(p, x, 0);
    if (n > 1)
        x = vld1q_lane_f32(p + 1, x, 1);
    return n > 2 ? vld1q_lane_f32(p + 2, x, 2) : x;
}
static inline void vec_store(float *p, Vec x) { vst1q_f32(p, x); }
static inline void vec_store_n(float *p, int n, Vec x)
{
    if (n == VEC_LANES) {
        vst1q_f32(p, x);
        return;
    }
    if (n > 0)
        vst1q_lane_f32(p, x, 0);
    if (n > 1)
        vst1q_lane_f32(p + 1, x, 1);
    if (n > 2)
        vst1q_lane_f32(p + 2, x, 2);
}
static inline Vec vec_load_f16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline Vec vec_set_f16(uint16_t h)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(h)));
}
static inline Vec vec_load_i8(const int8_t *p)
{
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    int16x8_t pairs = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(pairs)));
}
static inline Vec vec_load_bf16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
static inline void vec_store_f16(uint16_t *p, Vec x)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(x)));
}
static inline void vec_store_bf16(uint16_t *p, Vec x)
{
    uint32x4_t u = vreinterpretq_u32_f32(x);
    uint32x4_t odd = vandq_u32(vshrq_n_u32(u, 16), vdupq_n_u32(1));
    uint32x4_t up = vaddq_u32(vaddq_u32(u, vdupq_n_u32(0x7fff)), odd);
    uint32x4_t nan = vorrq_u32(u, vdupq_n_u32(0x400000));
    vst1_u16(p, vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), up, nan), 16));
}

static inline Vec vec_add(Vec a, Vec b) { return vaddq_f32(a, b); }
static inline Vec vec_sub(Vec a, Vec b) { return vsubq_f32(a, b); }
static inline Vec vec_mul(Vec a, Vec b) { return vmulq_f32(a, b); }
static inline Vec vec_div(Vec a, Vec b) { return vdivq_f32(a, b); }
static inline Vec vec_fma(Vec a, Vec b, Vec c) { return vfmaq_f32(c, a, b); }
static inline Vec vec_fms(Vec a, Vec b, Vec c) { return vfmaq_f32(vnegq_f32(c), a, b); }
static inline Vec vec_max(Vec x, Vec max) { return vbslq_f32(vcgtq_f32(x, max), x, max); }

/* a < b ? x : y, lane by lane; a NaN ? a : x; the first n lanes of x, then those of y. */
static inline Vec vec_if_less(Vec a, Vec b, Vec x, Vec y)
{
    return vbslq_f32(vcltq_f32(a, b), x, y);
}
static inline Vec vec_if_nan(Vec a, Vec x) { return vbslq_f32(vceqq_f32(a, a), x, a); }
static inline Vec vec_first(Vec x, int n, Vec y) { return vbslq_f32(vec_mask(n), x, y); }
static inline uint32_t vec_bits(uint32x4_t mask)
{
    static const uint32_t bits[VEC_LANES] = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(mask, vld1q_u32(bits)));
}
/* Bit i: lane i of a is greater than that of b (less or equal). */
static inline uint32_t vec_greater(Vec a, Vec b) { return vec_bits(vcgtq_f32(a, b)); }
static inline uint32_t vec_less_equal(Vec a, Vec b) { return vec_bits(vcleq_f32(a, b)); }

/* p * 2^n, where n is in the low bits of t. */
static inline Vec vec_scale_by(Vec p, Vec t)
{
    uint32x4_t n = vshlq_n_u32(vreinterpretq_u32_f32(t), 23);
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(p), n));
}

/* The lanes added by halves. */
static inline float vec_sum(Vec x)
{
    float32x2_t z = vadd_f32(vget_low_f32(x), vget_high_f32(x));
    return vget_lane_f32(z, 0) + vget_lane_f32(z, 1);
}
static inline float vec_largest(Vec x) { return vmaxvq_f32(x); }

/* Sixteen sums in double. */
typedef struct Sums {
    float64x2_t pair[8];
} Sums;

static inline Sums sums_zero(void)
{
    Sums s;
    for (int i = 0; i < 8; i++)
        s.pair[i] = vdupq_n_f64(0);
    return s;
}
/* The lanes of 16 floats, each to its own sum. */
static inline void sums_add(Sums *s, const Vec x[4])
{
    for (int i = 0; i < 4; i++) {
        s->pair[2 * i] = vaddq_f64(s->pair[2 * i], vcvt_f64_f32(vget_low_f32(x[i])));
        s->pair[2 * i + 1] = vaddq_f64(s->pair[2 * i + 1], vcvt_high_f64_f32(x[i]));
    }
}
static inline double sums_total(const Sums *s)
{
    float64x2_t sum[4];
    for (int i = 0; i < 4; i++)
        sum[i] = vaddq_f64(s->pair[i], s->pair[i + 4]);
    float64x2_t z = vaddq_f64(vaddq_f64(sum[0], sum[2]), vaddq_f64(sum[1], sum[3]));
    return vgetq_lane_f64(z, 0) + vgetq_lane_f64(z, 1);
}

/* The top 24 bits of ~rng_counter_at(key, id) for the ids from `first` on, as numbers / 2^24. NEON
 * has no products of 64 bits. */
static inline Vec vec_race_rest(uint64_t key, int first)
{
    uint32_t bits[VEC_LANES];
    for (int i = 0; i < VEC_LANES; i++)
        bits[i] = (uint32_t)(~rng_counter_at(key, (uint64_t)(first + i)) >> 40);
    return vmulq_n_f32(vcvtq_f32_u32(vld1q_u32(bits)), 0x1p-24f);
}

#endif
