/* One HTTP request and the answer to it. Only this file, http.c and server.c know the HTTP library.
 *
 * Each connection has a thread of its own, so a handler may wait for the model: it reads the body,
 * which has come as a whole, and calls one of the http_send functions, once. */
#ifndef WEN_SERVER_HTTP_H
#define WEN_SERVER_HTTP_H

#include "server/fault.h"
#include "server/log.h"

struct MHD_Connection;
struct Server;
struct Route;

enum { HTTP_HEADERS_MAX = 12, HTTP_ID_BYTES = 64 };

typedef struct HttpHeader {
    const char *name; /* static */
    char value[400];
} HttpHeader;

typedef struct HttpCall {
    int n_refs; /* the library's, and a stream's */
    struct Server *server;
    struct MHD_Connection *connection;
    const struct Route *route; /* NULL: no such path */
    const char *path_rest;     /* what a route with "*" left of the path */
    FaultShape shape;          /* of errors on this path */
    char *path;                /* owned */
    const char *method;        /* static */
    char id[HTTP_ID_BYTES];    /* the client's x-request-id, or ours */
    Buf body;
    bool is_body_too_large;
    double started;

    HttpHeader headers[HTTP_HEADERS_MAX]; /* to be sent */
    int n_headers;
    int status;             /* 0: nothing was sent */
    LogRequest log;         /* what handlers know for the log */
    bool is_told_elsewhere; /* in the log: by the stream's own thread */

    /* Of a stream that is kept (streams.h), which has no connection: when it is given up, by
     * clock_seconds. */
    _Atomic double given_up_at;
} HttpCall;

/* Of the request; names are matched whatever their case. NULL: missing. */
const char *http_header(const HttpCall *call, const char *name);
const char *http_query(const HttpCall *call, const char *name);

/* Adds a header to the answer. */
void http_add_header(HttpCall *call, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);

/* Whole answers; the body's memory is taken over and `body` is empty afterwards. */
void http_send(HttpCall *call, int status, const char *content_type, Buf *body);
void http_send_json(HttpCall *call, int status, Buf *body);
void http_send_fault(HttpCall *call, const Fault *fault);

/* An answer in pieces. `more` appends to `out`, may wait, and returns false when that was the last
 * piece; `close` is called once, whether the answer was sent to its end or the client went away. */
typedef struct HttpStream {
    bool (*more)(void *state, Buf *out);
    void (*close)(void *state);
    void *state;
} HttpStream;
void http_send_stream(HttpCall *call, const char *content_type, HttpStream stream);

/* Whether the client has closed the connection, or a kept stream is given up. Asks the socket;
 * costs a system call. */
bool http_client_is_gone(const HttpCall *call);
/* While a handler waits for the model, the connection is not idle: call before waiting and after.
 */
void http_suspend_timeout(HttpCall *call);
void http_resume_timeout(HttpCall *call);

/* ---- For server.c: the library's callbacks --------------------------------------------------- */

void *http_begin(struct Server *server, struct MHD_Connection *connection, const char *path,
                 const char *method);
/* Drops a reference. */
void http_end(HttpCall *call);

#endif
