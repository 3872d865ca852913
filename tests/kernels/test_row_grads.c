/* cpu/row_grads: the same text compiled with double against finite differences, and every
 * level's floats against it. */
#include "support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "cpu/kernels.h"

#include <math.h>
#include <string.h>

/* The text in double; SUM_LANES as vector_math.h has it. */
enum { SUM_LANES = 64 };
#define REAL double
#define REAL_EXP exp
#define REAL_LOG log
#define REAL_SQRT sqrt
#include "cpu/row_grads_text.h"

enum { N = 130 }; /* more than two rounds of lanes */

typedef double Loss(const double *x, const double *other, const double *dy, int n);

static void fill(double *x, int n, uint64_t seed)
{
    Rng rng = {seed};
    for (int i = 0; i < n; i++)
        x[i] = rng_normal(&rng);
}

/* dx against central differences of sum(dy * f(x)), all coordinates, 1e-7 of the largest. */
static void check_differences(const char *name, Loss *loss, double *x, const double *other,
                              const double *dy, int n, const double *dx)
{
    double largest = 0;
    for (int i = 0; i < n; i++)
        largest = fmax(largest, fabs(dx[i]));
    for (int i = 0; i < n; i++) {
        const double kept = x[i], h = 1e-5;
        x[i] = kept + h;
        double up = loss(x, other, dy, n);
        x[i] = kept - h;
        double down = loss(x, other, dy, n);
        x[i] = kept;
        if (!(fabs((up - down) / (2 * h) - dx[i]) < 1e-7 * largest))
            fail_msg("%s: dx[%d] is %.12g, differences say %.12g", name, i, dx[i],
                     (up - down) / (2 * h));
    }
}

static double norm_loss(const double *x, const double *w, const double *dy, int n)
{
    double sum = 0, loss = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * x[i];
    for (int i = 0; i < n; i++)
        loss += dy[i] * x[i] * w[i] / sqrt(sum / n + 1e-6);
    return loss;
}

static double norm_weight_loss(const double *w, const double *x, const double *dy, int n)
{
    return norm_loss(x, w, dy, n);
}

static void norm_agrees(void **state)
{
    (void)state;
    double x[N], w[N], dy[N], dx[N], dw[N];
    fill(x, N, 1);
    fill(w, N, 2);
    fill(dy, N, 3);
    const double inverse = rows_rms_inverse(x, N, 1e-6);
    rows_rms_norm(x, w, dy, inverse, N, false, dx);
    check_differences("rms_norm", norm_loss, x, w, dy, N, dx);
    rows_rms_norm(x, w, dy, inverse, N, true, dx);
    for (int i = 0; i < N; i++)
        dx[i] /= 2; /* added to itself */
    check_differences("rms_norm accumulate", norm_loss, x, w, dy, N, dx);
    for (int i = 0; i < N; i++)
        dw[i] = dy[i] * x[i] * inverse;
    check_differences("rms_norm_weight", norm_weight_loss, w, x, dy, N, dw);
}

static double gate_loss(const double *gate, const double *up, const double *dy, int n)
{
    double loss = 0;
    for (int i = 0; i < n; i++)
        loss += dy[i] * gate[i] / (1 + exp(-gate[i])) * up[i];
    return loss;
}

static double up_loss(const double *up, const double *gate, const double *dy, int n)
{
    return gate_loss(gate, up, dy, n);
}

static void swiglu_agrees(void **state)
{
    (void)state;
    double gate[N], up[N], dy[N], dgate[N], dup[N];
    fill(gate, N, 1);
    fill(up, N, 2);
    fill(dy, N, 3);
    rows_swiglu(gate, up, dy, N, dgate, dup);
    check_differences("swiglu gate", gate_loss, gate, up, dy, N, dgate);
    check_differences("swiglu up", up_loss, up, gate, dy, N, dup);
}

enum { HEAD = 26, HEADS = 5 };

static double rope_loss(const double *x, const double *table, const double *dy, int n)
{
    double loss = 0;
    for (int h = 0; h < n / HEAD; h++)
        for (int j = 0; j < HEAD / 2; j++) {
            const double a = x[h * HEAD + j], b = x[h * HEAD + j + HEAD / 2];
            const double c = table[j], s = table[HEAD / 2 + j];
            loss +=
                dy[h * HEAD + j] * (a * c - b * s) + dy[h * HEAD + j + HEAD / 2] * (b * c + a * s);
        }
    return loss;
}

static void rope_agrees(void **state)
{
    (void)state;
    double x[N], table[HEAD], dy[N], dx[N];
    fill(x, N, 1);
    fill(table, HEAD, 2);
    fill(dy, N, 3);
    memcpy(dx, dy, sizeof dx);
    rows_rope(dx, table, HEADS, HEAD);
    check_differences("rope", rope_loss, x, table, dy, N, dx);
}

static double xent_loss(const double *x, const double *weight, const double *unused, int n)
{
    (void)unused;
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp(x[i]);
    return *weight * (log(sum) - x[17]);
}

