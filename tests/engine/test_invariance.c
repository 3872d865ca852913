/* An answer depends on model, prompt, options and seed only: not on threads, batch-mates, the size
 * of the chunks a prompt is taken in, shared pages, or being preempted. Every weight type, byte for
 * byte. */
#include "engine/rig.h"

#include "base/rng.h"

#include <string.h>

enum { N_REQUESTS = 8, N_GENERATED = 12, PROMPT_MAX = 220 };

typedef struct Answer {
    int n;
    int32_t ids[N_GENERATED];
    float logprobs[N_GENERATED];
} Answer;

/* Prompts of different lengths; the odd ones share their beginning with the one before. */
static int make_prompt(const Rig *rig, int which, int32_t *prompt)
{
    Rng rng = {(uint64_t)(which / 2)};
    int n = 3 + which * 29;
    for (int i = 0; i < n; i++)
        prompt[i] = (int32_t)rng_below(&rng, 256);
    if (which % 2)
        prompt[n - 1] = (prompt[n - 1] + 1) % 256;
    (void)rig;
    return n;
}

static Request make_request(const int32_t *prompt, int n_prompt, int which)
{
    Request request = request_defaults();
    request.prompt = prompt;
    request.n_prompt = n_prompt;
    request.max_tokens = N_GENERATED;
    request.sampling = (Sampling){.temperature = which % 3 ? 1.0f : 0,
                                  .top_k = which % 3 == 2 ? 20 : 0,
                                  .top_p = 0.95f,
                                  .repetition_penalty = 1.05f,
                                  .seed = (uint64_t)which};
    request.n_logprobs = 0;
    request.ignore_eos = true;
    request.no_answer_room = true;
    return request;
}

static void collect(Engine *engine, const int64_t *ids, Answer *answers, int n)
{
    Event event;
    for (int i = 0; i < n; i++) {
        while (ids[i] && engine_next(engine, ids[i], &event)) {
            if (event.kind != EVENT_TOKEN)
                continue;
            assert_true(answers[i].n < N_GENERATED);
            answers[i].ids[answers[i].n] = event.id;
            answers[i].logprobs[answers[i].n++] = event.logprob;
        }
    }
}

/* Runs requests from .. from+n-1 together. */
static void run(const Rig *rig, const EngineOptions *options, int from, int n, Answer *answers)
{
    Error err = {0};
    Engine *engine = rig_engine(rig, options);
    int64_t ids[N_REQUESTS];
    memset(answers, 0, sizeof *answers * (size_t)n);
    for (int i = 0; i < n; i++) {
        int32_t prompt[PROMPT_MAX];
        int n_prompt = make_prompt(rig, from + i, prompt);
        Request request = make_request(prompt, n_prompt, from + i);
        assert_ok(ids[i] = engine_add(engine, &request, &err));
        engine_step(engine); /* arrivals at different times */
        collect(engine, ids, answers, i + 1);
    }
    while (engine_step(engine))
        collect(engine, ids, answers, n);
    collect(engine, ids, answers, n);
    EngineStats stats = engine_stats(engine);
    assert_int_equal(stats.n_pages_held, 0);
    engine_close(engine);
}

static void assert_same(const Answer *a, const Answer *b, const char *what)
{
    if (a->n != N_GENERATED || b->n != a->n || memcmp(a->ids, b->ids, sizeof a->ids) != 0 ||
        memcmp(a->logprobs, b->logprobs, sizeof a->logprobs) != 0)
        fail_msg("%s: the answer differs (%d and %d tokens)", what, a->n, b->n);
}

