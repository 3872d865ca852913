/* Low-rank adapters in the engine: an answer with an adapter depends on its request alone, whatever
 * adapters its batch-mates have; keys and values are never shared across adapters; and the adapter
 * at work says what the model it is merged into says. */
#include "engine/rig.h"

#include "adapter_fixture.h"
#include "formats/package.h"

#include <math.h>
#include <string.h>

enum { N_REQUESTS = 8, N_GENERATED = 10, N_PROMPT = 150, N_FOLDERS = 3 };

typedef struct Answer {
    int n, n_cached;
    int32_t ids[N_GENERATED];
    float logprobs[N_GENERATED];
} Answer;

/* The rig's model with some adapters. */
typedef struct Adapters {
    char *folders[N_FOLDERS];
    Adapter *open[N_FOLDERS];
} Adapters;

static const unsigned all = (1u << N_PROJECTIONS) - 1, attention = (1u << PROJECTION_GATE) - 1;

static Adapter *open_adapter(const Rig *rig, const char *folder)
{
    Error err = {0};
    AdapterPackage *package = adapter_package_open(folder, &err);
    if (!package)
        fail_msg("%s", err.message);
    Adapter *adapter = adapter_open(rig->model, package, &err);
    adapter_package_close(package);
    if (!adapter)
        fail_msg("%s", err.message);
    return adapter;
}

/* Odd ranks, all types, some of the projections. */
static Adapters make_adapters(const Rig *rig)
{
    const bool is_moe = rig->model->config.n_experts > 0;
    const unsigned most = is_moe ? attention : all;
    const AdapterFixture fixtures[N_FOLDERS] = {
        {.rank = 8, .alpha = 16, .type = DTYPE_F32, .projections = most, .seed = 1, .size = 0.1f},
        {.rank = 3,
         .alpha = 9,
         .is_rslora = true,
         .type = DTYPE_BF16,
         .projections = most,
         .seed = 2,
         .size = 0.1f},
        {.rank = 5,
         .alpha = 5,
         .type = DTYPE_F16,
         .projections = 1u << PROJECTION_Q | 1u << PROJECTION_V,
         .seed = 3,
         .size = 0.2f}};
    Adapters a;
    for (int i = 0; i < N_FOLDERS; i++) {
        char name[32];
        snprintf(name, sizeof name, "adapter-%d", i);
        a.folders[i] = adapter_fixture_write(&fixtures[i], &rig->model->config, name);
        a.open[i] = open_adapter(rig, a.folders[i]);
    }
    return a;
}

static void free_adapters(Adapters *a)
{
    for (int i = 0; i < N_FOLDERS; i++) {
        adapter_close(a->open[i]);
        mem_free(a->folders[i]);
    }
}

/* What request `which` uses: nothing, one, another strength, two. */
static int uses_of(const Adapters *a, int which, AdapterUse uses[2])
{
    static const struct {
        int n, first, second;
        float scale;
    } kinds[N_REQUESTS] = {{0, 0, 0, 0},     {1, 0, 0, 1}, {1, 1, 0, 1}, {1, 0, 0, 1},
                           {1, 0, 0, -0.5f}, {2, 2, 1, 1}, {0, 0, 0, 0}, {1, 2, 0, 2}};
    uses[0] = (AdapterUse){a->open[kinds[which].first], kinds[which].scale};
    uses[1] = (AdapterUse){a->open[kinds[which].second], 1};
    return kinds[which].n;
}

static Request make_request(int32_t *prompt, int n_prompt)
{
    Rng rng = {5};
    Request request = request_defaults();
    for (int i = 0; i < n_prompt; i++)
        prompt[i] = (int32_t)rng_below(&rng, 256);
    request.prompt = prompt;
    request.n_prompt = n_prompt;
    request.max_tokens = N_GENERATED;
    request.n_logprobs = 0;
    request.ignore_eos = request.no_answer_room = true;
    return request;
}

static void collect(Engine *engine, int64_t id, Answer *answer)
{
    Event event;
    while (id && engine_next(engine, id, &event)) {
        if (event.kind == EVENT_DONE)
            answer->n_cached = event.usage.cached_tokens;
        if (event.kind != EVENT_TOKEN)
            continue;
        assert_true(answer->n < N_GENERATED);
        answer->ids[answer->n] = event.id;
        answer->logprobs[answer->n++] = event.logprob;
    }
}

/* Requests from .. from+n-1 together, all with the same prompt. */
static void run(Engine *engine, const Adapters *a, int from, int n, Answer *answers)
{
    Error err = {0};
    int64_t ids[N_REQUESTS] = {0};
    int32_t prompt[N_PROMPT];
    AdapterUse uses[2];
    memset(answers, 0, sizeof *answers * (size_t)n);
    Request request = make_request(prompt, N_PROMPT);
    for (int i = 0; i < n; i++) {
        request.n_adapters = uses_of(a, from + i, uses);
        request.adapters = uses;
        assert_ok(ids[i] = engine_add(engine, &request, &err));
    }
    while (engine_step(engine)) {
    }
    for (int i = 0; i < n; i++)
        collect(engine, ids[i], &answers[i]);
}

