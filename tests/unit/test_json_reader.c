/* base/json_reader: events, strings, strictness, places in messages. */
#include "support.h"

#include "base/json_reader.h"
#include "base/rng.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

/* The events of a text, one letter each; ends with E at an error. */
static void read_events(const char *text, char *events, size_t n_max, Error *err)
{
    static const char letters[] = "E{}[]ksntf0.";
    JsonReader r;
    json_reader_open(&r, str_from(text));
    size_t n = 0;
    for (;;) {
        JsonEvent event = json_reader_next(&r, err);
        assert_true(n + 2 < n_max);
        events[n++] = letters[event];
        if (event == JSON_EVENT_END || event == JSON_EVENT_ERROR)
            break;
    }
    events[n] = '\0';
    json_reader_close(&r);
}

static void assert_events(const char *text, const char *expected)
{
    Error err = {0};
    char events[256];
    read_events(text, events, sizeof events, &err);
    if (strcmp(events, expected) != 0)
        fail_msg("%s: events %s (%s), expected %s", text, events, err.message, expected);
}

static void events_come_in_order(void **state)
{
    (void)state;
    assert_events("{}", "{}.");
    assert_events(" [ ] ", "[].");
    assert_events("{\"a\":1,\"b\":[true,false,null,\"x\"],\"c\":{}}", "{knk[tf0s]k{}}.");
    assert_events("\"only\"\n", "s.");
    assert_events("[[[]],[{}]]", "[[[]][{}]].");
    assert_events("[-0, 0.5, 1e9, -12.25E-3]", "[nnnn].");
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "{\"a\"",
        "{\"a\":",
        "{\"a\":1",
        "{\"a\":1,",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "[}",
        "{]",
        "]",
        "}",
        ":",
        ",",
        "[1 2]",
        "{\"a\" 1}",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "tru",
        "trueX",
        "nul",
        "NaN",
        "'a'",
        "\"",
        "\"a",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\ud800\"",
        "\"\\ud800\\n\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\"",
        "\"\t\"",
        "\"\x80\"",
        "\"\xC0\x80\"",
        "\"\xED\xA0\x80\"",
        "1 1",
        "{} x",
        "[1]]",
        "/* */ 1",
        "\xEF\xBB\xBF{}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        Error err = {0};
        char events[64];
        read_events(bad[i], events, sizeof events, &err);
        if (events[strlen(events) - 1] != 'E' || !test_contains(err.message, "byte "))
            fail_msg("%s was taken: %s \"%s\"", bad[i], events, err.message);
    }
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    Error err = {0};
    JsonReader r;
    json_reader_open(
        &r, STR("[\"plain\", \"a\\\"\\\\\\/\\b\\f\\n\\r\\t\", \"\\u0000\\u00e9\\u20AC\\uD83D"
                "\\ude00\xC3\xA9\", \"\"]"));
    assert_int_equal(json_reader_next(&r, &err), JSON_EVENT_ARRAY);
    assert_int_equal(json_reader_next(&r, &err), JSON_EVENT_STRING);
    assert_true(str_equals(r.string, "plain"));
    assert_int_equal(json_reader_next(&r, &err), JSON_EVENT_STRING);
    assert_true(str_equals(r.string, "a\"\\/\b\f\n\r\t"));
    assert_int_equal(json_reader_next(&r, &err), JSON_EVENT_STRING);
    assert_true(str_equal(r.string, STR("\0\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\xC3\xA9")));
    assert_int_equal(json_reader_next(&r, &err), JSON_EVENT_STRING);
    assert_int_equal(r.string.bytes, 0);
    json_reader_close(&r);
}

static void depth_is_limited(void **state)
{
    (void)state;
    char text[2 * JSON_READER_DEPTH_MAX + 8] = "";
    memset(text, '[', JSON_READER_DEPTH_MAX);
    memset(text + JSON_READER_DEPTH_MAX, ']', JSON_READER_DEPTH_MAX);
    char events[256];
    Error err = {0};
    read_events(text, events, sizeof events, &err);
    assert_int_equal(events[strlen(events) - 1], '.');
    text[JSON_READER_DEPTH_MAX] = '[';
    read_events(text, events, sizeof events, &err);
    assert_int_equal(err.code, ERROR_LIMIT);
    assert_true(test_contains(err.message, "byte 64"));
}

