/* tasks/: the tools, and checkers that do what a reply says. */
#include "support.h"

#include "tasks/tool_box.h"

#include <stdio.h>
#include <string.h>

static void calculates(const char *expression, const char *expected)
{
    Buf result = {0};
    tool_calculate(str_from(expression), &result);
    if (!str_equals(buf_str(&result), expected))
        fail_msg("%s gives %s, not %s", expression, result.data, expected);
    buf_free(&result);
}

static void calculator_works_out(void **state)
{
    (void)state;
    calculates("4240 - 1508 * 3050", "-4595160");
    calculates("(1 + 2) * (3 - 5)", "-6");
    calculates("2 - 3 - 4", "-5");
    calculates("-(2)*-3", "6");
    calculates(" 7 / 2 ", "3.5");
    calculates("6/4/3", "0.5");
    calculates("0 * -1", "0");
    calculates("1/0", "error: division by zero");
    calculates("", "error: not an expression");
    calculates("2 +", "error: not an expression");
    calculates("2 2", "error: not an expression");
    calculates("1.2.3", "error: not an expression");
    calculates("(2", "error: a bracket is not closed");
    calculates("rm -rf", "error: not an expression");
    calculates("99999999 * 99999999 * 99", "error: the result is too large");
    Buf deep = {0};
    for (int i = 0; i < 100000; i++)
        buf_putc(&deep, '(');
    calculates(deep.data, "error: too many brackets");
    buf_free(&deep);
}

static void responds(ToolBox *box, const char *name, const char *arguments, const char *expected)
{
    Buf response = {0};
    const TaskCall call = {str_from(name), str_from(arguments)};
    tool_box_call(box, &call, &response);
    if (!str_equals(buf_str(&response), expected))
        fail_msg("%s %s gives %s, not %s", name, arguments, response.data, expected);
    buf_free(&response);
}

static void tools_answer_and_remember(void **state)
{
    (void)state;
    Error err = {0};
    const Problem p = {.id = STR("x"),
                       .answer = STR("{\"calls\": [], \"content\": \"\", \"state\": {\"times\": "
                                     "{\"Oslo\": \"10:05\"}, \"store\": {\"a\": \"1\"}}}")};
    ToolBox *box = tool_box_open(&p, &err);
    assert_non_null(box);
    responds(box, "get_time", "{\"city\": \"Oslo\"}", "10:05");
    responds(box, "get_time", "{\"city\": \"Rome\"}", "error: no such city");
    responds(box, "get_time", "{}", "error: the argument city is missing");
    responds(box, "store_get", "{\"key\": \"a\"}", "1");
    responds(box, "store_get", "{\"key\": \"b\"}", "error: no such key");
    responds(box, "store_set", "{\"key\": \"b\", \"value\": \"2\"}", "ok");
    responds(box, "store_set", "{\"key\": \"b\"}", "error: the argument value is missing");
    responds(box, "store_get", "{\"key\": \"b\"}", "2");
    responds(box, "calculator", "{\"expression\": \"2 * 3\"}", "6");
    responds(box, "calculator", "{\"expression\": 6}", "error: the argument expression is missing");
    responds(box, "calculator", "2 * 3", "error: the arguments are not a JSON object");
    responds(box, "rm", "{}", "error: no such tool");
    tool_box_close(box);
    const Problem bare = {.id = STR("chain"), .answer = STR("3")};
    assert_error(tool_box_open(&bare, &err), ERROR_ARGUMENT, "without tools");
}

/* The solutions of episodes call the tools as the box answers them. */
static void episodes_can_be_played(void **state)
{
    (void)state;
    Error err = {0};
    Problem p = {0};
    for (uint64_t seed = 0; seed < 500; seed++) {
        problem_make(&p, &(ProblemSpec){.family = task_find("tool_episode"),
                                        .split = SPLIT_RL,
                                        .lang = -1,
                                        .seed = seed});
        ToolBox *box = tool_box_open(&p, &err);
        assert_non_null(box);
        for (int i = 0; i + 1 < p.n_solution; i += 2) {
            Buf response = {0};
            assert_int_equal(p.solution[i].n_calls, 1);
            assert_int_equal(p.solution[i + 1].role, ROLE_TOOL);
            tool_box_call(box, &p.solution[i].calls[0], &response);
            if (!str_equal(buf_str(&response), p.solution[i + 1].content))
                fail_msg("%.*s: %.*s, not %.*s", STR_ARG(p.id), STR_ARG(buf_str(&response)),
                         STR_ARG(p.solution[i + 1].content));
            buf_free(&response);
        }
        tool_box_close(box);
        /* The calls alone are half of it; another call, or none, nothing. */
        TaskReply reply = problem_solution(&p);
        TaskReply wrong = reply;
        wrong.content = STR("quux");
        assert_true(task_score(&p, &wrong) == 0.5);
        wrong = reply;
        wrong.n_calls--;
        assert_true(task_score(&p, &wrong) == 0);
        TaskCall changed[8];
        memcpy(changed, reply.calls, sizeof *changed * (size_t)reply.n_calls);
        changed[0].name = STR("send_mail");
        wrong = reply;
        wrong.calls = changed;
        assert_true(task_score(&p, &wrong) == 0);
    }
    problem_close(&p);
}

