/* See http.h. */
#include "server/http.h"

#include "base/bug.h"
#include "base/clock.h"
#include "base/mem.h"
#include "server/server_state.h"

#include <ctype.h>
#include <math.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { STREAM_BLOCK_BYTES = 16 << 10 };

/* ---- Reading --------------------------------------------------------------------------------- */

const char *http_header(const HttpCall *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_HEADER_KIND, name);
}

const char *http_query(const HttpCall *call, const char *name)
{
    return MHD_lookup_connection_value(call->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* A client's own id is kept when it is short and plain, so that it can stand in logs. */
static void choose_id(HttpCall *call)
{
    const char *given = http_header(call, "x-request-id");
    size_t n = given ? strlen(given) : 0;
    bool is_plain = n > 0 && n < sizeof call->id;
    for (size_t i = 0; i < n && is_plain; i++)
        is_plain = isalnum((unsigned char)given[i]) || strchr("-_.:", given[i]);
    if (is_plain)
        memcpy(call->id, given, n + 1);
    else
        server_make_id(call->id, sizeof call->id, "req_");
}

void *http_begin(Server *server, struct MHD_Connection *connection, const char *path,
                 const char *method)
{
    static const char *const methods[] = {"GET",    "POST", "HEAD", "OPTIONS",
                                          "DELETE", "PUT",  "PATCH"};
    HttpCall *call = mem_alloc(sizeof *call);
    call->n_refs = 1;
    call->server = server;
    call->connection = connection;
    call->path = mem_strdup(path);
    for (char *c = call->path; *c; c++) /* it goes into logs and messages of one line */
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            *c = '?';
    call->method = "OTHER";
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i], method) == 0)
            call->method = methods[i];
    call->started = clock_seconds();
    call->body.bytes_max = server->options.max_body_bytes;
    call->log = (LogRequest){.prompt_tokens = -1};
    choose_id(call);
    return call;
}

void http_end(HttpCall *call)
{
    if (--call->n_refs > 0)
        return;
    buf_free(&call->body);
    mem_free(call->path);
    mem_free(call);
}

/* ---- Sending --------------------------------------------------------------------------------- */

void http_add_header(HttpCall *call, const char *name, const char *format, ...)
{
    va_list args;
    ASSERT(call->n_headers < HTTP_HEADERS_MAX);
    HttpHeader *header = &call->headers[call->n_headers++];
    header->name = name;
    va_start(args, format);
    vsnprintf(header->value, sizeof header->value, format, args);
    va_end(args);
}

static void queue_response(HttpCall *call, int status, const char *content_type,
                           struct MHD_Response *response)
{
    ASSERT(call->status == 0);
    call->status = status;
    if (content_type)
        MHD_add_response_header(response, "Content-Type", content_type);
    MHD_add_response_header(response, "x-request-id", call->id);
    for (int i = 0; i < call->n_headers; i++)
        MHD_add_response_header(response, call->headers[i].name, call->headers[i].value);
    if (server_is_draining(call->server))
        MHD_add_response_header(response, "Connection", "close");
    MHD_queue_response(call->connection, (unsigned)status, response);
    MHD_destroy_response(response);
}

void http_send(HttpCall *call, int status, const char *content_type, Buf *body)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(body->bytes, body->data, mem_free);
    ASSERT(response);
    *body = (Buf){0};
    queue_response(call, status, content_type, response);
}

void http_send_json(HttpCall *call, int status, Buf *body)
{
    http_send(call, status, "application/json", body);
}

void http_send_fault(HttpCall *call, const Fault *fault)
{
    Buf body = {0};
    fault_put(&body, fault, call->shape, call->id);
    if (fault->retry_after_s)
        http_add_header(call, "Retry-After", "%d", fault->retry_after_s);
    if (fault->status == 401)
        http_add_header(call, "WWW-Authenticate", "Bearer");
    http_send_json(call, fault->status, &body);
}

/* ---- Streams --------------------------------------------------------------------------------- */

typedef struct Pipe {
    HttpCall *call;
    HttpStream stream;
    Buf out;
    size_t sent; /* of out */
    bool is_last;
} Pipe;

static ssize_t read_pipe(void *context, uint64_t position, char *block, size_t bytes_max)
{
    Pipe *p = context;
    (void)position;
    if (p->sent == p->out.bytes && !p->is_last) {
        buf_clear(&p->out);
        p->sent = 0;
        http_suspend_timeout(p->call);
        while (p->out.bytes == 0 && !p->is_last)
            p->is_last = !p->stream.more(p->stream.state, &p->out);
        http_resume_timeout(p->call);
    }
    if (p->sent == p->out.bytes)
        return MHD_CONTENT_READER_END_OF_STREAM;
    size_t n = p->out.bytes - p->sent;
    n = n < bytes_max ? n : bytes_max;
    memcpy(block, p->out.data + p->sent, n);
    p->sent += n;
    return (ssize_t)n;
}

static void close_pipe(void *context)
{
    Pipe *p = context;
    p->stream.close(p->stream.state);
    buf_free(&p->out);
    http_end(p->call);
    mem_free(p);
}

void http_send_stream(HttpCall *call, const char *content_type, HttpStream stream)
{
    Pipe *p = mem_alloc(sizeof *p);
    p->call = call;
    call->n_refs++;
    p->stream = stream;
    http_add_header(call, "Cache-Control", "no-cache");
    http_add_header(call, "X-Accel-Buffering", "no");
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, read_pipe, p, close_pipe);
    ASSERT(response);
    queue_response(call, 200, content_type, response);
}

/* ---- The connection -------------------------------------------------------------------------- */

bool http_client_is_gone(const HttpCall *call)
{
    if (!call->connection) {
        double until = atomic_load(&call->given_up_at);
        bool may_come_back = !server_is_draining(call->server);
        return clock_seconds() >= until || (isfinite(until) && !may_come_back);
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(call->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return false;
    struct pollfd fd = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

void http_suspend_timeout(HttpCall *call)
{
    MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT, 0U);
}

void http_resume_timeout(HttpCall *call)
{
    MHD_set_connection_option(call->connection, MHD_CONNECTION_OPTION_TIMEOUT,
                              (unsigned)call->server->options.idle_timeout_s);
}
