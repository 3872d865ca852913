/* See quant_search.h. The fits scan a grid of scales (the right one is rarely max / q_max: a little
 * clipping, or a little slack, moves all the roundings), judge each by the least-squares scale for
 * the codes it gives, and polish the best. Sums run in four lanes, on every machine, so that the
 * result is the same on all of them. */
#include "tensor/quant_search.h"

#include "base/half.h"

#include <math.h>

enum { LANES = 4, POLISH_ROUNDS = 4 };

typedef float Lanes __attribute__((vector_size(16)));
typedef int32_t Mask __attribute__((vector_size(16)));
typedef float LooseLanes __attribute__((vector_size(16), aligned(4), may_alias));

/* Adding and subtracting 1.5 * 2^23 rounds |v| < 2^22 to the nearest whole number, ties to even. */
static const float ROUNDER = 12582912.0f;

static inline Lanes load(const float *p) { return *(const LooseLanes *)p; }

static inline float sum_lanes(Lanes v) { return (v[0] + v[2]) + (v[1] + v[3]); }

static inline Lanes choose(Mask mask, Lanes a, Lanes b)
{
    return (Lanes)((mask & (Mask)a) | (~mask & (Mask)b));
}

/* The nearest whole numbers to v in [low, high]; both whole. */
static inline Lanes to_codes(Lanes v, float low, float high)
{
    Lanes lows = low - (Lanes){0}, highs = high - (Lanes){0};
    v = choose(v < lows, lows, v);
    v = choose(v > highs, highs, v);
    return v + ROUNDER - ROUNDER;
}

static inline float clamp(float v, float low, float high)
{
    v = v < low ? low : v;
    return v > high ? high : v;
}

static inline float to_code(float v, float low, float high)
{
    return clamp(v, low, high) + ROUNDER - ROUNDER;
}

/* 1 / scale; 0 for a scale too small to divide by, which makes every code 0. */
static inline float inverse(float scale) { return fabsf(scale) > 1e-37f ? 1 / scale : 0; }

float scale_error(const float *x, const float *w, int n, float scale, int q_low, int q_high)
{
    float inv = inverse(scale), low = (float)q_low, high = (float)q_high;
    Lanes sum = {0};
    for (int i = 0; i < n; i += LANES) {
        Lanes v = load(x + i), q = to_codes(v * inv, low, high);
        v -= q * scale;
        sum += load(w + i) * (v * v);
    }
    return sum_lanes(sum);
}

float affine_error(const float *x, const float *w, int n, float step, float offset, int q_high)
{
    float inv = inverse(step), high = (float)q_high;
    Lanes sum = {0};
    for (int i = 0; i < n; i += LANES) {
        Lanes v = load(x + i), q = to_codes((v - offset) * inv, 0, high);
        v -= q * step + offset;
        sum += load(w + i) * (v * v);
    }
    return sum_lanes(sum);
}

void scale_codes(const float *x, int n, float scale, int q_low, int q_high, uint8_t *codes)
{
    float inv = inverse(scale);
    for (int i = 0; i < n; i++)
        codes[i] = (uint8_t)((int)to_code(x[i] * inv, (float)q_low, (float)q_high) - q_low);
}

void affine_codes(const float *x, int n, float step, float offset, int q_high, uint8_t *codes)
{
    float inv = inverse(step);
    for (int i = 0; i < n; i++)
        codes[i] = (uint8_t)to_code((x[i] - offset) * inv, 0, (float)q_high);
}

uint16_t half_saturated(float v) { return half_from_float(clamp(v, -65504.0f, 65504.0f)); }

/* What the codes that `scale` gives allow: the least-squares scale for them, and how much of the
 * numbers' square it explains (the larger, the smaller the error). */
static float scale_gain(const float *x, const float *w, int n, float scale, int q_low, int q_high,
                        float *best)
{
    float inv = inverse(scale), low = (float)q_low, high = (float)q_high;
    Lanes xq = {0}, qq = {0};
    for (int i = 0; i < n; i += LANES) {
        Lanes v = load(x + i), q = to_codes(v * inv, low, high), wq = load(w + i) * q;
        xq += v * wq;
        qq += q * wq;
    }
    float sum_xq = sum_lanes(xq), sum_qq = sum_lanes(qq);
    *best = sum_qq > 0 ? sum_xq / sum_qq : 0;
    return *best * sum_xq;
}

