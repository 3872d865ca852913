/* Encoding of the blocks of 256 (layouts: quant_k.c). The groups are fitted one by one with free
 * scales; then the common halves and the groups' whole-number scales are improved in turn: given
 * the halves, every group tries the whole numbers around its own; given all codes, the halves
 * follow by least squares. Each step is judged by the exact squared error, and the best block met
 * is kept. */
#include "tensor/quant_search.h"
#include "tensor/quant_types.h"

#include <math.h>
#include <string.h>

enum {
    GROUPS = 8,
    GROUP = 32,
    SMALL_GROUPS = 16,
    SMALL_GROUP = 16,
    SCALE_MAX = 63, /* of Q4_K and Q5_K, also for the minimum */
    Q6_LOW = -32,
    Q6_HIGH = 31,
    ROUNDS = 3,
    CLIMB_MAX = 6,
};

static int clamp_int(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

static int nearest(float v) { return (int)rintf(fmaxf(-1e6f, fminf(1e6f, v))); }

/* v / unit, rounded; 0 when there is no unit. */
static int in_units(float v, float unit) { return unit != 0 ? nearest(v / unit) : 0; }

/* One Q4_K or Q5_K block: x ~ (d * scale) * q - (dmin * min). */
typedef struct LineBlock {
    uint16_t d, dmin;
    uint8_t scales[GROUPS], mins[GROUPS];
    float error;
} LineBlock;

static float line_error(const float *x, const float *w, float d, float dmin, int scale, int min,
                        int q_high)
{
    return affine_error(x, w, GROUP, d * (float)scale, -(dmin * (float)min), q_high);
}

/* Walks from (scale, min) to a pair that none of its eight neighbours beats. */
static float climb(const float *x, const float *w, float d, float dmin, int q_high, int *scale,
                   int *min)
{
    float best = line_error(x, w, d, dmin, *scale, *min, q_high);
    for (int move = 0; move < CLIMB_MAX; move++) {
        int from_scale = *scale, from_min = *min;
        for (int i = -1; i <= 1; i++)
            for (int j = -1; j <= 1; j++) {
                int s = from_scale + i, m = from_min + j;
                if ((i == 0 && j == 0) || s < 0 || s > SCALE_MAX || m < 0 || m > SCALE_MAX)
                    continue;
                float error = line_error(x, w, d, dmin, s, m, q_high);
                if (error < best) {
                    best = error;
                    *scale = s;
                    *min = m;
                }
            }
        if (*scale == from_scale && *min == from_min)
            break;
    }
    return best;
}

/* The least-squares d and dmin for the block's codes. */
static void refit_line(const float *x, const float *w, const LineBlock *b, int q_high, float *d,
                       float *dmin)
{
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
    float old_d = half_to_float(b->d), old_dmin = half_to_float(b->dmin);
    for (int g = 0; g < GROUPS; g++) {
        uint8_t codes[GROUP];
        float scale = (float)b->scales[g], min = (float)b->mins[g], sum_a = 0, sum_x = 0, sum_w = 0;
        affine_codes(x + g * GROUP, GROUP, old_d * scale, -(old_dmin * min), q_high, codes);
        for (int j = 0; j < GROUP; j++) {
            float a = scale * (float)codes[j], v = x[g * GROUP + j], weight = w[g * GROUP + j];
            aa += (double)(weight * (a * a));
            xa += (double)(weight * (v * a));
            sum_a += weight * a;
            sum_x += weight * v;
            sum_w += weight;
        }
        ab -= (double)(min * sum_a);
        bb += (double)(min * min * sum_w);
        xb -= (double)(min * sum_x);
    }
    double det = aa * bb - ab * ab;
    if (det > 1e-6 * aa * bb) {
        *d = (float)((xa * bb - xb * ab) / det);
        *dmin = (float)((xb * aa - xa * ab) / det);
    } else if (aa > 0) {
        *d = (float)(xa / aa);
    }
}

/* Improves a block that starts with the given halves; steps and lows are the groups' free fits. */
static void search_line(const float *x, const float *w, int q_high, const float *steps,
                        const float *lows, float d, float dmin, LineBlock *best)
{
    LineBlock b;
    for (int round = 0; round < ROUNDS; round++) {
        b.d = half_saturated(d);
        b.dmin = half_saturated(dmin);
        b.error = 0;
        float real_d = half_to_float(b.d), real_dmin = half_to_float(b.dmin);
        for (int g = 0; g < GROUPS; g++) {
            int scale = round ? b.scales[g] : in_units(steps[g], real_d);
            int min = round ? b.mins[g] : in_units(lows[g], real_dmin);
            scale = clamp_int(scale, 0, SCALE_MAX);
            min = clamp_int(min, 0, SCALE_MAX);
            b.error += climb(x + g * GROUP, w + g * GROUP, real_d, real_dmin, q_high, &scale, &min);
            b.scales[g] = (uint8_t)scale;
            b.mins[g] = (uint8_t)min;
        }
        if (b.error < best->error)
            *best = b;
        else if (round > 0)
            break;
        refit_line(x, w, &b, q_high, &d, &dmin);
    }
}

/* The minima of a block have one sign. It is the usual one, below zero, unless every group lies
 * above; a group on the wrong side is fitted again without a minimum. */
static float fit_groups(const float *x, const float *w, int q_high, float *steps, float *lows)
{
    float low_max = -INFINITY, low_min = INFINITY;
    for (int g = 0; g < GROUPS; g++) {
        float offset;
        affine_fit(x + g * GROUP, w + g * GROUP, GROUP, q_high, &steps[g], &offset);
        lows[g] = -offset;
        low_max = fmaxf(low_max, lows[g]);
        low_min = fminf(low_min, lows[g]);
    }
    if (low_max <= 0)
        return low_min;
    for (int g = 0; g < GROUPS; g++)
        if (lows[g] < 0) {
            steps[g] = fmaxf(0, scale_fit(x + g * GROUP, w + g * GROUP, GROUP, 0, q_high));
            lows[g] = 0;
        }
    return low_max;
}

static LineBlock fit_line_block(const float *x, const float *w, int q_high)
{
    float steps[GROUPS], lows[GROUPS], step_max = 0;
    float dmin = fit_groups(x, w, q_high, steps, lows) / (float)SCALE_MAX;
    for (int g = 0; g < GROUPS; g++)
        step_max = fmaxf(step_max, steps[g]);
    LineBlock best = {.error = INFINITY};
    static const float tops[] = {63.0f, 60.5f};
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++)
        search_line(x, w, q_high, steps, lows, step_max / tops[i], dmin, &best);
    return best;
}

