/* rl/preference, rl/pairs, rl/reward_model: the loss against its definition and finite differences,
 * also through a whole model; what a file of pairs may hold; one score, whoever computes it. */
#include "support.h"

#include "base/file.h"
#include "rl/pairs.h"
#include "rl/preference.h"
#include "rl/reward_model.h"
#include "train/gradient.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROW_TOKENS = 256 };

static void assert_near(double value, double expected, double tolerance)
{
    if (!(fabs(value - expected) <= tolerance))
        fail_msg("%.12g is not within %g of %.12g", value, tolerance, expected);
}

static void test_loss(void **state)
{
    (void)state;
    static const double scores[][2] = {{0, 0}, {1.5, -0.25}, {-3, 2}, {30, -40}, {-500, 500}};
    static const double centers[] = {0, 0.01, 0.5};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++)
        for (size_t k = 0; k < sizeof centers / sizeof *centers; k++) {
            const double c = scores[i][0], r = scores[i][1], center = centers[k], h = 1e-4;
            double grads[2], unused[2];
            const double loss = preference_loss(c, r, center, grads);
            /* log(1 + e^x) is x where e^x is beyond a double. */
            const double plain = r - c > 700 ? r - c : log(1 + exp(r - c));
            assert_near(loss, plain + center * (c + r) * (c + r), 1e-9 * (1 + loss));
            const double by_c = (preference_loss(c + h, r, center, unused) -
                                 preference_loss(c - h, r, center, unused)) /
                                (2 * h);
            const double by_r = (preference_loss(c, r + h, center, unused) -
                                 preference_loss(c, r - h, center, unused)) /
                                (2 * h);
            assert_near(grads[0], by_c, 1e-6 * (1 + fabs(by_c)));
            assert_near(grads[1], by_r, 1e-6 * (1 + fabs(by_r)));
        }
}

/* ---- With a model ---------------------------------------------------------------------------- */

/* A random-weight model in training, and its text. */
typedef struct Rig {
    Backend *backend;
    RewardText text;
    Config config;
    Params params;
    Shards shards;
    Gradient *gradient;
    float *masters;
    char path[512];
} Rig;

static void rig_open(Rig *rig, int micro_rows)
{
    Error err = {0};
    char command[1200];
    const char *build = getenv("WEN_BUILD");
    *rig = (Rig){0};
    snprintf(rig->path, sizeof rig->path, "%s", test_temp("micro"));
    snprintf(command, sizeof command, "%s/tools/make_model micro %s --type F32 --seed 5 >/dev/null",
             build ? build : "build/release", rig->path);
    if (!file_exists(rig->path))
        assert_int_equal(system(command), 0);
    assert_ok(reward_text_open(&rig->text, rig->path, NULL, 0, REWARD_TOKEN, &err));
    assert_ok(config_read(&rig->config, package_config(rig->text.package), &err));
    assert_ok(rig->backend = backend_open("cpu", 2, &err));
    assert_ok(params_open(&rig->params, &rig->config, rig->backend, DTYPE_F32, false, NULL, &err));
    assert_ok(shards_open(&rig->shards, &rig->params, 1, NULL, &err));
    const GradientOptions options = {
        .grains = 1, .micro_rows = micro_rows, .row_tokens = ROW_TOKENS};
    assert_ok(rig->gradient = gradient_open(&rig->params, &rig->shards, &options, &err));
    rig->masters = mem_alloc(sizeof(float) * rig->params.size);
    assert_ok(params_load(&rig->params, rig->text.package, 0, rig->masters, &err));
    params_publish(&rig->params, rig->masters);
}

static void rig_close(Rig *rig)
{
    gradient_close(rig->gradient);
    shards_close(&rig->shards);
    params_close(&rig->params);
    rig->backend->close(rig->backend);
    reward_text_close(&rig->text);
    mem_free(rig->masters);
}

#define ASKED "{\"role\": \"user\", \"content\": \"Say a word.\"}"
#define SAID(text) "{\"role\": \"assistant\", \"content\": \"" text "\"}"
#define PAIR(chosen, rejected)                                                                     \
    "{\"prompt\": [" ASKED                                                                         \
    "], \"chosen\": [" SAID(chosen) "], \"rejected\": [" SAID(rejected) "]}\n"

static const char some_pairs[] = PAIR("yes", "no") PAIR("a long answer of several words", "short")
    /* The same as the first, as whole conversations. */
    "{\"chosen\": [" ASKED ", " SAID("yes") "], \"rejected\": [" ASKED
                                            ", " SAID("no") "]}\n\n" PAIR("left", "right")
                                                PAIR("alike", "alike");