int extremes_of(const float *x, const float *w, int n, float extremes[2])
{
    int furthest = 0, loudest = 0;
    for (int i = 1; i < n; i++) {
        if (fabsf(x[i]) > fabsf(x[furthest]))
            furthest = i;
        if (w[i] * x[i] * x[i] > w[loudest] * x[loudest] * x[loudest])
            loudest = i;
    }
    extremes[0] = x[furthest];
    extremes[1] = x[loudest];
    return fabsf(x[furthest]) == fabsf(x[loudest]) ? 1 : 2;
}

/* Tries scales that put `extreme` near either end of the range. */
static void scan_scales(const float *x, const float *w, int n, float extreme, int q_low, int q_high,
                        float *best, float *best_gain)
{
    float fitted;
    /* The extreme number at `reach` steps on the side with one level more, or on the other. */
    for (int side = 0; side < 2; side++) {
        float bound = (float)(side ? q_high : q_low), unit = bound < 0 ? -1.0f : 1.0f;
        if (bound == 0)
            continue;
        for (int k = -7; k <= 12; k++) {
            float reach = bound + unit * (float)k * (fabsf(bound) * 0.012f + 0.04f);
            float gain = scale_gain(x, w, n, extreme / reach, q_low, q_high, &fitted);
            if (gain > *best_gain) {
                *best_gain = gain;
                *best = fitted;
            }
        }
    }
}

float scale_fit(const float *x, const float *w, int n, int q_low, int q_high)
{
    float extremes[2], best = 0, best_gain = 0, fitted;
    int n_extremes = extremes_of(x, w, n, extremes);
    for (int i = 0; i < n_extremes; i++)
        scan_scales(x, w, n, extremes[i], q_low, q_high, &best, &best_gain);
    for (int round = 0; round < POLISH_ROUNDS; round++) {
        float gain = scale_gain(x, w, n, best, q_low, q_high, &fitted);
        if (!(gain > best_gain))
            break;
        best_gain = gain;
        best = fitted;
    }
    return best;
}

typedef struct Line {
    float step, offset, gain;
} Line;

/* As scale_gain, for step and offset. x is centred, so the sums do not cancel. */
static Line affine_gain(const float *x, const float *w, int n, Line from, int q_high)
{
    float inv = inverse(from.step), high = (float)q_high;
    Lanes xq = {0}, qq = {0}, q1 = {0}, x1 = {0}, one = {0};
    for (int i = 0; i < n; i += LANES) {
        Lanes v = load(x + i), q = to_codes((v - from.offset) * inv, 0, high);
        Lanes weight = load(w + i), wq = weight * q;
        xq += v * wq;
        qq += q * wq;
        q1 += wq;
        x1 += v * weight;
        one += weight;
    }
    float sum_xq = sum_lanes(xq), sum_qq = sum_lanes(qq), sum_q = sum_lanes(q1),
          sum_x = sum_lanes(x1), count = sum_lanes(one);
    float det = count * sum_qq - sum_q * sum_q;
    Line line = {0};
    if (det > 0) {
        line.step = (count * sum_xq - sum_x * sum_q) / det;
        line.offset = (sum_x - line.step * sum_q) / count;
        line.gain = line.step * sum_xq + line.offset * sum_x;
    }
    return line;
}

void affine_fit(const float *x, const float *w, int n, int q_high, float *step, float *offset)
{
    float low = x[0], high = x[0], centred[32];
    for (int i = 1; i < n; i++) {
        low = x[i] < low ? x[i] : low;
        high = x[i] > high ? x[i] : high;
    }
    float middle = 0.5f * low + 0.5f * high, range = high - low;
    for (int i = 0; i < n; i++)
        centred[i] = x[i] - middle;
    Line best = {0, 0, 0};
    for (int k = -6; k <= 12; k += 2) {
        float first = range / ((float)q_high + (float)k * ((float)q_high * 0.012f + 0.06f));
        for (int shift = -1; shift <= 1; shift++) {
            /* Slack or clipping is shared by both ends, or falls to one. */
            float slack = (first * (float)q_high - range) * 0.5f * (float)(1 + shift);
            Line line = affine_gain(centred, w, n, (Line){first, low - middle - slack, 0}, q_high);
            if (line.gain > best.gain)
                best = line;
        }
    }
    for (int round = 0; round < POLISH_ROUNDS; round++) {
        Line line = affine_gain(centred, w, n, best, q_high);
        if (!(line.gain > best.gain))
            break;
        best = line;
    }
    *step = best.step;
    *offset = best.offset + middle;
}
