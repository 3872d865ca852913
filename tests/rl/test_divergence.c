/* rl/divergence: values against the definitions, gradients against finite differences, and what a
 * divergence has to be: 0 between equals, the same for all ids as for the top of all. */
#include "support.h"

#include "base/rng.h"
#include "rl/divergence.h"

#include <math.h>
#include <string.h>

enum { N = 60, TARGET = 7 };

static const DivergenceKind kinds[] = {DIVERGENCE_REVERSE, DIVERGENCE_FORWARD, DIVERGENCE_JSD,
                                       DIVERGENCE_SAMPLED};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* Multiples of 1/1024, so that steps of that size are exact in float. */
static void fill(float *x, uint64_t seed)
{
    Rng rng = {seed};
    for (int i = 0; i < N; i++)
        x[i] = (float)(round(rng_normal(&rng) * 1500) / 1024);
}

static double loss_of(const Divergence *d, const float *x, const float *teacher)
{
    float logits[N];
    memcpy(logits, x, sizeof logits);
    return divergence_row(d, teacher, TARGET, 1, N, logits).loss;
}

/* (f(x + h) - f(x - h)) / 2h. */
static double slope(const Divergence *d, float *x, const float *teacher, int i, float h)
{
    const float kept = x[i];
    x[i] = kept + h;
    const double up = loss_of(d, x, teacher);
    x[i] = kept - h;
    const double down = loss_of(d, x, teacher);
    x[i] = kept;
    return (up - down) / (2 * (double)h);
}

static void gradient_of(const Divergence *d, const float *x, const float *teacher, float weight,
                        float *gradient)
{
    memcpy(gradient, x, sizeof *x * N);
    divergence_row(d, teacher, TARGET, weight, N, gradient);
}

static void check_gradient(const Divergence *d)
{
    float x[N], teacher[N], gradient[N];
    const float h = 1.0f / 1024;
    double largest = 0;
    fill(x, 1);
    fill(teacher, 2);
    gradient_of(d, x, teacher, 0.5f, gradient);
    for (int i = 0; i < N; i++)
        largest = fmax(largest, fabs((double)gradient[i]));
    for (int i = 0; i < N; i++) {
        /* The error of h^2 taken out. */
        const double wanted =
            (4 * slope(d, x, teacher, i, h) - slope(d, x, teacher, i, 2 * h)) / 3 / 2;
        if (!(fabs((double)gradient[i] - wanted) < 2e-7 * largest))
            fail_msg("kind %d, top %d: gradient %d is %.10g, differences say %.10g", (int)d->kind,
                     d->top, i, (double)gradient[i], wanted);
    }
}

static void gradients_agree(void **state)
{
    (void)state;
    const int tops[] = {0, 1, 9, N};
    for (int k = 0; k < 3; k++) /* the sampled gradient is not that of its value: below */
        for (size_t t = 0; t < sizeof tops / sizeof *tops; t++) {
            check_gradient(&(Divergence){kinds[k], 0.3, tops[t], 0});
            check_gradient(&(Divergence){kinds[k], 0.7, tops[t], 0.25});
        }
}

/* ---- Values
 * -------------------------------------------------------------------------------------------- */

static void probabilities(const float *x, double *p)
{
    double sum = 0;
    for (int i = 0; i < N; i++)
        sum += p[i] = exp((double)x[i]);
    for (int i = 0; i < N; i++)
        p[i] /= sum;
}

static void values_agree(void **state)
{
    (void)state;
    float x[N], teacher[N];
    double s[N], t[N], reverse = 0, forward = 0, jsd = 0, entropy = 0;
    const double beta = 0.3;
    fill(x, 3);
    fill(teacher, 4);
    probabilities(x, s);
    probabilities(teacher, t);
    for (int i = 0; i < N; i++) {
        const double m = beta * t[i] + (1 - beta) * s[i];
        reverse += s[i] * log(s[i] / t[i]);
        forward += t[i] * log(t[i] / s[i]);
        jsd += beta * t[i] * log(t[i] / m) + (1 - beta) * s[i] * log(s[i] / m);
        entropy -= s[i] * log(s[i]);
    }
    const double wanted[N_KINDS] = {reverse, forward, jsd, log(s[TARGET] / t[TARGET])};
    for (int k = 0; k < N_KINDS; k++)
        assert_true(fabs(loss_of(&(Divergence){kinds[k], beta, 0, 0}, x, teacher) - wanted[k]) <
                    1e-12);
    const Divergence mixed = {DIVERGENCE_REVERSE, 0.5, 0, 0.25};
    assert_true(fabs(loss_of(&mixed, x, teacher) - (0.75 * reverse - 0.25 * log(s[TARGET]))) <
                1e-12);
    const DivergenceRow row = divergence_row(&mixed, teacher, TARGET, 1, N, x);
    assert_true(fabs(row.kl - reverse) < 1e-12);
    assert_true(fabs(row.entropy - entropy) < 1e-12);
}

