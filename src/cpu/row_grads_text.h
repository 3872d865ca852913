/* The functions of row_grads.h, included by one file for each instruction-set level. Sums run in
 * SUM_LANES lanes (vector_math.h), so the compiler may use vectors of any width.
 *
 * REAL is float here; the tests compile the same text with double and hold it against finite
 * differences. */
#ifndef REAL
#include "cpu/vector_math.h"
#define REAL float
#define REAL_EXP exp_f32
#define REAL_LOG logf
#define REAL_SQRT sqrtf
#endif

/* Adds the lanes by halves. */
static inline REAL rows_fold(REAL lanes[SUM_LANES])
{
    for (int width = SUM_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

/* Sum over i < n of the expression in i, lane i mod SUM_LANES. */
#define ROWS_SUM(result, n, expression)                                                            \
    do {                                                                                           \
        REAL lanes[SUM_LANES] = {0};                                                               \
        int base = 0;                                                                              \
        for (; base + SUM_LANES <= (n); base += SUM_LANES)                                         \
            for (int lane = 0; lane < SUM_LANES; lane++) {                                         \
                const int i = base + lane;                                                         \
                lanes[lane] += (expression);                                                       \
            }                                                                                      \
        for (int i = base; i < (n); i++)                                                           \
            lanes[i - base] += (expression);                                                       \
        (result) = rows_fold(lanes);                                                               \
    } while (0)

static REAL rows_rms_inverse(const REAL *x, int n, REAL eps)
{
    REAL sum;
    ROWS_SUM(sum, n, x[i] * x[i]);
    return 1 / REAL_SQRT(sum / (REAL)n + eps);
}

static void rows_rms_norm(const REAL *x, const REAL *w, const REAL *dy, REAL inverse, int n,
                          bool accumulate, REAL *dx)
{
    REAL sum;
    ROWS_SUM(sum, n, w[i] * dy[i] * x[i]);
    const REAL along = sum / (REAL)n * inverse * inverse;
    if (accumulate)
        for (int i = 0; i < n; i++)
            dx[i] += inverse * (w[i] * dy[i] - x[i] * along);
    else
        for (int i = 0; i < n; i++)
            dx[i] = inverse * (w[i] * dy[i] - x[i] * along);
}

static void rows_rope(REAL *dx, const REAL *table, int n_heads, int head_dim)
{
    const int half = head_dim / 2;
    for (int h = 0; h < n_heads; h++) {
        REAL *low = dx + (size_t)h * (size_t)head_dim, *high = low + half;
        for (int j = 0; j < half; j++) {
            const REAL a = low[j], b = high[j], c = table[j], s = table[half + j];
            low[j] = a * c + b * s;
            high[j] = b * c - a * s;
        }
    }
}

static void rows_swiglu(const REAL *gate, const REAL *up, const REAL *dout, int n, REAL *dgate,
                        REAL *dup)
{
    for (int i = 0; i < n; i++) {
        const REAL z = gate[i], d = dout[i], s = 1 / (1 + REAL_EXP(-z));
        dgate[i] = d * up[i] * s * (1 + z * (1 - s));
        dup[i] = d * z * s;
    }
}

static void rows_scale(const REAL *x, REAL a, int n, REAL *y)
{
    for (int i = 0; i < n; i++)
        y[i] = a * x[i];
}

static REAL rows_dot(const REAL *x, const REAL *y, int n)
{
    REAL sum;
    ROWS_SUM(sum, n, x[i] * y[i]);
    return sum;
}

static REAL rows_max(const REAL *x, int n, REAL so_far)
{
    REAL lanes[SUM_LANES];
    int base = 0;
    for (int i = 0; i < SUM_LANES; i++)
        lanes[i] = so_far;
    for (; base + SUM_LANES <= n; base += SUM_LANES)
        for (int i = 0; i < SUM_LANES; i++)
            lanes[i] = x[base + i] > lanes[i] ? x[base + i] : lanes[i];
    for (int i = base; i < n; i++)
        lanes[0] = x[i] > lanes[0] ? x[i] : lanes[0];
    for (int i = 1; i < SUM_LANES; i++)
        lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
}

static REAL rows_sum_exp(const REAL *x, int n, REAL max)
{
    REAL sum;
    ROWS_SUM(sum, n, REAL_EXP(x[i] - max));
    return sum;
}

static void rows_attention(REAL *s, REAL *dp, int n, REAL lse, REAL delta, REAL scale)
{
    for (int i = 0; i < n; i++) {
        s[i] = REAL_EXP(s[i] - lse);
        dp[i] = s[i] * (dp[i] - delta) * scale;
    }
}

static REAL rows_xent(REAL *logits, int n, int target, REAL weight)
{
    const REAL max = rows_max(logits, n, logits[0]), chosen = logits[target];
    for (int i = 0; i < n; i++)
        logits[i] = REAL_EXP(logits[i] - max);
    REAL sum;
    ROWS_SUM(sum, n, logits[i]);
    rows_scale(logits, weight / sum, n, logits);
    logits[target] -= weight;
    return REAL_LOG(sum) + max - chosen;
}

#ifdef WEN_ROWS_F32 /* what needs no derivative */
static void rows_add(float *y, const float *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += x[i];
}

static void rows_rms_norm_weight(Mat x, Mat dy, const float *inverse, float *dw)
{
    float sums[COLUMNS_MAX];
    memcpy(sums, dw, sizeof(float) * (size_t)x.cols);
    for (int t = 0; t < x.rows; t++) {
        const float *a = x.data + (size_t)t * (size_t)x.stride;
        const float *b = dy.data + (size_t)t * (size_t)dy.stride;
        for (int i = 0; i < x.cols; i++)
            sums[i] += a[i] * inverse[t] * b[i];
    }
    memcpy(dw, sums, sizeof(float) * (size_t)x.cols);
}

static void rows_column_sums(Mat x, float *sums)
{
    float local[COLUMNS_MAX];
    memcpy(local, sums, sizeof(float) * (size_t)x.cols);
    for (int t = 0; t < x.rows; t++)
        for (int i = 0; i < x.cols; i++)
            local[i] += x.data[(size_t)t * (size_t)x.stride + (size_t)i];
    memcpy(sums, local, sizeof(float) * (size_t)x.cols);
}

static double rows_sum_squares(const float *x, int n)
{
    double lanes[SUM_LANES] = {0};
    int base = 0;
    for (; base + SUM_LANES <= n; base += SUM_LANES)
        for (int i = 0; i < SUM_LANES; i++)
            lanes[i] += (double)x[base + i] * (double)x[base + i];
    for (int i = base; i < n; i++)
        lanes[i - base] += (double)x[i] * (double)x[i];
    for (int i = 1; i < SUM_LANES; i++)
        lanes[0] += lanes[i];
    return lanes[0];
}

static void rows_adamw(const AdamW *a, int n, float *restrict param, const float *restrict grad,
                       float *restrict m, float *restrict v)
{
    const AdamW o = *a;
    for (int i = 0; i < n; i++) {
        const float g = grad[i] * o.grad_scale;
        m[i] = o.beta1 * m[i] + (1.0f - o.beta1) * g;
        v[i] = o.beta2 * v[i] + (1.0f - o.beta2) * (g * g);
        const float step = m[i] * o.correction1 / (sqrtf(v[i] * o.correction2) + o.eps);
        param[i] -= o.lr * (step + o.weight_decay * param[i]);
    }
}

static void rows_blend(float a, const float *x, float c, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = a * x[i] + c * y[i];
}

static void rows_fill(BackwardKernels *kernels)
{
    *kernels = (BackwardKernels){
        .rms_inverse = rows_rms_inverse,
        .rms_norm = rows_rms_norm,
        .rms_norm_weight = rows_rms_norm_weight,
        .column_sums = rows_column_sums,
        .rope = rows_rope,
        .swiglu = rows_swiglu,
        .scale = rows_scale,
        .add = rows_add,
        .dot = rows_dot,
        .max = rows_max,
        .sum_exp = rows_sum_exp,
        .attention = rows_attention,
        .xent = rows_xent,
        .sum_squares = rows_sum_squares,
        .adamw = rows_adamw,
        .blend = rows_blend,
    };
}
#endif
