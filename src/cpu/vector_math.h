/* Arithmetic that every instruction-set level does alike, in plain C: the exponential and the order
 * in which lanes are summed. X_<isa>.c write the same operations with vectors; docs/numerics.md,
 * "Norms and exp", gives the error. */
#ifndef WEN_CPU_VECTOR_MATH_H
#define WEN_CPU_VECTOR_MATH_H

#include "base/half.h"

#include <math.h>

/* exp(x) = 2^n * exp(r), n = round(x / ln 2), |r| <= ln 2 / 2. Adding EXP_ROUND leaves n in the low
 * bits of the sum. The polynomial 1 + r + r^2 (C2 + ...) has the least relative error of its degree
 * (3.1e-9). */
#define EXP_LOG2E 1.44269504f
#define EXP_ROUND 12582912.0f /* 1.5 * 2^23 */
#define EXP_LN2_HIGH 0.693359375f
#define EXP_LN2_LOW -2.12194440e-4f
#define EXP_C2 0.4999999343f
#define EXP_C3 0.166665204f
#define EXP_C4 0.0416683908f
#define EXP_C5 0.008368745373f
#define EXP_C6 0.001381454038f
#define EXP_LOWEST -87.0f      /* below it the result is 0; exp(-87) is a normal number */
#define EXP_HIGHEST 88.722839f /* above it the result is infinite */

static inline float exp_f32(float x)
{
    float t = fmaf(x, EXP_LOG2E, EXP_ROUND);
    float n = t - EXP_ROUND;
    float r = fmaf(n, -EXP_LN2_LOW, fmaf(n, -EXP_LN2_HIGH, x));
    float p = fmaf(EXP_C6, r, EXP_C5);
    p = fmaf(p, r, EXP_C4);
    p = fmaf(p, r, EXP_C3);
    p = fmaf(p, r, EXP_C2);
    p = fmaf(p, r, 1.0f);
    p = fmaf(p, r, 1.0f);
    if (x < EXP_LOWEST)
        return 0.0f;
    if (x > EXP_HIGHEST)
        return INFINITY;
    return x == x ? float_from_bits(float_bits(p) + (float_bits(t) << 23)) : x;
}

/* A sum over many elements runs in SUM_LANES lanes (element i in lane i mod SUM_LANES), which are
 * then added by halves. */
enum { SUM_LANES = 64 };

static inline float sum_lanes(float lanes[SUM_LANES])
{
    for (int width = SUM_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

#endif
