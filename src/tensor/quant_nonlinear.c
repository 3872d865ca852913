/* Types whose 4-bit codes stand for unevenly spaced numbers: IQ4_NL (a half scales 32), IQ4_XS (a
 * half and eight 6-bit scales, 256), MXFP4 (a power of two scales 32). Byte j of 16 holds elements
 * j and j + 16. Layouts: ggml's ggml-common.h; docs/formats.md draws them. */
#include "tensor/quant_search.h"
#include "tensor/quant_types.h"

#include <math.h>

enum { IQ4_NL_BYTES = 18, IQ4_XS_BYTES = 136, MXFP4_BYTES = 17, GROUPS = 8, SCALE_LOW = -32 };

const int8_t IQ4_VALUES[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                               1,    13,   25,  38,  53,  69,  89,  113};
const int8_t E2M1_VALUES[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static void decode_32(const uint8_t *qs, const int8_t values[16], float scale, float *out)
{
    for (int j = 0; j < QK / 2; j++) {
        out[j] = scale * (float)values[qs[j] & 15];
        out[j + QK / 2] = scale * (float)values[qs[j] >> 4];
    }
}

void decode_iq4_nl(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += IQ4_NL_BYTES)
        decode_32(b + 2, IQ4_VALUES, load_half(b), out + i);
}

void decode_iq4_xs(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += IQ4_XS_BYTES) {
        float d = load_half(b);
        unsigned high = load_u16(b + 2);
        for (int g = 0; g < GROUPS; g++) {
            int scale = (b[4 + g / 2] >> g % 2 * 4 & 15) + (int)(high >> 2 * g & 3) * 16;
            decode_32(b + 8 + 16 * g, IQ4_VALUES, d * (float)(scale + SCALE_LOW), out + i + g * QK);
        }
    }
}

void decode_mxfp4(const uint8_t *b, float *out, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += MXFP4_BYTES)
        decode_32(b + 1, E2M1_VALUES, e8m0_half(b[0]), out + i);
}

/* ---- Encoding: every scale in a grid is judged by the exact squared error ---- */

/* The code whose value is nearest to v; E2M1's values are those of |v|, with a sign bit. */
static uint8_t nearest_iq4(float v)
{
    int low = 0, high = 15;
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (v < (float)IQ4_VALUES[middle])
            high = middle;
        else
            low = middle;
    }
    return (uint8_t)(v - (float)IQ4_VALUES[low] < (float)IQ4_VALUES[high] - v ? low : high);
}

static uint8_t nearest_e2m1(float v)
{
    float size = fabsf(v);
    int code = 7;
    while (code > 0 && size * 2 < (float)(E2M1_VALUES[code] + E2M1_VALUES[code - 1]))
        code--;
    return (uint8_t)(code | (v < 0 && code > 0 ? 8 : 0));
}

typedef uint8_t Nearest(float v);

/* The codes for a scale, and the squared error that they leave; codes may be NULL. */
static float code_error(const float *x, const float *w, float scale, const int8_t values[16],
                        Nearest *nearest, uint8_t *codes)
{
    float inverse = fabsf(scale) > 1e-37f ? 1 / scale : 0, error = 0;
    for (int j = 0; j < QK; j++) {
        uint8_t code = nearest(x[j] * inverse);
        float off = x[j] - scale * (float)values[code];
        error += w[j] * (off * off);
        if (codes)
            codes[j] = code;
    }
    return error;
}

static void pack_32(const uint8_t *codes, uint8_t *qs)
{
    for (int j = 0; j < QK / 2; j++)
        qs[j] = (uint8_t)(codes[j] | codes[j + QK / 2] << 4);
}

static float extreme_of(const float *x)
{
    float extreme = 0;
    for (int j = 0; j < QK; j++)
        if (fabsf(x[j]) > fabsf(extreme))
            extreme = x[j];
    return extreme;
}

typedef float Lanes __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));
typedef float LooseLanes __attribute__((vector_size(16), aligned(4), may_alias));

static float sum_lanes(Lanes v) { return (v[0] + v[2]) + (v[1] + v[3]); }

/* What the codes that `scale` gives allow: the least-squares scale for them, and how much of the
 * numbers' square it explains. The nearest value is the lowest plus the steps up to it. */
static float iq4_gain(const float *x, const float *w, float scale, float *best)
{
    float inverse = fabsf(scale) > 1e-37f ? 1 / scale : 0;
    Lanes xv = {0}, vv = {0};
    for (int i = 0; i < QK; i += 4) {
        Lanes v = *(const LooseLanes *)(x + i), at = v * inverse, value_w,
              value = (float)IQ4_VALUES[0] - (Lanes){0};
        for (int code = 1; code < 16; code++) {
            float low = (float)IQ4_VALUES[code - 1], high = (float)IQ4_VALUES[code];
            Lanes step = (high - low) - (Lanes){0}, middle = (low + high) / 2 - (Lanes){0};
            value += (Lanes)((Mask)step & (Mask)(at > middle));
        }
        value_w = value * *(const LooseLanes *)(w + i);
        xv += v * value_w;
        vv += value * value_w;
    }
    float sum_xv = sum_lanes(xv);
    *best = sum_xv / fmaxf(sum_lanes(vv), 1e-37f);
    return *best * sum_xv;
}

