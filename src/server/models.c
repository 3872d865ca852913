/* See models.h. One mutex guards all states; a load runs without it, one at a time. */
#include "server/models.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct Models {
    ModelsOptions options;
    wen_model_options model_options;
    ServedModel *items;
    int n;
    char **names; /* [n]; paths behind them */
    char **paths;
    char **aliases;
    int n_aliases;
    bool is_starting, is_stopping; /* the first model has never been ready yet; closing */
    bool is_loading;
    size_t loaded_bytes;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t janitor;
};

enum { JANITOR_SECONDS = 1 };

/* ---- Unloading ------------------------------------------------------------------------------- */

/* With the mutex held. Frees without it: an engine may have to finish a step. */
static void unload(Models *m, ServedModel *s)
{
    wen_engine *engine = s->engine;
    wen_model *model = s->model;
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

static double idle_limit(const Models *m, const ServedModel *s)
{
    if (s->idle_seconds >= 0)
        return s->idle_seconds;
    return m->options.idle_seconds > 0 ? m->options.idle_seconds : (double)INFINITY;
}

static ServedModel *longest_idle(Models *m)
{
    ServedModel *oldest = NULL;
    for (int i = 0; i < m->n; i++) {
        ServedModel *s = &m->items[i];
        if (s->state == MODEL_READY && s->n_users == 0 &&
            (!oldest || s->last_used < oldest->last_used))
            oldest = s;
    }
    return oldest;
}

static void *run_janitor(void *argument)
{
    Models *m = argument;
    pthread_mutex_lock(&m->mutex);
    while (!m->is_stopping) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += JANITOR_SECONDS;
        pthread_cond_timedwait(&m->changed, &m->mutex, &until);
        double now = clock_seconds();
        for (int i = 0; i < m->n && !m->is_stopping; i++) {
            ServedModel *s = &m->items[i];
            if (s->state == MODEL_READY && s->n_users == 0 && now - s->last_used > idle_limit(m, s))
                unload(m, s);
        }
    }
    pthread_mutex_unlock(&m->mutex);
    return NULL;
}

/* ---- Loading --------------------------------------------------------------------------------- */

static const char *draft_path(const Models *m, const ServedModel *s)
{
    return s == &m->items[0] ? m->options.draft_path : NULL;
}

