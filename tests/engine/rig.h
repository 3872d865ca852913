/* A small random-weight model with its engine, for the engine's tests. */
#ifndef WEN_TESTS_ENGINE_RIG_H
#define WEN_TESTS_ENGINE_RIG_H

#include "base/file.h"
#include "engine/assets.h"
#include "engine/engine.h"

#include <stdio.h>
#include <stdlib.h>

#include "support.h"

typedef struct Rig {
    Backend *backend;
    Package *package;
    Model *model;
    Tokenizer *tokenizer;
} Rig;

static inline Rig rig_open_file(const char *path, int n_threads)
{
    Rig rig = {0};
    Error err = {0};
    assert_ok(rig.backend = backend_open("cpu", n_threads, &err));
    assert_ok(rig.package = package_open(path, true, &err));
    assert_ok(rig.model = model_open(rig.package, rig.backend, NULL, &err));
    assert_ok(rig.tokenizer = assets_tokenizer(rig.package, &err));
    return rig;
}

/* Makes (once a program) a model of that shape and type with tools/make_model and opens it. */
static inline Rig rig_open_seed(const char *shape, const char *type, int seed, int n_threads)
{
    char name[128], path[512], command[1400];
    const char *build = getenv("WEN_BUILD");
    snprintf(name, sizeof name, "%s-%s-%d.gguf", shape, type, seed);
    snprintf(path, sizeof path, "%s", test_temp(name));
    snprintf(command, sizeof command, "%s/tools/make_model %s %s --type %s --seed %d >/dev/null",
             build ? build : "build/release", shape, path, type, seed);
    if (!file_exists(path))
        assert_int_equal(system(command), 0);
    return rig_open_file(path, n_threads);
}

static inline Rig rig_open(const char *shape, const char *type, int n_threads)
{
    return rig_open_seed(shape, type, 1, n_threads);
}

static inline void rig_close(Rig *rig)
{
    tokenizer_close(rig->tokenizer);
    model_close(rig->model);
    package_close(rig->package);
    rig->backend->close(rig->backend);
}

static inline Engine *rig_engine(const Rig *rig, const EngineOptions *options)
{
    Error err = {0};
    Engine *engine = engine_open(rig->model, rig->tokenizer, options, &err);
    if (!engine)
        fail_msg("engine_open: %s", err.message);
    return engine;
}

#endif
