/* train/evaluation and its parts, rl/live: what is seen of a model in training, and that looking
 * changes nothing. */
#include "run_rig.h"

#include "rl/judge.h"
#include "rl/live.h"
#include "tasks/tasks.h"
#include "train/run.h"
#include "train/run_table.h"

#include <math.h>
#include <string.h>

/* One document a row, so that a step's batch is all there is. */
static void write_run_config(void)
{
    Buf text = {0};
    buf_printf(&text,
               "model:\n  shape: %s\n  tokenizer: %s\n  compute: f32\n"
               "data:\n  sources:\n    - path: %s/text.txt\n"
               "batch: {rows: 2, tokens: 96, micro_rows: 1}\n"
               "schedule: {shape: constant, peak: 0.003, warmup_steps: 0, steps: 6}\n"
               "eval: {every: 2, samples_every: 3, max_tokens: 5}\n",
               dense, folder, folder);
    write_file("config.yaml", text.data);
    buf_free(&text);
}

static const char problems[] =
    "{\"id\":\"1\",\"family\":\"sums\",\"split\":\"eval\",\"difficulty\":1,"
    "\"messages\":[{\"role\":\"user\",\"content\":\"2+2\"}],\"answer\":\"4\"}\n"
    "{\"id\":\"2\",\"family\":\"sums\",\"split\":\"eval\",\"difficulty\":1,"
    "\"messages\":[{\"role\":\"user\",\"content\":\"2+3\"}],\"answer\":5}\n"
    "\n"
    "{\"id\":\"3\",\"family\":\"a, b\",\"split\":\"eval\",\"difficulty\":1,"
    "\"messages\":[{\"role\":\"user\",\"content\":\"say a, b\"}],\"answer\":\"a, b\"}\n";

static char *out_path(const char *out, const char *name)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", out, name);
    return file_join(folder, path);
}

/* A run to its end with the sets that follow; `asker` NULL: the model itself is asked. */
static FollowReply *follows; /* of the runs that follow; NULL: none */

static bool run_with(const char *out, const Asker *asker, const char *const *sets, int n_sets,
                     Error *err)
{
    TrainConfig config;
    bool is_done = false;
    char *folder_out = file_join(folder, out);
    bool ok = train_config_read(&config, STAGE_PRETRAIN, config_path, sets, n_sets, err);
    const TrainerOptions options = {.out = folder_out, .n_threads = 1};
    Trainer *t = ok ? trainer_open(&config, &options, err) : NULL;
    ok = t != NULL;
    if (ok) {
        const RunOptions run_options = {.hooks.asker = asker ? *asker : live_asker(t),
                                        .hooks.judge.follow = follows};
        ok = run_stage(t, &run_options, &is_done, err);
        assert_true(!ok || is_done);
    }
    trainer_close(t);
    if (config.json)
        train_config_close(&config);
    mem_free(folder_out);
    return ok;
}

static void read_table(const char *out, RunTable *table)
{
    Error err = {0};
    char *path = out_path(out, "log.csv");
    assert_ok(run_table_read(table, path, &err));
    mem_free(path);
}

static void expect_same_model(const char *a, const char *b)
{
    Error err = {0};
    Buf one = {0}, other = {0};
    char *path = out_path(a, "model/model.safetensors");
    assert_ok(file_read(&one, path, SIZE_MAX, &err));
    mem_free(path);
    path = out_path(b, "model/model.safetensors");
    assert_ok(file_read(&other, path, SIZE_MAX, &err));
    mem_free(path);
    assert_int_equal(one.bytes, other.bytes);
    assert_memory_equal(one.data, other.data, one.bytes);
    buf_free(&one);
    buf_free(&other);
}

static void looking_changes_nothing(void **state)
{
    (void)state;
    Error err = {0};
    char heldout[700], asked[700];
    snprintf(heldout, sizeof heldout, "eval.sources=[{path: %s/lines.jsonl}]", folder);
    snprintf(asked, sizeof asked, "eval.problems=%s/problems.jsonl", folder);
    const char *sets[] = {heldout, asked,
                          "eval.prompts=[The quick, {messages: [{role: user, content: Hi}]}]"};
    write_run_config();
    write_template();
    write_file("problems.jsonl", problems);
    assert_ok(run_with("blind", NULL, NULL, 0, &err));
    assert_ok(run_with("seeing", NULL, sets, 3, &err));
    expect_same_model("blind", "seeing");
}

