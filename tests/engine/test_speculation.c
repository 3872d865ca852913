/* Speculation changes the speed of an answer and nothing else: texts, ids, log-probabilities,
 * alternatives and reasons are the same bytes as without it, whatever the drafts are worth, with
 * grammars, budgets, stop strings, penalties, company, and pages running out. */
#include "engine/rig.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

enum { N_REQUESTS = 10, N_GENERATED = 60 };

/* Everything that a reader of one request could see. */
typedef struct Answer {
    Buf text, tokens;
    Ids ids; /* with the prompt */
    Event done;
} Answer;

static Rig rig;
static TokenTrie *trie;
static Grammar *grammar;
static Ids prompts[N_REQUESTS];

static const char *const texts[N_REQUESTS] = {
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "once upon a time once upon a time once upon",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "<|im_start|>user\nA<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "<|im_start|>user\nB<|im_end|>\n<|im_start|>assistant\n<think>\n",
    "x",
    "y",
};

static int open_all(void **state)
{
    (void)state;
    Error err = {0};
    rig = rig_open("tiny", "Q8_0", 1);
    assert_ok(trie = token_trie_open(rig.tokenizer, &err));
    assert_ok(grammar = grammar_from_schema(
                  trie,
                  STR("{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", "
                      "\"maxLength\": 8}, \"ages\": {\"type\": \"array\", \"items\": {\"type\": "
                      "\"integer\", \"maximum\": 99}, \"maxItems\": 5}}, \"required\": "
                      "[\"name\", \"ages\"], \"additionalProperties\": false}"),
                  &err));
    for (int i = 0; i < N_REQUESTS; i++)
        assert_ok(tokenizer_encode_all(rig.tokenizer, str_from(texts[i]), &prompts[i], &err));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < N_REQUESTS; i++)
        ids_free(&prompts[i]);
    grammar_unref(grammar);
    token_trie_close(trie);
    rig_close(&rig);
    return 0;
}

static Request make_request(int which)
{
    static const char *const stops[] = {"e", "qu"};
    Request r = request_defaults();
    r.prompt = prompts[which].data;
    r.n_prompt = prompts[which].n;
    r.max_tokens = N_GENERATED;
    r.sampling.temperature = which % 3 == 0 ? 0 : which % 3 == 1 ? 0.7f : 1.3f;
    r.sampling.top_k = which % 4 == 1 ? 20 : 0;
    r.sampling.top_p = which % 4 == 2 ? 0.9f : 1;
    r.sampling.seed = (uint64_t)which * 7;
    r.n_logprobs = which % 2 ? 3 : 0;
    r.grammar = which < 4 ? grammar : NULL;
    r.think_budget = which == 1 ? 9 : which == 7 ? 17 : -1;
    if (which == 6) {
        r.stops = stops;
        r.n_stops = 2;
    }
    if (which >= 4 && which % 2 == 0) {
        r.sampling.repetition_penalty = 1.1f;
        r.sampling.frequency_penalty = 0.3f;
    }
    r.ignore_eos = which >= 8;
    return r;
}

static void collect(Engine *engine, int64_t id, Answer *a)
{
    Event e;
    while (a->done.kind != EVENT_DONE && engine_next(engine, id, &e)) {
        if (e.kind <= EVENT_TOOL_ARGUMENTS) {
            buf_putc(&a->text, (char)('0' + e.kind));
            buf_add(&a->text, e.text);
        } else if (e.kind == EVENT_TOKEN) {
            ids_push(&a->ids, e.id);
            buf_add(&a->tokens, (Str){(const char *)&e.id, sizeof e.id});
            buf_add(&a->tokens, (Str){(const char *)&e.logprob, sizeof e.logprob});
            buf_putc(&a->tokens, (char)e.is_forced);
            buf_add(&a->tokens, (Str){(const char *)e.top, sizeof *e.top * (size_t)e.n_top});
        } else if (e.kind == EVENT_DONE) {
            a->done = e;
        }
    }
}

static void answers_free(Answer *answers)
{
    for (int i = 0; i < N_REQUESTS; i++) {
        buf_free(&answers[i].text);
        buf_free(&answers[i].tokens);
        ids_free(&answers[i].ids);
    }
}

/* Runs requests from .. from+n-1 together, arriving one after the other. */
static EngineStats run(const EngineOptions *options, int from, int n, Answer *answers)
{
    Error err = {0};
    Engine *engine = rig_engine(&rig, options);
    int64_t ids[N_REQUESTS] = {0};
    for (int i = from; i < from + n; i++) {
        Request request = make_request(i);
        answers[i] = (Answer){0};
        for (int k = 0; k < prompts[i].n; k++)
            ids_push(&answers[i].ids, prompts[i].data[k]);
        assert_ok(ids[i] = engine_add(engine, &request, &err));
        engine_step(engine);
    }
    do
        for (int i = from; i < from + n; i++)
            collect(engine, ids[i], &answers[i]);
    while (engine_step(engine));
    for (int i = from; i < from + n; i++)
        collect(engine, ids[i], &answers[i]);
    EngineStats stats = engine_stats(engine);
    assert_int_equal(stats.n_pages_held, 0);
    engine_close(engine);
    return stats;
}

