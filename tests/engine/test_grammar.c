/* Grammars in the engine, with random weights as the adversary: they never comply by luck. Whatever
 * the thought, the budget, stop strings and other requests do, what comes out follows its grammar.
 */
#include "engine/rig.h"

#include "base/mem.h"

#include <jansson.h>
#include <string.h>

static Rig rig;
static TokenTrie *trie;
static const EngineOptions small = {.kv_type = DTYPE_F32, .context = 1024, .kv_bytes = 64 << 20};

static int open_rig(void **state)
{
    (void)state;
    Error err = {0};
    rig = rig_open("tiny", "F32", 1);
    assert_ok(trie = token_trie_open(rig.tokenizer, &err));
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    token_trie_close(trie);
    rig_close(&rig);
    return 0;
}

#define THINKS "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
#define ANSWERS THINKS "<think>\n\n</think>\n\n"
#define IS_THINKING THINKS "<think>\n"

typedef struct Result {
    Buf thinking, text, name, arguments;
    Ids ids;
    int n_calls, n_forced;
    Event done;
} Result;

static void result_free(Result *r)
{
    buf_free(&r->thinking);
    buf_free(&r->text);
    buf_free(&r->name);
    buf_free(&r->arguments);
    ids_free(&r->ids);
}

static void take_events(Engine *engine, int64_t id, Result *r)
{
    Event e;
    while (engine_next(engine, id, &e)) {
        Buf *to[] = {[EVENT_THINKING] = &r->thinking,
                     [EVENT_TEXT] = &r->text,
                     [EVENT_TOOL_NAME] = &r->name,
                     [EVENT_TOOL_ARGUMENTS] = &r->arguments};
        if (e.kind <= EVENT_TOOL_ARGUMENTS)
            buf_add(to[e.kind], e.text);
        if (e.kind == EVENT_TOOL_END) {
            r->n_calls++;
            buf_putc(&r->name, ' ');
            buf_putc(&r->arguments, '\n');
        }
        if (e.kind == EVENT_TOKEN) {
            ids_push(&r->ids, e.id);
            r->n_forced += e.is_forced;
        }
        if (e.kind == EVENT_DONE)
            r->done = e;
    }
}

static Request ask(Ids *prompt, const char *text, Grammar *grammar, uint64_t seed)
{
    Error err = {0};
    Request request = request_defaults();
    ids_free(prompt);
    assert_ok(tokenizer_encode_all(rig.tokenizer, str_from(text), prompt, &err));
    request.prompt = prompt->data;
    request.n_prompt = prompt->n;
    request.n_logprobs = 0;
    request.sampling.temperature = 1;
    request.sampling.seed = seed;
    request.max_tokens = 600;
    request.grammar = grammar;
    return request;
}

static Result answer(const Request *request)
{
    Error err = {0};
    Result r = {0};
    Engine *engine = rig_engine(&rig, &small);
    int64_t id;
    assert_ok(id = engine_add(engine, request, &err));
    take_events(engine, id, &r);
    while (engine_step(engine))
        take_events(engine, id, &r);
    take_events(engine, id, &r);
    assert_int_equal(r.done.kind, EVENT_DONE);
    assert_int_equal(r.done.usage.completion_tokens, r.ids.n);
    engine_close(engine);
    return r;
}

static const char person[] =
    "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 8}, "
    "\"age\": {\"type\": \"integer\", \"minimum\": 0, \"maximum\": 150}, \"tags\": {\"type\": "
    "\"array\", \"items\": {\"enum\": [\"a\", \"b\"]}, \"maxItems\": 2}}, \"required\": [\"name\", "
    "\"age\", \"tags\"], \"additionalProperties\": false}";

static Grammar *person_grammar(void)
{
    Error err = {0};
    Grammar *g = grammar_from_schema(trie, str_from(person), &err);
    if (!g)
        fail_msg("%s", err.message);
    return g;
}

static void assert_is_person(const Result *r)
{
    assert_int_equal(r->done.reason, FINISH_STOP);
    json_t *value = json_loadb(r->text.data, r->text.bytes, JSON_ALLOW_NUL, NULL);
    if (!value)
        fail_msg("not JSON: %s", r->text.data);
    json_int_t age = json_integer_value(json_object_get(value, "age"));
    assert_int_equal(json_object_size(value), 3);
    assert_true(json_is_string(json_object_get(value, "name")));
    assert_true(json_is_integer(json_object_get(value, "age")) && age >= 0 && age <= 150);
    assert_true(json_array_size(json_object_get(value, "tags")) <= 2);
    json_decref(value);
}

static void answers_follow_a_schema(void **state)
{
    (void)state;
    Ids prompt = {0};
    Grammar *g = person_grammar();
    for (uint64_t seed = 1; seed <= 6; seed++) {
        Request request = ask(&prompt, ANSWERS, g, seed);
        Result r = answer(&request);
        assert_is_person(&r);
        assert_int_equal(r.thinking.bytes, 0);
        assert_true(r.n_forced > 0); /* the keys */
        result_free(&r);
    }
    grammar_unref(g);
    ids_free(&prompt);
}

