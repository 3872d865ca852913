/* Loading and unloading of served models: see models.h. A load runs without the mutex, one at a
 * time.
 */
#include "server/models_state.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ENGINE_ADAPTERS_MAX = 8 };

/* ---- Unloading ------------------------------------------------------------------------------- */

static void close_adapters(ServedModel *s)
{
    for (int i = 0; i < s->n_adapters; i++)
        wen_adapter_close(s->adapters[i].adapter);
    mem_free(s->adapters);
    mem_free(s->adapter_names);
    s->adapters = NULL;
    s->adapter_names = NULL;
    s->n_adapters = 0;
}

/* With the mutex held. Frees without it: an engine may have to finish a step. */
void models_unload_one(Models *m, ServedModel *s)
{
    wen_engine *engine = s->engine;
    wen_model *model = s->model;
    close_adapters(s);
    wen_reply_free(s->preparing);
    s->preparing = NULL;
    json_decref(s->info);
    s->engine = NULL;
    s->model = NULL;
    s->info = NULL;
    s->state = MODEL_COLD;
    m->loaded_bytes -= s->weights_bytes;
    pthread_mutex_unlock(&m->mutex);
    wen_engine_close(engine);
    wen_model_close(model);
    log_say(m->options.log, "unloaded %s", s->name);
    pthread_mutex_lock(&m->mutex);
}

double models_idle_limit(const Models *m, const ServedModel *s)
{
    if (s->idle_seconds >= 0)
        return s->idle_seconds;
    return m->options.idle_seconds > 0 ? m->options.idle_seconds : (double)INFINITY;
}

static ServedModel *longest_idle(Models *m)
{
    ServedModel *oldest = NULL;
    for (size_t i = 0; i < m->n; i++) {
        ServedModel *s = m->items[i];
        if (s->state == MODEL_READY && s->n_users == 0 &&
            (!oldest || s->last_used < oldest->last_used))
            oldest = s;
    }
    return oldest;
}

/* ---- Loading --------------------------------------------------------------------------------- */

static const char *draft_path(const Models *m, const ServedModel *s)
{
    return s == m->items[0] ? m->options.draft_path : NULL;
}

static size_t weights_of(const Models *m, const char *path, wen_error *err)
{
    wen_model_options options = m->options.model;
    options.load = WEN_LOAD_HEADERS;
    wen_model *headers = wen_model_open(path, &options, err);
    char *text = headers ? wen_model_info(headers, 0, NULL, err) : NULL;
    json_t *info = text ? json_loads(text, 0, NULL) : NULL;
    json_t *bytes = json_object_get(json_object_get(info, "memory"), "weights_bytes");
    size_t n = (size_t)json_integer_value(bytes);
    json_decref(info);
    wen_free(text);
    wen_model_close(headers);
    return n;
}

static size_t expected_bytes(const Models *m, const ServedModel *s, const char *base,
                             wen_error *err)
{
    size_t n = weights_of(m, base, err);
    if (draft_path(m, s) && err->code == WEN_ERROR_NONE)
        n += weights_of(m, draft_path(m, s), err);
    return n;
}

/* With the mutex held: unloads idle models until there is room. */
static bool make_room(Models *m, size_t bytes, wen_error *err)
{
    size_t limit = m->options.memory_bytes;
    while (limit && m->loaded_bytes + bytes > limit) {
        ServedModel *idle = longest_idle(m);
        if (!idle) {
            err->code = WEN_ERROR_MEMORY;
            snprintf(err->message, sizeof err->message,
                     "its weights take %zu MiB; of %zu MiB, %zu are taken by models in use",
                     bytes >> 20, limit >> 20, m->loaded_bytes >> 20);
            return false;
        }
        models_unload_one(m, idle);
    }
    return true;
}

static void describe(ServedModel *s)
{
    const char *kind = json_string_value(json_object_get(s->info, "template"));
    s->thinking = !kind                           ? THINKING_NEVER
                  : strcmp(kind, "hybrid") == 0   ? THINKING_SWITCHED
                  : strcmp(kind, "thinking") == 0 ? THINKING_ALWAYS
                                                  : THINKING_NEVER;
    int32_t *ids = NULL;
    int n_ids = 0;
    s->call_id = -1;
    if (wen_tokenize(s->model, "<tool_call>", 11, false, &ids, &n_ids, NULL) && n_ids == 1)
        s->call_id = ids[0];
    wen_free(ids);
    s->context = wen_engine_context(s->engine);
    s->loaded_at = time(NULL);
}

/* What wen_model_open takes. */
static char *base_path(const ServedModel *s, wen_error *err)
{
    Error why;
    if (!s->made)
        return mem_strdup(s->path);
    char *base = hub_made_base(s->made, &why);
    if (!base) {
        err->code = WEN_ERROR_IO;
        snprintf(err->message, sizeof err->message, "%s", why.message);
    }
    return base;
}

static bool open_model(const Models *m, ServedModel *s, const char *base, wen_error *err)
{
    wen_model_options options = m->options.model;
    if (s->made && s->made->template_file)
        options.template_file = s->made->template_file;
    s->model = wen_model_open(base, &options, err);
    return s->model != NULL;
}

/* Adapters without a name are the engine's, for every request; the others wait to be asked for. */
typedef struct EngineAdapters {
    wen_adapter_use uses[ENGINE_ADAPTERS_MAX];
    int n;
} EngineAdapters;

