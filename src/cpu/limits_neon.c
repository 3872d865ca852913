/* The kernels of limits.h in NEON. */
#include "cpu/limits_neon.h"

static double f32_neon(long n, float *sink)
{
    const float32x4_t half = vdupq_n_f32(0.5f), one = vdupq_n_f32(1);
    float32x4_t a[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        a[j] = vdupq_n_f32((float)j);
    for (long i = 0; i < n; i++)
        for (int j = 0; j < CHAINS; j++)
            a[j] = vfmaq_f32(one, a[j], half);
    for (int j = 1; j < CHAINS; j++)
        a[0] = vaddq_f32(a[0], a[j]);
    *sink += vgetq_lane_f32(a[0], 0);
    return 2.0 * 4 * CHAINS * (double)n;
}

/* Bytes to pairs to fours: what a product of bytes takes before the dot products. */
static inline int32x4_t multiply(int32x4_t sum, int8x16_t a, int8x16_t b)
{
    int16x8_t low = vmull_s8(vget_low_s8(a), vget_low_s8(b)), high = vmull_high_s8(a, b);
    return vpadalq_s16(sum, vpaddq_s16(low, high));
}

static double int8_neon(long n, float *sink) { return limit_int8(multiply, 2 * 16, n, sink); }

static uint64_t read_neon(const uint64_t *x, size_t n_lines)
{
    uint64x2_t a = vdupq_n_u64(0), b = a, c = a, d = a;
    for (size_t i = 0; i < n_lines; i++, x += 8) {
        a = vaddq_u64(a, vld1q_u64(x));
        b = vaddq_u64(b, vld1q_u64(x + 2));
        c = vaddq_u64(c, vld1q_u64(x + 4));
        d = vaddq_u64(d, vld1q_u64(x + 6));
    }
    return vaddvq_u64(vaddq_u64(vaddq_u64(a, b), vaddq_u64(c, d)));
}

void limit_kernels_neon(LimitKernels *kernels)
{
    *kernels =
        (LimitKernels){.f32 = f32_neon, .bf16 = f32_neon, .int8 = int8_neon, .read = read_neon};
}