/* The thought is free, and however it ends the answer follows. */
static void thoughts_are_free(void **state)
{
    (void)state;
    Ids prompt = {0};
    Grammar *g = person_grammar();
    static const char *const prompts[] = {IS_THINKING, IS_THINKING, THINKS};
    for (uint64_t i = 0; i < 3; i++) {
        Request request = ask(&prompt, prompts[i], g, 11 + i);
        request.think_budget = i == 0 ? 12 : i == 1 ? 0 : 6;
        Result r = answer(&request);
        assert_is_person(&r);
        if (i == 0)
            assert_true(r.done.usage.thought_was_closed && r.thinking.bytes > 0);
        assert_null(strstr(r.text.data, "</think>"));
        result_free(&r);
    }
    grammar_unref(g);
    ids_free(&prompt);
}

static void required_tools_are_called(void **state)
{
    (void)state;
    Error err = {0};
    Ids prompt = {0};
    static const char tools[] =
        "[{\"type\": \"function\", \"function\": {\"name\": \"go\", \"parameters\": {\"type\": "
        "\"object\", \"properties\": {\"to\": {\"enum\": [\"left\", \"right\"]}}, \"required\": "
        "[\"to\"], \"additionalProperties\": false}}}, {\"type\": \"function\", \"function\": "
        "{\"name\": \"stay\", \"parameters\": {\"type\": \"object\", \"properties\": {}, "
        "\"additionalProperties\": false}}}]";
    for (int single = 0; single < 2; single++) {
        Grammar *g = grammar_from_tools(trie,
                                        &(ToolRules){.tools = str_from(tools),
                                                     .choice = TOOL_CHOICE_REQUIRED,
                                                     .is_single = single},
                                        &err);
        assert_ok(g != NULL);
        for (uint64_t seed = 1; seed <= 4; seed++) {
            Request request = ask(&prompt, seed % 2 ? ANSWERS : IS_THINKING, g, seed);
            request.parse_tools = true;
            request.think_budget = 8;
            request.max_tokens = 400;
            Result r = answer(&request);
            assert_int_equal(r.text.bytes, 0);
            assert_true(r.n_calls >= 1);
            if (single) {
                assert_int_equal(r.n_calls, 1);
                assert_int_equal(r.done.reason, FINISH_TOOL_CALLS);
            }
            const char *arguments = r.arguments.data;
            for (int i = 0; i < r.n_calls; i++) {
                size_t n = strcspn(arguments, "\n");
                Str one = {arguments, n};
                assert_true(str_equals(one, "{}") || str_equals(one, "{\"to\": \"left\"}") ||
                            str_equals(one, "{\"to\": \"right\"}"));
                arguments += n + 1;
            }
            result_free(&r);
        }
        grammar_unref(g);
    }
    ids_free(&prompt);
}

static void no_call_with_none(void **state)
{
    (void)state;
    Error err = {0};
    Ids prompt = {0};
    int32_t call_id = tokenizer_added_id(rig.tokenizer, "<tool_call>");
    Grammar *g = grammar_from_tools(trie, &(ToolRules){.choice = TOOL_CHOICE_NONE}, &err);
    assert_ok(g != NULL);
    Request request = ask(&prompt, ANSWERS, g, 3);
    float bias = 50;
    request.sampling.bias_ids = &call_id; /* the model wants nothing else */
    request.sampling.bias = &bias;
    request.sampling.n_bias = 1;
    request.max_tokens = 30;
    Result r = answer(&request);
    for (int i = 0; i < r.ids.n; i++)
        assert_int_not_equal(r.ids.data[i], call_id);
    result_free(&r);
    grammar_unref(g);
    ids_free(&prompt);
}

/* What leaves no choice is written without the model. */
static void forced_answers_need_no_step(void **state)
{
    (void)state;
    Error err = {0};
    Ids prompt = {0};
    Str only[] = {STR("yes, of course")};
    Grammar *g = grammar_from_choices(trie, only, 1, &err);
    Request request = ask(&prompt, ANSWERS, g, 1);
    Result r = answer(&request);
    assert_string_equal(r.text.data, "yes, of course");
    assert_int_equal(r.n_forced, r.ids.n);
    assert_int_equal(r.done.reason, FINISH_STOP);
    result_free(&r);
    grammar_unref(g);
    ids_free(&prompt);
}

/* Many at once over one grammar: each answer is the one it gives alone. */
static void neighbours_do_not_matter(void **state)
{
    (void)state;
    enum { N = 6 };
    Error err = {0};
    Ids prompt = {0};
    Grammar *g = person_grammar();
    Engine *engine = rig_engine(&rig, &small);
    int64_t ids[N];
    Result together[N] = {0};
    for (uint64_t i = 0; i < N; i++) {
        Request request = ask(&prompt, ANSWERS, g, 100 + i);
        assert_ok(ids[i] = engine_add(engine, &request, &err));
        engine_step(engine);
    }
    while (engine_step(engine)) {
    }
    for (int i = 0; i < N; i++)
        take_events(engine, ids[i], &together[i]);
    engine_close(engine);
    for (uint64_t i = 0; i < N; i++) {
        Request request = ask(&prompt, ANSWERS, g, 100 + i);
        Result alone = answer(&request);
        assert_string_equal(alone.text.data, together[i].text.data);
        result_free(&alone);
        result_free(&together[i]);
    }
    grammar_unref(g);
    ids_free(&prompt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_follow_a_schema),     cmocka_unit_test(thoughts_are_free),
        cmocka_unit_test(required_tools_are_called),   cmocka_unit_test(no_call_with_none),
        cmocka_unit_test(forced_answers_need_no_step), cmocka_unit_test(neighbours_do_not_matter),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("grammar", tests, open_rig, close_rig);
}
