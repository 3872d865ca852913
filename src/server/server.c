/* See server.h: the daemon, its limits, start and end. */
#include "server/server.h"

#include "base/clock.h"
#include "base/mem.h"
#include "server/server_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTION_BYTES = 64 << 10, /* of request line and headers */
    STOP_POLL_US = 10 * 1000,
    STOP_POLLS = 200, /* two seconds to tell clients that it is over */
};

ServerOptions server_options_defaults(void)
{
    wen_model_options model = wen_model_options_defaults();
    model.device = "auto";
    return (ServerOptions){
        .host = "127.0.0.1",
        .port = 8000,
        .models = {.model = model, .engine = wen_engine_options_defaults(), .max_queued = 256},
        .defaults = request_defaults_none(),
        .max_body_bytes = (size_t)32 << 20,
        .max_connections = 1024,
        .idle_timeout_s = 60,
        .ping_seconds = 15,
    };
}

void server_make_id(char *id, size_t bytes, const char *prefix)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char random[24] = {0};
    size_t n = strlen(prefix);
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        memcpy(random, &(double){clock_seconds()}, sizeof(double));
    memcpy(id, prefix, n);
    for (size_t i = 0; i < sizeof random && n + 1 < bytes; i++)
        id[n++] = letters[random[i] & 31];
    id[n] = '\0';
}

/* ---- One request ----------------------------------------------------------------------------- */

/* What can be said before the body is read. */
static bool check_head(HttpCall *call, Fault *fault)
{
    Server *s = call->server;
    bool has_route = route_find(call, fault);
    Fault other;
    if (!access_check(call, &other)) {
        *fault = other;
        return false;
    }
    if (!has_route)
        return false;
    const char *length = http_header(call, "Content-Length");
    if (length && strtoull(length, NULL, 10) > s->options.max_body_bytes)
        return fault_set(fault, 413, NULL, "the body has %.20s bytes; at most %zu are read", length,
                         s->options.max_body_bytes);
    if (server_is_draining(s)) {
        fault_set(fault, 503, NULL, "the server is shutting down");
        fault->retry_after_s = 5;
        return false;
    }
    return true;
}

static void answer(HttpCall *call)
{
    Fault fault;
    if (call->is_body_too_large) {
        fault_set(&fault, 413, NULL, "the body has more than %zu bytes",
                  call->server->options.max_body_bytes);
        http_send_fault(call, &fault);
    } else if (!call->route->answers_while_loading && !atomic_load(&call->server->is_ready)) {
        fault_set(&fault, 503, NULL, "the model is loading; ask again in a moment");
        fault.retry_after_s = 2;
        http_send_fault(call, &fault);
    } else {
        http_suspend_timeout(call);
        call->route->handle(call);
        http_resume_timeout(call);
    }
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_bytes, void **state)
{
    Server *s = context;
    (void)version;
    if (!*state) {
        Fault fault;
        HttpCall *call = *state = http_begin(s, connection, path, method);
        atomic_fetch_add(&s->n_running, 1);
        if (!check_head(call, &fault))
            http_send_fault(call, &fault);
        else if (strcmp(call->method, "OPTIONS") == 0)
            access_send_preflight(call);
        return MHD_YES;
    }
    HttpCall *call = *state;
    if (*upload_bytes > 0) {
        call->is_body_too_large |= call->body.bytes + *upload_bytes > s->options.max_body_bytes;
        if (!call->is_body_too_large)
            buf_append(&call->body, upload, *upload_bytes);
        *upload_bytes = 0;
        return MHD_YES;
    }
    if (call->status == 0)
        answer(call);
    return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode how)
{
    Server *s = context;
    HttpCall *call = *state;
    (void)connection;
    if (!call)
        return;
    *state = NULL;
    call->log.id = call->id;
    call->log.method = call->method;
    call->log.path = call->path;
    call->log.status = call->status;
    call->log.was_aborted = how != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    call->log.seconds = clock_seconds() - call->started;
    metrics_add_http(&s->metrics, call->route ? call->route->path : "other", call->method,
                     call->status, call->log.seconds);
    if (!call->is_told_elsewhere)
        log_request(&s->log, &call->log);
    http_end(call);
    atomic_fetch_sub(&s->n_running, 1);
}

/* ---- Listening ------------------------------------------------------------------------------- */