static void assert_same(const Answer *a, const Answer *b, int which, const char *what)
{
    if (a->n != N_GENERATED || b->n != a->n || memcmp(a->ids, b->ids, sizeof a->ids) != 0 ||
        memcmp(a->logprobs, b->logprobs, sizeof a->logprobs) != 0)
        fail_msg("request %d %s: the answer differs", which, what);
}

static bool is_different(const Answer *a, const Answer *b)
{
    return memcmp(a->logprobs, b->logprobs, sizeof a->logprobs) != 0;
}

static const EngineOptions options = {
    .kv_type = DTYPE_F16, .context = 256, .kv_bytes = (size_t)64 << 20};

static void check_batches(const char *shape, const char *type)
{
    static Answer alone[N_REQUESTS], other[N_REQUESTS];
    Rig rig = rig_open(shape, type, 1);
    Adapters adapters = make_adapters(&rig);
    for (int i = 0; i < N_REQUESTS; i++) {
        Engine *engine = rig_engine(&rig, &options);
        run(engine, &adapters, i, 1, &alone[i]);
        engine_close(engine);
    }
    assert_true(is_different(&alone[0], &alone[1]) && is_different(&alone[1], &alone[2]) &&
                is_different(&alone[1], &alone[4]) && is_different(&alone[5], &alone[2]));
    assert_same(&alone[0], &alone[6], 6, "without an adapter");
    assert_same(&alone[1], &alone[3], 3, "with the same adapter");
    for (int chunked = 0; chunked < 2; chunked++) {
        EngineOptions other_options = options;
        other_options.max_batch_tokens = chunked ? 37 : 0;
        other_options.max_sequences = chunked ? N_REQUESTS : 0;
        Engine *engine = rig_engine(&rig, &other_options);
        run(engine, &adapters, 0, N_REQUESTS, other);
        for (int i = 0; i < N_REQUESTS; i++)
            assert_same(&alone[i], &other[i], i, chunked ? "in chunks" : "in a batch of 8");
        engine_close(engine);
    }
    free_adapters(&adapters);
    rig_close(&rig);
    Rig two = rig_open(shape, type, 2);
    Adapters again = make_adapters(&two);
    Engine *engine = rig_engine(&two, &options);
    run(engine, &again, 0, N_REQUESTS, other);
    for (int i = 0; i < N_REQUESTS; i++)
        assert_same(&alone[i], &other[i], i, "with two threads");
    engine_close(engine);
    free_adapters(&again);
    rig_close(&two);
}