/* After step n the held-out loss of the one document is the loss that step n + 1 begins with. */
static void heldout_loss_is_the_next_steps(void **state)
{
    (void)state;
    Error err = {0};
    RunTable table;
    char set[700];
    snprintf(set, sizeof set, "eval.sources=[{path: %s/text.txt}]", folder);
    const char *sets[] = {set, "eval.every=1"};
    write_run_config();
    assert_ok(run_with("same", NULL, sets, 2, &err));
    read_table("same", &table);
    const int loss = run_table_column(&table, "loss"), bpb = run_table_column(&table, "bpb");
    const int heldout = run_table_column(&table, "heldout_loss");
    const int heldout_bpb = run_table_column(&table, "heldout_bpb");
    assert_int_equal(table.n_rows, 6);
    for (int i = 0; i + 1 < table.n_rows; i++) {
        const double next = run_table_number(&table, i + 1, loss);
        assert_true(fabs(run_table_number(&table, i, heldout) - next) < 1e-5 * next);
        assert_true(fabs(run_table_number(&table, i, heldout_bpb) -
                         run_table_number(&table, i + 1, bpb)) < 1e-4);
    }
    run_table_close(&table);
}

/* Knows the answers, the second only with a thought. */
static bool knows(void *context, const AskOptions *options, const Question *questions, int n,
                  Reply *replies, Error *err)
{
    (void)err;
    int *n_asked = context;
    assert_int_equal(options->max_tokens, 5);
    for (int i = 0; i < n; i++) {
        const json_t *last = json_array_get(questions[i].messages, 0);
        const char *text = json_string_value(json_object_get(last, "content"));
        const bool knows_it = !text || strcmp(text, "2+3") != 0 || questions[i].thinks == 1;
        const char *content = !text                           ? questions[i].prompt
                              : strcmp(text, "2+2") == 0      ? " 4\n"
                              : strcmp(text, "2+3") == 0      ? "5"
                              : strcmp(text, "say a, b") == 0 ? "a, b."
                                                              : "Hello.";
        replies[i] = (Reply){.thinking = mem_strdup(questions[i].thinks == 1 ? "Hm." : ""),
                             .content = mem_strdup(knows_it ? content : "6"),
                             .n_tokens = i + 1,
                             .finish = "stop"};
        ++*n_asked;
    }
    return true;
}

static void accuracies_are_counted(void **state)
{
    (void)state;
    Error err = {0};
    RunTable table;
    char asked[700];
    int n_asked = 0;
    const Asker asker = {knows, &n_asked};
    snprintf(asked, sizeof asked, "eval.problems=%s/problems.jsonl", folder);
    const char *sets[] = {asked, "eval.prompts=[Once, {messages: [{role: user, content: Hi}]}]"};
    write_run_config();
    write_template();
    write_file("problems.jsonl", problems);
    assert_ok(run_with("known", &asker, sets, 2, &err));
    assert_int_equal(n_asked, 3 * 2 * 3 + 2 * 3); /* problems at 2 4 6, prompts at 3 6 */
    read_table("known", &table);
    static const struct {
        const char *column;
        double value;
    } expected[] = {{"accuracy_plain", 0.3333},   {"accuracy_think", 0.6667},
                    {"accuracy_plain/sums", 0.5}, {"accuracy_think/sums", 1},
                    {"accuracy_think/a__b", 0},   {"reply_tokens_plain", 2}};
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const int column = run_table_column(&table, expected[i].column);
        assert_true(column > 0 && isnan(run_table_number(&table, 0, column)));
        assert_true(run_table_number(&table, 1, column) == expected[i].value);
        assert_int_equal(run_table_last(&table, column), 5);
    }
    run_table_close(&table);
    Buf text = {0};
    char *path = out_path("known", "samples.jsonl");
    assert_ok(file_read(&text, path, 1 << 20, &err));
    const char *first = "{\"step\":3,\"prompt_i\":0,\"prompt\":\"Once\",\"mode\":\"plain\","
                        "\"thinking\":\"\",\"content\":\"Once\",\"tokens\":1,\"finish\":\"stop\"}\n"
                        "{\"step\":3,\"prompt_i\":1,\"messages\":[{\"role\":\"user\",\"content\":"
                        "\"Hi\"}],\"mode\":\"plain\",\"thinking\":\"\",\"content\":\"Hello.\","
                        "\"tokens\":2,\"finish\":\"stop\"}\n";
    assert_true(str_starts(buf_str(&text), str_from(first)));
    assert_true(test_contains(text.data, "\"mode\":\"think\",\"thinking\":\"Hm.\""));
    buf_free(&text);
    mem_free(path);
}