static void xent_agrees(void **state)
{
    (void)state;
    double x[N], dx[N], weight = 0.7;
    fill(x, N, 1);
    memcpy(dx, x, sizeof dx);
    const double loss = rows_xent(dx, N, 17, weight);
    assert_true(fabs(loss * weight - xent_loss(x, &weight, NULL, N)) < 1e-12);
    check_differences("xent", xent_loss, x, &weight, NULL, N, dx);
}

/* A row of attention: loss = sum_i dp_i p_i with p = softmax(s). */
static double attention_loss(const double *s, const double *unused, const double *dp, int n)
{
    (void)unused;
    double sum = 0, loss = 0;
    for (int i = 0; i < n; i++)
        sum += exp(s[i]);
    for (int i = 0; i < n; i++)
        loss += dp[i] * exp(s[i]) / sum;
    return loss;
}

static void attention_agrees(void **state)
{
    (void)state;
    double s[N], dp[N], p[N], ds[N];
    fill(s, N, 1);
    fill(dp, N, 2);
    memcpy(p, s, sizeof p);
    memcpy(ds, dp, sizeof ds);
    const double max = rows_max(s, N, s[0]), lse = max + log(rows_sum_exp(s, N, max));
    rows_attention(p, ds, N, lse, attention_loss(s, NULL, dp, N), 1);
    assert_true(fabs(rows_dot(p, dp, N) - attention_loss(s, NULL, dp, N)) < 1e-12);
    check_differences("attention", attention_loss, s, NULL, dp, N, ds);
}

/* ---- The levels
 * ------------------------------------------------------------------------------------ */

typedef struct Floats {
    float x[N], w[N], dy[N], out[N], other[N], dw[COLUMNS_MAX], m[N], v[N], p[N], value[4];
    double squares;
} Floats;

static void run_level(const BackwardKernels *k, Floats *f)
{
    memset(f, 0, sizeof *f);
    Rng rng = {5};
    for (int i = 0; i < N; i++) {
        f->x[i] = (float)rng_normal(&rng);
        f->w[i] = (float)rng_normal(&rng);
        f->dy[i] = (float)rng_normal(&rng);
    }
    f->value[0] = k->rms_inverse(f->x, N, 1e-6f);
    k->rms_norm(f->x, f->w, f->dy, f->value[0], N, false, f->out);
    k->swiglu(f->x, f->w, f->dy, N, f->other, f->p);
    const Mat x = {f->x, 2, COLUMNS_MAX, COLUMNS_MAX}, dy = {f->dy, 2, COLUMNS_MAX, COLUMNS_MAX};
    k->rms_norm_weight(x, dy, f->value, f->dw);
    k->column_sums(dy, f->dw);
    f->value[1] = k->xent(f->w, N, 3, 0.5f);
    f->value[2] = k->dot(f->x, f->dy, N);
    f->squares = k->sum_squares(f->x, N);
    const AdamW a = {0.1f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.5f, 10, 20};
    k->adamw(&a, N, f->x, f->dy, f->m, f->v);
    k->rope(f->dy, f->w, N / HEAD, HEAD);
}

static void levels_give_the_same_bits(void **state)
{
    (void)state;
    Floats expected, got;
    run_level(&kernels_for(ISA_REF)->backward, &expected);
    for (IsaLevel level = ISA_REF; level <= isa_detect(); level++) {
        run_level(&kernels_for(level)->backward, &got);
        if (memcmp(&expected, &got, sizeof got) != 0)
            fail_msg("%s gives other bits than plain C", isa_name(level));
    }
}

static void floats_are_close_to_doubles(void **state)
{
    (void)state;
    Floats f;
    double x[N], w[N], dy[N], dx[N], largest = 0;
    Rng rng = {5};
    for (int i = 0; i < N; i++) {
        x[i] = (double)(float)rng_normal(&rng);
        w[i] = (double)(float)rng_normal(&rng);
        dy[i] = (double)(float)rng_normal(&rng);
    }
    run_level(&kernels_for(isa_detect())->backward, &f);
    rows_rms_norm(x, w, dy, rows_rms_inverse(x, N, 1e-6), N, false, dx);
    for (int i = 0; i < N; i++)
        largest = fmax(largest, fabs(dx[i]));
    for (int i = 0; i < N; i++)
        assert_true(fabs(dx[i] - (double)f.out[i]) < 1e-6 * largest);
    rows_xent(w, N, 3, 0.5);
    for (int i = 0; i < N; i++)
        assert_true(fabs(w[i] - (double)f.w[i]) < 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(norm_agrees),
        cmocka_unit_test(swiglu_agrees),
        cmocka_unit_test(rope_agrees),
        cmocka_unit_test(xent_agrees),
        cmocka_unit_test(attention_agrees),
        cmocka_unit_test(levels_give_the_same_bits),
        cmocka_unit_test(floats_are_close_to_doubles),
    };
    return TEST_MAIN("row grads", tests);
}