/* The same model with one thread and with two; both are closed. */
static void check_rigs(Rig rig, Rig two, DType kv_type)
{
    static Answer alone[N_REQUESTS], other[N_REQUESTS];
    const size_t lots = (size_t)64 << 20;
    EngineOptions options = {.kv_type = kv_type, .context = 512, .kv_bytes = lots};
    for (int i = 0; i < N_REQUESTS; i++)
        run(&rig, &options, i, 1, &alone[i]);
    run(&rig, &options, 0, N_REQUESTS, other);
    for (int i = 0; i < N_REQUESTS; i++)
        assert_same(&alone[i], &other[i], "in a batch of 8");
    static const int chunks[] = {1, 5, 64, 100};
    for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
        EngineOptions chunked = options;
        chunked.max_batch_tokens = chunks[c];
        chunked.max_sequences = chunks[c] < N_REQUESTS ? chunks[c] : N_REQUESTS;
        int from = chunks[c] == 1 ? 6 : 4;
        run(&rig, &chunked, from, N_REQUESTS - from, other);
        for (int i = from; i < N_REQUESTS; i++)
            assert_same(&alone[i], &other[i - from], "prefilled in chunks");
    }
    /* Pages for about two of the eight: sequences are preempted and start over. */
    EngineOptions tight = options;
    tight.context = 0;
    tight.kv_bytes = kv_page_bytes(&rig.model->config, kv_type) * 6;
    run(&rig, &tight, 0, N_REQUESTS, other);
    for (int i = 0; i < N_REQUESTS; i++)
        assert_same(&alone[i], &other[i], "preempted");
    rig_close(&rig);
    run(&two, &options, 0, N_REQUESTS, other);
    for (int i = 0; i < N_REQUESTS; i++)
        assert_same(&alone[i], &other[i], "with two threads");
    rig_close(&two);
}

static void check_shape_kv(const char *shape, const char *type, DType kv_type)
{
    check_rigs(rig_open(shape, type, 1), rig_open(shape, type, 2), kv_type);
}

/* The tiny model with more in its config.json. */
static Rig open_with(const char *name, const char *more, int n_threads)
{
    char path[512], config_path[600], command[1400];
    const char *build = getenv("WEN_BUILD");
    snprintf(path, sizeof path, "%s", test_temp(name));
    snprintf(config_path, sizeof config_path, "%s/config.json", path);
    if (!file_exists(path)) {
        snprintf(command, sizeof command, "%s/tools/make_model tiny %s --type F32 >/dev/null",
                 build ? build : "build/release", path);
        assert_int_equal(system(command), 0);
        json_t *config = json_load_file(config_path, 0, NULL);
        json_t *change = json_loads(more, 0, NULL);
        assert_int_equal(json_object_update(config, change), 0);
        assert_int_equal(json_dump_file(config, config_path, 0), 0);
        json_decref(change);
        json_decref(config);
    }
    return rig_open_file(path, n_threads);
}

static void check_with(const char *name, const char *more)
{
    check_rigs(open_with(name, more, 1), open_with(name, more, 2), DTYPE_F16);
}

static void check_shape(const char *shape, const char *type)
{
    check_shape_kv(shape, type, DTYPE_F16);
}

static void every_type_of_keys_and_values(void **state)
{
    (void)state;
    for (int type = DTYPE_F32; type <= DTYPE_Q8_0; type++)
        if (type != DTYPE_F16)
            check_shape_kv("tiny", "Q8_0", (DType)type);
}

static void every_weight_type(void **state)
{
    (void)state;
    static const char *const types[] = {"F32",  "F16",    "BF16",   "Q8_0", "Q4_0", "Q4_1",
                                        "Q5_0", "Q5_1",   "Q4_K",   "Q5_K", "Q6_K", "Q2_K",
                                        "Q3_K", "IQ4_NL", "IQ4_XS", "MXFP4"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        check_shape("tiny", types[i]);
}

static void mixture_of_experts(void **state)
{
    (void)state;
    check_shape("tiny-moe", "Q4_K");
    check_shape("tiny-moe", "BF16");
}

static void qwen2_and_yarn(void **state)
{
    (void)state;
    check_shape("tiny-qwen2", "Q8_0");
    check_shape("tiny-yarn", "F32");
}

/* Beyond the trained context, windows and chunks smaller than prompts. */
static void long_positions(void **state)
{
    (void)state;
    check_with("window", "{\"use_sliding_window\": true, \"sliding_window\": 40, "
                         "\"max_window_layers\": 1}");
    check_with("dynamic", "{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4, "
                          "\"original_max_position_embeddings\": 64}}");
    check_with("qwen", "{\"use_dynamic_ntk\": true, \"use_logn_attn\": true, \"seq_length\": 64}");
    check_with("dual", "{\"dual_chunk_attention_config\": {\"chunk_size\": 96, \"local_size\": 32, "
                       "\"original_max_position_embeddings\": 64}}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_weight_type),  cmocka_unit_test(every_type_of_keys_and_values),
        cmocka_unit_test(mixture_of_experts), cmocka_unit_test(qwen2_and_yarn),
        cmocka_unit_test(long_positions),
    };
    return TEST_MAIN("invariance", tests);
}
