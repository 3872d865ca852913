/* See models.h. One mutex guards all states. */
#include "server/models_state.h"

#include "base/clock.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum { JANITOR_SECONDS = 1 };

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
        for (size_t i = 0; i < m->n && !m->is_stopping; i++) {
            ServedModel *s = m->items[i];
            if (s->state == MODEL_READY && s->n_users == 0 &&
                now - s->last_used > models_idle_limit(m, s))
                models_unload_one(m, s);
        }
        for (size_t i = 0; i < m->n_retired && !m->is_stopping; i++)
            if (m->retired[i]->state == MODEL_READY && m->retired[i]->n_users == 0)
                models_unload_one(m, m->retired[i]);
    }
    pthread_mutex_unlock(&m->mutex);
    return NULL;
}

/* ---- Loading --------------------------------------------------------------------------------- */

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
    return s->state == MODEL_READY || models_load(m, s, fault);
}

bool models_load_first(Models *m, Fault *fault)
{
    pthread_mutex_lock(&m->mutex);
    bool ok = ensure_ready(m, m->items[0], fault);
    m->is_starting = false;
    pthread_mutex_unlock(&m->mutex);
    return ok;
}

/* ---- Taking and giving ----------------------------------------------------------------------- */

ServedModel *models_take(Models *m, const char *name, Fault *fault)
{
    ServedModel *s = models_lock_named(m, name);
    if (!s) {
        pthread_mutex_unlock(&m->mutex);
        fault_set(fault, 404, "model",
                  "the model \"%.200s\" does not exist here; GET /v1/models "
                  "lists those that do",
                  name);
        fault->code = "model_not_found";
        return NULL;
    }
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
    pthread_mutex_lock(&m->mutex);
    ServedModel *s = models_named(m, name);
    if (s && s->state == MODEL_READY && s->n_users == 0)
        models_unload_one(m, s);
    pthread_mutex_unlock(&m->mutex);
}

/* ---- Open and close -------------------------------------------------------------------------- */

static bool copy_names(Models *m, Error *err)
{
    const ModelsOptions *o = &m->options;
    m->aliases = mem_alloc(sizeof *m->aliases * (size_t)(o->n_aliases + 1));
    for (int i = 0; i < o->n_aliases; i++)
        m->aliases[m->n_aliases++] = mem_strdup(o->aliases[i]);
    for (int i = 0; i < o->n_specs; i++) {
        for (size_t j = 0; j < m->n; j++)
            if (strcmp(m->items[j]->name, o->specs[i].name) == 0)
                return error_set(err, ERROR_ARGUMENT,
                                 "two models are called %s: give one another name, NAME=MODEL",
                                 o->specs[i].name);
        models_add(m, &o->specs[i]);
    }
    return true;
}

Models *models_open(const ModelsOptions *options, Error *err)
{
    Models *m = mem_alloc(sizeof *m);
    pthread_condattr_t monotonic;
    m->options = *options;
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
    for (size_t i = 0; i < m->n; i++)
        models_free_one(m->items[i]);
    for (size_t i = 0; i < m->n_retired; i++)
        models_free_one(m->retired[i]);
    for (int i = 0; i < m->n_aliases; i++)
        mem_free(m->aliases[i]);
    mem_free(m->items);
    mem_free(m->retired);
    mem_free(m->aliases);
    pthread_cond_destroy(&m->changed);
    pthread_mutex_destroy(&m->mutex);
    mem_free(m);
}
