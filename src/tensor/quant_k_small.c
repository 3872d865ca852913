/* Encoding of Q2_K and Q3_K (layouts: quant_k.c): sixteen groups of 16. As in quant_k_encode.c the
 * groups are fitted with free scales, the whole-number scales near them are tried against the
 * common halves, and the halves follow by least squares; the best block met is kept. */
#include "tensor/quant_search.h"
#include "tensor/quant_types.h"

#include <math.h>

enum {
    GROUPS = 16,
    GROUP = 16,
    Q2_HIGH = 3,
    Q2_SCALE_MAX = 15,
    Q3_LOW = -4,
    Q3_HIGH = 3,
    Q3_SCALE_LOW = -32,
    ROUNDS = 3
};

static int in_units(float v, float unit)
{
    return unit != 0 ? (int)rintf(fmaxf(-1e6f, fminf(1e6f, v / unit))) : 0;
}

static int clamp_int(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

/* One Q2_K block: x ~ (d * scale) * q - dmin * min. */
typedef struct LineBlock {
    uint16_t d, dmin;
    uint8_t scales[GROUPS], mins[GROUPS];
    float error;
} LineBlock;

/* Tries every minimum, and for each the scales around what its numbers ask for. */
static float best_line(const float *x, const float *w, float step, float d, float dmin,
                       uint8_t *scale, uint8_t *min)
{
    float least = INFINITY;
    int centre = in_units(step, d);
    for (int m = 0; m <= Q2_SCALE_MAX; m++) {
        for (int s = centre - 2; s <= centre + 2; s++) {
            if (s < 0 || s > Q2_SCALE_MAX)
                continue;
            float error = affine_error(x, w, GROUP, d * (float)s, -(dmin * (float)m), Q2_HIGH);
            if (error < least) {
                least = error;
                *scale = (uint8_t)s;
                *min = (uint8_t)m;
            }
        }
    }
    return least;
}

/* The least-squares d and dmin for the block's codes. */
static void refit_line(const float *x, const float *w, const LineBlock *b, float *d, float *dmin)
{
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
    float old_d = half_to_float(b->d), old_dmin = half_to_float(b->dmin);
    for (int g = 0; g < GROUPS; g++) {
        uint8_t codes[GROUP];
        float scale = (float)b->scales[g], min = (float)b->mins[g];
        affine_codes(x + g * GROUP, GROUP, old_d * scale, -(old_dmin * min), Q2_HIGH, codes);
        for (int j = 0; j < GROUP; j++) {
            double a = (double)scale * codes[j], m = -(double)min, v = (double)x[g * GROUP + j];
            double weight = (double)w[g * GROUP + j];
            aa += weight * (a * a);
            ab += weight * (a * m);
            bb += weight * (m * m);
            xa += weight * (v * a);
            xb += weight * (v * m);
        }
    }
    double det = aa * bb - ab * ab;
    if (det > 1e-6 * aa * bb) {
        *d = (float)((xa * bb - xb * ab) / det);
        *dmin = (float)((xb * aa - xa * ab) / det);
    } else if (aa > 0) {
        *d = (float)(xa / aa);
    }
}

static LineBlock fit_line_block(const float *x, const float *w)
{
    float steps[GROUPS], lows[GROUPS], step_max = 0, low_max = -INFINITY, low_min = INFINITY;
    for (int g = 0; g < GROUPS; g++) {
        float offset;
        affine_fit(x + g * GROUP, w + g * GROUP, GROUP, Q2_HIGH, &steps[g], &offset);
        lows[g] = -offset;
        step_max = fmaxf(step_max, steps[g]);
        low_max = fmaxf(low_max, lows[g]);
        low_min = fminf(low_min, lows[g]);
    }
    LineBlock best = {.error = INFINITY}, b;
    float d = step_max / (float)Q2_SCALE_MAX,
          dmin = (low_max > 0 ? low_max : low_min) / (float)Q2_SCALE_MAX;
    for (int round = 0; round < ROUNDS; round++) {
        b.d = half_saturated(d);
        b.dmin = half_saturated(dmin);
        b.error = 0;
        for (int g = 0; g < GROUPS; g++)
            b.error += best_line(x + g * GROUP, w + g * GROUP, steps[g], half_to_float(b.d),
                                 half_to_float(b.dmin), &b.scales[g], &b.mins[g]);
        if (b.error < best.error)
            best = b;
        else if (round > 0)
            break;
        refit_line(x, w, &b, &d, &dmin);
    }
    return best;
}

static void pack_two_bits(const uint8_t *codes, uint8_t *qs)
{
    memset(qs, 0, QK_K / 4);
    for (int j = 0; j < QK_K; j++)
        qs[j / 128 * 32 + j % 32] |= (uint8_t)((codes[j] & 3) << j / 32 % 4 * 2);
}

void encode_q2_k(const float *in, const float *w, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += 84) {
        LineBlock block = fit_line_block(in + i, w + i);
        uint8_t codes[QK_K];
        float d = half_to_float(block.d), dmin = half_to_float(block.dmin);
        for (int g = 0; g < GROUPS; g++) {
            affine_codes(in + i + g * GROUP, GROUP, d * (float)block.scales[g],
                         -(dmin * (float)block.mins[g]), Q2_HIGH, codes + g * GROUP);
            b[g] = (uint8_t)(block.scales[g] | block.mins[g] << 4);
        }
        pack_two_bits(codes, b + 16);
        store_u16(b + 80, block.d);
        store_u16(b + 82, block.dmin);
    }
}

