/* eval/: tasks asked of a model that is none, judged, kept, gone on with. */
#include "support.h"

#include "eval/fake_asker.h"

#include "base/file.h"
#include "eval/aims.h"
#include "eval/compare.h"
#include "eval/eval_run.h"
#include "eval/eval_samples.h"
#include "eval/file_task.h"
#include "eval/results.h"
#include "eval/table.h"

#include <stdio.h>
#include <unistd.h>

typedef struct Bench {
    TaskList list;
    EvalSettings settings;
    EvalRecords records;
    Fake fake;
    char dir[256]; /* "": none */
    Error err;
} Bench;

static void bench_open(Bench *b, const char *tasks, int n, const char *budgets)
{
    const FamilyDraw draw = {.n = n, .seed = 1, .langs = {true, true, false, false}};
    Error err = {0};
    memset(b, 0, sizeof *b);
    assert_ok(task_list_read(&b->list, tasks, &draw, &err));
    if (budgets)
        assert_ok(eval_budgets_read(budgets, &b->settings, &err));
    assert_ok(eval_settings_make(&b->settings, EVAL_BOTH, true, false, false, &err));
    if (strcmp(tasks, "card") != 0)
        fake_learn(&b->fake, &b->list);
}

static bool bench_run(Bench *b)
{
    const EvalAsker asker = fake_asker(&b->fake);
    const EvalJob job = {.dir = b->dir[0] ? b->dir : NULL, .seed = 1};
    eval_records_close(&b->records);
    eval_records_open(&b->records, &b->list, &b->settings);
    b->fake.n_asked = 0;
    b->err = (Error){0};
    return eval_run(&job, &asker, &b->records, &b->err);
}

static void bench_close(Bench *b)
{
    eval_records_close(&b->records);
    task_list_close(&b->list);
    fake_close(&b->fake);
}

static double mean_of(const Bench *b, int task_i, int setting_i, int metric)
{
    return eval_result_mean(&b->records, task_i, setting_i, metric, NULL).mean;
}

/* ---- Judges ---------------------------------------------------------------------------------- */

static void solutions_of_all_families_are_right(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "all", 6, NULL);
    assert_int_equal(b->list.n, task_n_families());
    Error err = {0};
    (void)err;
    if (!bench_run(b))
        fail_msg("%s", b->err.message);
    for (int t = 0; t < b->list.n; t++)
        for (int s = 0; s < b->settings.n; s++) {
            if (!eval_is_asked(&b->records, t, s))
                continue;
            for (int m = 0; m < b->list.items[t]->n_metrics; m++)
                if (mean_of(b, t, s, m) < 1)
                    fail_msg("%s, %s: %s is %.2f", b->list.items[t]->name,
                             b->settings.items[s].name, b->list.items[t]->metrics[m],
                             mean_of(b, t, s, m));
        }
    bench_close(b);
    free(b);
}

/* An episode's first reply is a call: what is right shows at its end only. */
static void episodes_are_played_to_their_end(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "tool_episode:2,tool_call:1", 4, NULL);
    assert_true(bench_run(b));
    assert_int_equal(b->fake.n_asked, 2 * 4 * 3 + 2 * 4); /* two calls and a word; one call */
    b->fake.wrong_every = 1;
    assert_true(bench_run(b));
    assert_true(mean_of(b, 0, 0, 0) < 0.01); /* what is said in the end */
    assert_true(mean_of(b, 0, 0, 1) > 0.99); /* the calls are right */
    bench_close(b);
    free(b);
}

static void modes_and_budgets_are_told_apart(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "chain:2", 50, "0,16,64,inf");
    b->fake.plain_is_wrong = true;
    b->fake.right_from = 64;
    assert_true(bench_run(b));
    assert_int_equal(b->fake.n_asked, 4 * 50);
    const EvalMean gain = eval_result_gain(&b->records, 0, NULL);
    assert_true(gain.n == 50 && gain.mean > 0.99);
    EvalMean points[EVAL_BUDGETS_MAX];
    const EvalCurve curve = eval_result_curve(&b->records, 0, points);
    assert_true(points[1].mean < 0.01 && points[2].mean > 0.99);
    assert_int_equal(curve.n_rises, 1);
    assert_int_equal(curve.n_falls, 0);
    Buf table = {0};
    eval_table(&b->records, EVAL_SPLIT_NONE, &table);
    assert_true(test_contains(table.data, "| chain:2 | 50 | 20 | 100.0 ± 0.0 | 10 + 5 |"));
    assert_true(test_contains(table.data, "| chain:2 | 0.0 ± 0.0 | 0.0 ± 0.0 | 100.0 ± 0.0 | "
                                          "100.0 ± 0.0 | 1 of 3 | 0 | +100.0 ± 0.0 |"));
    buf_free(&table);
    bench_close(b);
    free(b);
}

