/* The engine's promises: limits, stop strings, budgets, loop guard, shared pages, cancelling, and a
 * step that allocates nothing. */
#include "engine/rig.h"

#include "base/utf8.h"
#include "engine/engine_state.h"

#include <string.h>

static Rig rig;
static const EngineOptions small = {.kv_type = DTYPE_F32, .context = 1024, .kv_bytes = 64 << 20};

static int open_rig(void **state)
{
    (void)state;
    rig = rig_open("tiny", "F32", 1);
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    rig_close(&rig);
    return 0;
}

typedef struct Result {
    Buf thinking, text;
    Ids ids;
    int n_forced;
    Event done;
} Result;

static void result_free(Result *r)
{
    buf_free(&r->thinking);
    buf_free(&r->text);
    ids_free(&r->ids);
}

static void take_events(Engine *engine, int64_t id, Result *r)
{
    Event event;
    while (engine_next(engine, id, &event)) {
        if (event.kind == EVENT_THINKING)
            buf_add(&r->thinking, event.text);
        else if (event.kind == EVENT_TEXT)
            buf_add(&r->text, event.text);
        else if (event.kind == EVENT_TOKEN) {
            ids_push(&r->ids, event.id);
            r->n_forced += event.is_forced;
        } else if (event.kind == EVENT_DONE)
            r->done = event;
    }
}

static Result answer(Engine *engine, const Request *request)
{
    Error err = {0};
    Result r = {0};
    int64_t id;
    assert_ok(id = engine_add(engine, request, &err));
    take_events(engine, id, &r);
    while (engine_step(engine))
        take_events(engine, id, &r);
    take_events(engine, id, &r);
    assert_int_equal(r.done.kind, EVENT_DONE);
    assert_int_equal(r.done.usage.completion_tokens, r.ids.n);
    return r;
}

static Ids encode(const char *text)
{
    Error err = {0};
    Ids ids = {0};
    assert_ok(tokenizer_encode_all(rig.tokenizer, str_from(text), &ids, &err));
    return ids;
}

static Request ask(const Ids *prompt)
{
    Request request = request_defaults();
    request.prompt = prompt->data;
    request.n_prompt = prompt->n;
    request.n_logprobs = 0;
    request.sampling.temperature = 1;
    request.sampling.top_p = 1;
    request.sampling.seed = 7;
    request.max_tokens = 40;
    request.ignore_eos = true;
    return request;
}

static void limits_are_errors_with_numbers(void **state)
{
    (void)state;
    Error err = {0};
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = encode("Hello");
    Request request = ask(&prompt);
    int32_t *longer = mem_alloc(sizeof(int32_t) * 2000);
    request.prompt = longer;
    request.n_prompt = 1024;
    assert_error(engine_add(engine, &request, &err), ERROR_LIMIT,
                 "1024 tokens; the context is 1024");
    longer[3] = 1 << 22;
    request.n_prompt = 5;
    assert_error(engine_add(engine, &request, &err), ERROR_ARGUMENT, "token 3: id 4194304");
    request.n_prompt = 0;
    assert_error(engine_add(engine, &request, &err), ERROR_ARGUMENT, "empty");
    request = ask(&prompt);
    request.sampling.top_p = 0;
    assert_error(engine_add(engine, &request, &err), ERROR_ARGUMENT, "top_p");
    request = ask(&prompt);
    request.stops = (const char *const[]){""};
    request.n_stops = 1;
    assert_error(engine_add(engine, &request, &err), ERROR_ARGUMENT, "stop string 1");
    EngineOptions greedy = small;
    greedy.kv_bytes = 1 << 14;
    assert_error(engine_open(rig.model, rig.tokenizer, &greedy, &err), ERROR_MEMORY, "--kv-memory");
    greedy.context = 1 << 23;
    assert_error(engine_open(rig.model, rig.tokenizer, &greedy, &err), ERROR_ARGUMENT, "maximum");
    mem_free(longer);
    ids_free(&prompt);
    engine_close(engine);
}