/* "2+3" is asked three times; the last reply, which has a thought or has none, counts. */
static json_t *asks_again(void *context, const json_t *problem, json_t *messages,
                          const Reply *reply)
{
    (void)context, (void)reply;
    json_t *first = json_array_get(messages, 0);
    const char *text = json_string_value(json_object_get(first, "content"));
    assert_ptr_equal(json_array_get(json_object_get(problem, "messages"), 0), first);
    if (!text || strcmp(text, "2+3") != 0 || json_array_size(messages) == 3)
        return NULL;
    json_t *next = json_copy(messages);
    json_array_append(next, first);
    return next;
}

static void conversations_go_on(void **state)
{
    (void)state;
    Error err = {0};
    RunTable table;
    char asked[700];
    int n_asked = 0;
    const Asker asker = {knows, &n_asked};
    snprintf(asked, sizeof asked, "eval.problems=%s/problems.jsonl", folder);
    const char *sets[] = {asked};
    write_run_config();
    write_template();
    write_file("problems.jsonl", problems);
    follows = asks_again;
    assert_ok(run_with("again", &asker, sets, 1, &err));
    follows = NULL;
    assert_int_equal(n_asked, 3 * 2 * (3 + 2)); /* problems at 2 4 6, one of them twice more */
    read_table("again", &table);
    assert_true(run_table_number(&table, 1, run_table_column(&table, "accuracy_think")) == 0.6667);
    /* 1 + 2 + 3 tokens, and twice one more. */
    assert_true(fabs(run_table_number(&table, 1, run_table_column(&table, "reply_tokens_plain")) -
                     2.7) < 1e-9);
    run_table_close(&table);
}

static double judged(const json_t *problem, const char *thinking, const char *content)
{
    Reply reply = {.thinking = mem_strdup(thinking), .content = mem_strdup(content)};
    const double score = judge_reply(NULL, problem, &reply);
    replies_free(&reply, 1);
    return score;
}

/* A problem of src/tasks by its family's checker, another by its text. */
static void replies_are_judged(void **state)
{
    (void)state;
    Problem problem = {0};
    Buf line = {0};
    problem_make(&problem,
                 &(ProblemSpec){.family = task_find("chain"), .lang = LANG_EN, .seed = 3});
    problem_write(&problem, &line);
    json_t *known = json_loadb(line.data, line.bytes, 0, NULL);
    json_t *other = json_pack("{s:s, s:s}", "family", "no such family", "answer", "4");
    const char *answer = json_string_value(json_object_get(known, "answer"));
    Buf boxed = {0};
    buf_printf(&boxed, "\\boxed{%s}", answer);
    assert_true(judged(known, "", boxed.data) == 1);
    assert_true(judged(known, boxed.data, "") == 0);
    assert_true(judged(other, "", " 4") == 1 && judged(other, "", "It is 4.") == 0);
    json_decref(known);
    json_decref(other);
    buf_free(&line);
    buf_free(&boxed);
    problem_close(&problem);
}

/* Says what an episode's solution says, turn by turn. */
static Reply solution_turn(const TaskMessage *m)
{
    Reply reply = {.thinking = mem_strdup(""),
                   .content =
                       mem_strndup(m->content.bytes ? m->content.data : "", m->content.bytes),
                   .tool_calls = json_array(),
                   .finish = m->n_calls ? "tool_calls" : "stop"};
    for (int c = 0; c < m->n_calls; c++)
        json_array_append_new(reply.tool_calls,
                              json_pack("{s:s%, s:s%}", "name", m->calls[c].name.data,
                                        m->calls[c].name.bytes, "arguments",
                                        m->calls[c].arguments.data, m->calls[c].arguments.bytes));
    return reply;
}