static void batch_mates_do_not_matter(void **state)
{
    (void)state;
    static const char *const types[] = {"BF16", "Q8_0"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        check_batches("tiny", types[i]);
    check_batches("tiny-moe", "Q8_0");
    check_batches("tiny-qwen2", "F32");
}

/* One engine after another adapter: a page computed with one is found by no other. */
static void prefixes_are_kept_apart(void **state)
{
    (void)state;
    Answer first[N_REQUESTS], second[N_REQUESTS], fresh;
    Rig rig = rig_open("tiny", "Q8_0", 1);
    Adapters adapters = make_adapters(&rig);
    Engine *engine = rig_engine(&rig, &options);
    for (int i = 0; i < N_REQUESTS; i++)
        run(engine, &adapters, i, 1, &first[i]);
    for (int i = 0; i < N_REQUESTS; i++) {
        run(engine, &adapters, i, 1, &second[i]);
        const bool is_repeated = i == 3 || i == 6;
        assert_int_equal(first[i].n_cached, is_repeated ? 128 : 0);
        assert_int_equal(second[i].n_cached, 128);
        Engine *other = rig_engine(&rig, &options);
        run(other, &adapters, i, 1, &fresh);
        engine_close(other);
        assert_same(&fresh, &first[i], i, "after others");
        assert_same(&fresh, &second[i], i, "from the cache");
    }
    /* The same files opened again are the same adapter. */
    Adapter *again = open_adapter(&rig, adapters.folders[0]);
    assert_true(again->identity == adapters.open[0]->identity);
    assert_true(again->identity != adapters.open[1]->identity);
    adapter_close(again);
    engine_close(engine);
    free_adapters(&adapters);
    rig_close(&rig);
}

/* Strength 0 is no adapter, bit for bit, and shares its pages. */
static void nothing_times_an_adapter_is_nothing(void **state)
{
    (void)state;
    Error err = {0};
    Answer without, with = {0};
    int32_t prompt[N_PROMPT];
    Rig rig = rig_open("tiny", "Q8_0", 1);
    Adapters adapters = make_adapters(&rig);
    Engine *engine = rig_engine(&rig, &options);
    run(engine, &adapters, 0, 1, &without);
    const AdapterUse use = {adapters.open[0], 0};
    Request request = make_request(prompt, N_PROMPT);
    request.adapters = &use;
    request.n_adapters = 1;
    int64_t id;
    assert_ok(id = engine_add(engine, &request, &err));
    while (engine_step(engine)) {
    }
    collect(engine, id, &with);
    assert_same(&without, &with, 0, "with strength 0");
    assert_int_equal(with.n_cached, 128);
    engine_close(engine);
    free_adapters(&adapters);
    rig_close(&rig);
}

static void foreign_adapters_are_refused(void **state)
{
    (void)state;
    Error err = {0};
    int32_t prompt[N_PROMPT];
    Rig rig = rig_open("tiny", "Q8_0", 1), other = rig_open("tiny", "Q8_0", 1);
    Adapters adapters = make_adapters(&other);
    Engine *engine = rig_engine(&rig, &options);
    AdapterUse use = {adapters.open[0], 1};
    Request request = make_request(prompt, 4);
    request.adapters = &use;
    request.n_adapters = 1;
    assert_error(engine_add(engine, &request, &err), ERROR_ARGUMENT, "another model");
    Adapter *own = open_adapter(&rig, adapters.folders[0]);
    use = (AdapterUse){own, NAN};
    assert_error(engine_add(engine, &request, &err), ERROR_ARGUMENT, "scale");
    request.n_adapters = ENGINE_ADAPTERS_MAX + 1;
    assert_error(engine_add(engine, &request, &err), ERROR_LIMIT, "at most 8");
    adapter_close(own);
    engine_close(engine);
    free_adapters(&adapters);
    rig_close(&other);
    rig_close(&rig);
}

/* ---- Merged ---------------------------------------------------------------------------------- */

typedef struct Scores {
    float logprobs[N_PROMPT];
} Scores;

static bool note(void *context, int pos, int32_t id, float logprob, const ScoreTop *top, int n_top)
{
    (void)id;
    (void)top;
    (void)n_top;
    ((Scores *)context)->logprobs[pos] = logprob;
    return true;
}

static Scores score(const Rig *rig, const AdapterUse *uses, int n)
{
    Error err = {0};
    Scores scores = {{0}};
    int32_t prompt[N_PROMPT];
    const Request request = make_request(prompt, N_PROMPT);
    const ScoreInput input = {request.prompt, request.n_prompt, uses, n};
    const EngineOptions wide = {.kv_type = DTYPE_F32, .context = 256, .kv_bytes = (size_t)64 << 20};
    Engine *engine = rig_engine(rig, &wide);
    assert_ok(engine_score(engine, &input, 0, note, &scores, &err));
    engine_close(engine);
    return scores;
}

static double distance(const Scores *a, const Scores *b)
{
    double most = 0;
    for (int i = 1; i < N_PROMPT; i++)
        most = fmax(most, fabs((double)a->logprobs[i] - (double)b->logprobs[i]));
    return most;
}

/* Those whose products are f32: bfloat16 rounds what it multiplies. */
static const int precise[2] = {0, 2};

/* The model on disk with two adapters merged in. */
static Rig merged_rig(const Rig *rig, const Adapters *a, const float scales[2])
{
    Error err = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", test_temp("merged.gguf"));
    AdapterPackage *packages[2];
    MergedAdapter merged[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(packages[i] = adapter_package_open(a->folders[precise[i]], &err));
        merged[i] = (MergedAdapter){packages[i], scales[i]};
    }
    const ConvertOptions convert = {
        .type = "F32", .adapters = merged, .n_adapters = 2, .n_threads = 2};
    assert_ok(package_convert(rig->package, path, &convert, &err));
    for (int i = 0; i < 2; i++)
        adapter_package_close(packages[i]);
    Rig out = {0};
    assert_ok(out.backend = backend_open("cpu", 1, &err));
    assert_ok(out.package = package_open(path, true, &err));
    assert_ok(out.model = model_open(out.package, out.backend, NULL, &err));
    assert_ok(out.tokenizer = assets_tokenizer(out.package, &err));
    return out;
}

static void check_merged(const char *shape)
{
    const float scales[2] = {0.25f, -0.5f};
    Rig rig = rig_open(shape, "F32", 1);
    Adapters adapters = make_adapters(&rig);
    Rig merged = merged_rig(&rig, &adapters, scales);
    const AdapterUse uses[2] = {{adapters.open[precise[0]], scales[0]},
                                {adapters.open[precise[1]], scales[1]}};
    const Scores base = score(&rig, NULL, 0), at_work = score(&rig, uses, 2),
                 inside = score(&merged, NULL, 0);
    const double off = distance(&at_work, &inside), change = distance(&at_work, &base);
    printf("# %s: merged is off by %g, the adapters change %g\n", shape, off, change);
    if (!(off < 1e-4 * change) || !(change > 0.05))
        fail_msg("%s: merged is off by %g, where the adapters change %g", shape, off, change);
    rig_close(&merged);
    free_adapters(&adapters);
    rig_close(&rig);
}

static void merged_says_the_same(void **state)
{
    (void)state;
    check_merged("tiny");
    check_merged("tiny-qwen2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_mates_do_not_matter),
        cmocka_unit_test(prefixes_are_kept_apart),
        cmocka_unit_test(nothing_times_an_adapter_is_nothing),
        cmocka_unit_test(foreign_adapters_are_refused),
        cmocka_unit_test(merged_says_the_same),
    };
    return TEST_MAIN("adapters", tests);
}
