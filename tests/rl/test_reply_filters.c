/* rl/reply_filters: what repeats itself, and what changes its script. */
#include "support.h"

#include "rl/reply_filters.h"

static double repetition(const char *text)
{
    static Units units;
    Error err = {0};
    double share = -1;
    assert_ok(reply_repetition(&units, str_from(text), &share, &err));
    units_free(&units);
    return share;
}

static void runs_that_come_again_count(void **state)
{
    (void)state;
    assert_true(repetition("") == 0);
    assert_true(repetition("a b c d e f a b c d e") == 0); /* too short to tell */
    assert_true(repetition("a b c d e f g h i j k l m") == 0);
    /* 13 runs, of six kinds: 7 have been there before. */
    assert_true(repetition("a b c d e f a b c d e f a b c d e f") == 7.0 / 13);
    assert_true(repetition("no no no no no no no no no no no no") == 6.0 / 7);
    assert_true(repetition("98 - 21 = 77\n77 - 53 = 24\n24 + 60 = 84\n84 + 1 = 85") == 0);
}

static bool changes(const char *question, const char *thinking, const char *content)
{
    const TaskMessage message = {.role = ROLE_USER, .content = str_from(question)};
    const Problem p = {.messages = &message, .n_messages = 1};
    const TaskReply reply = {.thinking = str_from(thinking), .content = str_from(content)};
    return reply_changes_script(&p, &reply);
}

static void another_script_is_seen(void **state)
{
    (void)state;
    assert_false(changes("What is 2 + 3?", "2 + 3 = 5", "5"));
    assert_true(changes("What is 2 + 3?", "2 + 3 = 5", "是 5"));
    assert_true(changes("What is 2 + 3?", "好的", "5"));
    assert_false(changes("2 + 3 等于多少?", "2 + 3 = 5", "5"));
    assert_false(changes("2 + 3 等于多少?", "", "答案 5"));
    assert_true(changes("2 + 3 等于多少?", "that is", "5"));
    assert_false(changes("apple 里有几个 p?", "p: a p1 p2 l e", "2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_that_come_again_count),
        cmocka_unit_test(another_script_is_seen),
    };
    return TEST_MAIN("reply_filters", tests);
}
