/* tasks/: every family's problems check their own solution and refuse others; splits, seeds. */
#include "support.h"

#include "base/utf8.h"
#include "tasks/families.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_PROBLEMS = 1000 };

static void make(Problem *p, const TaskFamily *f, TaskSplit split, uint64_t seed)
{
    problem_make(p, &(ProblemSpec){.family = f, .split = split, .lang = -1, .seed = seed});
}

static double score_content(const Problem *p, TaskReply solution, const Buf *content)
{
    solution.content = buf_str(content);
    return task_score(p, &solution);
}

static void must_refuse(const Problem *p, TaskReply solution, const Buf *content, const char *why)
{
    if (score_content(p, solution, content) == 1)
        fail_msg("%.*s: \"%.*s\" is taken (%s); the answer is \"%.*s\"", STR_ARG(p->id),
                 STR_ARG(buf_str(content)), why, STR_ARG(p->answer));
}

/* Replies that are not right, whatever the family. */
static void refuses_others(const Problem *p, const TaskReply *solution)
{
    Buf content = {0};
    must_refuse(p, (TaskReply){.thinking = solution->content}, &content, "only thought");
    TaskReply bare = *solution;
    bare.thinking = (Str){0};
    if (solution->content.bytes == 0)
        return;
    static const char *const before[] = {"Not ", "Maybe ", "7919 or "};
    for (size_t i = 0; i < sizeof before / sizeof *before; i++) {
        buf_clear(&content);
        buf_puts(&content, before[i]);
        buf_add(&content, solution->content);
        must_refuse(p, bare, &content, "something before it");
    }
    static const char *const behind[] = {" or 7919", "\n7919", ". Wait, that is wrong."};
    for (size_t i = 0; i < sizeof behind / sizeof *behind; i++) {
        buf_clear(&content);
        buf_add(&content, solution->content);
        buf_puts(&content, behind[i]);
        must_refuse(p, bare, &content, "something behind it");
    }
    buf_clear(&content);
    buf_puts(&content, "quux");
    must_refuse(p, bare, &content, "nonsense");
    buf_free(&content);
}

static void is_clean(const Problem *p, Str text)
{
    if (utf8_valid_prefix(text) != text.bytes || str_find(text, STR("\r"), 0) >= 0 ||
        str_find(text, STR("{0}"), 0) >= 0 || str_find(text, STR("(null)"), 0) >= 0)
        fail_msg("%.*s: not clean: \"%.*s\"", STR_ARG(p->id), STR_ARG(text));
}

static void families_check_their_solutions(void **state)
{
    (void)state;
    Problem p = {0};
    for (int f = 0; f < task_n_families(); f++)
        for (uint64_t seed = 0; seed < N_PROBLEMS; seed++) {
            make(&p, task_family(f), (TaskSplit)(seed % N_SPLITS), seed);
            const TaskReply solution = problem_solution(&p);
            if (task_score(&p, &solution) != 1)
                fail_msg("%.*s: its own reply \"%.*s\" is not right; answer \"%.*s\"",
                         STR_ARG(p.id), STR_ARG(solution.content), STR_ARG(p.answer));
            refuses_others(&p, &solution);
            for (int i = 0; i < p.n_messages; i++)
                is_clean(&p, p.messages[i].content);
            for (int i = 0; i < p.n_solution; i++) {
                is_clean(&p, p.solution[i].thinking);
                is_clean(&p, p.solution[i].content);
            }
            assert_true(p.n_messages > 0 && p.messages[p.n_messages - 1].content.bytes > 0);
        }
    problem_close(&p);
}

static void problems_are_functions_of_their_seed(void **state)
{
    (void)state;
    Problem a = {0}, b = {0};
    Error err = {0};
    Buf first = {0}, second = {0};
    for (int f = 0; f < task_n_families(); f++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            make(&a, task_family(f), SPLIT_EVAL, seed);
            make(&b, task_family(f), SPLIT_RL, seed);
            problem_make(&b, &(ProblemSpec){.family = a.family,
                                            .split = SPLIT_EVAL,
                                            .lang = (int)a.lang,
                                            .difficulty = a.difficulty,
                                            .seed = seed});
            buf_clear(&first);
            buf_clear(&second);
            problem_write(&a, &first);
            problem_write(&b, &second);
            assert_string_equal(first.data, second.data);
            /* What was written is read back as it was, and checks the same reply. */
            assert_ok(problem_read(&b, buf_str(&first), &err));
            buf_clear(&second);
            problem_write(&b, &second);
            assert_string_equal(first.data, second.data);
            const TaskReply solution = problem_solution(&a);
            assert_true(task_score(&b, &solution) == 1);
            assert_true(b.lang == a.lang && b.seed == seed);
            if (b.mode != a.mode)
                fail_msg("%s: mode %d was read as %d", first.data, (int)a.mode, (int)b.mode);
        }
    buf_free(&first);
    buf_free(&second);
    problem_close(&a);
    problem_close(&b);
}

/* ---- Splits ---------------------------------------------------------------------------------- */

typedef struct Seen {
    uint64_t prompt;
    TaskSplit split;
} Seen;

static int by_prompt(const void *a, const void *b)
{
    const uint64_t x = ((const Seen *)a)->prompt, y = ((const Seen *)b)->prompt;
    return x < y ? -1 : x > y;
}

