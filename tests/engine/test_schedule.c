/* A simulation of the scheduler: for each seed an engine with few pages, requests that arrive at
 * random, some cancelled at random, and after every step what must always hold. WEN_SCHEDULE_SEEDS:
 * how many seeds (200); tests/slow/test_schedule runs 10,000. */
#include "engine/rig.h"

#include "base/rng.h"
#include "engine/engine_state.h"

#include <string.h>

enum { REQUESTS_MAX = 12, PROMPT_MAX = 300, ANSWER_MAX = 90, STEPS_MAX = 20000, ALONE_PAGES = 16 };

static Rig rig;
static Engine *alone; /* with all the room there is: what each request answers by itself */

static uint64_t n_preemptions, n_shared_tokens; /* of all seeds */

typedef struct Client {
    int32_t prompt[PROMPT_MAX];
    Request request;
    int64_t id; /* 0: not asked yet */
    bool was_cancelled, is_done;
    Ids answer;
    Event done;
} Client;

typedef struct World {
    Rng rng;
    uint64_t seed;
    Engine *engine;
    int n_pages, max_sequences;
    Client clients[REQUESTS_MAX];
    int n_clients, n_asked;
} World;

static int below(World *w, int n) { return (int)rng_below(&w->rng, (uint64_t)n); }

static int open_rig(void **state)
{
    (void)state;
    char path[512], command[1400];
    const char *build = getenv("WEN_BUILD");
    snprintf(path, sizeof path, "%s", test_temp("schedule.gguf"));
    snprintf(
        command, sizeof command,
        "%s/tools/make_model tiny %s --type F32 --set num_hidden_layers=1 --set hidden_size=64 "
        "--set intermediate_size=64 --set num_attention_heads=2 --set num_key_value_heads=1 "
        "--set head_dim=32 >/dev/null",
        build ? build : "build/release", path);
    assert_int_equal(system(command), 0);
    rig = rig_open_file(path, 1);
    const size_t page = kv_page_bytes(&rig.model->config, DTYPE_F32);
    alone =
        rig_engine(&rig, &(EngineOptions){.kv_type = DTYPE_F32, .kv_bytes = ALONE_PAGES * page});
    return 0;
}

static int close_rig(void **state)
{
    (void)state;
    engine_close(alone);
    rig_close(&rig);
    return 0;
}

/* ---- One seed's world ------------------------------------------------------------------------ */

/* Prompts share beginnings, salts are few: so pages are shared, and not always. */
static void draw_client(World *w, Client *c, int context)
{
    const int n = 1 + below(w, context < PROMPT_MAX ? context - 1 : PROMPT_MAX);
    const int n_shared = below(w, n + 1), family = below(w, 2);
    for (int i = 0; i < n; i++)
        c->prompt[i] = i < n_shared ? 1 + (i * 7 + family) % 500 : 1 + below(w, 500);
    c->request = request_defaults();
    c->request.prompt = c->prompt;
    c->request.n_prompt = n;
    const int room = context - n, most = room < ANSWER_MAX ? room : ANSWER_MAX;
    c->request.max_tokens = 1 + below(w, most);
    c->request.cache_salt = (uint64_t)below(w, 2);
    c->request.n_logprobs = 0;
    c->request.ignore_eos = below(w, 2) == 0;
    c->request.sampling.temperature = below(w, 2) ? 1.0F : 0.0F;
    c->request.sampling.seed = rng_next(&w->rng);
}

static void world_open(World *w, uint64_t seed)
{
    *w = (World){.rng = {seed}, .seed = seed};
    const size_t page = kv_page_bytes(&rig.model->config, DTYPE_F32);
    w->n_pages = 1 + below(w, 9);
    w->max_sequences = 1 + below(w, 6);
    const EngineOptions options = {
        .kv_type = DTYPE_F32,
        .kv_bytes = page * (size_t)w->n_pages,
        .max_sequences = w->max_sequences,
        .max_batch_tokens = w->max_sequences + 1 + below(w, 130),
        .speculation = below(w, 2) ? 1U << DRAFT_LOOKUP : 0,
        .n_drafts = below(w, 4),
    };
    w->engine = rig_engine(&rig, &options);
    w->n_clients = 1 + below(w, REQUESTS_MAX);
    for (int i = 0; i < w->n_clients; i++)
        draw_client(w, &w->clients[i], engine_context(w->engine));
}

static void world_close(World *w)
{
    for (int i = 0; i < w->n_clients; i++)
        ids_free(&w->clients[i].answer);
    engine_close(w->engine);
}

static void take_events(Engine *engine, Client *c)
{
    Event event;
    while (c->id && !c->is_done && engine_next(engine, c->id, &event)) {
        if (event.kind == EVENT_TOKEN)
            ids_push(&c->answer, event.id);
        if (event.kind != EVENT_DONE)
            continue;
        c->done = event;
        c->is_done = true;
    }
}

