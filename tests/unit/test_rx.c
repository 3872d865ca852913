/* text/rx: patterns as sets of strings, and what can be done with such sets. */
#include "support.h"

#include "text/rx_parse.h"

#include <string.h>

static Rx parse(RxPool *p, const char *pattern, RxMatch match, Spelling spelling)
{
    Rx a = RX_VOID;
    Error err = {0};
    if (!rx_parse(p, str_from(pattern), match, spelling, &a, &err))
        fail_msg("%s: %s", pattern, err.message);
    return a;
}

/* yes, no: texts separated by '|', which no text holds. */
static void check(const char *pattern, RxMatch match, const char *yes, const char *no)
{
    RxPool *p = rx_open();
    Rx a = parse(p, pattern, match, SPELL_UTF8);
    for (int side = 0; side < 2; side++) {
        const char *text = side ? no : yes;
        for (;;) {
            size_t n = strcspn(text, "|");
            if (rx_matches(p, a, (Str){text, n}) != (side == 0))
                fail_msg("%s %s \"%.*s\"", pattern, side ? "matches" : "does not match", (int)n,
                         text);
            if (!text[n])
                break;
            text += n + 1;
        }
    }
    rx_close(p);
}

static void test_whole(void **state)
{
    (void)state;
    check("abc", RX_MATCH_WHOLE, "abc", "ab|abcd|xabc|");
    check("a|bc|", RX_MATCH_WHOLE, "a|bc|", "b|abc");
    check("(ab)+c?", RX_MATCH_WHOLE, "ab|abab|ababc", "c|abb|aba");
    check("a{2,3}", RX_MATCH_WHOLE, "aa|aaa", "a|aaaa");
    check("a{2}b{2,}", RX_MATCH_WHOLE, "aabb|aabbbbb", "aab|abb");
    check("a{,2}", RX_MATCH_WHOLE, "a{,2}", "a|aa"); /* no quantifier: itself */
    check("x{", RX_MATCH_WHOLE, "x{", "x");
    check("(?:a|b)*?c", RX_MATCH_WHOLE, "c|abc|bbac", "ab|");
    check("(?<year>\\d{4})-\\d\\d", RX_MATCH_WHOLE, "2024-05", "24-05|2024-5");
    check("[a-c\\-_]+", RX_MATCH_WHOLE, "abc-_", "d|a d");
    check("[^a-c]", RX_MATCH_WHOLE, "d|\xC3\xA9|\xF0\x9F\x90\xA2", "a|dd|");
    check("\\u00e9\\x41\\u{1F422}\\cJ\\0?", RX_MATCH_WHOLE,
          "\xC3\xA9"
          "A\xF0\x9F\x90\xA2\n",
          "A");
    check("\\ud83d\\udc22", RX_MATCH_WHOLE, "\xF0\x9F\x90\xA2", "x");
    check(".", RX_MATCH_WHOLE, "a|\xE6\x97\xA5", "\n|ab|\xE6|");
    check("\\w+\\s\\D", RX_MATCH_WHOLE, "a_1 x|z\tq|b\xC2\xA0.", "a 1|\xC3\xA9 x");
    check("\\p{Lu}\\p{L}*", RX_MATCH_WHOLE, "\xC3\x89t\xC3\xA9|A", "a|1");
    check("\\P{L}", RX_MATCH_WHOLE, "1| ", "a|\xC3\xA9");
    check("(a*)*b", RX_MATCH_WHOLE, "b|aab", "a|ba");
    check("a?a{2,3}a?b", RX_MATCH_WHOLE, "aab|aaab|aaaaab", "ab|aaaaaab");
    check("a*a?aa*", RX_MATCH_WHOLE, "a|aa|aaaaaa", "|b");
    check("(ab)?(ab)*abc", RX_MATCH_WHOLE, "abc|ababc|abababc", "ab|c");
}

