/* The loops that limits_<isa>.c of ARM's levels share. */
#ifndef WEN_CPU_LIMITS_NEON_H
#define WEN_CPU_LIMITS_NEON_H

#include "cpu/limits.h"

#include <arm_neon.h>

enum { CHAINS = 12 };

/* n rounds of `multiply`, whose products of bytes go to 32-bit sums; each is `operations`. */
static inline __attribute__((always_inline)) double
limit_int8(int32x4_t (*multiply)(int32x4_t, int8x16_t, int8x16_t), int operations, long n,
           float *sink)
{
    const int8x16_t s = vdupq_n_s8(3);
    int8x16_t u = vdupq_n_s8(5);
    int32x4_t sum[CHAINS];
    for (int j = 0; j < CHAINS; j++)
        sum[j] = vdupq_n_s32(0);
    for (long i = 0; i < n; i++) {
        for (int j = 0; j < CHAINS; j++) {
            __asm__ volatile("" : "+w"(u));
            sum[j] = multiply(sum[j], u, s);
        }
    }
    for (int j = 1; j < CHAINS; j++)
        sum[0] = vaddq_s32(sum[0], sum[j]);
    *sink += (float)vgetq_lane_s32(sum[0], 0);
    return (double)operations * CHAINS * (double)n;
}

#endif