static void assert_same(const Answer *a, const Answer *b, int i, const char *what)
{
    const Usage *u = &a->done.usage, *v = &b->done.usage;
    if (a->text.bytes != b->text.bytes || a->tokens.bytes != b->tokens.bytes ||
        (a->text.bytes && memcmp(a->text.data, b->text.data, a->text.bytes) != 0) ||
        memcmp(a->tokens.data, b->tokens.data, a->tokens.bytes) != 0)
        fail_msg("%s: answer %d differs (%zu and %zu bytes of tokens)", what, i, a->tokens.bytes,
                 b->tokens.bytes);
    assert_int_equal(b->done.kind, EVENT_DONE);
    assert_int_equal(a->done.reason, b->done.reason);
    assert_int_equal(a->done.stop_i, b->done.stop_i);
    assert_int_equal(a->done.id, b->done.id);
    assert_int_equal(u->completion_tokens, v->completion_tokens);
    assert_int_equal(u->reasoning_tokens, v->reasoning_tokens);
    assert_int_equal(u->thought_was_closed, v->thought_was_closed);
}

/* Without speculation, each alone. */
static EngineOptions plain_options(void)
{
    return (EngineOptions){.kv_type = DTYPE_F32, .context = 1024, .kv_bytes = 64 << 20};
}

static void run_plain(Answer *answers)
{
    EngineOptions plain = plain_options();
    for (int i = 0; i < N_REQUESTS; i++)
        assert_int_equal(run(&plain, i, 1, answers).drafted_tokens, 0);
}

/* Speculates with these options: each alone, all together, and with too few pages. */
static EngineStats check_same(const Answer *plain, EngineOptions options, const char *what)
{
    Answer other[N_REQUESTS];
    EngineStats sum = {0};
    for (int round = 0; round < 3; round++) {
        if (round == 2) {
            options.context = 0;
            options.kv_bytes = kv_page_bytes(&rig.model->config, DTYPE_F32) * 4;
        }
        int at_once = round == 0 ? 1 : N_REQUESTS;
        for (int i = 0; i < N_REQUESTS; i += at_once) {
            EngineStats stats = run(&options, i, at_once, other);
            sum.n_drafts += stats.n_drafts;
            sum.drafted_tokens += stats.drafted_tokens;
            sum.accepted_tokens += stats.accepted_tokens;
            sum.n_preemptions += stats.n_preemptions;
        }
        for (int i = 0; i < N_REQUESTS; i++)
            assert_same(&plain[i], &other[i], i, what);
        answers_free(other);
    }
    if (options.n_drafts == 1)
        assert_true(sum.n_preemptions > 0);
    assert_true(sum.accepted_tokens <= sum.drafted_tokens);
    return sum;
}

/* Knows the answers, and tells the truth so often. */
typedef struct Prophet {
    const Answer *answers;
    double truth;
} Prophet;

static int prophesy(void *context, const int32_t *ids, int n_ids, int n_max, int32_t *drafts)
{
    const Prophet *p = context;
    for (int i = 0; i < N_REQUESTS; i++) {
        const Ids *all = &p->answers[i].ids;
        if (all->n < n_ids || memcmp(all->data, ids, sizeof *ids * (size_t)n_ids) != 0)
            continue;
        int n = all->n - n_ids < n_max ? all->n - n_ids : n_max;
        for (int k = 0; k < n; k++) {
            uint64_t noise = rng_mix((uint64_t)(n_ids + k) * 31 + (uint64_t)i);
            bool is_true = (double)(noise >> 11) * 0x1p-53 < p->truth;
            drafts[k] = is_true ? all->data[n_ids + k] : (all->data[n_ids + k] + 1) % 200;
        }
        return n;
    }
    return 0;
}