/* An episode that outgrows the context is wrong; a prompt that does not fit is no case. */
static void what_does_not_fit_is_told(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "tool_episode:2,tool_answer:1,chain:1", 10, NULL);
    b->fake.limit = 2; /* a question; of tool_answer a call and its response stand before it */
    assert_false(bench_run(b));
    assert_true(test_contains(b->err.message, "tool_answer:1: none of its prompts fits: it does"));
    assert_int_equal(b->records.left_out[1].n, 20);
    assert_true(mean_of(b, 0, 0, 0) < 0.01);
    assert_true(mean_of(b, 0, 0, EVAL_CUT) > 0.99);
    assert_true(mean_of(b, 2, 0, 0) > 0.99);
    bench_close(b);
    free(b);
}

static char *card_answers[3];
static char *play_card(const EvalPrompt *prompt)
{
    return strdup(card_answers[json_array_size(prompt->messages) / 2]);
}

/* Without a thought the second turn alone can be right: its flag asks for none. */
static void the_card_is_judged_turn_by_turn(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "card", 1, NULL);
    b->fake.script = play_card;
    card_answers[0] = (char *)"There are 3 r's in strawberries.";
    card_answers[1] = (char *)"2";
    card_answers[2] = (char *)"Yes, 2.";
    const int s = b->settings.n - 1;
    assert_true(bench_run(b));
    assert_int_equal(b->fake.n_asked, 3);
    const double plain[4] = {0, 0, 1, 0};
    for (int m = 0; m < 4; m++)
        assert_true(mean_of(b, 0, s, m) == plain[m]);
    b->fake.thought = "r: s t r1";
    assert_true(bench_run(b));
    const double thinking[4] = {0, 1, 0, 1};
    for (int m = 0; m < 4; m++)
        assert_true(mean_of(b, 0, s, m) == thinking[m]);
    card_answers[2] = (char *)"No, 3.";
    assert_true(bench_run(b));
    assert_true(mean_of(b, 0, s, 3) == 0);
    bench_close(b);
    free(b);
}

/* ---- Going on -------------------------------------------------------------------------------- */

static void folder(Bench *b, const char *name)
{
    Error err = {0};
    snprintf(b->dir, sizeof b->dir, "%s", test_temp(name));
    json_t *identity = json_pack("{s:s, s:i}", "model", "fake", "seed", 1);
    assert_ok(eval_samples_folder(b->dir, identity, &err));
    json_decref(identity);
}

static Buf contents(const Bench *b, const char *name)
{
    Buf text = {0};
    Error err = {0};
    char *path = file_join(b->dir, name);
    assert_ok(file_read(&text, path, 1 << 24, &err));
    mem_free(path);
    return text;
}

static void a_run_goes_on_where_it_was_stopped(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "chain:2,letters", 40, NULL);
    folder(b, "whole");
    assert_true(bench_run(b));
    assert_int_equal(b->records.n_asked, 160);
    Buf whole[2] = {contents(b, "samples_chain_2.jsonl"), contents(b, "samples_letters.jsonl")};
    const double acc = mean_of(b, 1, 0, 0);

    folder(b, "stopped");
    b->fake.fails_at = 101;
    assert_false(bench_run(b));
    assert_true(test_contains(b->err.message, "it is broken"));
    assert_true(test_contains(b->err.message, "letters-eval-"));
    b->fake.fails_at = 0;
    char *path = file_join(b->dir, "samples_letters.jsonl");
    FILE *file = fopen(path, "a"); /* cut in the middle of a line */
    fputs("{\"doc_id\": 3, \"doc\"", file);
    fclose(file);
    assert_true(bench_run(b));
    assert_true(b->records.n_kept > 60 && b->records.n_kept + b->records.n_asked == 160);
    assert_int_equal(b->fake.n_asked, b->records.n_asked);
    assert_true(mean_of(b, 1, 0, 0) == acc);
    Buf again[2] = {contents(b, "samples_chain_2.jsonl"), contents(b, "samples_letters.jsonl")};
    for (int i = 0; i < 2; i++) {
        assert_true(str_equal(buf_str(&whole[i]), buf_str(&again[i])));
        buf_free(&whole[i]);
        buf_free(&again[i]);
    }
    assert_true(bench_run(b));
    assert_int_equal(b->records.n_asked, 0);

    file = fopen(path, "a");
    fputs("{\"doc_id\": 3}\n", file);
    fclose(file);
    assert_false(bench_run(b));
    assert_true(test_contains(b->err.message, "samples_letters.jsonl:81: not a sample"));
    mem_free(path);
    bench_close(b);
    free(b);
}