static void pack_scales_mins(const LineBlock *b, uint8_t *q)
{
    for (int j = 0; j < 4; j++) {
        q[j] = (uint8_t)(b->scales[j] | b->scales[j + 4] >> 4 << 6);
        q[j + 4] = (uint8_t)(b->mins[j] | b->mins[j + 4] >> 4 << 6);
        q[j + 8] = (uint8_t)((b->scales[j + 4] & 15) | (b->mins[j + 4] & 15) << 4);
    }
}

static void encode_line_block(const float *x, const float *w, int q_high, uint8_t *out,
                              uint8_t *codes)
{
    LineBlock b = fit_line_block(x, w, q_high);
    float d = half_to_float(b.d), dmin = half_to_float(b.dmin);
    store_u16(out, b.d);
    store_u16(out + 2, b.dmin);
    pack_scales_mins(&b, out + 4);
    for (int g = 0; g < GROUPS; g++)
        affine_codes(x + g * GROUP, GROUP, d * (float)b.scales[g], -(dmin * (float)b.mins[g]),
                     q_high, codes + g * GROUP);
}

static void pack_nibbles(const uint8_t *codes, uint8_t *qs)
{
    for (int i = 0; i < QK_K / 2; i++) {
        const uint8_t *pair = codes + i / GROUP * 2 * GROUP + i % GROUP;
        qs[i] = (uint8_t)((pair[0] & 15) | (pair[GROUP] & 15) << 4);
    }
}

void encode_q4_k(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK_K];
    for (int64_t i = 0; i < n; i += QK_K, b += 144) {
        encode_line_block(in + i, w + i, 15, b, codes);
        pack_nibbles(codes, b + 16);
    }
}

void encode_q5_k(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK_K];
    for (int64_t i = 0; i < n; i += QK_K, b += 176) {
        encode_line_block(in + i, w + i, 31, b, codes);
        memset(b + 16, 0, GROUP);
        for (int j = 0; j < QK_K; j++)
            b[16 + j % GROUP] |= (uint8_t)(codes[j] >> 4 << j / GROUP);
        pack_nibbles(codes, b + 48);
    }
}