/* One Q3_K block: x ~ (d * scale) * q. */
typedef struct ScaleBlock {
    uint16_t d;
    int8_t scales[GROUPS];
    float error;
} ScaleBlock;

/* Scales around the free fit, of either sign: the side with one level more may go either way. */
static float best_scale(const float *x, const float *w, float fitted, float d, int8_t *scale)
{
    enum { AROUND = 3 };
    float least = INFINITY;
    *scale = 0;
    for (int side = -1; side <= 1; side += 2) {
        int centre = side * in_units(fitted, d);
        for (int s = centre - AROUND; s <= centre + AROUND; s++) {
            int whole = clamp_int(s, Q3_SCALE_LOW, -Q3_SCALE_LOW - 1);
            float error = scale_error(x, w, GROUP, d * (float)whole, Q3_LOW, Q3_HIGH);
            if (error < least) {
                least = error;
                *scale = (int8_t)whole;
            }
        }
    }
    return least;
}

static float refit_scale(const float *x, const float *w, const ScaleBlock *b)
{
    double aa = 0, xa = 0;
    float d = half_to_float(b->d);
    for (int g = 0; g < GROUPS; g++) {
        uint8_t codes[GROUP];
        scale_codes(x + g * GROUP, GROUP, d * (float)b->scales[g], Q3_LOW, Q3_HIGH, codes);
        for (int j = 0; j < GROUP; j++) {
            double a = (double)b->scales[g] * (codes[j] + Q3_LOW);
            double weighted = (double)w[g * GROUP + j] * a;
            aa += weighted * a;
            xa += (double)x[g * GROUP + j] * weighted;
        }
    }
    return aa > 0 ? (float)(xa / aa) : d;
}

static ScaleBlock fit_scale_block(const float *x, const float *w)
{
    float fitted[GROUPS], extreme = 0;
    for (int g = 0; g < GROUPS; g++) {
        fitted[g] = scale_fit(x + g * GROUP, w + g * GROUP, GROUP, Q3_LOW, Q3_HIGH);
        extreme = fmaxf(extreme, fabsf(fitted[g]));
    }
    static const float tops[] = {32.0f, 30.0f, 27.5f};
    ScaleBlock best = {.error = INFINITY}, b;
    for (size_t i = 0; i < sizeof tops / sizeof *tops; i++) {
        float d = extreme / tops[i];
        for (int round = 0; round < 2; round++) {
            b.d = half_saturated(d);
            b.error = 0;
            for (int g = 0; g < GROUPS; g++)
                b.error += best_scale(x + g * GROUP, w + g * GROUP, fitted[g], half_to_float(b.d),
                                      &b.scales[g]);
            if (b.error < best.error)
                best = b;
            else if (round > 0)
                break;
            d = refit_scale(x, w, &b);
        }
    }
    return best;
}

void encode_q3_k(const float *in, const float *w, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += 110) {
        ScaleBlock block = fit_scale_block(in + i, w + i);
        uint8_t codes[QK_K];
        for (int g = 0; g < GROUPS; g++)
            scale_codes(in + i + g * GROUP, GROUP, half_to_float(block.d) * (float)block.scales[g],
                        Q3_LOW, Q3_HIGH, codes + g * GROUP);
        memset(b, 0, 32);
        for (int j = 0; j < QK_K; j++)
            b[j % 32] |= (uint8_t)((codes[j] >> 2) << j / 32);
        pack_two_bits(codes, b + 32);
        memset(b + 96, 0, 12);
        for (int g = 0; g < GROUPS; g++) {
            int scale = block.scales[g] - Q3_SCALE_LOW;
            b[96 + g % 8] |= (uint8_t)((scale & 15) << g / 8 * 4);
            b[104 + g % 4] |= (uint8_t)(scale >> 4 << g / 4 * 2);
        }
        store_u16(b + 108, block.d);
    }
}