/* The whole conversation: no prompt of one split may be a prompt of another. */
static uint64_t prompt_hash(const Problem *p)
{
    uint64_t hash = 0;
    for (int i = 0; i < p->n_messages; i++)
        hash = hash * 31 + str_hash(p->messages[i].content);
    return hash;
}

static void splits_share_no_prompt(void **state)
{
    (void)state;
    Problem p = {0};
    Seen *seen = mem_alloc(sizeof *seen * 3 * N_PROBLEMS);
    for (int f = 0; f < task_n_families(); f++) {
        int n = 0;
        for (int split = 0; split < N_SPLITS; split++)
            for (uint64_t seed = 0; seed < N_PROBLEMS; seed++) {
                make(&p, task_family(f), (TaskSplit)split, seed);
                if (p.structure != 0)
                    seen[n++] = (Seen){prompt_hash(&p), (TaskSplit)split};
            }
        qsort(seen, (size_t)n, sizeof *seen, by_prompt);
        for (int i = 1; i < n; i++)
            if (seen[i].prompt == seen[i - 1].prompt && seen[i].split != seen[i - 1].split)
                fail_msg("%s: a prompt of %s is one of %s too", task_family(f)->name,
                         task_split_name(seen[i].split), task_split_name(seen[i - 1].split));
        assert_true(n > 0);
    }
    mem_free(seen);
    problem_close(&p);
}

/* ---- Checkers -------------------------------------------------------------------------------- */

typedef struct Case {
    const char *family, *answer, *content;
    double score;
} Case;

static void checkers_are_strict(void **state)
{
    (void)state;
    static const Case cases[] = {
        {"chain", "-111", "-111", 1},
        {"chain", "-111", "The answer is **-111**.", 1},
        {"chain", "-111", "\\boxed{-111}", 1},
        {"chain", "-111", "−111", 1},
        {"chain", "1000", "1,000", 1},
        {"chain", "-111", "111", 0},
        {"chain", "111", "-111", 0},
        {"chain", "111", "1 11", 0},
        {"chain", "111", "It is 111 or 112.", 0},
        {"chain", "111", "111, no: 112", 0},
        {"chain", "111", "It is not 111.", 0},
        {"chain", "111", "1111", 0},
        {"chain", "3", "r3", 0},
        {"chain", "3", "3x", 0},
        {"chain", "3", "3.5", 0},
        {"chain", "3", "三", 0},
        {"chain", "3", "不是 3。", 0},
        {"backward", "abc", "ABC.", 1},
        {"backward", "abc", "abc cba", 0},
        {"backward", "abc", "`abc`", 1},
        {"letters_dialogue", "No, 2.", "No, 2.", 1},
        {"letters_dialogue", "No, 2.", "No, there are 2.", 1},
        {"letters_dialogue", "No, 2.", "Yes, 2.", 0},
        {"letters_dialogue", "No, 2.", "No, 3.", 0},
        {"letters_dialogue", "No, 2.", "No.", 0},
        {"letters_dialogue", "Yes, 2.", "Yes, no, 2.", 0},
        {"letters_dialogue", "Yes, 2.", "2", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Case *c = &cases[i];
        const Problem p = {.family = task_find(c->family), .answer = str_from(c->answer)};
        const TaskReply reply = {.content = str_from(c->content)};
        if (task_score(&p, &reply) != c->score)
            fail_msg("%s: \"%s\" for \"%s\" should score %g", c->family, c->content, c->answer,
                     c->score);
    }
    const TaskCall call = {STR("calculator"), STR("{}")};
    const Problem p = {.family = task_find("chain"), .answer = STR("3")};
    assert_true(task_score(&p, &(TaskReply){.content = STR("3"), .calls = &call, .n_calls = 1}) ==
                0);
}

static void reading_says_what_is_missing(void **state)
{
    (void)state;
    Problem p = {0};
    Error err = {0};
    assert_error(problem_read(&p, STR("{"), &err), ERROR_FORMAT, "byte");
    assert_error(problem_read(&p, STR("{\"id\": \"x\"}"), &err), ERROR_FORMAT, "family");
    assert_error(problem_read(&p, STR("{\"id\": \"x\", \"family\": \"chain\"}"), &err),
                 ERROR_FORMAT, "messages");
    assert_error(problem_read(&p,
                              STR("{\"id\": \"x\", \"family\": \"chain\", \"answer\": \"1\","
                                  " \"messages\": [{\"role\": \"robot\"}]}"),
                              &err),
                 ERROR_FORMAT, "message 1");
    problem_close(&p);
}

/* Somebody's own problems: judged by somebody's own program. */
static void families_of_others_are_read(void **state)
{
    (void)state;
    Problem p = {0};
    Error err = {0};
    Buf line = {0};
    assert_ok(problem_read(&p,
                           STR("{\"id\": \"x\", \"family\": \"ours\", \"answer\": \"1\","
                               " \"messages\": [{\"role\": \"user\", \"content\": \"?\"}]}"),
                           &err));
    assert_null(p.family);
    problem_write(&p, &line);
    assert_non_null(strstr(line.data, "\"family\": \"ours\""));
    buf_free(&line);
    problem_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_check_their_solutions),
        cmocka_unit_test(problems_are_functions_of_their_seed),
        cmocka_unit_test(splits_share_no_prompt),
        cmocka_unit_test(checkers_are_strict),
        cmocka_unit_test(reading_says_what_is_missing),
        cmocka_unit_test(families_of_others_are_read),
    };
    return TEST_MAIN("tasks", tests);
}