/* ---- What always holds ----------------------------------------------------------------------- */

#define HOLDS(w, what)                                                                             \
    do {                                                                                           \
        if (!(what))                                                                               \
            fail_msg("seed %llu: does not hold: %s", (unsigned long long)(w)->seed, #what);        \
    } while (0)

static void check_step(const World *w)
{
    const EngineStats s = engine_stats(w->engine);
    int n_open = 0;
    for (int i = 0; i < w->n_asked; i++)
        n_open += !w->clients[i].is_done;
    HOLDS(w, s.n_running + s.n_waiting == n_open);
    HOLDS(w, s.n_running <= w->max_sequences);
    HOLDS(w, s.n_pages <= w->n_pages);
    HOLDS(w, s.n_pages_held >= 0 && s.n_pages_cached >= 0);
    HOLDS(w, s.n_pages_held + s.n_pages_cached <= s.n_pages);
    HOLDS(w, s.n_running > 0 || s.n_pages_held == 0);
}

static void check_answer(const World *w, const Client *c)
{
    HOLDS(w, c->is_done);
    HOLDS(w, c->done.usage.completion_tokens == c->answer.n);
    HOLDS(w, c->answer.n <= c->request.max_tokens);
    HOLDS(w, c->done.usage.cached_tokens <= c->done.usage.prompt_tokens);
    HOLDS(w, c->done.reason == FINISH_STOP || c->done.reason == FINISH_LENGTH ||
                 (c->done.reason == FINISH_CANCELLED && c->was_cancelled));
    HOLDS(w, c->done.reason != FINISH_LENGTH || c->answer.n == c->request.max_tokens);
    Client twin = {.request = c->request};
    Error err = {0};
    assert_ok(twin.id = engine_add(alone, &twin.request, &err));
    while (engine_step(alone))
        take_events(alone, &twin);
    take_events(alone, &twin);
    HOLDS(w, c->was_cancelled ? c->answer.n <= twin.answer.n : c->answer.n == twin.answer.n);
    HOLDS(w, c->answer.n == 0 || memcmp(c->answer.data, twin.answer.data,
                                        sizeof(int32_t) * (size_t)c->answer.n) == 0);
    ids_free(&twin.answer);
}

/* ---- The simulation -------------------------------------------------------------------------- */

static void arrive(World *w)
{
    Error err = {0};
    Client *c = &w->clients[w->n_asked++];
    assert_ok(c->id = engine_add(w->engine, &c->request, &err));
}

static void cancel_one(World *w)
{
    Client *c = &w->clients[below(w, w->n_asked)];
    if (c->is_done)
        return;
    c->was_cancelled = true;
    engine_cancel(w->engine, c->id);
    take_events(w->engine, c);
    HOLDS(w, c->is_done); /* at once */
}

static void simulate(uint64_t seed)
{
    World w;
    world_open(&w, seed);
    const int rush = 1 + below(&w, 12), hurry = 5 + below(&w, 60);
    int n_steps = 0;
    for (bool is_busy = true; is_busy || w.n_asked < w.n_clients; n_steps++) {
        while (w.n_asked < w.n_clients && (below(&w, rush) == 0 || !is_busy)) {
            arrive(&w);
            is_busy = true;
        }
        if (w.n_asked > 0 && below(&w, hurry) == 0)
            cancel_one(&w);
        is_busy = engine_step(w.engine);
        for (int i = 0; i < w.n_asked; i++)
            take_events(w.engine, &w.clients[i]);
        check_step(&w);
        HOLDS(&w, n_steps < STEPS_MAX);
    }
    HOLDS(&w, engine_stats(w.engine).n_pages_held == 0);
    n_preemptions += engine_stats(w.engine).n_preemptions;
    n_shared_tokens += engine_stats(w.engine).cached_tokens;
    for (int i = 0; i < w.n_clients; i++)
        check_answer(&w, &w.clients[i]);
    world_close(&w);
}

static void test_schedule(void **state)
{
    (void)state;
    const char *given = getenv("WEN_SCHEDULE_SEEDS"), *first = getenv("WEN_SCHEDULE_FIRST");
    const uint64_t from = first ? strtoull(first, NULL, 10) : 1;
    const uint64_t n = given ? strtoull(given, NULL, 10) : 200;
    for (uint64_t seed = from; seed < from + n; seed++)
        simulate(seed);
    assert_true(n < 50 || (n_preemptions > 0 && n_shared_tokens > 0)); /* there was a shortage */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_schedule)};
    cmocka_set_message_output(CM_OUTPUT_TAP);
    return cmocka_run_group_tests_name("schedule", tests, open_rig, close_rig);
}
