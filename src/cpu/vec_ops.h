/* Arithmetic on the vectors of vec_<isa>.h, which X_<isa>.c includes first. X_vector.h hold the
 * kernels, written once for every vector width; these are the pieces that they share. */
#ifndef WEN_CPU_VEC_OPS_H
#define WEN_CPU_VEC_OPS_H

#include "cpu/vector_math.h"

#define ALWAYS_INLINE inline __attribute__((always_inline))

/* exp_f32 of vector_math.h, lane by lane. */
static ALWAYS_INLINE Vec vec_exp(Vec x)
{
    Vec t = vec_fma(x, vec_set(EXP_LOG2E), vec_set(EXP_ROUND));
    Vec n = vec_sub(t, vec_set(EXP_ROUND));
    Vec r = vec_fma(n, vec_set(-EXP_LN2_LOW), vec_fma(n, vec_set(-EXP_LN2_HIGH), x));
    Vec p = vec_fma(vec_set(EXP_C6), r, vec_set(EXP_C5));
    p = vec_fma(p, r, vec_set(EXP_C4));
    p = vec_fma(p, r, vec_set(EXP_C3));
    p = vec_fma(p, r, vec_set(EXP_C2));
    p = vec_fma(p, r, vec_set(1));
    p = vec_fma(p, r, vec_set(1));
    Vec y = vec_if_nan(x, vec_scale_by(p, t));
    y = vec_if_less(vec_set(EXP_HIGHEST), x, vec_set(INFINITY), y);
    return vec_if_less(x, vec_set(EXP_LOWEST), vec_set(0), y);
}

/* sum_lanes of vector_math.h. */
enum { SUM_VECS = SUM_LANES / VEC_LANES };

static ALWAYS_INLINE float vec_sum_lanes(Vec lanes[SUM_VECS])
{
    for (int width = SUM_VECS / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] = vec_add(lanes[i], lanes[i + width]);
    return vec_sum(lanes[0]);
}

/* The next piece of a row: VEC_LANES, or what is left. */
static inline int vec_piece(int left) { return left < VEC_LANES ? left : VEC_LANES; }

#endif
