/* See streams.h. One mutex guards the list and all kept bytes. */
#include "server/streams.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/json_out.h"
#include "server/server_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READER_POLL_MS = 200, KEEPER_POLL_MS = 1000 };

typedef struct KeptStream {
    Streams *owner;
    struct KeptStream *next;
    char id[40];
    double seconds; /* how long it lives without a reader */
    Exchange *x;    /* the thread's */
    HttpCall call;  /* what x knows as its call */
    /* Guarded by owner->mutex. */
    Buf text;
    size_t base; /* bytes dropped in front of text */
    int n_readers;
    bool has_ended;
    pthread_cond_t changed;
} KeptStream;

struct Streams {
    pthread_mutex_t mutex;
    pthread_cond_t one_gone;
    KeptStream *first;
    int n;
    bool is_closing;
};

static void cond_open(pthread_cond_t *cond)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void wait_ms(KeptStream *k, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ms % 1000 * 1000000L;
    until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&k->changed, &k->owner->mutex, &until);
}

Streams *streams_open(void)
{
    Streams *s = mem_alloc(sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    cond_open(&s->one_gone);
    return s;
}

void streams_close(Streams *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->is_closing = true;
    for (KeptStream *k = s->first; k; k = k->next) {
        atomic_store(&k->call.given_up_at, 0);
        pthread_cond_broadcast(&k->changed);
    }
    while (s->n > 0)
        pthread_cond_wait(&s->one_gone, &s->mutex);
    pthread_mutex_unlock(&s->mutex);
    pthread_cond_destroy(&s->one_gone);
    pthread_mutex_destroy(&s->mutex);
    mem_free(s);
}

/* ---- Keeping --------------------------------------------------------------------------------- */

/* Drops events in front until half the room is free. */
static void make_room(KeptStream *k)
{
    Str all = buf_str(&k->text);
    ptrdiff_t end = str_find(all, STR("\n\n"), all.bytes - STREAM_BYTES_MAX / 2);
    size_t dropped = end < 0 ? all.bytes : (size_t)end + 2;
    Buf rest = {0};
    buf_add(&rest, str_slice(all, dropped, all.bytes));
    buf_free(&k->text);
    k->text = rest;
    k->base += dropped;
}

/* Takes events from `out`, each with its id. */
static void keep(KeptStream *k, Buf *out)
{
    Str all = buf_str(out);
    pthread_mutex_lock(&k->owner->mutex);
    for (size_t from = 0; from < all.bytes;) {
        ptrdiff_t end = str_find(all, STR("\n\n"), from);
        size_t to = end < 0 ? all.bytes : (size_t)end + 2;
        if (all.data[from] != ':')
            buf_printf(&k->text, "id: %zu\n", k->base + k->text.bytes);
        buf_add(&k->text, str_slice(all, from, to));
        from = to;
    }
    if (k->text.bytes > STREAM_BYTES_MAX)
        make_room(k);
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&k->owner->mutex);
    buf_clear(out);
}

/* With the mutex held. */
static void drop(KeptStream *k)
{
    Streams *s = k->owner;
    KeptStream **at = &s->first;
    while (*at != k)
        at = &(*at)->next;
    *at = k->next;
    s->n--;
    buf_free(&k->text);
    mem_free(k->call.path);
    pthread_cond_destroy(&k->changed);
    mem_free(k);
    pthread_cond_signal(&s->one_gone);
}