static void max_tokens_and_context_end_an_answer(void **state)
{
    (void)state;
    EngineOptions options = small;
    options.context = 64;
    Engine *engine = rig_engine(&rig, &options);
    Ids prompt = encode("Hello");
    Request request = ask(&prompt);
    request.no_answer_room = true;
    Result r = answer(engine, &request);
    assert_int_equal(r.done.reason, FINISH_LENGTH);
    assert_int_equal(r.ids.n, 40);
    assert_false(r.done.usage.context_is_full);
    result_free(&r);
    request.max_tokens = 0;
    r = answer(engine, &request);
    assert_int_equal(r.done.reason, FINISH_LENGTH);
    assert_int_equal(r.ids.n, 64 - prompt.n);
    assert_true(r.done.usage.context_is_full);
    result_free(&r);
    ids_free(&prompt);
    engine_close(engine);
}

static void stop_strings_cut_before_themselves(void **state)
{
    (void)state;
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = encode("<think>\n\n</think>\n\n");
    Request request = ask(&prompt);
    Result whole = answer(engine, &request);
    assert_true(whole.text.bytes > 12);
    /* Any piece of the answer, as a stop string, ends it right before its first occurrence. */
    for (size_t from = 1; from + 5 < whole.text.bytes; from += 7) {
        Str piece = str_slice(buf_str(&whole.text), from, from + 5);
        if (utf8_valid_prefix(piece) != piece.bytes || memchr(piece.data, 0, piece.bytes))
            continue;
        char *stop = mem_strndup(piece.data, piece.bytes);
        request.stops = (const char *const[]){"never to be seen", stop};
        request.n_stops = 2;
        Result cut = answer(engine, &request);
        size_t at = (size_t)str_find(buf_str(&whole.text), piece, 0);
        assert_int_equal(cut.done.reason, FINISH_STOP);
        assert_int_equal(cut.text.bytes, at);
        assert_memory_equal(cut.text.data ? cut.text.data : "", whole.text.data, at);
        result_free(&cut);
        mem_free(stop);
    }
    result_free(&whole);
    ids_free(&prompt);
    engine_close(engine);
}

static void budget_closes_the_thought_with_qwens_words(void **state)
{
    (void)state;
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = encode("Hi<think>\n");
    Ids words =
        encode("\n\nConsidering the limited time by the user, I have to give the solution based on "
               "the thinking directly now.\n</think>\n\n");
    Request request = ask(&prompt);
    request.max_tokens = words.n + 60;
    for (int budget = 0; budget < 20; budget += 6) {
        request.think_budget = budget;
        Result r = answer(engine, &request);
        /* A little over the budget only to finish a character. */
        int n_drawn = 0;
        while (n_drawn < r.ids.n &&
               memcmp(r.ids.data + n_drawn, words.data, sizeof(int32_t) * (size_t)words.n) != 0)
            n_drawn++;
        assert_in_range(n_drawn, budget, budget + 4);
        assert_int_equal(r.n_forced, words.n);
        assert_true(r.done.usage.thought_was_closed);
        assert_true(r.done.usage.reasoning_tokens >= n_drawn);
        assert_true(r.text.bytes > 0);
        assert_true(test_contains(r.thinking.data, "directly now."));
        result_free(&r);
    }
    /* Without a budget, room is kept for the answer when max_tokens is short. */
    request.think_budget = -1;
    request.max_tokens = 200;
    Result r = answer(engine, &request);
    assert_int_equal(r.n_forced, words.n);
    assert_true(r.done.usage.reasoning_tokens <= 150);
    result_free(&r);
    request.no_answer_room = true;
    r = answer(engine, &request);
    assert_int_equal(r.n_forced, 0);
    result_free(&r);
    ids_free(&words);
    ids_free(&prompt);
    engine_close(engine);
}

static void looping_thought_is_closed(void **state)
{
    (void)state;
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = encode("Hi<think>\n");
    Request request = ask(&prompt);
    request.max_tokens = 900;
    /* A bias that leaves one token makes the shortest loop there is. */
    Ids a = encode("a");
    request.sampling.bias_ids = a.data;
    request.sampling.bias = (const float[]){1000};
    request.sampling.n_bias = 1;
    Result r = answer(engine, &request);
    assert_true(r.done.usage.thought_was_closed);
    assert_in_range(r.done.usage.reasoning_tokens, 192, 192 + 16 + 64);
    result_free(&r);
    request.no_loop_guard = true;
    request.max_tokens = 400;
    request.no_answer_room = true;
    r = answer(engine, &request);
    assert_false(r.done.usage.thought_was_closed);
    result_free(&r);
    ids_free(&a);
    ids_free(&prompt);
    engine_close(engine);
}