/* The tools of an episode answer what they should, also when they answered before. */
static void episodes_go_on(void **state)
{
    (void)state;
    Problem problem = {0};
    Buf line = {0};
    problem_make(&problem, &(ProblemSpec){.family = task_find("tool_episode"),
                                          .lang = LANG_EN,
                                          .difficulty = 3,
                                          .seed = 3});
    problem_write(&problem, &line);
    json_t *known = json_loadb(line.data, line.bytes, 0, NULL);
    json_t *messages = json_incref(json_object_get(known, "messages"));
    for (int i = 0; i < problem.n_solution; i++) {
        if (problem.solution[i].role == ROLE_TOOL)
            continue;
        Reply reply = solution_turn(&problem.solution[i]);
        json_t *next = judge_follow(NULL, known, messages, &reply);
        assert_true(!next == (i + 1 == problem.n_solution));
        if (next) {
            const json_t *said = json_array_get(next, json_array_size(next) - 1);
            assert_int_equal(json_array_size(next), json_array_size(messages) + 2);
            assert_true(str_equals(problem.solution[i + 1].content,
                                   json_string_value(json_object_get(said, "content"))));
            json_decref(messages);
            messages = next;
        }
        replies_free(&reply, 1);
    }
    json_decref(messages);
    json_decref(known);
    buf_free(&line);
    problem_close(&problem);
}

static void bad_problems_and_prompts_are_named(void **state)
{
    (void)state;
    Error err = {0};
    char set[700];
    const char *sets[] = {set};
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"[1]", "bad.jsonl:2: a problem is a JSON object"},
        {"{\"messages\":[{\"role\":\"user\"}],\"answer\":1}",
         "bad.jsonl:2: the problem has no \"fam"},
        {"{\"family\":\"f\",\"messages\":[],\"answer\":1}",
         "bad.jsonl:2: the problem has no \"mess"},
        {"{\"family\":\"f\",\"messages\":[{}],\"answer\":1}",
         "bad.jsonl:2: one of the \"messages\""},
        {"{\"family\":\"f\",\"messages\":[{\"role\":\"user\"}]}", "has no \"answer\""},
        {"{\"family\":", "bad.jsonl:2: "},
    };
    write_run_config();
    write_template();
    snprintf(set, sizeof set, "eval.problems=%s/bad.jsonl", folder);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Buf text = {0};
        buf_printf(&text, "\n%s\n", bad[i].line);
        write_file("bad.jsonl", text.data);
        buf_free(&text);
        assert_error(run_with("bad", NULL, sets, 1, &err), ERROR_FORMAT, bad[i].message);
    }
    write_file("bad.jsonl", "\n");
    assert_error(run_with("bad", NULL, sets, 1, &err), ERROR_FORMAT, "there is no problem in it");
    snprintf(set, sizeof set, "eval.prompts=[Hi, {text: no}]");
    assert_error(run_with("bad", NULL, sets, 1, &err), ERROR_FORMAT,
                 "eval.prompts: [1]: a prompt is");
    snprintf(set, sizeof set, "eval.prompts=[Hi]");
    const Asker nobody = {0};
    assert_error(run_with("bad", &nobody, sets, 1, &err), ERROR_UNSUPPORTED, "no way to ask");
    snprintf(set, sizeof set, "eval.sources=[{path: %s/none.txt}]", folder);
    assert_error(run_with("bad", NULL, sets, 1, &err), ERROR_IO, "eval.sources: ");
    snprintf(set, sizeof set, "eval.sources=[{weight: 1}]");
    assert_error(run_with("bad", NULL, sets, 1, &err), ERROR_FORMAT, "eval.sources[0]: its path");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heldout_loss_is_the_next_steps),
        cmocka_unit_test(looking_changes_nothing),
        cmocka_unit_test(accuracies_are_counted),
        cmocka_unit_test(conversations_go_on),
        cmocka_unit_test(replies_are_judged),
        cmocka_unit_test(episodes_go_on),
        cmocka_unit_test(bad_problems_and_prompts_are_named),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("evaluation", tests, make_folder, NULL);
}