static int open_socket(Server *s, Error *err)
{
    const ServerOptions *o = &s->options;
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    snprintf(port, sizeof port, "%d", o->port);
    int status = getaddrinfo(o->host, port, &hints, &found);
    if (status) {
        error_set(err, ERROR_ARGUMENT, "--host %s: %s", o->host, gai_strerror(status));
        return -1;
    }
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 512) != 0) {
        error_set_errno(err, "cannot listen on %s, port %d", o->host, o->port);
        if (fd >= 0)
            close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    return fd;
}

static void look_at_socket(Server *s, int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t bytes = sizeof address;
    getsockname(fd, (struct sockaddr *)&address, &bytes);
    if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
        s->port = ntohs(v6->sin6_port);
        s->is_loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
    } else {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
        s->port = ntohs(v4->sin_port);
        s->is_loopback = ntohl(v4->sin_addr.s_addr) >> 24 == 127;
    }
}

static bool start_daemon(Server *s, int fd, Error *err)
{
    const ServerOptions *o = &s->options;
    bool has_tls = o->tls_certificate != NULL;
    unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                     MHD_USE_POLL | MHD_USE_ITC | (has_tls ? MHD_USE_TLS : 0);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, o->max_connections, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, s},
        {has_tls ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)o->tls_certificate},
        {has_tls ? MHD_OPTION_HTTPS_MEM_KEY : MHD_OPTION_END, 0, (void *)o->tls_key},
        {MHD_OPTION_END, 0, NULL},
    };
    s->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, s, MHD_OPTION_ARRAY, options,
                                 MHD_OPTION_END);
    return s->daemon != NULL ||
           error_set(err, ERROR_IO, "cannot start the HTTP server on port %d%s", s->port,
                     has_tls ? "; are certificate and key PEM texts that belong together?" : "");
}

static void *run_loader(void *argument)
{
    Server *s = argument;
    Fault fault = {0};
    if (models_load_first(s->models, &fault))
        atomic_store(&s->is_ready, true);
    else
        atomic_store(&s->has_failed, true);
    return NULL;
}

/* Signals are for the program's own thread. */
static void block_signals(sigset_t *before)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, before);
}

static bool listen_and_answer(Server *s, Error *err)
{
    int fd = open_socket(s, err);
    if (fd < 0)
        return false;
    look_at_socket(s, fd);
    s->options.models.log = &s->log;
    s->options.models.offers_store = s->options.manages < 0 ? s->is_loopback : s->options.manages;
    s->models = models_open(&s->options.models, err);
    if (!s->models || !start_daemon(s, fd, err)) {
        close(fd);
        return false;
    }
    return true;
}

Server *server_open(const ServerOptions *options, Error *err)
{
    Server *s = mem_alloc(sizeof *s);
    sigset_t before;
    s->options = *options;
    s->started_at = (int64_t)time(NULL);
    log_open(&s->log, options->log_format);
    metrics_open(&s->metrics);
    s->streams = streams_open();
    block_signals(&before);
    bool ok = listen_and_answer(s, err);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (ok)
        return s;
    server_close(s);
    return NULL;
}

bool server_start(Server *s, Error *err)
{
    sigset_t before;
    block_signals(&before);
    int failed = pthread_create(&s->loader, NULL, run_loader, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->has_loader = !failed;
    return !failed || error_set(err, ERROR_MEMORY, "cannot start a thread: %s", strerror(failed));
}

int server_port(const Server *s) { return s->port; }

bool server_is_ready(Server *s, bool *failed)
{
    *failed = atomic_load(&s->has_failed);
    return atomic_load(&s->is_ready);
}

void server_drain(Server *s)
{
    if (atomic_exchange(&s->is_draining, true) || !s->daemon)
        return;
    MHD_socket fd = MHD_quiesce_daemon(s->daemon);
    if (fd != MHD_INVALID_SOCKET)
        close(fd);
}

int server_n_running(Server *s) { return atomic_load(&s->n_running); }

void server_close(Server *s)
{
    if (!s)
        return;
    server_drain(s);
    atomic_store(&s->is_stopping, true);
    if (s->models)
        models_stop_loading(s->models);
    if (s->has_loader)
        pthread_join(s->loader, NULL);
    for (int i = 0; i < STOP_POLLS && server_n_running(s) > 0; i++)
        usleep(STOP_POLL_US);
    if (s->daemon)
        MHD_stop_daemon(s->daemon);
    streams_close(s->streams);
    if (s->models)
        models_close(s->models);
    metrics_close(&s->metrics);
    log_close(&s->log);
    mem_free(s);
}