static void common_prefixes_share_pages(void **state)
{
    (void)state;
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = {0};
    for (int i = 0; i < 200; i++)
        ids_push(&prompt, (i * 7) % 250);
    Request request = ask(&prompt);
    Result first = answer(engine, &request);
    assert_int_equal(first.done.usage.cached_tokens, 0);
    Result again = answer(engine, &request);
    assert_int_equal(again.done.usage.cached_tokens, 192); /* three full pages of 64 */
    assert_int_equal(again.ids.n, first.ids.n);
    assert_memory_equal(again.ids.data, first.ids.data, sizeof(int32_t) * (size_t)first.ids.n);
    result_free(&again);
    request.cache_salt = 5;
    again = answer(engine, &request);
    assert_int_equal(again.done.usage.cached_tokens, 0);
    result_free(&again);
    request.cache_salt = 0;
    prompt.data[70]++;
    again = answer(engine, &request);
    assert_int_equal(again.done.usage.cached_tokens, 64);
    result_free(&again);
    result_free(&first);
    ids_free(&prompt);
    engine_close(engine);
}

static void equal_prompts_asked_together_are_computed_once(void **state)
{
    (void)state;
    Error err = {0};
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = {0};
    for (int i = 0; i < 300; i++)
        ids_push(&prompt, 40 + i % 50);
    Request request = ask(&prompt);
    request.max_tokens = 4;
    int64_t ids[3];
    for (int i = 0; i < 3; i++)
        assert_ok(ids[i] = engine_add(engine, &request, &err));
    while (engine_step(engine))
        ;
    for (int i = 0; i < 3; i++) {
        Result r = {0};
        take_events(engine, ids[i], &r);
        assert_int_equal(r.done.usage.cached_tokens, i == 0 ? 0 : 4 * KV_PAGE_TOKENS);
        result_free(&r);
    }
    ids_free(&prompt);
    engine_close(engine);
}

/* Beside a stream, a prompt is taken in pieces that take about a fifth of a second. */
static void a_long_prompt_does_not_hold_up_a_stream(void **state)
{
    (void)state;
    Error err = {0};
    Engine *engine = rig_engine(&rig, &small);
    Ids short_prompt = encode("Hello"), long_prompt = {0};
    for (int i = 0; i < 900; i++)
        ids_push(&long_prompt, 40 + i % 50);
    Request first = ask(&short_prompt), second = ask(&long_prompt);
    first.ignore_eos = true;
    first.max_tokens = 60;
    second.max_tokens = 1;
    int64_t stream;
    assert_ok(stream = engine_add(engine, &first, &err));
    assert_true(engine_step(engine));
    assert_ok(engine_add(engine, &second, &err));
    Result r = {0};
    take_events(engine, stream, &r);
    for (int n_steps = 1; engine->n_waiting > 0 || engine->n_running > 1; n_steps++) {
        engine->token_seconds = 0.004; /* 50 tokens in 0.2 s */
        assert_true(engine_step(engine));
        assert_in_range(engine->n_planned_tokens, 1, 51);
        take_events(engine, stream, &r);
        assert_int_equal(r.ids.n, n_steps + 1);
    }
    result_free(&r);
    ids_free(&short_prompt);
    ids_free(&long_prompt);
    engine_close(engine);
}

static void cancelling_returns_pages_at_once(void **state)
{
    (void)state;
    Error err = {0};
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = encode("Hello, this is a prompt");
    Request request = ask(&prompt);
    int64_t id;
    assert_ok(id = engine_add(engine, &request, &err));
    for (int i = 0; i < 5; i++)
        engine_step(engine);
    assert_true(engine_stats(engine).n_pages_held > 0);
    engine_cancel(engine, id);
    assert_int_equal(engine_stats(engine).n_pages_held, 0);
    Result r = {0};
    take_events(engine, id, &r);
    assert_int_equal(r.done.reason, FINISH_CANCELLED);
    assert_int_equal(r.ids.n, 5);
    assert_false(engine_step(engine));
    result_free(&r);
    ids_free(&prompt);
    engine_close(engine);
}