static void drafts_of_any_worth_change_nothing(void **state)
{
    (void)state;
    static const double truths[] = {1, 0.8, 0.3, 0};
    static const int lengths[] = {0, 1, 5, DRAFTS_MAX};
    Answer plain[N_REQUESTS];
    run_plain(plain);
    for (int t = 0; t < 4; t++) {
        for (int n = 0; n < 4; n++) {
            Prophet prophet = {plain, truths[t]};
            EngineOptions options = plain_options();
            options.speculation = 1 << DRAFT_LOOKUP;
            options.n_drafts = lengths[n];
            options.propose = prophesy;
            options.propose_context = &prophet;
            char what[64];
            snprintf(what, sizeof what, "%g true, %d drafts", truths[t], lengths[n]);
            EngineStats stats = check_same(plain, options, what);
            double rate = (double)stats.accepted_tokens / (double)stats.drafted_tokens;
            if (lengths[n] > 0)
                assert_true(stats.drafted_tokens > 300);
            if (t == 0 && lengths[n] > 0) /* but for drafts behind the end or the budget */
                assert_true(rate > 0.8);
            if (t == 3)
                assert_true(stats.drafted_tokens == 0 || rate < 0.02);
        }
    }
    answers_free(plain);
}

static void prompt_lookup(void **state)
{
    (void)state;
    Answer plain[N_REQUESTS];
    run_plain(plain);
    for (int n_drafts = 0; n_drafts <= 4; n_drafts += 2) {
        EngineOptions options = plain_options();
        options.speculation = 1 << DRAFT_LOOKUP;
        options.n_drafts = n_drafts;
        check_same(plain, options, "looked up");
    }
    answers_free(plain);
}

static void a_draft_model(void **state)
{
    (void)state;
    Answer plain[N_REQUESTS];
    run_plain(plain);
    Rig other = rig_open_seed("tiny", "Q8_0", 2, 1);
    for (int is_same = 0; is_same < 2; is_same++) {
        const Rig *draft = is_same ? &rig : &other;
        for (int n_drafts = 0; n_drafts <= 5; n_drafts += 5) {
            EngineOptions options = plain_options();
            options.speculation = 1 << DRAFT_MODEL | (unsigned)(n_drafts > 0) << DRAFT_LOOKUP;
            options.draft_model = draft->model;
            options.draft_tokenizer = draft->tokenizer;
            options.n_drafts = n_drafts;
            EngineStats stats = check_same(plain, options, is_same ? "its own draft" : "stranger");
            if (!is_same && n_drafts == 0) /* it does not pay, and is hardly tried again */
                assert_true(stats.drafted_tokens < 600);
            if (!is_same && n_drafts > 0)
                assert_true((double)stats.accepted_tokens < 0.2 * (double)stats.drafted_tokens);
            if (is_same && n_drafts > 0)
                assert_true((double)stats.accepted_tokens > 0.8 * (double)stats.drafted_tokens);
        }
    }
    rig_close(&other);
    answers_free(plain);
}

/* A model that is its own draft is always right where nothing but the model decides. */
static void equal_noise_draws_equal_tokens(void **state)
{
    (void)state;
    Error err = {0};
    EngineOptions options = plain_options();
    options.speculation = 1 << DRAFT_MODEL;
    options.draft_model = rig.model;
    options.draft_tokenizer = rig.tokenizer;
    options.n_drafts = 4;
    Engine *engine = rig_engine(&rig, &options);
    for (int seed = 0; seed < 4; seed++) {
        Request r = request_defaults();
        r.prompt = prompts[4].data;
        r.n_prompt = prompts[4].n;
        r.max_tokens = 91; /* one, then 18 times 5 */
        r.ignore_eos = true;
        r.sampling.temperature = 1;
        r.sampling.seed = (uint64_t)seed;
        assert_ok(engine_add(engine, &r, &err));
    }
    int n_steps = 0;
    while (engine_step(engine))
        n_steps++;
    EngineStats stats = engine_stats(engine);
    assert_int_equal(stats.accepted_tokens, stats.drafted_tokens);
    assert_true(n_steps <= 22);
    engine_close(engine);
}

/* The built-in model sorts by writing its list again with a number more: lookup finds it. */
static void quoting_is_found_by_lookup(void **state)
{
    (void)state;
    static const char text[] =
        "<|im_start|>user\nSort these numbers: 48, 3, 71, 22, 90, 15, 66, 34<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n";
    Error err = {0};
    Ids prompt = {0};
    Rig builtin = rig_open_file("models/wen.gguf", 1), tiny = rig;
    uint64_t n_accepted = 0;
    assert_ok(tokenizer_encode_all(builtin.tokenizer, str_from(text), &prompt, &err));
    rig = builtin;
    for (int seed = 0; seed < 9; seed++) {
        Answer answers[2] = {0};
        for (int speculates = 0; speculates < 2; speculates++) {
            EngineOptions options = plain_options();
            options.speculation = speculates ? 1 << DRAFT_LOOKUP : 0;
            options.n_drafts = seed % 2 ? 6 : 0;
            Engine *engine = rig_engine(&rig, &options);
            Request r = request_defaults();
            r.prompt = prompt.data;
            r.n_prompt = prompt.n;
            r.max_tokens = 200;
            r.n_logprobs = 0;
            r.sampling.temperature = (float)(seed % 3) * 0.5f;
            r.sampling.seed = (uint64_t)seed;
            int64_t id;
            assert_ok(id = engine_add(engine, &r, &err));
            while (engine_step(engine))
                collect(engine, id, &answers[speculates]);
            collect(engine, id, &answers[speculates]);
            if (seed % 2)
                n_accepted += engine_stats(engine).accepted_tokens;
            engine_close(engine);
        }
        assert_same(&answers[0], &answers[1], seed, "the built-in model");
        for (int i = 0; i < 2; i++) {
            buf_free(&answers[i].text);
            buf_free(&answers[i].tokens);
            ids_free(&answers[i].ids);
        }
    }
    rig = tiny;
    if (n_accepted < 20)
        fail_msg("only %d drafts were accepted", (int)n_accepted);
    ids_free(&prompt);
    rig_close(&builtin);
}

