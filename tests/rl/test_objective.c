/* rl/objective: weights against finite differences of the objective, and what each method
 * promises. */
#include "support.h"

#include "rl/objective.h"

#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 7 };

static const char *const names[] = {"grpo", "dapo", "dr_grpo", "gspo", "cispo"};

static Policy named(const char *name)
{
    Policy p;
    assert_true(policy_named(name, &p));
    p.length = 20;
    return p;
}

/* An answer whose ratios lie on both sides of the clips. */
static void make_answer(Rng *rng, double advantage, float *sampled, float *reference, float *now,
                        double spread, Answer *a)
{
    for (int i = 0; i < N; i++) {
        sampled[i] = -(float)(0.1 + 3 * rng_unit(rng_next(rng)));
        now[i] = sampled[i] + (float)(spread * rng_normal(rng));
        reference[i] = now[i] + 0.3f * (float)rng_normal(rng);
    }
    *a = (Answer){N, advantage, sampled, reference};
}

static void weights_are_derivatives(void **state)
{
    (void)state;
    Rng rng = {5};
    int n_clipped = 0;
    for (size_t m = 0; m < sizeof names / sizeof *names; m++)
        for (int trial = 0; trial < 200; trial++) {
            Policy p = named(names[m]);
            const PolicyBatch batch = {5, 33};
            float sampled[N], reference[N], now[N], weights[N];
            double exact[N];
            Answer a;
            PolicyStats stats = {0};
            if (trial % 2)
                p.kl = 0.1;
            if (trial % 3 == 0)
                p.dual_clip = 1.5;
            make_answer(&rng, trial % 5 - 1.7, sampled, reference, now,
                        p.kind == POLICY_GSPO ? 5e-4 : 0.4, &a);
            policy_weights(&p, &batch, &a, now, weights, &stats);
            n_clipped += (int)stats.n_clipped;
            for (int i = 0; i < N; i++)
                exact[i] = (double)now[i];
            for (int i = 0; i < N; i++) {
                const double h = 1e-7, kept = exact[i];
                /* CISPO's ratio does not move with the log-probability. */
                double slope;
                if (p.kind == POLICY_CISPO) {
                    const double ratio = exp(kept - (double)sampled[i]);
                    const double away = (double)reference[i] - kept;
                    slope = a.advantage * fmin(ratio, 1 + p.clip_high);
                    slope = (slope - p.kl * (1 - exp(away))) / (double)batch.n_tokens;
                } else {
                    exact[i] = kept + h;
                    const double up = policy_value(&p, &batch, &a, exact);
                    exact[i] = kept - h;
                    slope = (up - policy_value(&p, &batch, &a, exact)) / (2 * h);
                    exact[i] = kept;
                }
                if (!(fabs(slope - (double)weights[i]) < 1e-6 + 1e-5 * fabs(slope)))
                    fail_msg("%s, trial %d: weight %g, slope %g", names[m], trial,
                             (double)weights[i], slope);
            }
        }
    assert_true(n_clipped > 100);
}

/* With the weights that sampled, every method is REINFORCE with a baseline. */
static void at_ratio_one_it_is_reinforce(void **state)
{
    (void)state;
    const float sampled[N] = {-1, -2, -0.5f, -0.25f, -3, -1, -0.125f};
    for (size_t m = 0; m < sizeof names / sizeof *names; m++) {
        const Policy p = named(names[m]);
        const PolicyBatch batch = {4, 28};
        const Answer a = {N, -0.75, sampled, NULL};
        const double counts[] = {28, 28, 80}; /* MEAN_TOKENS, MEAN_SEQUENCES, MEAN_CONSTANT */
        float weights[N];
        PolicyStats stats = {0};
        policy_weights(&p, &batch, &a, sampled, weights, &stats);
        for (int i = 0; i < N; i++)
            assert_true(weights[i] == (float)(-0.75 / counts[p.mean]));
        assert_true(stats.kl == 0 && stats.kl_largest == 0 && stats.n_clipped == 0);
        assert_true(stats.ratio == N && stats.n_tokens == N);
    }
}

static void advantages_sum_to_zero(void **state)
{
    (void)state;
    const double rewards[] = {1, 0, 0.1, 1, 0.7, 0}, equal[] = {0.1, 0.1, 0.1};
    double a[6];
    for (int i = 0; i < 2; i++) {
        const Policy p = named(i ? "dr_grpo" : "grpo");
        double sum = 0, square = 0;
        policy_advantages(&p, rewards, 6, a);
        for (int j = 0; j < 6; j++) {
            sum += a[j];
            square += a[j] * a[j];
        }
        assert_true(fabs(sum) < 1e-12);
        assert_true(i || fabs(square / 5 - 1) < 1e-5); /* the unbiased deviation is 1 */
        policy_advantages(&p, equal, 3, a);
        assert_true(a[0] == 0 && a[1] == 0 && a[2] == 0);
        policy_advantages(&p, rewards, 1, a);
        assert_true(a[0] == 0);
    }
}

static void length_is_punished_softly(void **state)
{
    (void)state;
    assert_true(policy_length_penalty(80, 100, 20) == 0);
    assert_true(policy_length_penalty(90, 100, 20) == -0.5);
    assert_true(policy_length_penalty(100, 100, 20) == -1);
    assert_true(policy_length_penalty(130, 100, 20) == -1);
    assert_true(policy_length_penalty(130, 100, 0) == 0);
}

static void names_are_known(void **state)
{
    (void)state;
    Policy p;
    assert_false(policy_named("ppo", &p));
    assert_true(named("dapo").clip_high == 0.28);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_derivatives), cmocka_unit_test(at_ratio_one_it_is_reinforce),
        cmocka_unit_test(advantages_sum_to_zero),  cmocka_unit_test(length_is_punished_softly),
        cmocka_unit_test(names_are_known),
    };
    return TEST_MAIN("objective", tests);
}
