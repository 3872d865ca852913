/* rl/grader: what a judge is told, and what counts as its score. */
#include "support.h"

#include "rl/grader.h"

#include <string.h>

static void only_a_score_is_a_score(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double score;
    } good[] = {{"Score: 0", 0}, {"Score: 7", 0.7}, {"Score: 10", 1}};
    static const char *const bad[] = {"",          "Score: ",   "Score: 11",  "Score: 07",
                                      "Score: 7.", "Score: -1", "score: 7",   " Score: 7",
                                      "Score: 7 ", "Score: x",  "Score: 100", "Score: 1x",
                                      "Score:  7", "7",         "Score: 00"};
    double score;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(grader_read(str_from(good[i].text), &score));
        assert_true(score == good[i].score);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (grader_read(str_from(bad[i]), &score))
            fail_msg("\"%s\" counts as %g", bad[i], score);
}

static const char line[] =
    "{\"id\":\"a\",\"family\":\"mine\",\"split\":\"rl\",\"difficulty\":1,\"messages\":[{\"role\":"
    "\"user\",\"content\":\"Who {reply}?\"}],\"answer\":\"Ada\"}";
static const char dialogue[] =
    "{\"id\":\"b\",\"family\":\"mine\",\"split\":\"rl\",\"difficulty\":1,\"messages\":[{\"role\":"
    "\"system\",\"content\":\"Be brief.\"},{\"role\":\"user\",\"content\":\"Who?\"}],"
    "\"answer\":\"\"}";

static void it_is_told_all(void **state)
{
    (void)state;
    Error err = {0};
    Problem p = {0};
    Buf out = {0};
    const TaskCall call = {STR("add"), STR("{\"a\": 1}")};
    const TaskReply reply = {STR("a thought"), STR("It was {reference}."), &call, 1};
    assert_ok(problem_read(&p, str_from(line), &err));
    assert_ok(
        grader_message("Q {question} R {reference} A {reply} {other}", &p, &reply, &out, &err));
    buf_putc(&out, 0);
    /* Names in what others wrote are not replaced. */
    assert_string_equal(out.data, "Q Who {reply}? R Ada A It was {reference}.\n(calls add with "
                                  "{\"a\": 1}) {other}");
    buf_clear(&out);
    assert_ok(problem_read(&p, str_from(dialogue), &err));
    assert_ok(grader_message("{question}", &p, &reply, &out, &err));
    buf_putc(&out, 0);
    assert_string_equal(out.data, "system: Be brief.\nuser: Who?");
    assert_false(grader_message(grader_template, &p, &reply, &out, &err));
    assert_non_null(strstr(err.message, "problem b has no answer"));
    problem_close(&p);
    buf_free(&out);
}

static void a_template_shows_the_reply(void **state)
{
    (void)state;
    Error err = {0};
    assert_true(grader_check(&(GraderOptions){0}, &err));
    assert_true(grader_check(&(GraderOptions){.template = "{reply}?"}, &err));
    assert_false(grader_check(&(GraderOptions){.template = "{question}"}, &err));
    assert_non_null(strstr(grader_template, "{reply}"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_score_is_a_score),
        cmocka_unit_test(it_is_told_all),
        cmocka_unit_test(a_template_shows_the_reply),
    };
    return TEST_MAIN("grader", tests);
}