/* ---- Replies that are tried out -------------------------------------------------------------- */

typedef struct Case {
    const char *family, *answer, *content;
    double score;
} Case;

static void replies_are_tried_out(void **state)
{
    (void)state;
    const char *make_24 = "{\"target\": 24, \"numbers\": [3, 8, 1]}";
    const char *jugs = "{\"sizes\": [5, 3], \"target\": 4}";
    const char *words = "{\"layout\": 2, \"words\": 3, \"contain\": \"cat\", \"omit\": \"z\"}";
    const char *roles = "Max: knight, Zoe: knave";
    const Case cases[] = {
        {"countdown", make_24, "3 * 8 * 1", 1},
        {"countdown", make_24, "8 * 3 * 1 = 24", 1},
        {"countdown", make_24, "(8 * 3) - (1 - 1)", 0},
        {"countdown", make_24, "3 * 8", 0},
        {"countdown", make_24, "24", 0},
        {"countdown", make_24, "3 * 8 * 1 = 25", 0},
        {"countdown", make_24, "3 * 8 + 1", 0},
        {"countdown", make_24, "31 - 8 + 1", 0},
        {"countdown", make_24, "3 * 8 * 1 or 24", 0},
        {"jugs", jugs, "fill A, pour A B, empty B, pour A B, fill A, pour A B", 1},
        {"jugs", jugs, "fill A, pour A B", 0},
        {"jugs", jugs, "fill A, drink B", 0},
        {"jugs", jugs, "", 0},
        {"constraints", words, "dog, cat, bird", 1},
        {"constraints", words, "dog, cat", 0},
        {"constraints", words, "dog, car, bird", 0},
        {"constraints", words, "zoo, cat, bird", 0},
        {"constraints", words, "dog cat bird", 0},
        {"constraints", words, "dog, cat, bird, owl", 0},
        {"constraints", words, "Here: dog, cat, bird", 0},
        {"knights2", roles, "Max: knight, Zoe: knave", 1},
        {"knights2", roles, "Zoe is a knave and Max is a knight.", 1},
        {"knights2", roles, "Max and Zoe are knights.", 0},
        {"knights2", roles, "Max is a knight.", 0},
        {"knights2", roles, "Max is a knight, Zoe is a knave, Max is a knave.", 0},
        {"knights2", roles, "Max is not a knight, Zoe is a knave.", 0},
        {"knights2", roles, "knight, knave", 0},
        {"refusal", "", "I do not know that.", 1},
        {"refusal", "", "I do not know that, but I think it is Paris.", 0},
        {"refusal", "", "Paris.", 0},
        {"refusal", "", "这个我不知道。", 0},
        {"talk", "Goodbye!", "goodbye", 0},
        {"language", "Die Antwort ist 4.", "The answer is 4.", 0},
        {"fraction", "3/4", "3/4", 1},
        {"fraction", "3/4", "6/8", 0},
        {"fraction", "3/4", "3 / 4", 0},
        {"compare", "9.9", "9.9", 1},
        {"compare", "9.9", "9.11 < 9.9", 0},
        {"sort_numbers", "1, 2, 3", "1,2,3", 1},
        {"sort_numbers", "1, 2, 3", "1, 3, 2", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const Case *c = &cases[i];
        const Problem p = {.family = task_find(c->family), .answer = str_from(c->answer)};
        const TaskReply reply = {.content = str_from(c->content)};
        if (task_score(&p, &reply) != c->score)
            fail_msg("%s: \"%s\" for %s should score %g", c->family, c->content, c->answer,
                     c->score);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calculator_works_out),
        cmocka_unit_test(tools_answer_and_remember),
        cmocka_unit_test(episodes_can_be_played),
        cmocka_unit_test(replies_are_tried_out),
    };
    return TEST_MAIN("tool_box", tests);
}
