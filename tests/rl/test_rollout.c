/* rl/rollout and rl/update: what the engine says of its samples is what the trainer finds, to the
 * bit; groups and seeds. (Tools: tests/cli/test_data_sample.) */
#include "support.h"

#include "base/file.h"
#include "rl/update.h"
#include "train/gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A random-weight model in training. */
typedef struct Rig {
    Backend *backend;
    Package *package;
    ModelText text;
    Config config;
    Params params;
    Shards shards;
    Gradient *gradient;
} Rig;

enum { ROW_TOKENS = 1024 };

static void rig_open(Rig *rig, const char *shape, DType compute)
{
    Error err = {0};
    char path[512], command[1200];
    const char *build = getenv("WEN_BUILD");
    *rig = (Rig){0};
    snprintf(path, sizeof path, "%s", test_temp(shape));
    snprintf(command, sizeof command, "%s/tools/make_model %s %s --type F32 --seed 5 >/dev/null",
             build ? build : "build/release", shape, path);
    if (!file_exists(path))
        assert_int_equal(system(command), 0);
    assert_ok(rig->package = package_open(path, true, &err));
    assert_ok(model_text_open(&rig->text, rig->package, &err));
    assert_ok(config_read(&rig->config, package_config(rig->package), &err));
    assert_ok(rig->backend = backend_open("cpu", 2, &err));
    assert_ok(params_open(&rig->params, &rig->config, rig->backend, compute, false, NULL, &err));
    assert_ok(shards_open(&rig->shards, &rig->params, 1, NULL, &err));
    const GradientOptions options = {.grains = 1, .micro_rows = 1, .row_tokens = ROW_TOKENS};
    assert_ok(rig->gradient = gradient_open(&rig->params, &rig->shards, &options, &err));
    float *masters = mem_alloc(sizeof(float) * rig->params.size);
    assert_ok(params_load(&rig->params, rig->package, 0, masters, &err));
    params_publish(&rig->params, masters);
    mem_free(masters);
}

static void rig_close(Rig *rig)
{
    gradient_close(rig->gradient);
    shards_close(&rig->shards);
    params_close(&rig->params);
    rig->backend->close(rig->backend);
    model_text_close(&rig->text);
    package_close(rig->package);
}

static void make_problems(Problem *problems, int n, const char *const *families, int n_families)
{
    for (int i = 0; i < n; i++) {
        problems[i] = (Problem){0};
        const ProblemSpec spec = {.family = task_find(families[i % n_families]),
                                  .split = SPLIT_RL,
                                  .lang = -1,
                                  .seed = (uint64_t)i};
        assert_non_null(spec.family);
        problem_make(&problems[i], &spec);
    }
}

static const char *const plain[] = {"chain", "letters"};

/* The gradient of n problems' groups, and what it says of the log-probabilities. */
static PolicyStats measure(Rig *rig, int n, int max_tokens)
{
    enum { GROUP = 4 };
    Error err = {0};
    Policy policy;
    Problem *problems = mem_alloc(sizeof *problems * (size_t)n);
    UpdateAnswer *answers = mem_alloc(sizeof *answers * (size_t)(n * GROUP));
    Rollouts r;
    Update u;
    GradientReport report;
    const float *part;
    const RolloutOptions options = {
        .group = GROUP, .max_tokens = max_tokens, .max_turns = 1, .thinks = 1, .seed = 77};
    assert_true(policy_named("dapo", &policy));
    make_problems(problems, n, plain, 2);
    assert_ok(rollouts_make(&r, rig->params.model, &rig->text, problems, n, &options, &err));
    assert_int_equal(r.n, n * GROUP);
    int64_t n_sampled = 0;
    for (int i = 0; i < r.n; i++) {
        answers[i] = (UpdateAnswer){&r.items[i], i % 2 ? 1 : -1, NULL};
        n_sampled += r.items[i].n_sampled;
        assert_true(r.items[i].n_sampled > 0);
    }
    assert_ok(update_make(&u, &policy, answers, r.n, ROW_TOKENS, 1, &err));
    assert_ok(gradient_batch(rig->gradient, &u.rows, &u.objective, &part, &report, &err));
    const PolicyStats stats = u.stats;
    assert_true(stats.n_tokens == n_sampled);
    update_free(&u);
    rollouts_free(&r);
    for (int i = 0; i < n; i++)
        problem_close(&problems[i]);
    mem_free(problems);
    mem_free(answers);
    return stats;
}

/* WEN_ROLLOUT_TOKENS asks for a longer measurement (tests/slow). */
static void sampler_and_trainer_agree(void **state)
{
    (void)state;
    static const char *const shapes[] = {"tiny", "tiny-moe"};
    const char *wanted = getenv("WEN_ROLLOUT_TOKENS");
    const int64_t least = wanted ? strtoll(wanted, NULL, 10) : 1000;
    for (int shape = 0; shape < 2; shape++)
        for (int type = 0; type < 2; type++) {
            Rig rig;
            rig_open(&rig, shapes[shape], type ? DTYPE_BF16 : DTYPE_F32);
            const int max_tokens = wanted ? 200 : 40;
            const int n = (int)(least / (4 * max_tokens)) + 2;
            const PolicyStats s = measure(&rig, n, max_tokens);
            print_message("# %s %s: %lld tokens, largest difference %g, KL %g\n", shapes[shape],
                          type ? "bf16" : "f32", (long long)s.n_tokens, s.kl_largest, s.kl);
            assert_true(s.kl == 0 && s.kl_largest == 0 && s.ratio == (double)s.n_tokens);
            assert_true(s.neg_logprobs > 0);
            rig_close(&rig);
        }
}