static void read_text(Pairs *pairs, const Rig *rig, const char *text, int row_tokens)
{
    Error err = {0};
    const char *path = test_temp("pairs.jsonl");
    assert_ok(file_write(path, str_from(text), &err));
    assert_ok(pairs_read(pairs, path, &rig->text, row_tokens, &err));
}

static void test_pairs(void **state)
{
    (void)state;
    Rig rig;
    Pairs p;
    Rows rows;
    Arena arena = {0};
    Error err = {0};
    rig_open(&rig, 1);
    read_text(&p, &rig, some_pairs, ROW_TOKENS);
    assert_int_equal(p.n, 4);
    assert_int_equal(p.n_alike, 1);
    assert_int_equal(p.n_long, 0);
    /* Both forms are one. */
    const int64_t n = p.start[2];
    assert_int_equal(p.start[6] - p.start[4], n);
    assert_memory_equal(p.ids.data, p.ids.data + p.start[4], sizeof(int32_t) * (size_t)n);
    /* A conversation ends where its last message does. */
    const Str last = tokenizer_bytes(rig.text.text.tokenizer, p.ids.data[p.start[1] - 1]);
    assert_true(str_equal(last, STR("<|im_end|>")));
    /* Pairs stay together, in rows that are not too long, a multiple of the grains. */
    const int which[] = {3, 1, 0, 2, 1, 0};
    const int longest = (int)(p.start[4] - p.start[2]);
    assert_ok(pairs_rows(&p, which, 6, longest, 2, &arena, &rows, &err));
    assert_int_equal(rows.n_rows % 2, 0);
    for (int r = 0, n_docs = 0; r < rows.n_rows; r++) {
        const int docs = rows.row_start[r + 1] - rows.row_start[r];
        const int from = rows.doc_start[rows.row_start[r]];
        assert_true(docs > 0 && docs % 2 == 0);
        assert_true(rows.doc_start[rows.row_start[r + 1]] - from <= longest);
        n_docs += docs;
        assert_int_equal(r + 1 < rows.n_rows ? 12 : n_docs, 12);
    }
    double weights = 0;
    for (int i = 0; i < rows.doc_start[12]; i++)
        weights += (double)rows.weights[i];
    assert_true(weights == 12);
    assert_false(pairs_rows(&p, which, 6, longest, 8, &arena, &rows, &err));
    pairs_close(&p);
    /* Too long: left out and counted. */
    read_text(&p, &rig, some_pairs, longest - 1);
    assert_int_equal(p.n, 3);
    assert_int_equal(p.n_long, 1);
    pairs_close(&p);
    arena_close(&arena);
    rig_close(&rig);
}

static void test_malformed(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"3", "2: it is not an object"},
        {"{\"chosen\": [" SAID("a") "]", "2: "},
        {"{\"chosen\": \"a\", \"rejected\": \"b\"}", "2: chosen: messages: it is not an array"},
        {"{\"chosen\": [" SAID("a") "]}", "2: rejected: messages"},
        {"{\"prompt\": [], \"chosen\": [" SAID("a") "], \"rejected\": [" SAID("b") "]}",
         "2: prompt: messages"},
        {"{\"chosen\": [" SAID("a") ", " ASKED "], \"rejected\": [" SAID("b") "]}",
         "2: chosen: its last message is not the assistant's"},
        {"{\"chosen\": [" SAID("a") "], \"rejected\": [{\"role\": \"bot\", \"content\": \"b\"}]}",
         "2: rejected: messages[0].role"},
        {"{\"tools\": 1, \"chosen\": [" SAID("a") "], \"rejected\": [" SAID("b") "]}",
         "2: tools: it is not an array"},
    };
    Rig rig;
    rig_open(&rig, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Pairs p;
        Error err = {0};
        char text[1024];
        const char *path = test_temp("bad.jsonl");
        snprintf(text, sizeof text, "%s%s\n", PAIR("yes", "no"), cases[i].line);
        assert_ok(file_write(path, str_from(text), &err));
        assert_false(pairs_read(&p, path, &rig.text, ROW_TOKENS, &err));
        if (!strstr(err.message, cases[i].message) || !strstr(err.message, "bad.jsonl:2"))
            fail_msg("%s: %s", cases[i].line, err.message);
        pairs_close(&p);
    }
    rig_close(&rig);
}