static void a_folder_holds_one_run(void **state)
{
    (void)state;
    Error err = {0};
    const char *dir = test_temp("one");
    json_t *a = json_pack("{s:s, s:i}", "model_hash", "12", "seed", 1);
    json_t *b = json_pack("{s:s, s:i}", "model_hash", "34", "seed", 1);
    assert_ok(eval_samples_folder(dir, a, &err));
    assert_ok(eval_samples_folder(dir, a, &err));
    assert_error(eval_samples_folder(dir, b, &err), ERROR_ARGUMENT,
                 "\"model_hash\" was \"12\" and is \"34\" now; give another --out");
    json_decref(a);
    json_decref(b);
}

/* More problems of the same task are gone on with, others are not taken for them. */
static void samples_are_of_their_problems(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "chain", 10, NULL);
    folder(b, "more");
    assert_true(bench_run(b));
    char dir[256];
    snprintf(dir, sizeof dir, "%s", b->dir);
    bench_close(b);
    bench_open(b, "chain", 30, NULL);
    snprintf(b->dir, sizeof b->dir, "%s", dir);
    assert_true(bench_run(b));
    assert_int_equal(b->records.n_kept, 20);
    assert_int_equal(b->records.n_asked, 40);
    bench_close(b);

    const FamilyDraw draw = {.n = 10, .seed = 2, .langs = {true}};
    Error err = {0};
    memset(b, 0, sizeof *b);
    assert_ok(task_list_read(&b->list, "chain", &draw, &err));
    assert_ok(eval_settings_make(&b->settings, EVAL_BOTH, true, false, false, &err));
    fake_learn(&b->fake, &b->list);
    snprintf(b->dir, sizeof b->dir, "%s", dir);
    assert_false(bench_run(b));
    assert_true(test_contains(b->err.message, "of another problem"));
    bench_close(b);
    free(b);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void results_have_the_usual_shape(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    bench_open(b, "chain:1-2,think_follow", 20, NULL);
    b->fake.wrong_every = 4;
    folder(b, "shape");
    assert_true(bench_run(b));
    json_t *identity = json_pack("{s:s}", "model", "fake");
    json_t *all = eval_results(&b->records, identity);
    static const char *const keys[] = {"results",   "group_subtasks", "configs",
                                       "versions",  "n-shot",         "higher_is_better",
                                       "n-samples", "config",         "date"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        assert_non_null(json_object_get(all, keys[i]));
    const json_t *chain = json_object_get(json_object_get(all, "results"), "chain:1-2");
    assert_true(json_real_value(json_object_get(chain, "acc,think")) == 0.75);
    assert_true(json_real_value(json_object_get(chain, "acc_stderr,think")) > 0);
    assert_non_null(json_object_get(json_object_get(all, "results"), "chain:1-2/level=2"));
    assert_non_null(json_object_get(json_object_get(all, "results"), "chain:1-2/lang=zh"));
    const json_t *follow = json_object_get(json_object_get(all, "results"), "think_follow");
    assert_non_null(json_object_get(follow, "mode,flags"));
    assert_null(json_object_get(follow, "acc,think"));
    json_decref(identity);
    json_decref(all);

    Buf text = contents(b, "samples_chain_1-2.jsonl");
    json_t *line = json_loadb(text.data, (size_t)(strchr(text.data, '\n') - text.data), 0, NULL);
    static const char *const parts[] = {
        "doc_id", "doc",     "target",   "arguments",   "resps",       "filtered_resps",
        "filter", "metrics", "doc_hash", "prompt_hash", "target_hash", "acc"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        assert_non_null(json_object_get(line, parts[i]));
    json_decref(line);
    buf_free(&text);
    bench_close(b);
    free(b);
}

static void write_results(Bench *b)
{
    Error err = {0};
    json_t *identity = json_pack("{s:s, s:i}", "model_hash", "12", "seed", 1);
    json_t *all = eval_results(&b->records, identity);
    char *text = json_dumps(all, 0), *path = file_join(b->dir, "results.json");
    assert_ok(file_write(path, str_from(text), &err));
    mem_free(path);
    free(text);
    json_decref(all);
    json_decref(identity);
}

/* 0 1 0 1 then 0 1 1 1 of every four: the gain and its error are those of the pairs. */
static void runs_are_compared_in_pairs(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    Error err = {0};
    char runs[2][300];
    for (int i = 0; i < 2; i++) {
        bench_open(b, "chain:1", i ? 20 : 40, NULL); /* the first has more problems */
        b->fake.wrong_every = i ? 4 : 2;
        folder(b, i ? "after" : "before");
        if (!bench_run(b))
            fail_msg("%s", b->err.message);
        write_results(b);
        snprintf(runs[i], sizeof runs[i], "%s%s", i ? "" : "P1=", b->dir);
        bench_close(b);
    }
    char *texts[] = {runs[0], runs[1]};
    Buf table = {0};
    assert_ok(eval_compare(texts, 2, &table, &err));
    assert_true(test_contains(table.data, "| task | asked | P1 | after | last - first |\n"));
    assert_true(test_contains(table.data, "| chain:1 | think | 50.0 ± 8.0 | 75.0 ± 9.9 | +25.0 ± "
                                          "9.9 |\n"));
    assert_true(test_contains(table.data, "P1: model 12, seed 1\n"));
    buf_free(&table);
    char both[700];
    snprintf(both, sizeof both, "seeds=%s,%s", strchr(runs[0], '=') + 1, runs[1]);
    texts[1] = both;
    assert_ok(eval_compare(texts, 2, &table, &err));
    /* 50 and 75 give 62.5 with an error of 12.5; the difference has it and the first one's. */
    assert_true(test_contains(table.data, "| chain:1 | think | 50.0 ± 8.0 | 62.5 ± 12.5 | +12.5 ± "
                                          "14.8 |\n"));
    assert_true(test_contains(table.data, "seeds: model 12, seed 1; model 12, seed 1\n"));
    buf_free(&table);
    texts[1] = (char *)"no/such";
    assert_error(eval_compare(texts, 2, &table, &err), ERROR_IO, "no/such/results.json");
    buf_free(&table);
    free(b);
}

/* ---- Aims ----------------------------------------------------------------------------------- */

static const char aims_text[] =
    "{\"aims\": [{\"task\": \"chain:2\", \"asked\": \"think\", \"at_least\": 0.7},"
    "{\"task\": \"chain:2\", \"asked\": \"plain\", \"at_least\": 0.1},"
    "{\"task\": \"think_follow\", \"asked\": \"flags\", \"metric\": \"mode\", \"at_least\": 0.99}],"
    "\"gain\": {\"at_least\": 0.5, \"tasks\": 2, \"of\": \"chain:2,equation\"},"
    "\"budgets\": {\"budgets\": \"0,16,64,inf\", \"rises\": 1, \"at_least\": 0.5, \"of\": "
    "\"chain:2\"}}";

static void aims_are_checked(void **state)
{
    (void)state;
    Bench *b = malloc(sizeof *b);
    const FamilyDraw draw = {.n = 40, .seed = 1, .langs = {true}};
    Error err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s", test_temp("aims.json"));
    test_write(path, aims_text, strlen(aims_text));
    memset(b, 0, sizeof *b);
    Aims *aims = aims_open(path, &err);
    assert_ok(aims != NULL);
    assert_ok(aims_add_tasks(aims, &b->list, &draw, true, &err));
    assert_int_equal(b->list.n, 3);
    assert_ok(eval_budgets_read(aims_budgets(aims), &b->settings, &err));
    assert_ok(eval_settings_make(&b->settings, EVAL_BOTH, true, false, false, &err));
    fake_learn(&b->fake, &b->list);
    b->fake.plain_is_wrong = true;
    b->fake.wrong_every = 4;
    b->fake.right_from = 64;
    assert_true(bench_run(b));
    /* chain:2 think, plain, two budgets; the other two: think_follow once, equation twice. */
    assert_int_equal(b->fake.n_asked, 40 * (4 + 1 + 2));
    json_t *checked = aims_check(aims, &b->records);
    static const bool expected[] = {true, false, true, true, true};
    assert_int_equal(json_array_size(checked), 5);
    for (size_t i = 0; i < 5; i++)
        if (json_is_true(json_object_get(json_array_get(checked, i), "is_met")) != expected[i])
            fail_msg("aim %zu", i + 1);
    Buf table = {0};
    aims_table(checked, &table);
    assert_true(test_contains(table.data, "| chain:2, think | 70.0 | 75.0 ± 6.9 | yes |"));
    assert_true(test_contains(table.data, "4 of 5 aims are met."));
    buf_free(&table);
    json_decref(checked);
    b->fake.right_from = 0; /* a budget of 16 does as well: still a rise, and none after it */
    b->fake.plain_is_wrong = false;
    assert_true(bench_run(b));
    checked = aims_check(aims, &b->records);
    assert_true(json_is_true(json_object_get(json_array_get(checked, 1), "is_met")));
    for (size_t i = 3; i < 5; i++)
        assert_true(json_is_false(json_object_get(json_array_get(checked, i), "is_met")));
    json_decref(checked);
    aims_close(aims);
    bench_close(b);
    free(b);
}

static void bad_aims_are_named(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{", "aims.json:1: "},
        {"{}", "aims.json: there is no list \"aims\""},
        {"{\"aims\": [{\"task\": \"chain\", \"asked\": \"think\", \"at_least\": 97}]}",
         "aims.json: aim 1: it needs"},
        {"{\"aims\": [], \"gain\": {\"at_least\": 0.3}}", "\"gain\" needs"},
        {"{\"aims\": [], \"budgets\": {}}", "\"budgets\" needs"},
    };
    Error err = {0};
    char path[300];
    snprintf(path, sizeof path, "%s", test_temp("aims.json"));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        test_write(path, bad[i][0], strlen(bad[i][0]));
        assert_error(aims_open(path, &err), ERROR_FORMAT, bad[i][1]);
    }
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static void a_task_has_no_prompt_twice(void **state)
{
    (void)state;
    const FamilyDraw draw = {.n = 1000, .seed = 1, .langs = {true, false, false, false}};
    Error err = {0};
    TaskList list = {0};
    assert_ok(task_list_read(&list, "one_step:1,talk", &draw, &err));
    for (int t = 0; t < list.n; t++) {
        uint64_t *seen = calloc((size_t)list.items[t]->n_cases, sizeof *seen);
        for (int i = 0; i < list.items[t]->n_cases; i++) {
            EvalCase c = {0};
            assert_ok(list.items[t]->open_case(list.items[t], i, &c, &err));
            seen[i] = fake_hash(c.messages);
            for (int k = 0; k < i; k++)
                assert_true(seen[k] != seen[i]);
            eval_case_close(list.items[t], &c);
        }
        free(seen);
    }
    assert_true(list.items[1]->n_cases > 5 && list.items[1]->n_cases < 1000);
    task_list_close(&list);
}

static void words_of_tasks_are_read(void **state)
{
    (void)state;
    FamilyDraw draw = {.n = 2, .seed = 1, .langs = {true, false, false, false}};
    Error err = {0};
    TaskList list = {0};
    assert_ok(task_list_read(&list, "chain:2-4,letters,algebra,letters", &draw, &err));
    assert_string_equal(list.items[0]->name, "chain:2-4");
    assert_int_equal(list.n, 5); /* equation, system, quadratic; letters once */
    assert_error(task_list_read(&list, "lettres", &draw, &err), ERROR_ARGUMENT, "no task lettres");
    assert_error(task_list_read(&list, "chain:0", &draw, &err), ERROR_ARGUMENT, "from 1 to 6");
    assert_error(task_list_read(&list, "chain:4-2", &draw, &err), ERROR_ARGUMENT, "chain:1-6");
    assert_error(task_list_read(&list, "chain:9", &draw, &err), ERROR_ARGUMENT, "from 1 to 6");
    assert_error(task_list_read(&list, "chain,", &draw, &err), ERROR_ARGUMENT, "empty name");
    assert_error(task_langs_read("en,fr", draw.langs, &err), ERROR_ARGUMENT, "en,fr");
    assert_ok(task_langs_read("de", draw.langs, &err));
    assert_error(task_list_read(&list, "constraints", &draw, &err), ERROR_ARGUMENT,
                 "none of these languages");
    task_list_close(&list);
}

static int count_words(void *context, const json_t *messages, Error *err)
{
    (void)context, (void)err;
    int n = 1;
    for (const char *c = json_string_value(json_object_get(json_array_get(messages, 0), "content"));
         *c; c++)
        n += *c == ' ';
    return n;
}

static void a_length_finds_its_level(void **state)
{
    (void)state;
    FamilyDraw draw = {
        .n = 2, .seed = 1, .langs = {true, false, false, false}, .count = count_words};
    Error err = {0};
    TaskList list = {0};
    assert_ok(task_list_read(&list, "needle@300,needle@1200", &draw, &err));
    assert_string_equal(list.items[0]->name, "needle@300");
    int levels[2];
    for (int t = 0; t < 2; t++) {
        EvalCase c = {0};
        assert_ok(list.items[t]->open_case(list.items[t], 0, &c, &err));
        levels[t] = c.level;
        assert_true(count_words(NULL, c.messages, &err) <= (t ? 1200 : 300));
        eval_case_close(list.items[t], &c);
    }
    assert_true(levels[0] > 1 && levels[1] == levels[0] + 2); /* each level has twice the lines */
    assert_error(task_list_read(&list, "needle@20", &draw, &err), ERROR_ARGUMENT,
                 "even level 1 has prompts of");
    assert_error(task_list_read(&list, "needle@x", &draw, &err), ERROR_ARGUMENT,
                 "not a length in tokens");
    task_list_close(&list);
}

static void files_of_problems_are_read(void **state)
{
    (void)state;
    static const char lines[] =
        "{\"id\": \"a\", \"family\": \"mine\", \"messages\": [{\"role\": \"user\", \"content\": "
        "\"x\"}], \"answer\": \"7\"}\n\n"
        "{\"id\": \"chain-eval-2-en-1\", \"family\": \"chain\", \"split\": \"eval\", "
        "\"difficulty\": 2, \"messages\": [{\"role\": \"user\", \"content\": \"1 + 6 = ?\"}], "
        "\"answer\": \"7\"}\n";
    char path[256];
    snprintf(path, sizeof path, "%s", test_temp("problems.jsonl"));
    test_write(path, lines, strlen(lines));
    TaskList list = {0};
    Error err = {0};
    assert_ok(file_tasks_add(&list, path, 0, &err));
    assert_int_equal(list.n, 2);
    const char *const replies[] = {" 7\n", "The answer is 7.", "8"};
    const double expected[2][3] = {{1, 0, 0}, {1, 1, 0}};
    for (int t = 0; t < 2; t++)
        for (int r = 0; r < 3; r++) {
            EvalCase c = {0};
            EvalTurn turn = {0};
            double values[EVAL_METRICS_MAX];
            eval_turn_clear(&turn);
            buf_puts(&turn.content, replies[r]);
            assert_ok(list.items[t]->open_case(list.items[t], 0, &c, &err));
            assert_false(list.items[t]->take(list.items[t], &c, &turn, values));
            if (values[0] != expected[t][r])
                fail_msg("%s: \"%s\" is %.1f", list.items[t]->name, replies[r], values[0]);
            eval_case_close(list.items[t], &c);
            eval_turn_free(&turn);
        }
    task_list_close(&list);
    test_write(path, "\n{\"id\": 1}\n", 11);
    assert_error(file_tasks_add(&list, path, 0, &err), ERROR_FORMAT, "problems.jsonl:2: ");
    test_write(path, "\n", 1);
    assert_error(file_tasks_add(&list, path, 0, &err), ERROR_FORMAT, "no problem in it");
    task_list_close(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solutions_of_all_families_are_right),
        cmocka_unit_test(episodes_are_played_to_their_end),
        cmocka_unit_test(modes_and_budgets_are_told_apart),
        cmocka_unit_test(what_does_not_fit_is_told),
        cmocka_unit_test(the_card_is_judged_turn_by_turn),
        cmocka_unit_test(a_run_goes_on_where_it_was_stopped),
        cmocka_unit_test(a_folder_holds_one_run),
        cmocka_unit_test(samples_are_of_their_problems),
        cmocka_unit_test(results_have_the_usual_shape),
        cmocka_unit_test(runs_are_compared_in_pairs),
        cmocka_unit_test(aims_are_checked),
        cmocka_unit_test(bad_aims_are_named),
        cmocka_unit_test(a_task_has_no_prompt_twice),
        cmocka_unit_test(words_of_tasks_are_read),
        cmocka_unit_test(a_length_finds_its_level),
        cmocka_unit_test(files_of_problems_are_read),
    };
    return TEST_MAIN("eval run", tests);
}
