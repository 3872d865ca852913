/* wen serve: an HTTP server over the library's public interface. docs/server.md lists endpoints,
 * fields and errors.
 *
 *   request -> routes -> a dialect's file -> request_options -> wen_ask
 *                                                                 |
 *   answer  <- http   <- the dialect's writer <- exchange <- wen_next
 *
 * exchange.c is the one place that reads replies; a dialect only writes what it is handed, in
 * pieces for a stream or all at the end, so both say the same. */
#ifndef WEN_SERVER_SERVER_H
#define WEN_SERVER_SERVER_H

#include "server/models.h"
#include "server/request_options.h"

typedef struct ServerOptions {
    const char *host; /* address to listen on */
    int port;         /* 0: any free one */
    ModelsOptions models;
    RequestDefaults defaults;

    const char *const *api_keys; /* [n_api_keys]; none: everybody may ask */
    int n_api_keys;
    const char *const *origins; /* [n_origins] web pages that may ask besides this machine's own;
                                   "*": all */
    int n_origins;
    const char *tls_certificate, *tls_key; /* PEM texts; NULL: no TLS */

    int manages; /* 1: the store's models are offered, and clients may change them (Ollama's pull,
                    create, copy, delete); 0: not; -1: if only this machine can ask */

    const char *const *run_folders; /* [n_run_folders] training runs to show (runs.h) */
    int n_run_folders;

    size_t max_body_bytes;
    int max_connections;
    int idle_timeout_s;    /* a connection on which nothing happens */
    int request_timeout_s; /* one request in all; 0: none */
    double ping_seconds;   /* silence in a stream after which a comment is sent */
    LogFormat log_format;
} ServerOptions;

ServerOptions server_options_defaults(void);

typedef struct Server Server;

/* Listens; until the first model is ready, requests get a 503. Everything in options is borrowed
 * until close. */
Server *server_open(const ServerOptions *options, Error *err) MUST_USE;
/* Loads the first model in the background. */
bool server_start(Server *server, Error *err) MUST_USE;
int server_port(const Server *server);
/* False while the first model loads; *failed tells when that came to nothing. */
bool server_is_ready(Server *server, bool *failed);

/* Takes no new requests; those that run go on. */
void server_drain(Server *server);
/* Requests that are still running. */
int server_n_running(Server *server);
/* Cancels what still runs and closes all. */
void server_close(Server *server);

#endif
