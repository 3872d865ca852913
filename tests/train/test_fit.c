/* train/fit: synthetic losses with a known optimum. */
#include "support.h"

#include "base/rng.h"
#include "train/fit.h"

#include <math.h>

#define assert_near(a, b, tolerance)                                                               \
    do {                                                                                           \
        if (!(fabs((a) - (b)) <= (tolerance)))                                                     \
            fail_msg("%s is %.9g, expected %.9g", #a, (double)(a), (double)(b));                   \
    } while (0)

static void least_squares_solves(void **state)
{
    (void)state;
    const double a[] = {1, 1, 1, 2, 1, 3, 1, 4}, y[] = {5.1, 6.9, 9.1, 10.9};
    double x[2];
    assert_true(fit_least_squares(a, y, 4, 2, 0, x)); /* by hand: 3.1 + 1.96 t */
    assert_near(x[0], 3.1, 1e-12);
    assert_near(x[1], 1.96, 1e-12);
    const double same[] = {1, 2, 2, 4, 3, 6};
    assert_false(fit_least_squares(same, y, 3, 2, 0, x));
    assert_false(fit_least_squares(a, y, 1, 2, 0, x));
}

static void the_best_rate_is_found(void **state)
{
    (void)state;
    double x[7], y[7];
    Parabola p;
    for (int i = 0; i < 7; i++) { /* the optimum lies between the grid's points */
        const double d = log(x[i] = 1e-4 * pow(2, i)) - log(1.3e-3);
        y[i] = 2.5 + 0.2 * d * d;
    }
    assert_true(fit_parabola(x, y, 7, &p) && p.is_inside);
    assert_near(p.at, 1.3e-3, 1e-9);
    assert_near(p.value, 2.5, 1e-9);
    assert_near(p.bend, 0.2, 1e-9);
    y[6] = (double)NAN; /* diverged: six are enough */
    y[0] = 1000;        /* far from the best: does not bend the curve there */
    assert_true(fit_parabola(x, y, 7, &p) && p.is_inside);
    assert_near(p.at, 1.3e-3, 1e-6);
    for (int i = 0; i < 7; i++)
        y[i] = 3 - 0.1 * i;
    assert_true(fit_parabola(x, y, 7, &p) && !p.is_inside);
    assert_near(p.at, x[6], 0);
    for (int i = 0; i < 7; i++)
        y[i] = (double)NAN;
    assert_false(fit_parabola(x, y, 7, &p));
}

static void power_laws_are_found(void **state)
{
    (void)state;
    double x[12], y[6], c[3];
    for (int i = 0; i < 6; i++) {
        x[2 * i] = 1e6 * pow(3, i % 3);
        x[2 * i + 1] = 1e8 * (1 + i / 3);
        y[i] = 0.5 * pow(x[2 * i], -0.7) * pow(x[2 * i + 1], 0.3);
    }
    const double far[] = {1e9, 1e11};
    assert_true(fit_power_law(x, y, 6, 2, c));
    assert_near(c[1], -0.7, 1e-9);
    assert_near(c[2], 0.3, 1e-9);
    assert_near(power_law_at(c, far, 2) / (0.5 * pow(1e9, -0.7) * pow(1e11, 0.3)), 1, 1e-9);
    assert_true(fit_power_law(x, y, 3, 2, c)); /* the second axis stands still */
    assert_near(c[2], 0, 0);
    double loss[4], size[] = {1e6, 4e6, 16e6, 64e6};
    Saturation s;
    for (int i = 0; i < 4; i++)
        loss[i] = 1.7 + 400 * pow(size[i], -0.4);
    assert_true(fit_saturation(size, loss, 4, &s));
    assert_near(s.floor, 1.7, 0.01);
    assert_near(saturation_at(&s, 1e9), 1.7 + 400 * pow(1e9, -0.4), 0.01);
    assert_false(fit_saturation(size, loss, 2, &s));
}

/* Three kinds of text, two of them looked at. */
static double true_loss(const double importance[2], const double *w)
{
    static const double t[2][3] = {{-1.5, 1.2, 0.3}, {1.3, -1.4, 0.4}};
    double sum = 0;
    for (int j = 0; j < 2; j++)
        sum += importance[j] * (1.5 + exp(t[j][0] * w[0] + t[j][1] * w[1] + t[j][2] * w[2]));
    return sum;
}

static void the_best_mixture_is_found(void **state)
{
    (void)state;
    static MixtureLaw law;
    double weights[20 * 3], losses[20 * 2], w[3];
    const double importance[] = {0.7, 0.3};
    Rng rng = {5};
    for (int i = 0; i < 20; i++) {
        double sum = 0;
        for (int k = 0; k < 3; k++)
            sum += weights[3 * i + k] = -log(rng_uniform(&rng));
        for (int k = 0; k < 3; k++)
            weights[3 * i + k] /= sum;
        for (int j = 0; j < 2; j++) {
            const double alone[] = {j == 0, j == 1};
            losses[2 * i + j] = true_loss(alone, weights + 3 * i) * (1 + 0.002 * rng_normal(&rng));
        }
    }
    assert_true(fit_mixture(weights, losses, 20, 3, 2, &law));
    mixture_best(&law, importance, 0, w);
    assert_near(w[0] + w[1] + w[2], 1, 1e-9);
    /* By the law no mixture of a fine grid is better, and in truth none by more than the noise. */
    const double best = mixture_at(&law, importance, w), true_best = true_loss(importance, w);
    assert_near(best, true_best, 0.02);
    for (int a = 0; a <= 100; a++)
        for (int b = 0; a + b <= 100; b++) {
            const double other[] = {a / 100.0, b / 100.0, (100 - a - b) / 100.0};
            assert_true(best <= mixture_at(&law, importance, other) + 1e-6);
            assert_true(true_best <= true_loss(importance, other) + 0.01);
        }
    assert_true(w[2] < 0.05 && w[0] > w[1] && w[1] > 0.05);
    mixture_best(&law, importance, 0.1, w);
    assert_near(w[2], 0.1, 1e-3);
    assert_false(fit_mixture(weights, losses, 2, 3, 2, &law));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(least_squares_solves),
        cmocka_unit_test(the_best_rate_is_found),
        cmocka_unit_test(power_laws_are_found),
        cmocka_unit_test(the_best_mixture_is_found),
    };
    return TEST_MAIN("fit", tests);
}