static bool open_adapter(ServedModel *s, const AdapterSpec *spec, EngineAdapters *all,
                         wen_error *err)
{
    wen_adapter_use use = {wen_adapter_open(s->model, spec->path, err), spec->scale};
    if (!use.adapter)
        return false;
    if (spec->name) {
        s->adapter_names[s->n_adapters] = spec->name;
        s->adapters[s->n_adapters++] = use;
        return true;
    }
    if (all->n < ENGINE_ADAPTERS_MAX) {
        all->uses[all->n++] = use;
        return true;
    }
    wen_adapter_close(use.adapter);
    err->code = WEN_ERROR_LIMIT;
    snprintf(err->message, sizeof err->message, "more than %d adapters for every request",
             ENGINE_ADAPTERS_MAX);
    return false;
}

static bool open_adapters(const Models *m, ServedModel *s, EngineAdapters *all, wen_error *err)
{
    const bool is_first = s == m->items[0];
    const int n = is_first ? m->options.n_adapters : 0;
    const json_t *own = s->made ? json_object_get(s->made->settings, "adapters") : NULL;
    bool ok = true;
    s->adapters = mem_alloc(sizeof *s->adapters * (size_t)(n + 1));
    s->adapter_names = mem_alloc(sizeof *s->adapter_names * (size_t)(n + 1));
    for (size_t i = 0; i < json_array_size(own) && ok; i++) {
        const AdapterSpec spec = {NULL, json_string_value(json_array_get(own, i)), 1};
        ok = open_adapter(s, &spec, all, err);
    }
    for (int i = 0; i < n && ok; i++)
        ok = open_adapter(s, &m->options.adapters[i], all, err);
    return ok;
}

static wen_engine *open_engine(const Models *m, ServedModel *s, wen_error *err)
{
    wen_engine_options options = m->options.engine;
    EngineAdapters all = {.n = 0};
    int n_running = options.max_sequences ? options.max_sequences : 64;
    s->n_asked_max = n_running + m->options.max_queued;
    options.max_replies =
        s->n_asked_max + n_running; /* some that were let go may still be ending */
    const char *draft = draft_path(m, s);
    options.draft = draft ? wen_model_open(draft, &m->options.model, err) : NULL;
    if (options.speculation == WEN_SPECULATE_DRAFT && !draft)
        options.speculation = WEN_SPECULATE_AUTO; /* the others have no draft model */
    bool ok = (!draft || options.draft) && open_adapters(m, s, &all, err);
    options.adapters = all.uses;
    options.n_adapters = all.n;
    wen_engine *engine = ok ? wen_engine_open(s->model, &options, err) : NULL;
    for (int i = 0; i < all.n; i++) /* the engine has its own references */
        wen_adapter_close(all.uses[i].adapter);
    wen_model_close(options.draft);
    return engine;
}

static bool open_files(const Models *m, ServedModel *s, const char *base, wen_error *err)
{
    s->engine = open_model(m, s, base, err) ? open_engine(m, s, err) : NULL;
    char *info = s->engine ? wen_model_info(s->model, wen_engine_context(s->engine),
                                            m->options.engine.kv_type, err)
                           : NULL;
    if (!info) {
        close_adapters(s);
        wen_engine_close(s->engine);
        wen_model_close(s->model);
        s->engine = NULL;
        s->model = NULL;
        return false;
    }
    s->info = json_loads(info, 0, NULL);
    wen_free(info);
    describe(s);
    return true;
}

/* With the mutex held; it is given up while the files are read. */
bool models_load(Models *m, ServedModel *s, Fault *fault)
{
    wen_error err = {0};
    s->state = MODEL_LOADING;
    m->is_loading = true;
    pthread_mutex_unlock(&m->mutex);
    double started = clock_seconds();
    log_say(m->options.log, "loading %s", s->name);
    char *base = base_path(s, &err);
    size_t bytes = base ? expected_bytes(m, s, base, &err) : 0;
    pthread_mutex_lock(&m->mutex);
    bool ok = err.code == WEN_ERROR_NONE && make_room(m, bytes, &err);
    pthread_mutex_unlock(&m->mutex);
    ok = ok && open_files(m, s, base, &err);
    mem_free(base);
    pthread_mutex_lock(&m->mutex);
    m->is_loading = false;
    if (ok) {
        s->state = MODEL_READY;
        s->weights_bytes = bytes;
        s->last_used = clock_seconds();
        s->idle_seconds = -1;
        m->loaded_bytes += bytes;
        log_say(m->options.log, "%s is ready after %.1f s, context %d", s->name,
                clock_seconds() - started, s->context);
    } else {
        s->state = MODEL_FAILED;
        snprintf(s->trouble, sizeof s->trouble, "%s", err.message);
        log_say(m->options.log, "%s cannot be loaded: %s", s->name, err.message);
        fault_from_wen(fault, &err);
        fault_set(fault, fault->status == 503 ? 503 : 500, "model",
                  "the model \"%.100s\" cannot be loaded: %s", s->name, err.message);
        fault->retry_after_s = fault->status == 503 ? 5 : 0;
    }
    pthread_cond_broadcast(&m->changed);
    return ok;
}

void models_free_one(ServedModel *s)
{
    close_adapters(s);
    wen_reply_free(s->preparing);
    wen_engine_close(s->engine);
    wen_model_close(s->model);
    json_decref(s->info);
    hub_made_free(s->made);
    mem_free(s->name);
    mem_free(s->path);
    mem_free(s);
}