static void skipping_takes_one_value(void **state)
{
    (void)state;
    Error err = {0};
    JsonReader r;
    json_reader_open(&r, STR("{\"a\": {\"x\": [1, {}]}, \"b\": 7, \"c\": \"s\"}"));
    assert_ok(json_reader_expect(&r, JSON_EVENT_OBJECT, &err));
    assert_ok(json_reader_expect(&r, JSON_EVENT_KEY, &err));
    assert_ok(json_reader_skip_value(&r, &err));
    assert_ok(json_reader_expect(&r, JSON_EVENT_KEY, &err));
    assert_true(str_equals(r.string, "b"));
    int64_t value;
    assert_ok(json_reader_int(&r, 0, 7, &value, &err));
    assert_int_equal(value, 7);
    assert_ok(json_reader_expect(&r, JSON_EVENT_KEY, &err));
    assert_error(json_reader_expect(&r, JSON_EVENT_ARRAY, &err), ERROR_FORMAT,
                 "byte 35: expected an array, not a string");
    json_reader_close(&r);
    json_reader_open_at(&r, STR("{\"a\": [5]"), 6);
    assert_ok(json_reader_expect(&r, JSON_EVENT_ARRAY, &err));
    assert_ok(json_reader_int(&r, 5, 5, &value, &err));
    assert_ok(json_reader_expect(&r, JSON_EVENT_ARRAY_END, &err));
    json_reader_close(&r);
}

static void whole_numbers_have_a_range(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"-9223372036854775808", true, INT64_MIN},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"1.0", false, 0},
        {"1e3", false, 0},
        {"\"1\"", false, 0},
        {"99999999999999999999999999", false, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        Error err = {0};
        JsonReader r;
        int64_t value = 0;
        json_reader_open(&r, str_from(rows[i].text));
        if (json_reader_int(&r, INT64_MIN, INT64_MAX, &value, &err) != rows[i].ok ||
            value != rows[i].value)
            fail_msg("%s", rows[i].text);
        json_reader_close(&r);
    }
    Error err = {0};
    JsonReader r;
    int64_t value;
    json_reader_open(&r, STR("[12]"));
    assert_ok(json_reader_expect(&r, JSON_EVENT_ARRAY, &err));
    assert_error(json_reader_int(&r, 0, 11, &value, &err), ERROR_FORMAT,
                 "12 is not a whole number");
    json_reader_close(&r);
}

/* Damaged documents: the reader and jansson agree on which are JSON. */
static void agrees_with_jansson_on_damaged_text(void **state)
{
    (void)state;
    static const char seed[] =
        "{\"a\":[1,-2.5e3,\"x\\u00e9\\ud83d\\ude00\",{\"b\":null}],\"c\":true,\"d\":\"\xC3\xA9\"}";
    static const char bytes[] = "{}[]:,\"\\ud0123456789-+.eEtrufalsn \n\x80\xC3\xA9";
    Rng rng = {7};
    int n_good = 0;
    for (int round = 0; round < 30000; round++) {
        char text[sizeof seed];
        memcpy(text, seed, sizeof seed);
        for (uint64_t k = 1 + rng_below(&rng, 3); k > 0; k--)
            text[rng_below(&rng, sizeof seed - 1)] = bytes[rng_below(&rng, sizeof bytes - 1)];
        Error err = {0};
        char events[128];
        read_events(text, events, sizeof events, &err);
        json_t *tree = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        bool is_good = events[strlen(events) - 1] == '.';
        /* jansson also refuses numbers that do not fit a double or an integer. */
        if (is_good != (tree != NULL))
            fail_msg("%s: %d here, %d there", text, is_good, tree != NULL);
        n_good += is_good;
        json_decref(tree);
    }
    assert_true(n_good > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_come_in_order),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(depth_is_limited),
        cmocka_unit_test(skipping_takes_one_value),
        cmocka_unit_test(whole_numbers_have_a_range),
        cmocka_unit_test(agrees_with_jansson_on_damaged_text),
    };
    return TEST_MAIN("json_reader", tests);
}