/* A free scale for 32 numbers with nearly the least error. */
static float fit_iq4(const float *x, const float *w)
{
    enum { POLISH_ROUNDS = 3 };
    float extremes[2], best = 0, best_gain = 0, fitted;
    const int n_tried = 2 * extremes_of(x, w, QK, extremes);
    for (int i = 0; i < n_tried; i++)
        for (int k = -4; k <= 8; k++) {
            float reach = (float)IQ4_VALUES[i % 2 ? 15 : 0] * (1 + 0.022f * (float)k);
            float gain = iq4_gain(x, w, extremes[i / 2] / reach, &fitted);
            if (gain > best_gain) {
                best_gain = gain;
                best = fitted;
            }
        }
    for (int round = 0; round < POLISH_ROUNDS; round++) {
        float gain = iq4_gain(x, w, best, &fitted);
        if (!(gain > best_gain))
            break;
        best_gain = gain;
        best = fitted;
    }
    return best;
}

void encode_iq4_nl(const float *in, const float *w, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += IQ4_NL_BYTES) {
        uint8_t codes[QK];
        uint16_t d = half_saturated(fit_iq4(in + i, w + i));
        (void)code_error(in + i, w + i, half_to_float(d), IQ4_VALUES, nearest_iq4, codes);
        store_u16(b, d);
        pack_32(codes, b + 2);
    }
}

/* One IQ4_XS block: x ~ (d * scale) * value. */
typedef struct ScaledBlock {
    uint16_t d;
    int8_t scales[GROUPS];
    float error;
} ScaledBlock;

static void choose_scales(const float *x, const float *w, const float *fitted, float d,
                          ScaledBlock *best)
{
    ScaledBlock b = {.d = half_saturated(d)};
    float real = half_to_float(b.d);
    for (int g = 0; g < GROUPS; g++) {
        int centre = real != 0 ? (int)rintf(fmaxf(-64, fminf(64, fitted[g] / real))) : 0;
        float least = INFINITY;
        for (int s = centre - 2; s <= centre + 2; s++) {
            if (s < SCALE_LOW || s > -SCALE_LOW - 1)
                continue;
            float error =
                code_error(x + g * QK, w + g * QK, real * (float)s, IQ4_VALUES, nearest_iq4, NULL);
            if (error < least) {
                least = error;
                b.scales[g] = (int8_t)s;
            }
        }
        b.error += least;
    }
    if (b.error < best->error)
        *best = b;
}

void encode_iq4_xs(const float *in, const float *w, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK_K, b += IQ4_XS_BYTES) {
        float fitted[GROUPS], extreme = 0;
        for (int g = 0; g < GROUPS; g++) {
            fitted[g] = fit_iq4(in + i + g * QK, w + i + g * QK);
            if (fabsf(fitted[g]) > fabsf(extreme))
                extreme = fitted[g];
        }
        ScaledBlock best = {.error = INFINITY};
        for (int top = 26; top <= 32; top++)
            choose_scales(in + i, w + i, fitted, extreme / (float)-top, &best);
        memset(b, 0, 8);
        store_u16(b, best.d);
        unsigned high = 0;
        for (int g = 0; g < GROUPS; g++) {
            uint8_t codes[QK];
            unsigned scale = (unsigned)(best.scales[g] - SCALE_LOW);
            (void)code_error(in + i + g * QK, w + i + g * QK,
                             half_to_float(best.d) * (float)best.scales[g], IQ4_VALUES, nearest_iq4,
                             codes);
            high |= (scale >> 4) << 2 * g;
            b[4 + g / 2] |= (uint8_t)((scale & 15) << g % 2 * 4);
            pack_32(codes, b + 8 + 16 * g);
        }
        store_u16(b + 2, (uint16_t)high);
    }
}

/* The extreme number at 12 or below, or clipped to it. */
void encode_mxfp4(const float *in, const float *w, uint8_t *b, int64_t n)
{
    for (int64_t i = 0; i < n; i += QK, b += MXFP4_BYTES) {
        float least = INFINITY, extreme = fabsf(extreme_of(in + i));
        int exponent;
        (void)frexpf(extreme / 12, &exponent);
        b[0] = 0;
        for (int k = -1; k <= 1; k++) {
            int e = exponent + k + 128;
            if (e < 0 || e > 254)
                continue;
            uint8_t codes[QK];
            float error =
                code_error(in + i, w + i, e8m0_half((uint8_t)e), E2M1_VALUES, nearest_e2m1, codes);
            if (error < least) {
                least = error;
                b[0] = (uint8_t)e;
                pack_32(codes, b + 1);
            }
        }
        if (least == INFINITY)
            memset(b + 1, 0, QK / 2);
    }
}