/* (a?b?)... up to the limit, and one part more. */
static void test_optional_run(void **state)
{
    (void)state;
    Buf pattern = {0};
    RxPool *p = rx_open();
    for (int i = 0; i < RX_OPTIONAL_RUN_MAX / 2; i++)
        buf_puts(&pattern, "a?b?");
    buf_putc(&pattern, 'c');
    Rx a = parse(p, pattern.data, RX_MATCH_WHOLE, SPELL_UTF8);
    assert_true(rx_matches(p, a, str_from("abbbac")));
    assert_false(rx_matches(p, a, str_from("abcb")));
    buf_clear(&pattern);
    for (int i = 0; i <= RX_OPTIONAL_RUN_MAX / 2; i++)
        buf_puts(&pattern, "a?b?");
    Error err = {0};
    assert_false(
        rx_parse(p, (Str){pattern.data, pattern.bytes}, RX_MATCH_WHOLE, SPELL_UTF8, &a, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_non_null(strstr(err.message, "left out"));
    static const char *const hiding[] = {"(?=x)", "(^|c)", "(^c)?"};
    for (size_t i = 0; i < sizeof hiding / sizeof *hiding; i++) {
        Buf hidden = {0};
        buf_printf(&hidden, "%s%s", hiding[i], pattern.data);
        err = (Error){0};
        assert_false(rx_parse(p, buf_str(&hidden), RX_MATCH_WHOLE, SPELL_UTF8, &a, &err));
        assert_int_equal(err.code, ERROR_LIMIT);
        buf_free(&hidden);
    }
    buf_free(&pattern);
    rx_close(p);
}

static void test_part(void **state)
{
    (void)state;
    check("b", RX_MATCH_PART, "b|abc|bb", "|ac");
    check("^b", RX_MATCH_PART, "b|bc", "ab|");
    check("b$", RX_MATCH_PART, "b|ab", "ba|");
    check("^a|b$", RX_MATCH_PART, "ax|xb|ab", "xa|bx");
    check("(^|,)x(,|$)", RX_MATCH_PART, "x|a,x|x,b|a,x,b", "ax|xb|");
    check("^$", RX_MATCH_PART, "", "a");
    check("a$|c$b", RX_MATCH_PART, "a|xa", "c|cb|c$b|ab");
}

static void test_lookahead(void **state)
{
    (void)state;
    check("^(?!foo)\\w+$", RX_MATCH_PART, "bar|fo|barfoo", "foo|foobar|");
    check("^(?=.*\\d)(?=.*[a-z]).{3,5}$", RX_MATCH_PART, "a1b|1234a", "abc|123|a1|a12345");
    check("^a(?!b)", RX_MATCH_PART, "a|ac", "ab|b");
    check("(?=.{1,4}$)[a-z.]+", RX_MATCH_WHOLE, "a|a.b", "abcde|");
    check("x(?=y)", RX_MATCH_PART, "xy|axyb", "x|xz");
}

static void test_errors(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"(a", "( without )"},
        {"a)", ") without ("},
        {"[a", "[ without ]"},
        {"*a", "quantifier"},
        {"(a)\\1", "back reference"},
        {"(?<=a)b", "lookbehind"},
        {"a\\b", "edge"},
        {"(?i)a", "kind"},
        {"[z-a]", "high to low"},
        {"a{3,2}", "m above n"},
        {"((?!x)a)*", "loop"},
        {"\\p{Klingon}", "category"},
        {"\\u12", "hexadecimal"},
        {"a\\", "backslash"},
        {"\\q", "escape"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        RxPool *p = rx_open();
        Rx a;
        Error err = {0};
        assert_false(rx_parse(p, str_from(wrong[i][0]), RX_MATCH_PART, SPELL_UTF8, &a, &err));
        if (!test_contains(err.message, wrong[i][1]) || !test_contains(err.message, "byte"))
            fail_msg("%s: %s", wrong[i][0], err.message);
        rx_close(p);
    }
}

static void test_sets(void **state)
{
    (void)state;
    RxPool *p = rx_open();
    Rx words = parse(p, "[a-z]+", RX_MATCH_WHOLE, SPELL_UTF8);
    Rx some = parse(p, "if|else|for", RX_MATCH_WHOLE, SPELL_UTF8);
    Rx names = rx_and(p, words, rx_not(p, some));
    assert_true(rx_matches(p, names, STR("iff")));
    assert_true(rx_matches(p, names, STR("i")));
    assert_false(rx_matches(p, names, STR("if")));
    assert_false(rx_matches(p, names, STR("7")));
    assert_false(rx_is_void(p, names));
    assert_true(rx_is_void(p, rx_and(p, some, rx_not(p, words))));
    assert_true(rx_is_void(p, rx_and(p, parse(p, "a.*b", RX_MATCH_WHOLE, SPELL_UTF8),
                                     parse(p, "a.*c", RX_MATCH_WHOLE, SPELL_UTF8))));
    assert_true(rx_is_finite(p, some) && !rx_is_infinite(p, some));
    assert_true(rx_is_infinite(p, words) && !rx_is_finite(p, words));
    assert_int_equal(rx_not(p, rx_not(p, words)), words);
    /* The same set is the same number, however it is put together. */
    assert_int_equal(rx_or(p, words, some), rx_or(p, rx_or(p, some, words), some));
    Str texts[] = {STR("abc"), STR("abd"), STR("ab"), STR("x"), STR("ab")};
    Rx any = rx_literals(p, texts, 5);
    static const char *const no[] = {"a", "abcd", "", "xx"};
    for (int i = 0; i < 5; i++)
        assert_true(rx_matches(p, any, texts[i]));
    for (int i = 0; i < 4; i++)
        assert_false(rx_matches(p, any, str_from(no[i])));
    rx_close(p);
}

static void test_forget(void **state)
{
    (void)state;
    RxPool *p = rx_open();
    Rx a = parse(p, "(ab|cd){3,9}x", RX_MATCH_WHOLE, SPELL_UTF8);
    size_t mark = rx_count(p);
    for (int round = 0; round < 3; round++) {
        assert_true(rx_matches(p, a, STR("abcdabx")));
        assert_false(rx_matches(p, a, STR("abcdx")));
        assert_true(rx_count(p) > mark);
        rx_forget(p, mark, NULL, 0);
        assert_int_equal(rx_count(p), mark);
    }
    /* What is kept goes on as before. */
    Rx kept[] = {rx_derive(p, a, 'a'), rx_and(p, a, rx_not(p, rx_literal(p, STR("ababcdx"))))};
    rx_forget(p, mark, kept, 2);
    assert_true(rx_matches(p, kept[0], STR("babcdx")));
    assert_false(rx_matches(p, kept[0], STR("abcdx")));
    assert_true(rx_matches(p, kept[1], STR("cdabcdx")));
    assert_false(rx_matches(p, kept[1], STR("ababcdx")));
    rx_close(p);
}

static void test_multiples(void **state)
{
    (void)state;
    static const struct {
        uint64_t unit;
        int scale;
        const char *yes, *no;
    } cases[] = {{3, 0, "0|3|21|999|3.0|12.000", "1|22|3.1|"},
                 {1, 2, "0.01|5|1.25|7.5|1.250", "0.001|1.255|."},
                 {25, 1, "2.5|5|7.5|10.0", "1|2.4|2.55"}};
    for (size_t i = 0; i < 3; i++) {
        RxPool *p = rx_open();
        Rx a = rx_multiple(p, cases[i].unit, cases[i].scale);
        for (int side = 0; side < 2; side++) {
            const char *text = side ? cases[i].no : cases[i].yes;
            for (size_t n;; text += n + 1) {
                n = strcspn(text, "|");
                if (rx_matches(p, a, (Str){text, n}) != (side == 0))
                    fail_msg("%d/10^%d: %.*s", (int)cases[i].unit, cases[i].scale, (int)n, text);
                if (!text[n])
                    break;
            }
        }
        rx_close(p);
    }
}

/* Every character has one spelling in a JSON string, so complements are exact. */
static void test_json_spelling(void **state)
{
    (void)state;
    RxPool *p = rx_open();
    Rx quote = parse(p, "^[\"\\\\\\n]$", RX_MATCH_PART, SPELL_JSON);
    assert_true(rx_matches(p, quote, STR("\\\"")) && rx_matches(p, quote, STR("\\\\")) &&
                rx_matches(p, quote, STR("\\n")));
    assert_false(rx_matches(p, quote, STR("\"")) || rx_matches(p, quote, STR("n")) ||
                 rx_matches(p, quote, STR("\\u000a")));
    Rx has_n = parse(p, "n", RX_MATCH_PART, SPELL_JSON);
    assert_false(rx_matches(p, has_n, STR("a\\nb"))); /* a line end, not the letter */
    assert_true(rx_matches(p, has_n, STR("a\\nbn")));
    Buf text = {0};
    spell_text(&text, STR("a\"\\\n\x01\xC3\xA9\xFF"), SPELL_JSON);
    assert_string_equal(text.data, "a\\\"\\\\\\n\\u0001\xC3\xA9\xEF\xBF\xBD");
    buf_free(&text);
    rx_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),         cmocka_unit_test(test_part),
        cmocka_unit_test(test_optional_run),  cmocka_unit_test(test_lookahead),
        cmocka_unit_test(test_errors),        cmocka_unit_test(test_sets),
        cmocka_unit_test(test_forget),        cmocka_unit_test(test_multiples),
        cmocka_unit_test(test_json_spelling),
    };
    return TEST_MAIN("rx", tests);
}
