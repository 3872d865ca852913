/* POST /api/pull: a model from a hub into the store (hub/hub_pull.h), told line by line. The pull
 * has a thread of its own; a client that hangs up ends it, and the next pull goes on from there. */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/ollama.h"
#include "server/server_state.h"

#include "hub/hub_pull.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WAIT_MS = 100, UNREAD_BYTES_MAX = 64 << 10 };

typedef struct Pull {
    HttpCall *call;
    HubName name;
    pthread_t thread;
    atomic_bool is_given_up;
    bool is_checking;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    Buf lines; /* not read yet */
    bool is_done;
} Pull;

/* ---- Lines ----------------------------------------------------------------------------------- */

static void put_line(Buf *out, const char *key, const char *text)
{
    out_open(out, NULL, '{');
    out_str(out, key, str_from(text));
    out_close(out, '}');
    buf_putc(out, '\n');
}

static void say(Pull *p, const char *key, const char *text)
{
    pthread_mutex_lock(&p->mutex);
    put_line(&p->lines, key, text);
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->mutex);
}

/* A slow reader misses some. */
static void say_progress(Pull *p, const HubEvent *e)
{
    Buf name = {0}, status = {0};
    hub_name_put(&name, e->name);
    buf_printf(&status, "pulling %s", name.data);
    pthread_mutex_lock(&p->mutex);
    if (p->lines.bytes < UNREAD_BYTES_MAX) {
        out_open(&p->lines, NULL, '{');
        out_str(&p->lines, "status", buf_str(&status));
        out_str(&p->lines, "digest", buf_str(&name));
        out_int(&p->lines, "total", (int64_t)e->total_bytes);
        out_int(&p->lines, "completed", (int64_t)e->done_bytes);
        out_close(&p->lines, '}');
        buf_putc(&p->lines, '\n');
    }
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    buf_free(&name);
    buf_free(&status);
}

static bool is_given_up(const Pull *p)
{
    return atomic_load(&p->is_given_up) || server_is_stopping(p->call->server);
}

static bool on_event(void *context, const HubEvent *e)
{
    Pull *p = context;
    if (e->kind == HUB_EVENT_PLAN)
        say(p, "status", "pulling manifest");
    if (e->kind == HUB_EVENT_RETRY)
        say(p, "status", e->message);
    else
        say_progress(p, e);
    if (e->kind == HUB_EVENT_PROGRESS && e->done_bytes == e->total_bytes && !p->is_checking) {
        p->is_checking = true;
        say(p, "status", "verifying sha256 digest");
    }
    return !is_given_up(p);
}

/* ---- The pull -------------------------------------------------------------------------------- */

static void *run_pull(void *argument)
{
    Pull *p = argument;
    Error err = {0};
    const HubPullOptions options = {.on_event = on_event, .context = p};
    char *path = hub_pull(&p->name, &options, &err);
    if (path) {
        Buf name = {0};
        hub_name_put(&name, &p->name);
        models_forget(p->call->server->models, name.data);
        buf_free(&name);
        say(p, "status", "writing manifest");
        say(p, "status", "success");
    } else {
        say(p, "error", err.message);
    }
    mem_free(path);
    pthread_mutex_lock(&p->mutex);
    p->is_done = true;
    pthread_cond_signal(&p->changed);
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

static Pull *pull_start(HttpCall *call, const HubName *name, Fault *fault)
{
    Pull *p = mem_alloc(sizeof *p);
    pthread_condattr_t monotonic;
    p->call = call;
    p->name = *name;
    atomic_init(&p->is_given_up, false);
    pthread_mutex_init(&p->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&p->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&p->thread, NULL, run_pull, p) == 0)
        return p;
    fault_set(fault, 503, NULL, "there is no thread for the pull");
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->changed);
    mem_free(p);
    return NULL;
}

static void pull_close(void *state)
{
    Pull *p = state;
    atomic_store(&p->is_given_up, true);
    pthread_join(p->thread, NULL);
    pthread_mutex_destroy(&p->mutex);
    pthread_cond_destroy(&p->changed);
    buf_free(&p->lines);
    mem_free(p);
}

/* The lines so far, or those of the next moment; false: that were the last ones. */
static bool pull_more(void *state, Buf *out)
{
    Pull *p = state;
    pthread_mutex_lock(&p->mutex);
    while (p->lines.bytes == 0 && !p->is_done) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAIT_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&p->changed, &p->mutex, &until);
        if (http_client_is_gone(p->call))
            atomic_store(&p->is_given_up, true); /* ends with an error that nobody reads */
    }
    buf_add(out, buf_str(&p->lines));
    buf_clear(&p->lines);
    const bool is_last = p->is_done;
    pthread_mutex_unlock(&p->mutex);
    return !is_last;
}

/* Without a stream: the last line alone, an error as the status. */
static void answer_whole(HttpCall *call, Pull *p)
{
    Buf lines = {0};
    Fault fault;
    http_suspend_timeout(call);
    while (pull_more(p, &lines))
        ;
    http_resume_timeout(call);
    pull_close(p);
    lines.bytes -= lines.bytes > 0; /* the line's end */
    const char *last = lines.data;
    for (size_t i = 0; i < lines.bytes; i++)
        if (lines.data[i] == '\n')
            last = lines.data + i + 1;
    json_t *line = json_loadb(last, (size_t)(lines.data + lines.bytes - last), 0, NULL);
    const char *error = json_string_value(json_object_get(line, "error"));
    buf_clear(&lines);
    if (error) {
        fault_set(&fault, 500, "model", "%s", error);
        http_send_fault(call, &fault);
        buf_free(&lines);
    } else {
        put_line(&lines, "status", "success");
        http_send_json(call, 200, &lines);
    }
    json_decref(line);
}

void handle_ollama_pull(HttpCall *call)
{
    Fault fault;
    Error err;
    HubName hub;
    const char *name = NULL;
    bool is_stream = true;
    json_t *body = in_body(buf_str(&call->body), &fault);
    bool ok = body && ollama_may_manage(call, &fault) && ollama_read_name(body, &name, &fault) &&
              in_bool(body, "", "stream", &is_stream, &fault);
    if (ok && !hub_name_parse(&hub, name, &err))
        ok = fault_set(&fault, 400, "model", "%s", err.message);
    Pull *p = ok ? pull_start(call, &hub, &fault) : NULL;
    json_decref(body);
    if (!p)
        http_send_fault(call, &fault);
    else if (is_stream)
        http_send_stream(call, "application/x-ndjson", (HttpStream){pull_more, pull_close, p});
    else
        answer_whole(call, p);
}