static void a_decode_step_allocates_nothing(void **state)
{
    (void)state;
    Error err = {0};
    Engine *engine = rig_engine(&rig, &small);
    Ids prompt = encode("Hello, this is a prompt");
    Request request = ask(&prompt);
    request.max_tokens = 300;
    request.sampling.repetition_penalty = 1.1f;
    request.n_logprobs = 5;
    int64_t ids[4];
    Event event;
    for (int i = 0; i < 4; i++)
        assert_ok(ids[i] = engine_add(engine, &request, &err));
    for (int i = 0; i < 20; i++) { /* queues and buffers reach their size */
        engine_step(engine);
        for (int k = 0; k < 4; k++)
            while (engine_next(engine, ids[k], &event)) {
            }
    }
    uint64_t before = mem_count();
    for (int i = 0; i < 200; i++) {
        engine_step(engine);
        for (int k = 0; k < 4; k++)
            while (engine_next(engine, ids[k], &event)) {
            }
    }
    assert_int_equal(mem_count() - before, 0);
    ids_free(&prompt);
    engine_close(engine);
}

typedef struct Scored {
    int n;
    float logprobs[256];
    int32_t top[256];
} Scored;

static bool note_score(void *context, int pos, int32_t id, float logprob, const ScoreTop *top,
                       int n_top)
{
    (void)id;
    Scored *scored = context;
    assert_int_equal(pos, scored->n);
    assert_int_equal(n_top, 2);
    assert_true(top[0].logit >= top[1].logit);
    scored->top[scored->n] = top[0].id;
    scored->logprobs[scored->n++] = logprob;
    return true;
}

static void score_agrees_with_generation(void **state)
{
    (void)state;
    Error err = {0};
    Engine *engine = rig_engine(&rig, &small);
    Ids ids = encode("Hello, this is a prompt");
    int n_prompt = ids.n;
    Request request = ask(&ids);
    request.n_logprobs = 1;
    request.max_tokens = 100;
    int64_t id;
    assert_ok(id = engine_add(engine, &request, &err));
    float drawn[100];
    int n = 0;
    Event event;
    while (engine_step(engine))
        while (engine_next(engine, id, &event))
            if (event.kind == EVENT_TOKEN) {
                ids_push(&ids, event.id);
                drawn[n++] = event.logprob;
            }
    while (engine_next(engine, id, &event)) {
    }
    Scored scored = {0};
    assert_ok(engine_score(engine, &(ScoreInput){ids.data, ids.n, NULL, 0}, 2, note_score, &scored,
                           &err));
    assert_int_equal(scored.n, ids.n);
    /* The sampler's log-probabilities equal the scorer's bit for bit. */
    for (int i = 0; i < n; i++)
        assert_memory_equal(&drawn[i], &scored.logprobs[n_prompt + i], sizeof(float));
    assert_error(
        engine_score(engine, &(ScoreInput){ids.data, 0, NULL, 0}, 2, note_score, &scored, &err),
        ERROR_ARGUMENT, "no ids");
    ids_free(&ids);
    engine_close(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limits_are_errors_with_numbers),
        cmocka_unit_test(max_tokens_and_context_end_an_answer),
        cmocka_unit_test(stop_strings_cut_before_themselves),
        cmocka_unit_test(budget_closes_the_thought_with_qwens_words),
        cmocka_unit_test(looping_thought_is_closed),
        cmocka_unit_test(common_prefixes_share_pages),
        cmocka_unit_test(equal_prompts_asked_together_are_computed_once),
        cmocka_unit_test(a_long_prompt_does_not_hold_up_a_stream),
        cmocka_unit_test(cancelling_returns_pages_at_once),
        cmocka_unit_test(a_decode_step_allocates_nothing),
        cmocka_unit_test(score_agrees_with_generation),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("engine", tests, open_rig, close_rig);
}