/* The rest is one outcome. */
static void rest_is_one(void **state)
{
    (void)state;
    float x[N] = {0}, teacher[N] = {0};
    x[5] = 1;
    teacher[5] = 2;
    const double s = exp(1) / (exp(1) + N - 1), t = exp(2) / (exp(2) + N - 1);
    const double wanted = s * log(s / t) + (1 - s) * log((1 - s) / (1 - t));
    assert_true(fabs(loss_of(&(Divergence){DIVERGENCE_REVERSE, 0, 1, 0}, x, teacher) - wanted) <
                1e-12);
}

static void equals_have_none(void **state)
{
    (void)state;
    float x[N], gradient[N];
    fill(x, 5);
    for (int k = 0; k < N_KINDS; k++)
        for (int top = 0; top <= 10; top += 5) {
            const Divergence d = {kinds[k], 0.3, top, 0};
            gradient_of(&d, x, x, 1, gradient);
            assert_true(loss_of(&d, x, x) == 0);
            for (int i = 0; i < N; i++)
                assert_true(gradient[i] == 0);
        }
}

static void top_of_all_is_all(void **state)
{
    (void)state;
    float x[N], teacher[N], all[N], top[N];
    fill(x, 6);
    fill(teacher, 7);
    teacher[20] = teacher[3]; /* a tie */
    for (int k = 0; k < 3; k++) {
        const Divergence d = {kinds[k], 0.3, 0, 0.1}, of_all = {kinds[k], 0.3, N, 0.1};
        const Divergence more = {kinds[k], 0.3, N + 1, 0.1};
        gradient_of(&d, x, teacher, 1, all);
        gradient_of(&of_all, x, teacher, 1, top);
        assert_memory_equal(all, top, sizeof all);
        assert_true(loss_of(&d, x, teacher) == loss_of(&of_all, x, teacher));
        assert_true(loss_of(&d, x, teacher) == loss_of(&more, x, teacher));
    }
}

/* Over the student's own draws the sampled loss and gradient are reverse KL's. */
static void sampled_is_unbiased(void **state)
{
    (void)state;
    float x[N], teacher[N], wanted[N], one[N];
    double s[N], mean[N] = {0}, value = 0;
    const Divergence reverse = {DIVERGENCE_REVERSE, 0, 0, 0}, d = {DIVERGENCE_SAMPLED, 0, 0, 0};
    fill(x, 8);
    fill(teacher, 9);
    probabilities(x, s);
    gradient_of(&reverse, x, teacher, 1, wanted);
    for (int target = 0; target < N; target++) {
        memcpy(one, x, sizeof one);
        value += s[target] * divergence_row(&d, teacher, target, 1, N, one).loss;
        for (int i = 0; i < N; i++)
            mean[i] += s[target] * (double)one[i];
    }
    assert_true(fabs(value - loss_of(&reverse, x, teacher)) < 1e-12);
    for (int i = 0; i < N; i++)
        assert_true(fabs(mean[i] - (double)wanted[i]) < 1e-6);
}

static void extremes_are_finite(void **state)
{
    (void)state;
    for (int k = 0; k < N_KINDS; k++)
        for (int top = 0; top < 2; top++) {
            float x[N] = {[TARGET] = 2000}, teacher[N] = {[3] = 2000}, gradient[N];
            const Divergence d = {kinds[k], 0.5, top, 0.1};
            gradient_of(&d, x, teacher, 1, gradient);
            assert_true(isfinite(loss_of(&d, x, teacher)));
            for (int i = 0; i < N; i++)
                assert_true(isfinite(gradient[i]));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_agree),     cmocka_unit_test(values_agree),
        cmocka_unit_test(rest_is_one),         cmocka_unit_test(equals_have_none),
        cmocka_unit_test(top_of_all_is_all),   cmocka_unit_test(sampled_is_unbiased),
        cmocka_unit_test(extremes_are_finite),
    };
    return TEST_MAIN("divergence", tests);
}
