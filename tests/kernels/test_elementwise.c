/* Norms, rotations, activations and the scans of logits: every level against the plain one, bit for
 * bit, at every length and alignment; the plain one against double. */
#include "support.h"

#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/kernels.h"
#include "cpu/vector_math.h"

#include <math.h>
#include <string.h>

enum { N_MAX = 1100 };

static float *guarded(int n) { return guard_alloc(sizeof(float) * (size_t)n); }
static void unguarded(float *block, int n) { guard_free(block, sizeof(float) * (size_t)n); }

static void fill(float *x, int n, uint64_t seed, double scale)
{
    Rng rng = {seed};
    for (int i = 0; i < n; i++)
        x[i] = (float)(rng_normal(&rng) * scale);
}

/* Lengths around every vector width, and some that are usual. */
static int next_length(int n) { return n < 140 ? n + 1 : n * 2 - 25; }

static void exp_is_within_an_ulp(void **state)
{
    (void)state;
    double worst = 0;
    for (int64_t bits = 0; bits < 0x42b17200; bits += 977)
        for (int sign = 0; sign < 2; sign++) {
            float x = float_from_bits((uint32_t)bits | (sign ? 0x80000000u : 0));
            if (x < EXP_LOWEST || x > EXP_HIGHEST)
                continue;
            double exact = exp((double)x);
            double ulp = (double)(nextafterf((float)exact, INFINITY) - (float)exact);
            worst = fmax(worst, fabs((double)exp_f32(x) - exact) / ulp);
        }
    if (worst > 1)
        fail_msg("exp is %.3f ulp off", worst);
    assert_true(exp_f32(-INFINITY) == 0 && exp_f32(-87.1f) == 0 && exp_f32(-1e30f) == 0);
    assert_true(exp_f32(0) == 1 && exp_f32(-0.0f) == 1);
    assert_true(isinf(exp_f32(89)) && isinf(exp_f32(INFINITY)) && isfinite(exp_f32(88.72f)));
    assert_true(isnan(exp_f32(NAN)) && isnan(exp_f32(float_from_bits(0xffc12345u))));
}

/* One call of each kernel that maps rows to rows. in place: y is x. */
typedef void RowCall(const ElementwiseKernels *k, float *x, const float *w, int n, float *y);

static void call_rms_norm(const ElementwiseKernels *k, float *x, const float *w, int n, float *y)
{
    k->rms_norm(x, w, n, 1e-6f, y);
}
static void call_swiglu(const ElementwiseKernels *k, float *x, const float *w, int n, float *y)
{
    k->swiglu(x, w, n, y);
}
static void call_exp(const ElementwiseKernels *k, float *x, const float *w, int n, float *y)
{
    k->exp(x, w[0], n, y);
}
static void call_add(const ElementwiseKernels *k, float *x, const float *w, int n, float *y)
{
    if (y != x)
        memcpy(y, x, sizeof(float) * (size_t)n);
    k->add(y, w, n);
}
static void call_add_scaled(const ElementwiseKernels *k, float *x, const float *w, int n, float *y)
{
    if (y != x)
        memcpy(y, x, sizeof(float) * (size_t)n);
    k->add_scaled(y, -1.7f, w, n);
}

static const struct {
    const char *name;
    RowCall *call;
    double scale;
} row_calls[] = {{"rms_norm", call_rms_norm, 1},
                 {"swiglu", call_swiglu, 8},
                 {"exp", call_exp, 60},
                 {"add", call_add, 1},
                 {"add_scaled", call_add_scaled, 1}};

static void rows_are_alike_on_all_levels(void **state)
{
    (void)state;
    const ElementwiseKernels *ref = &kernels_for(ISA_REF)->elementwise;
    for (int c = 0; c < 5; c++)
        for (int n = 1; n < N_MAX; n = next_length(n)) {
            float *x = guarded(n), *w = guarded(n), *y = guarded(n), expected[N_MAX];
            fill(w, n, 2, 1);
            fill(x, n, (uint64_t)n, row_calls[c].scale);
            if (n % 3 == 0)
                x[n / 2] = n % 2 ? -200 : 200;
            row_calls[c].call(ref, x, w, n, expected);
            for (int level = 0; level <= (int)isa_detect(); level++)
                for (int in_place = 0; in_place < 2; in_place++) {
                    const ElementwiseKernels *k = &kernels_for((IsaLevel)level)->elementwise;
                    float keep[N_MAX], *to = in_place ? x : y;
                    memcpy(keep, x, sizeof(float) * (size_t)n);
                    row_calls[c].call(k, x, w, n, to);
                    if (memcmp(to, expected, sizeof(float) * (size_t)n) != 0)
                        fail_msg("%s, %s, n %d, in place %d", row_calls[c].name,
                                 isa_name((IsaLevel)level), n, in_place);
                    memcpy(x, keep, sizeof(float) * (size_t)n);
                }
            unguarded(x, n);
            unguarded(w, n);
            unguarded(y, n);
        }
}