/* One Q6_K block: x ~ (d * scale) * q. */
typedef struct ScaleBlock {
    uint16_t d;
    int8_t scales[SMALL_GROUPS];
    float error;
} ScaleBlock;

static float refit_scale(const float *x, const float *w, const ScaleBlock *b)
{
    double aa = 0, xa = 0;
    float d = half_to_float(b->d);
    for (int g = 0; g < SMALL_GROUPS; g++) {
        uint8_t codes[SMALL_GROUP];
        scale_codes(x + g * SMALL_GROUP, SMALL_GROUP, d * (float)b->scales[g], Q6_LOW, Q6_HIGH,
                    codes);
        for (int j = 0; j < SMALL_GROUP; j++) {
            float a = (float)b->scales[g] * (float)(codes[j] + Q6_LOW);
            float weighted = w[g * SMALL_GROUP + j] * a;
            aa += (double)(weighted * a);
            xa += (double)(x[g * SMALL_GROUP + j] * weighted);
        }
    }
    return aa > 0 ? (float)(xa / aa) : d;
}

/* The number furthest from zero. */
static float extreme_of(const float *x)
{
    float extreme = 0;
    for (int j = 0; j < SMALL_GROUP; j++)
        if (fabsf(x[j]) > fabsf(extreme))
            extreme = x[j];
    return extreme;
}

/* Every whole scale that puts the extreme number near the end of the range, on either side, is
 * tried: with 16 numbers a group, each one draws the roundings anew, and the best draw is well
 * below the mean. */
static float best_scale(const float *x, const float *w, float d, float extreme, int8_t *scale)
{
    enum { BELOW = 1, ABOVE = 8 };
    float best = INFINITY;
    *scale = 0;
    for (int side = 0; side < 2; side++) {
        int centre = in_units(extreme / (float)(side ? Q6_HIGH : Q6_LOW), d),
            out = centre < 0 ? -1 : 1;
        for (int k = -BELOW; k <= ABOVE; k++) {
            int s = centre + out * k;
            if (s < -128 || s > 127)
                continue;
            float error = scale_error(x, w, SMALL_GROUP, d * (float)s, Q6_LOW, Q6_HIGH);
            if (error < best) {
                best = error;
                *scale = (int8_t)s;
            }
        }
    }
    return best;
}

static ScaleBlock fit_scale_block(const float *x, const float *w)
{
    float extremes[SMALL_GROUPS], extreme = 0;
    for (int g = 0; g < SMALL_GROUPS; g++) {
        extremes[g] = extreme_of(x + g * SMALL_GROUP);
        extreme = fmaxf(extreme, fabsf(extremes[g]));
    }
    ScaleBlock best = {.error = INFINITY}, b;
    static const float tops[] = {118.0f * -Q6_LOW};
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
        float d = extreme / tops[i];
        for (int round = 0; round < 2; round++) {
            b.d = half_saturated(d);
            b.error = 0;
            for (int g = 0; g < SMALL_GROUPS; g++)
                b.error += best_scale(x + g * SMALL_GROUP, w + g * SMALL_GROUP, half_to_float(b.d),
                                      extremes[g], &b.scales[g]);
            if (b.error < best.error)
                best = b;
            else if (round > 0)
                break;
            d = refit_scale(x, w, &b);
        }
    }
    return best;
}

void encode_q6_k(const float *in, const float *w, uint8_t *b, int64_t n)
{
    uint8_t codes[QK_K];
    for (int64_t i = 0; i < n; i += QK_K, b += 210) {
        ScaleBlock block = fit_scale_block(in + i, w + i);
        float d = half_to_float(block.d);
        for (int g = 0; g < SMALL_GROUPS; g++)
            scale_codes(in + i + g * SMALL_GROUP, SMALL_GROUP, d * (float)block.scales[g], Q6_LOW,
                        Q6_HIGH, codes + g * SMALL_GROUP);
        memset(b, 0, 192);
        for (int j = 0; j < QK_K; j++) {
            int half = j / 128, quarter = j / 32 % 4, l = j % 32;
            b[half * 64 + quarter % 2 * 32 + l] |= (uint8_t)((codes[j] & 15) << quarter / 2 * 4);
            b[128 + half * 32 + l] |= (uint8_t)(codes[j] >> 4 << quarter * 2);
        }
        memcpy(b + 192, block.scales, SMALL_GROUPS);
        store_u16(b + 208, block.d);
    }
}
