/* Prefill and decode speed of a model file through the engine: what docs/speed.md compares.
 *
 *   bench_model MODEL [prompt=512] [generate=128] [repeats=3] [threads=0]
 *
 * One JSON line a repeat: tokens per second of each phase. Prompts are random and never shared. */
#include "base/rng.h"
#include "engine/assets.h"
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int option(int argc, char **argv, const char *name, int fallback)
{
    size_t n = strlen(name);
    for (int i = 2; i < argc; i++)
        if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
            return (int)strtol(argv[i] + n + 1, NULL, 10);
    return fallback;
}

static bool measure(Engine *engine, int n_prompt, int n_generate, int repeat, Error *err)
{
    int32_t *prompt = mem_alloc(sizeof(int32_t) * (size_t)n_prompt);
    Rng rng = {(uint64_t)repeat + 1};
    for (int i = 0; i < n_prompt; i++)
        prompt[i] = (int32_t)rng_below(&rng, 256);
    Request request = request_defaults();
    request.prompt = prompt;
    request.n_prompt = n_prompt;
    request.max_tokens = n_generate;
    request.ignore_eos = request.no_answer_room = request.no_loop_guard = true;
    request.cache_salt = (uint64_t)repeat + 1;
    int64_t id = engine_add(engine, &request, err);
    mem_free(prompt);
    if (!id)
        return false;
    Event event = {0};
    while (engine_step(engine))
        while (engine_next(engine, id, &event)) {
        }
    while (engine_next(engine, id, &event)) {
    }
    printf("{\"prefill\": %.2f, \"decode\": %.2f}\n", n_prompt / event.usage.prefill_seconds,
           (event.usage.completion_tokens - 1) / event.usage.decode_seconds);
    fflush(stdout);
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr,
                "usage: bench_model MODEL [prompt=512] [generate=128] [repeats=3] [threads=0]\n");
        return 2;
    }
    Error err = {0};
    int n_prompt = option(argc, argv, "prompt", 512),
        n_generate = option(argc, argv, "generate", 128);
    Backend *backend = backend_open("cpu", option(argc, argv, "threads", 0), &err);
    Package *package = backend ? package_open(argv[1], true, &err) : NULL;
    Model *model = package ? model_open(package, backend, NULL, &err) : NULL;
    Tokenizer *tokenizer = model ? assets_tokenizer(package, &err) : NULL;
    EngineOptions options = {
        .kv_type = DTYPE_F16, .context = n_prompt + n_generate + 1, .max_sequences = 1};
    Engine *engine = tokenizer ? engine_open(model, tokenizer, &options, &err) : NULL;
    bool ok = engine != NULL;
    for (int i = 0; ok && i < option(argc, argv, "repeats", 3); i++)
        ok = measure(engine, n_prompt, n_generate, i, &err);
    if (!ok)
        fprintf(stderr, "bench_model: %s\n", err.message);
    engine_close(engine);
    tokenizer_close(tokenizer);
    model_close(model);
    package_close(package);
    if (backend)
        backend->close(backend);
    return ok ? 0 : 1;
}