static size_t weights_of(const Models *m, const char *path, wen_error *err)
{
    wen_model_options options = m->model_options;
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

static size_t expected_bytes(const Models *m, const ServedModel *s, wen_error *err)
{
    size_t n = weights_of(m, s->path, err);
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
        unload(m, idle);
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

static bool open_files(Models *m, ServedModel *s, wen_error *err)
{
    wen_engine_options engine = m->options.engine;
    int n_running = engine.max_sequences ? engine.max_sequences : 64;
    s->n_asked_max = n_running + m->options.max_queued;
    engine.max_replies = s->n_asked_max + n_running; /* some that were let go may still be ending */
    const char *draft = draft_path(m, s);
    s->model = wen_model_open(s->path, &m->model_options, err);
    engine.draft = s->model && draft ? wen_model_open(draft, &m->model_options, err) : NULL;
    if (engine.speculation == WEN_SPECULATE_DRAFT && !draft)
        engine.speculation = WEN_SPECULATE_AUTO; /* the others have no draft model */
    bool is_complete = s->model && (!draft || engine.draft);
    s->engine = is_complete ? wen_engine_open(s->model, &engine, err) : NULL;
    wen_model_close(engine.draft); /* the engine has its own reference */
    char *info = s->engine
                     ? wen_model_info(s->model, wen_engine_context(s->engine), engine.kv_type, err)
                     : NULL;
    if (!info) {
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
static bool load(Models *m, ServedModel *s, Fault *fault)
{
    wen_error err = {0};
    s->state = MODEL_LOADING;
    m->is_loading = true;
    pthread_mutex_unlock(&m->mutex);
    double started = clock_seconds();
    log_say(m->options.log, "loading %s", s->name);
    size_t bytes = expected_bytes(m, s, &err);
    pthread_mutex_lock(&m->mutex);
    bool ok = err.code == WEN_ERROR_NONE && make_room(m, bytes, &err);
    pthread_mutex_unlock(&m->mutex);
    ok = ok && open_files(m, s, &err);
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

/* With the mutex held: ready, loading it if need be. */
static bool ensure_ready(Models *m, ServedModel *s, Fault *fault)
{
    while (!m->is_stopping && s->state != MODEL_READY && m->is_loading)
        pthread_cond_wait(&m->changed, &m->mutex);
    if (m->is_stopping) {
        fault_set(fault, 503, NULL, "the server is shutting down");
        fault->retry_after_s = 5;
        return false;
    }
    return s->state == MODEL_READY || load(m, s, fault);
}

bool models_load_first(Models *m, Fault *fault)
{
    pthread_mutex_lock(&m->mutex);
    bool ok = ensure_ready(m, &m->items[0], fault);
    m->is_starting = false;
    pthread_mutex_unlock(&m->mutex);
    return ok;
}

/* ---- Taking and giving ----------------------------------------------------------------------- */

int models_find(const Models *m, const char *name)
{
    if (!name || !*name)
        return 0;
    Str wanted = str_from(name);
    if (str_ends(wanted, STR(":latest")))
        wanted.bytes -= 7;
    for (int i = 0; i < m->n; i++)
        if (str_equals(wanted, m->names[i]) || strcmp(name, m->names[i]) == 0 ||
            strcmp(name, m->paths[i]) == 0)
            return i;
    for (int i = 0; i < m->n_aliases; i++)
        if (str_equals(wanted, m->aliases[i]))
            return 0;
    return -1;
}

ServedModel *models_take(Models *m, const char *name, Fault *fault)
{
    int i = models_find(m, name);
    if (i < 0) {
        fault_set(fault, 404, "model",
                  "the model \"%.200s\" does not exist here; GET /v1/models "
                  "lists those that do",
                  name);
        fault->code = "model_not_found";
        return NULL;
    }
    ServedModel *s = &m->items[i];
    pthread_mutex_lock(&m->mutex);
    bool ok;
    if (m->is_starting && s->state != MODEL_READY) {
        ok = fault_set(fault, 503, NULL, "the model is loading; ask again in a moment");
        fault->retry_after_s = 2;
    } else {
        ok = ensure_ready(m, s, fault);
    }
    if (ok)
        s->n_users++;
    pthread_mutex_unlock(&m->mutex);
    return ok ? s : NULL;
}

void models_give(Models *m, ServedModel *s)
{
    pthread_mutex_lock(&m->mutex);
    s->n_users--;
    s->last_used = clock_seconds();
    pthread_mutex_unlock(&m->mutex);
}

void models_keep(Models *m, ServedModel *s, double seconds)
{
    pthread_mutex_lock(&m->mutex);
    s->idle_seconds = seconds < 0 ? (double)INFINITY : seconds;
    pthread_mutex_unlock(&m->mutex);
}

void models_set_preparing(Models *m, ServedModel *s, wen_reply *reply)
{
    pthread_mutex_lock(&m->mutex);
    wen_reply *before = s->preparing;
    s->preparing = reply;
    pthread_mutex_unlock(&m->mutex);
    wen_reply_free(before);
}

void models_unload(Models *m, const char *name)
{
    int i = models_find(m, name);
    if (i < 0)
        return;
    pthread_mutex_lock(&m->mutex);
    if (m->items[i].state == MODEL_READY && m->items[i].n_users == 0)
        unload(m, &m->items[i]);
    pthread_mutex_unlock(&m->mutex);
}

int models_count(const Models *m) { return m->n; }

ModelListing models_listing(Models *m, int i)
{
    ServedModel *s = &m->items[i];
    pthread_mutex_lock(&m->mutex);
    ModelListing listing = {
        .name = s->name,
        .path = s->path,
        .state = s->state,
        .loaded_at = s->loaded_at,
        .weights_bytes = s->weights_bytes,
        .context = s->context,
        .expires_s = -1,
    };
    double limit = idle_limit(m, s);
    if (isfinite(limit) && s->n_users == 0)
        listing.expires_s = fmax(0, s->last_used + limit - clock_seconds());
    else if (isfinite(limit))
        listing.expires_s = limit;
    if (s->state == MODEL_READY) {
        listing.info = json_deep_copy(s->info);
        listing.stats = wen_engine_get_stats(s->engine);
    }
    pthread_mutex_unlock(&m->mutex);
    return listing;
}

/* ---- Open and close -------------------------------------------------------------------------- */

static bool copy_names(Models *m, Error *err)
{
    const ModelsOptions *o = &m->options;
    m->items = mem_alloc(sizeof *m->items * (size_t)m->n);
    m->names = mem_alloc(sizeof *m->names * (size_t)m->n);
    m->paths = mem_alloc(sizeof *m->paths * (size_t)m->n);
    m->aliases = mem_alloc(sizeof *m->aliases * (size_t)(o->n_aliases + 1));
    for (int i = 0; i < m->n; i++) {
        m->items[i].name = m->names[i] = mem_strdup(o->specs[i].name);
        m->items[i].path = m->paths[i] = mem_strdup(o->specs[i].path);
        m->items[i].idle_seconds = -1;
        atomic_init(&m->items[i].n_asked, 0);
        for (int j = 0; j < i; j++)
            if (strcmp(m->names[i], m->names[j]) == 0)
                return error_set(err, ERROR_ARGUMENT,
                                 "two models are called %s: give one another name, NAME=MODEL",
                                 m->names[i]);
    }
    for (int i = 0; i < o->n_aliases; i++)
        m->aliases[m->n_aliases++] = mem_strdup(o->aliases[i]);
    return true;
}

Models *models_open(const ModelsOptions *options, Error *err)
{
    Models *m = mem_alloc(sizeof *m);
    pthread_condattr_t monotonic;
    m->options = *options;
    m->model_options = options->model;
    m->n = options->n_specs;
    m->is_starting = true;
    pthread_mutex_init(&m->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&m->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!copy_names(m, err)) {
        m->is_stopping = true;
        models_close(m);
        return NULL;
    }
    int failed = pthread_create(&m->janitor, NULL, run_janitor, m);
    if (!failed)
        return m;
    error_set(err, ERROR_MEMORY, "cannot start a thread: %s", strerror(failed));
    m->is_stopping = true;
    models_close(m);
    return NULL;
}

void models_stop_loading(Models *m)
{
    pthread_mutex_lock(&m->mutex);
    bool was_stopping = m->is_stopping;
    m->is_stopping = true;
    pthread_cond_broadcast(&m->changed);
    while (m->is_loading)
        pthread_cond_wait(&m->changed, &m->mutex);
    pthread_mutex_unlock(&m->mutex);
    if (!was_stopping)
        pthread_join(m->janitor, NULL);
}

void models_close(Models *m)
{
    models_stop_loading(m);
    for (int i = 0; i < m->n; i++) {
        ServedModel *s = &m->items[i];
        wen_reply_free(s->preparing);
        wen_engine_close(s->engine);
        wen_model_close(s->model);
        json_decref(s->info);
        mem_free(m->names[i]);
        mem_free(m->paths[i]);
    }
    for (int i = 0; i < m->n_aliases; i++)
        mem_free(m->aliases[i]);
    mem_free(m->items);
    mem_free(m->names);
    mem_free(m->paths);
    mem_free(m->aliases);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->mutex);
    mem_free(m);
}
