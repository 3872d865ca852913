/* eval/: means, differences and curves; settings. */
#include "support.h"

#include "eval/setting.h"
#include "eval/stats.h"

#include <math.h>

static void near(double got, double expected)
{
    if (!(fabs(got - expected) < 1e-12))
        fail_msg("%.15g instead of %.15g", got, expected);
}

/* 0 1 1 1: variance of the sample 0.25, so 0.5 / 2. */
static void a_mean_has_its_error(void **state)
{
    (void)state;
    const double values[] = {0, 1, (double)NAN, 1, 1};
    const EvalMean mean = eval_mean(values, 5);
    assert_int_equal(mean.n, 4);
    near(mean.mean, 0.75);
    near(mean.error, 0.25);
    assert_true(isnan(eval_mean(values, 1).error));
    assert_true(isnan(eval_mean(values, 0).mean));
}

/* Differences 1 0 1 0: what both have in common drops out. */
static void a_difference_is_paired(void **state)
{
    (void)state;
    const double a[] = {1, 1, 1, 0, 1}, b[] = {0, 1, 0, 0, (double)NAN};
    const EvalMean gain = eval_difference(a, b, 5);
    assert_int_equal(gain.n, 4);
    near(gain.mean, 0.5);
    near(gain.error, sqrt(1.0 / 3) / 2);
    assert_int_equal(eval_direction(gain), 0);
    assert_int_equal(eval_direction((EvalMean){100, 0.1, 0.04}), 1);
    assert_int_equal(eval_direction((EvalMean){100, -0.1, 0.04}), -1);
    assert_int_equal(eval_direction((EvalMean){100, -0.1, 0}), -1);
    assert_int_equal(eval_direction((EvalMean){0, (double)NAN, (double)NAN}), 0);
}

static void a_curve_counts_its_steps(void **state)
{
    (void)state;
    enum { N = 100 };
    double points[4][N];
    const double share[4] = {0.1, 0.5, 0.52, 0.3};
    for (int p = 0; p < 4; p++)
        for (int i = 0; i < N; i++)
            points[p][i] = i < share[p] * N;
    const double *values[4] = {points[0], points[1], points[2], points[3]};
    const EvalCurve curve = eval_curve(values, 4, N);
    assert_int_equal(curve.n_steps, 3);
    assert_int_equal(curve.n_rises, 1); /* 2 of 100 are not two standard errors */
    assert_int_equal(curve.n_falls, 1);
    near(curve.first_to_last.mean, 0.2);
}

static void budgets_are_read(void **state)
{
    (void)state;
    EvalSettings s = {0};
    Error err = {0};
    assert_ok(eval_budgets_read("64,inf,0,16", &s, &err));
    assert_int_equal(s.n_budgets, 4);
    const int sorted[] = {0, 16, 64, -1};
    assert_memory_equal(s.budgets, sorted, sizeof sorted);
    assert_error(eval_budgets_read("1,1", &s, &err), ERROR_ARGUMENT, "twice");
    assert_error(eval_budgets_read("-1", &s, &err), ERROR_ARGUMENT, "--budgets -1");
    assert_error(eval_budgets_read("1,", &s, &err), ERROR_ARGUMENT, "not a list");
    assert_error(eval_budgets_read("12a", &s, &err), ERROR_ARGUMENT, "not a list");
}

/* The ends of the curve are the two modes and are not asked twice. */
static void settings_are_few(void **state)
{
    (void)state;
    EvalSettings s = {0};
    Error err = {0};
    assert_ok(eval_budgets_read("0,16,inf", &s, &err));
    assert_ok(eval_settings_make(&s, EVAL_BOTH, true, false, false, &err));
    assert_int_equal(s.n, 4); /* think, plain, budget-16, flags */
    assert_int_equal(s.budget_i[0], s.plain_i);
    assert_int_equal(s.budget_i[2], s.think_i);
    assert_string_equal(s.items[s.budget_i[1]].name, "budget-16");
    assert_int_equal(s.items[s.plain_i].think, 0);
    /* A flag is another prompt than the switch. */
    assert_ok(eval_settings_make(&s, EVAL_BOTH, true, false, true, &err));
    assert_int_equal(s.n, 5);
    assert_true(s.items[s.plain_i].is_flagged && s.items[s.plain_i].think == -1);
    assert_true(s.budget_i[0] != s.plain_i);
    assert_error(eval_settings_make(&s, EVAL_BOTH, false, true, false, &err), ERROR_ARGUMENT,
                 "--mode think");
    assert_error(eval_settings_make(&s, EVAL_PLAIN, false, false, false, &err), ERROR_ARGUMENT,
                 "does not think");
    s.n_budgets = 0;
    assert_ok(eval_settings_make(&s, EVAL_PLAIN, false, false, true, &err));
    assert_int_equal(s.items[s.plain_i].think, -1);
    assert_false(s.items[s.plain_i].is_flagged);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mean_has_its_error),     cmocka_unit_test(a_difference_is_paired),
        cmocka_unit_test(a_curve_counts_its_steps), cmocka_unit_test(budgets_are_read),
        cmocka_unit_test(settings_are_few),
    };
    return TEST_MAIN("stats", tests);
}
