/* Request bodies -> options: what is taken over, and what is refused by name. */
#include "server/json_in.h"
#include "server/request_options.h"
#include "support.h"

#include <math.h>
#include <string.h>

typedef struct Read {
    RequestOptions options;
    json_t *body;
    Fault fault;
    bool ok;
} Read;

static Read read_with(const char *text, const RequestDefaults *defaults)
{
    Read r = {0};
    r.body = in_body(str_from(text), &r.fault);
    if (!r.body)
        return r;
    options_open(&r.options, defaults);
    r.ok = options_read(&r.options, r.body, "", &r.fault) && options_finish(&r.options, &r.fault);
    return r;
}

static Read read_body(const char *text)
{
    RequestDefaults none = request_defaults_none();
    return read_with(text, &none);
}

static void read_end(Read *r)
{
    if (r->body)
        options_close(&r->options);
    json_decref(r->body);
}

static void test_nothing_given(void **state)
{
    (void)state;
    Read r = read_body("{}");
    assert_true(r.ok);
    assert_true(isnan(r.options.ask.sampling.temperature));
    assert_int_equal(r.options.ask.sampling.top_k, -1);
    assert_int_equal(r.options.ask.sampling.seed, -1);
    assert_int_equal(r.options.ask.think, -1);
    assert_int_equal(r.options.ask.think_budget, -1);
    assert_int_equal(r.options.ask.max_tokens, 0);
    assert_int_equal(r.options.ask.n_logprobs, -1);
    assert_int_equal(r.options.n, 1);
    assert_false(r.options.is_stream);
    read_end(&r);
}

static void test_defaults_give_way(void **state)
{
    (void)state;
    RequestDefaults d = request_defaults_none();
    d.sampling.temperature = 0.25F;
    d.think = 0;
    d.max_tokens = 9;
    Read r = read_with("{}", &d);
    assert_true(r.ok && r.options.ask.sampling.temperature == 0.25F);
    assert_int_equal(r.options.ask.think, 0);
    assert_int_equal(r.options.ask.max_tokens, 9);
    read_end(&r);
    r = read_with("{\"temperature\": 1, \"think\": true, \"max_completion_tokens\": 5}", &d);
    assert_true(r.ok && r.options.ask.sampling.temperature == 1.0F);
    assert_int_equal(r.options.ask.think, 1);
    assert_int_equal(r.options.ask.max_tokens, 5);
    read_end(&r);
}

static void test_numbers(void **state)
{
    (void)state;
    Read r = read_body("{\"max_tokens\": 16.0, \"top_k\": -1, \"seed\": -77, \"top_p\": 0, "
                       "\"temperature\": null, \"stop\": \"\", \"num_predict\": -1}");
    assert_true(r.ok);
    assert_int_equal(r.options.ask.max_tokens, 16);
    assert_int_equal(r.options.ask.sampling.top_k, 0);
    assert_true(r.options.ask.sampling.seed >= 0);
    assert_true(r.options.ask.sampling.top_p > 0);
    assert_int_equal(r.options.ask.n_stops, 0);
    read_end(&r);
}

typedef struct ThinkCase {
    const char *body;
    int think, budget;
} ThinkCase;

static void test_thinking(void **state)
{
    (void)state;
    static const ThinkCase cases[] = {
        {"{\"think\": true}", 1, -1},
        {"{\"think\": \"medium\"}", 1, 4096},
        {"{\"thinking\": {\"type\": \"enabled\", \"budget_tokens\": 2000}}", 1, 2000},
        {"{\"thinking\": {\"type\": \"adaptive\"}}", -1, -1},
        {"{\"reasoning\": {\"effort\": \"high\", \"max_tokens\": 7}}", 1, 7},
        {"{\"reasoning_effort\": \"none\", \"thinking_budget\": 7}", 0, 7},
        {"{\"chat_template_kwargs\": {\"enable_thinking\": false}, \"think\": true}", 0, -1},
        {"{\"enable_thinking\": true, \"thinking_budget\": 0}", 0, 0},
        {"{\"thinking_budget\": -5}", -1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Read r = read_body(cases[i].body);
        assert_true(r.ok);
        if (r.options.ask.think != cases[i].think || r.options.ask.think_budget != cases[i].budget)
            fail_msg("%s: think %d, budget %d", cases[i].body, r.options.ask.think,
                     r.options.ask.think_budget);
        read_end(&r);
    }
}

static void test_tools_of_three_shapes(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", \"parameters\": "
        "{\"type\": \"object\"}}}]}",
        "{\"tools\": [{\"type\": \"function\", \"name\": \"f\", \"parameters\": {\"type\": "
        "\"object\"}}]}",
        "{\"tools\": [{\"name\": \"f\", \"input_schema\": {\"type\": \"object\"}}]}",
    };
    Read first = read_body(bodies[0]);
    for (size_t i = 0; i < 3; i++) {
        Read r = read_body(bodies[i]);
        assert_true(r.ok && json_equal(r.options.tools, first.options.tools));
        assert_int_equal(r.options.ask.parses_tools, 1);
        read_end(&r);
    }
    read_end(&first);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *body, *param;
        int status;
    } cases[] = {
        {"{\"n\": 0}", "n", 400},
        {"{\"top_p\": 1.5}", "top_p", 400},
        {"{\"seed\": \"1\"}", "seed", 400},
        {"{\"stop\": \"a\\u0000b\"}", "stop", 400},
        {"{\"model\": 3}", "model", 400},
        {"{\"thinking\": {\"type\": \"on\"}}", "thinking.type", 400},
        {"{\"thinking\": {\"type\": \"enabled\", \"budget_tokens\": \"x\"}}",
         "thinking.budget_tokens", 400},
        {"{\"think\": \"sure\"}", "think", 400},
        {"{\"tools\": {}}", "tools", 400},
        {"{\"tools\": [3]}", "tools[0]", 400},
        {"{\"tool_choice\": \"any\"}", "tool_choice", 400},
        {"{\"tool_choice\": 3}", "tool_choice", 400},
        {"{\"stream_options\": {\"include_usage\": 1}}", "stream_options.include_usage", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Read r = read_body(cases[i].body);
        if (r.ok || r.fault.status != cases[i].status || strcmp(r.fault.param, cases[i].param) != 0)
            fail_msg("%s: ok %d, %d \"%s\" %s", cases[i].body, r.ok, r.fault.status, r.fault.param,
                     r.fault.message);
        read_end(&r);
    }
}

static void test_contents(void **state)
{
    (void)state;
    Fault fault;
    Buf text = {0};
    json_t *parts = json_loads("[\"a\", {\"type\": \"input_text\", \"text\": \"b\"}, {\"text\": "
                               "\"c\"}]",
                               0, NULL);
    assert_true(in_content(parts, "x", &text, &fault));
    assert_string_equal(text.data, "a\nb\nc");
    json_decref(parts);
    parts = json_loads("[{\"type\": \"image\"}]", 0, NULL);
    assert_false(in_content(parts, "x", &text, &fault));
    assert_non_null(strstr(fault.message, "x[0]: type \"image\""));
    json_decref(parts);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_given),
        cmocka_unit_test(test_defaults_give_way),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_thinking),
        cmocka_unit_test(test_tools_of_three_shapes),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_contents),
    };
    return TEST_MAIN("options", tests);
}