static void a_draft_model_must_fit(void **state)
{
    (void)state;
    Error err = {0};
    Rig other = rig_open_file("models/wen.gguf", 1);
    EngineOptions options = plain_options();
    options.speculation = 1 << DRAFT_MODEL;
    options.draft_model = other.model;
    options.draft_tokenizer = other.tokenizer;
    assert_error(engine_open(rig.model, rig.tokenizer, &options, &err), ERROR_ARGUMENT,
                 "same tokenizer");
    rig_close(&other);
}

/* ---- What decides ---------------------------------------------------------------------------- */

static void lookup_copies_what_came_before(void **state)
{
    (void)state;
    const int32_t ids[] = {1, 2, 3, 4, 5, 9, 2, 3, 4, 6, 7, 8, 2, 3, 4};
    int32_t drafts[DRAFTS_MAX];
    assert_int_equal(draft_lookup(ids, 15, 4, drafts), 4); /* the last of equally long ones */
    assert_memory_equal(drafts, ((const int32_t[]){6, 7, 8, 2}), sizeof(int32_t) * 4);
    assert_int_equal(draft_lookup(ids, 9, 2, drafts), 2);
    assert_memory_equal(drafts, ((const int32_t[]){5, 9}), sizeof(int32_t) * 2);
    assert_int_equal(draft_lookup(ids, 8, 4, drafts), 0); /* two ids are no evidence */
    assert_int_equal(draft_lookup(ids, 1, 4, drafts), 0);
    const int32_t loop[] = {5, 1, 2, 3, 1, 2, 3};
    assert_int_equal(draft_lookup(loop, 7, 7, drafts), 7);
    assert_memory_equal(drafts, ((const int32_t[]){1, 2, 3, 1, 2, 3, 1}), sizeof(int32_t) * 7);
}

static void length_follows_acceptance_and_cost(void **state)
{
    (void)state;
    StepCost cheap = {0}, dear = {0};
    Acceptance good = {0}, bad = {0};
    assert_int_equal(draft_length(&cheap, 0, &good, 1, 1, 16), 0); /* nothing is known */
    for (int i = 0; i < 40; i++) {
        int n = 1 + i % 8;
        step_cost_add(&cheap, n, 1 + 0.02 * n);
        step_cost_add(&dear, n, n);
        acceptance_add(&good, 8, 8);
        acceptance_add(&bad, 8, 0);
    }
    assert_true(step_cost(&cheap, 9) < 1.25 && step_cost(&cheap, 1) > 0.95);
    assert_true(draft_length(&cheap, 0, &good, 1, 1, 16) >= 12);
    assert_in_range(draft_length(&cheap, 0, &bad, 1, 1, 16), 0, 2);
    assert_int_equal(draft_length(&dear, 0, &good, 1, 1, 16), 0);
    assert_int_equal(draft_length(&cheap, 1, &good, 1, 1, 16), 0); /* a draft like a step */
    assert_in_range(draft_length(&cheap, 0.1, &good, 1, 1, 16), 1, 16);
    /* What was bad is tried again, not soon. */
    StepCost usual = {0};
    for (int i = 0; i < 40; i++)
        step_cost_add(&usual, 1 + i % 4, 1 + 0.3 * (i % 4));
    int n_off = 0;
    while (draft_length(&usual, 0, &bad, 1, 1, 16) == 0 && n_off < 1000) {
        acceptance_fade(&bad);
        n_off++;
    }
    assert_in_range(n_off, 20, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lookup_copies_what_came_before),
        cmocka_unit_test(length_follows_acceptance_and_cost),
        cmocka_unit_test(drafts_of_any_worth_change_nothing),
        cmocka_unit_test(prompt_lookup),
        cmocka_unit_test(a_draft_model),
        cmocka_unit_test(equal_noise_draws_equal_tokens),
        cmocka_unit_test(quoting_is_found_by_lookup),
        cmocka_unit_test(a_draft_model_must_fit),
    };
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("speculation", tests, open_all, close_all);
}