/* The loss falls along the gradient as fast as it says, whatever the micro-batches; and all
 * micro-batches give the same gradient. */
static void test_gradient(void **state)
{
    (void)state;
    float *kept = NULL;
    for (int micro_rows = 1; micro_rows <= 3; micro_rows += 2) {
        Rig rig;
        Pairs p;
        Rows rows;
        Arena arena = {0};
        Error err = {0};
        Preference preference;
        GradientReport report;
        const float *gradient;
        const int which[] = {0, 1, 3};
        rig_open(&rig, micro_rows);
        read_text(&p, &rig, some_pairs, ROW_TOKENS);
        const int longest = (int)(p.start[4] - p.start[2]); /* rows of one pair */
        assert_ok(pairs_rows(&p, which, 3, longest, 1, &arena, &rows, &err));
        preference_open(&preference, rig.params.model, rig.text.token, 0.02);
        assert_ok(
            gradient_batch(rig.gradient, &rows, &preference.objective, &gradient, &report, &err));
        const PreferenceStats stats = preference.stats;
        assert_int_equal(stats.n, 3);
        assert_near(report.loss, stats.loss / 3, 1e-6);
        double norm = 0;
        for (size_t i = 0; i < rig.params.size; i++)
            norm += (double)gradient[i] * (double)gradient[i];
        norm = sqrt(norm);
        assert_true(norm > 1e-3);
        const size_t bytes = sizeof(float) * rig.params.size;
        float *direction = mem_alloc(bytes), *moved = mem_alloc(bytes);
        memcpy(direction, gradient, bytes);
        double losses[2];
        const double h = 2e-3;
        for (int side = 0; side < 2; side++) {
            for (size_t i = 0; i < rig.params.size; i++)
                moved[i] = rig.masters[i] + (float)((side ? h : -h) * (double)direction[i] / norm);
            params_publish(&rig.params, moved);
            preference.stats = (PreferenceStats){0};
            const double sum = gradient_score(rig.gradient, &rows, &preference.objective);
            losses[side] = preference.stats.loss / 3;
            assert_near(sum / 6, losses[side], 1e-6);
        }
        assert_near((losses[1] - losses[0]) / (2 * h) / norm, 1, 0.02);
        if (kept)
            assert_memory_equal(kept, direction, bytes);
        else
            kept = direction;
        if (kept != direction)
            mem_free(direction);
        mem_free(moved);
        preference_close(&preference);
        pairs_close(&p);
        arena_close(&arena);
        rig_close(&rig);
    }
    mem_free(kept);
}

/* A model in use gives the scores that the trainer saw, alone and among others. */
static void test_scores(void **state)
{
    (void)state;
    Rig rig;
    Pairs p;
    Arena arena = {0};
    Error err = {0};
    Preference preference;
    Ids conversations[8];
    float together[8];
    rig_open(&rig, 1);
    read_text(&p, &rig, some_pairs, ROW_TOKENS);
    preference_open(&preference, rig.params.model, rig.text.token, 0);
    RewardModel *m = reward_model_open(rig.path, REWARD_TOKEN, &err);
    assert_ok(m);
    assert_ok(reward_model_load(m, rig.backend, &err));
    for (int i = 0; i < 8; i++)
        conversations[i] = (Ids){p.ids.data + p.start[i], (int)(p.start[i + 1] - p.start[i]), 0};
    assert_ok(reward_model_scores(m, conversations, 8, together, &err));
    for (int i = 0; i < 4; i++) {
        Rows rows;
        float alone[2];
        assert_ok(reward_model_scores(m, conversations + 2 * i, 2, alone, &err));
        assert_memory_equal(alone, together + 2 * i, sizeof alone);
        assert_ok(pairs_rows(&p, &i, 1, ROW_TOKENS, 1, &arena, &rows, &err));
        preference.stats = (PreferenceStats){0};
        gradient_score(rig.gradient, &rows, &preference.objective);
        assert_true(preference.stats.margin == (double)alone[0] - (double)alone[1]);
        assert_true(preference.stats.margin != 0);
    }
    assert_false(reward_model_open(rig.path, "<|nothing|>", &err));
    assert_non_null(strstr(err.message, "reward.token"));
    reward_model_close(m);
    preference_close(&preference);
    pairs_close(&p);
    arena_close(&arena);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loss),      cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_malformed), cmocka_unit_test(test_gradient),
        cmocka_unit_test(test_scores),
    };
    return TEST_MAIN("preference", tests);
}