static void seeds_make_answers(void **state)
{
    (void)state;
    Error err = {0};
    Rig rig;
    Problem problems[2];
    Rollouts a, b, c;
    RolloutOptions options = {.group = 3, .max_tokens = 24, .max_turns = 1, .thinks = 0, .seed = 1};
    rig_open(&rig, "tiny", DTYPE_F32);
    make_problems(problems, 2, plain, 2);
    assert_ok(rollouts_make(&a, rig.params.model, &rig.text, problems, 2, &options, &err));
    assert_ok(rollouts_make(&b, rig.params.model, &rig.text, problems, 2, &options, &err));
    options.seed = 100;
    assert_ok(rollouts_make(&c, rig.params.model, &rig.text, problems, 2, &options, &err));
    int n_other = 0;
    for (int i = 0; i < a.n; i++) {
        const Ids *x = &a.items[i].ids, *y = &b.items[i].ids, *z = &c.items[i].ids;
        assert_int_equal(x->n, y->n);
        assert_memory_equal(x->data, y->data, sizeof(int32_t) * (size_t)x->n);
        n_other += x->n != z->n || memcmp(x->data, z->data, sizeof(int32_t) * (size_t)x->n) != 0;
        for (int j = 0; i > 0 && a.items[i].problem_i == a.items[i - 1].problem_i && j < 1; j++)
            assert_int_equal(a.items[i].n_prompt, a.items[i - 1].n_prompt);
    }
    assert_int_equal(n_other, a.n);
    rollouts_free(&a);
    rollouts_free(&b);
    rollouts_free(&c);
    for (int i = 0; i < 2; i++)
        problem_close(&problems[i]);
    rig_close(&rig);
}

/* ---- Updates
 * --------------------------------------------------------------------------------------------- */

static void make_rollout(Rollout *r, int n_prompt, int n)
{
    *r = (Rollout){.n_prompt = n_prompt};
    r->is_sampled = mem_alloc(sizeof(bool) * (size_t)(n_prompt + n));
    r->logprobs = mem_alloc(sizeof(float) * (size_t)(n_prompt + n));
    for (int i = 0; i < n_prompt + n; i++) {
        ids_push(&r->ids, i);
        r->is_sampled[i] = i >= n_prompt && i % 5 != 0; /* every fifth came from a tool */
        r->n_sampled += r->is_sampled[i];
    }
}

static void answers_are_packed(void **state)
{
    (void)state;
    enum { N = 9 };
    Error err = {0};
    Policy policy;
    Rollouts r = {mem_alloc(sizeof(Rollout) * N), N};
    UpdateAnswer answers[N];
    int64_t n_sampled = 0;
    assert_true(policy_named("grpo", &policy));
    for (int i = 0; i < N; i++) {
        make_rollout(&r.items[i], 3 + i, 10 + 7 * i % 20);
        answers[i] = (UpdateAnswer){&r.items[i], 1, NULL};
        n_sampled += r.items[i].n_sampled;
    }
    for (int grains = 1; grains <= 4; grains *= 2) {
        Update u;
        assert_ok(update_make(&u, &policy, answers, N, 64, grains, &err));
        int n_scored = 0;
        bool seen[N] = {0};
        assert_int_equal(u.rows.n_rows % grains, 0);
        for (int row = 0; row < u.rows.n_rows; row++) {
            assert_true(u.row_start[row + 1] > u.row_start[row]); /* none is empty */
            assert_true(u.doc_start[u.row_start[row + 1]] - u.doc_start[u.row_start[row]] <= 64);
        }
        for (int d = 0; d < N; d++) {
            const Rollout *rollout = answers[u.doc_answer[d]].rollout;
            assert_false(seen[u.doc_answer[d]]);
            seen[u.doc_answer[d]] = true;
            assert_int_equal(u.doc_start[d + 1] - u.doc_start[d], rollout->ids.n - 1);
            for (int i = u.doc_start[d]; i < u.doc_start[d + 1]; i++) {
                const int target = u.rows.targets[i];
                assert_int_equal(target, u.rows.ids[i] + 1);
                assert_true((u.rows.weights[i] != 0) == rollout->is_sampled[target]);
                n_scored += u.rows.weights[i] != 0;
            }
        }
        assert_true(n_scored == n_sampled && u.batch.n_tokens == n_sampled);
        update_free(&u);
    }
    Update u;
    assert_false(update_make(&u, &policy, answers, N, 16, 1, &err));
    assert_non_null(strstr(err.message, "batch.tokens is 16"));
    update_free(&u);
    rollouts_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sampler_and_trainer_agree),
        cmocka_unit_test(seeds_make_answers),
        cmocka_unit_test(answers_are_packed),
    };
    return TEST_MAIN("rollout", tests);
}