static void *run_stream(void *argument)
{
    KeptStream *k = argument;
    Server *server = k->call.server;
    Buf out = {0};
    bool is_more = true;
    while (is_more && !http_client_is_gone(&k->call)) {
        is_more = exchange_more(k->x, &out);
        keep(k, &out);
    }
    k->call.log.was_aborted = is_more;
    exchange_close(k->x);
    buf_free(&out);
    k->call.log.seconds = clock_seconds() - k->call.started;
    log_request(&server->log, &k->call.log);
    atomic_fetch_sub(&server->n_running, 1);

    Streams *s = k->owner;
    pthread_mutex_lock(&s->mutex);
    k->has_ended = true;
    pthread_cond_broadcast(&k->changed);
    while (k->n_readers > 0 || !http_client_is_gone(&k->call))
        wait_ms(k, KEEPER_POLL_MS);
    drop(k);
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

/* ---- Reading --------------------------------------------------------------------------------- */

typedef struct Reader {
    KeptStream *stream;
    HttpCall *call;
    size_t at; /* of the whole stream */
} Reader;

static bool read_more(void *state, Buf *out)
{
    Reader *r = state;
    KeptStream *k = r->stream;
    pthread_mutex_lock(&k->owner->mutex);
    while (r->at == k->base + k->text.bytes && !k->has_ended && !http_client_is_gone(r->call))
        wait_ms(k, READER_POLL_MS);
    bool is_cut = r->at < k->base; /* too slow: it may come again, and is told */
    if (!is_cut)
        buf_add(out, str_slice(buf_str(&k->text), r->at - k->base, k->text.bytes));
    bool is_more = !is_cut && !k->has_ended && out->bytes > 0;
    r->at += out->bytes;
    pthread_mutex_unlock(&k->owner->mutex);
    return is_more;
}

static void close_reader(void *state)
{
    Reader *r = state;
    KeptStream *k = r->stream;
    Streams *s = k->owner;
    pthread_mutex_lock(&s->mutex);
    if (--k->n_readers == 0 && atomic_load(&k->call.given_up_at) > 0)
        atomic_store(&k->call.given_up_at, s->is_closing ? 0 : clock_seconds() + k->seconds);
    pthread_cond_broadcast(&k->changed);
    pthread_mutex_unlock(&s->mutex);
    mem_free(r);
}

/* The reader has been counted. */
static void send_from(KeptStream *k, HttpCall *call, size_t at)
{
    Reader *r = mem_alloc(sizeof *r);
    *r = (Reader){k, call, at};
    http_send_stream(call, "text/event-stream", (HttpStream){read_more, close_reader, r});
}

bool streams_start(Streams *s, Exchange *x)
{
    HttpCall *call = x->call;
    KeptStream *k = mem_alloc(sizeof *k);
    *k = (KeptStream){.owner = s, .seconds = (double)x->options.resume_seconds, .x = x};
    server_make_id(k->id, sizeof k->id, "stream_");
    k->call = (HttpCall){.server = call->server,
                         .route = call->route,
                         .shape = call->shape,
                         .method = call->method,
                         .started = call->started,
                         .status = 200,
                         .given_up_at = (double)INFINITY,
                         .log = {.prompt_tokens = -1, .status = 200}};
    memcpy(k->call.id, call->id, sizeof call->id);
    k->call.path = mem_strdup(call->path);
    k->call.log.id = k->call.id;
    k->call.log.method = k->call.method;
    k->call.log.path = k->call.path;
    k->n_readers = 1;
    cond_open(&k->changed);
    x->call = &k->call;

    pthread_t thread;
    pthread_mutex_lock(&s->mutex);
    bool ok = s->n < STREAMS_MAX && pthread_create(&thread, NULL, run_stream, k) == 0;
    if (ok) {
        pthread_detach(thread);
        atomic_fetch_add(&call->server->n_running, 1);
        k->next = s->first;
        s->first = k;
        s->n++;
    }
    pthread_mutex_unlock(&s->mutex);
    if (!ok) {
        x->call = call;
        mem_free(k->call.path);
        pthread_cond_destroy(&k->changed);
        mem_free(k);
        return false;
    }
    call->is_told_elsewhere = true;
    http_add_header(call, "Wen-Stream-Id", "%s", k->id);
    send_from(k, call, 0);
    return true;
}

/* ---- The endpoints --------------------------------------------------------------------------- */

/* With the mutex held. NULL: none. */
static KeptStream *find(Streams *s, const char *id, Fault *fault)
{
    for (KeptStream *k = s->first; k; k = k->next)
        if (strcmp(k->id, id) == 0 && atomic_load(&k->call.given_up_at) > 0)
            return k;
    fault_set(fault, 404, NULL, "there is no stream %.60s, or no more", id);
    return NULL;
}

/* Where a reader goes on that has seen the event `last` (NULL: none). */
static bool find_place(const KeptStream *k, const char *last, size_t *at, Fault *fault)
{
    char line[32];
    size_t n = last ? strspn(last, "0123456789") : 0;
    if (last && (n == 0 || n > 18 || last[n]))
        return fault_set(fault, 400, NULL, "Last-Event-ID: %.40s is no id of an event", last);
    size_t event = last ? strtoull(last, NULL, 10) : 0;
    if (event < k->base)
        return fault_set(fault, 410, NULL, "what is behind event %zu is not kept any more", event);
    *at = event;
    if (!last)
        return true;
    Str text = buf_str(&k->text);
    int n_line = snprintf(line, sizeof line, "id: %zu\n", event);
    if (event - k->base >= text.bytes ||
        !str_starts(str_slice(text, event - k->base, text.bytes), (Str){line, (size_t)n_line}))
        return fault_set(fault, 400, NULL, "Last-Event-ID: %zu is no event of this stream", event);
    ptrdiff_t end = str_find(text, STR("\n\n"), event - k->base);
    *at = k->base + (end < 0 ? text.bytes : (size_t)end + 2);
    return true;
}

void handle_stream(HttpCall *call)
{
    Fault fault;
    size_t at = 0;
    Streams *s = call->server->streams;
    pthread_mutex_lock(&s->mutex);
    KeptStream *k = find(s, call->path_rest, &fault);
    bool ok = k && find_place(k, http_header(call, "Last-Event-ID"), &at, &fault);
    if (ok) {
        k->n_readers++;
        atomic_store(&k->call.given_up_at, (double)INFINITY);
    }
    pthread_mutex_unlock(&s->mutex);
    if (ok)
        send_from(k, call, at);
    else
        http_send_fault(call, &fault);
}

void handle_stream_end(HttpCall *call)
{
    Fault fault;
    Streams *s = call->server->streams;
    pthread_mutex_lock(&s->mutex);
    KeptStream *k = find(s, call->path_rest, &fault);
    if (k) {
        atomic_store(&k->call.given_up_at, 0);
        pthread_cond_broadcast(&k->changed);
    }
    pthread_mutex_unlock(&s->mutex);
    if (!k) {
        http_send_fault(call, &fault);
        return;
    }
    Buf out = {0};
    out_open(&out, NULL, '{');
    out_str(&out, "id", str_from(call->path_rest));
    out_bool(&out, "deleted", true);
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}