static void rope_is_alike_on_all_levels(void **state)
{
    (void)state;
    for (int head_dim = 2; head_dim <= 136; head_dim += 2)
        for (int n_heads = 1; n_heads <= 3; n_heads += 2) {
            int n = n_heads * head_dim;
            float *x = guarded(n), *table = guarded(head_dim), expected[N_MAX];
            fill(table, head_dim, 3, 1);
            for (int level = 0; level <= (int)isa_detect(); level++) {
                fill(x, n, 4, 1);
                kernels_for((IsaLevel)level)->elementwise.rope(x, table, n_heads, head_dim);
                if (level == 0)
                    memcpy(expected, x, sizeof(float) * (size_t)n);
                assert_memory_equal(x, expected, sizeof(float) * (size_t)n);
            }
            unguarded(x, n);
            unguarded(table, head_dim);
        }
}

static void plain_ones_agree_with_double(void **state)
{
    (void)state;
    const ElementwiseKernels *k = &kernels_for(ISA_REF)->elementwise;
    float x[N_MAX], w[N_MAX], y[N_MAX];
    fill(x, N_MAX, 5, 3);
    fill(w, N_MAX, 6, 1);
    double sum = 0;
    for (int i = 0; i < 1000; i++)
        sum += (double)x[i] * (double)x[i];
    k->rms_norm(x, w, 1000, 1e-6f, y);
    for (int i = 0; i < 1000; i++) {
        double exact = (double)x[i] * (double)w[i] / sqrt(sum / 1000 + 1e-6);
        assert_true(fabs((double)y[i] - exact) <= 4e-7 * fabs(exact));
    }
    k->swiglu(x, w, N_MAX, y);
    for (int i = 0; i < N_MAX; i++) {
        double exact = (double)x[i] / (1 + exp(-(double)x[i])) * (double)w[i];
        assert_true(fabs((double)y[i] - exact) <= 4e-7 * fabs(exact));
    }
    memcpy(y, x, sizeof y);
    k->rope(y, w, 2, 100);
    for (int h = 0; h < 2; h++)
        for (int j = 0; j < 50; j++) {
            double a = (double)x[100 * h + j], b = (double)x[100 * h + 50 + j];
            double c = (double)w[j], s = (double)w[50 + j];
            assert_true(fabs((double)y[100 * h + j] - (a * c - b * s)) < 2e-6);
            assert_true(fabs((double)y[100 * h + 50 + j] - (b * c + a * s)) < 2e-6);
        }
}

static void scans_are_alike_on_all_levels(void **state)
{
    (void)state;
    const LogitsKernels *ref = &kernels_for(ISA_REF)->logits;
    for (int n = 1; n < N_MAX; n = next_length(n)) {
        float *x = guarded(n);
        fill(x, n, (uint64_t)n, 4);
        if (n > 5) {
            x[n / 2] = NAN;
            x[n / 3] = -INFINITY;
        }
        for (int level = 1; level <= (int)isa_detect(); level++) {
            const LogitsKernels *k = &kernels_for((IsaLevel)level)->logits;
            float max = ref->max(x, n);
            assert_true(max == k->max(x, n));
            for (int from = 0; from < n; from += 7)
                for (int t = -3; t < 8; t++)
                    assert_int_equal(ref->find_above(x, from, n, (float)t),
                                     k->find_above(x, from, n, (float)t));
            assert_int_equal(ref->find_above(x, 0, n, max), n);
            if (n > 5)
                x[n / 2] = -1;
            double expected = ref->sum_exp(x, n, max), got = k->sum_exp(x, n, max);
            assert_memory_equal(&expected, &got, sizeof got);
        }
        unguarded(x, n);
    }
}

static void races_are_alike_on_all_levels(void **state)
{
    (void)state;
    const LogitsKernels *ref = &kernels_for(ISA_REF)->logits;
    enum { N = 3000 };
    float *x = guarded(N);
    int winners_beyond_first = 0;
    for (int round = 0; round < 300; round++) {
        int n = round < 150 ? 1 + round : N - round;
        fill(x, n, (uint64_t)round, round % 5 == 0 ? 0 : round % 5 == 1 ? 300 : 2);
        for (int i = 0; i < n; i += 1 + round % 17)
            x[i] = -INFINITY;
        Race race = {.key = rng_counter_key(7, (uint64_t)round),
                     .max = ref->max(x, n),
                     .temperature = round % 3 ? 0.7f : 1.5f,
                     .lowest = round % 4 ? -INFINITY : -1.0f};
        int expected = ref->race(x, n, &race);
        winners_beyond_first += expected > 0 && x[expected] < race.max;
        for (int level = 1; level <= (int)isa_detect(); level++)
            assert_int_equal(kernels_for((IsaLevel)level)->logits.race(x, n, &race), expected);
    }
    assert_in_range(winners_beyond_first, 50, 300);
    unguarded(x, N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_an_ulp),
        cmocka_unit_test(rows_are_alike_on_all_levels),
        cmocka_unit_test(rope_is_alike_on_all_levels),
        cmocka_unit_test(plain_ones_agree_with_double),
        cmocka_unit_test(scans_are_alike_on_all_levels),
        cmocka_unit_test(races_are_alike_on_all_levels),
    };
    return TEST_MAIN("elementwise", tests);
}
