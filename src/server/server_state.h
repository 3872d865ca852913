/* The server's inside, shared by the files of this folder. */
#ifndef WEN_SERVER_SERVER_STATE_H
#define WEN_SERVER_SERVER_STATE_H

#include "server/http.h"
#include "server/metrics.h"
#include "server/server.h"
#include "server/streams.h"

struct Server {
    ServerOptions options;
    struct MHD_Daemon *daemon;
    Models *models;
    Streams *streams;
    Metrics metrics;
    Log log;
    int port;
    bool is_loopback; /* listens to this machine only */
    pthread_t loader;
    bool has_loader;
    atomic_bool is_ready, has_failed, is_draining, is_stopping;
    atomic_int n_running;
    int64_t started_at; /* seconds of the epoch */
};

static inline bool server_is_draining(const Server *s) { return atomic_load(&s->is_draining); }
static inline bool server_is_stopping(const Server *s) { return atomic_load(&s->is_stopping); }

/* "prefix" and 24 random letters and digits. */
void server_make_id(char *id, size_t bytes, const char *prefix);

/* ---- access.c: who may ask ------------------------------------------------------------------- */

/* Origin, host and key; adds the CORS headers. False and a fault: not allowed. */
bool access_check(HttpCall *call, Fault *fault) MUST_USE;
/* Answers a browser's preflight. */
void access_send_preflight(HttpCall *call);

/* ---- routes.c -------------------------------------------------------------------------------- */

typedef struct Route {
    const char *method, *path; /* a path that ends in "*" matches every longer one */
    void (*handle)(HttpCall *call);
    FaultShape shape;
    bool is_public; /* needs no key */
    bool answers_while_loading;
} Route;

/* Sets the call's route, or a fault 404 or 405. */
bool route_find(HttpCall *call, Fault *fault) MUST_USE;

/* ---- The endpoints --------------------------------------------------------------------------- */

void handle_page(HttpCall *call);
void handle_health(HttpCall *call);
void handle_version(HttpCall *call);
void handle_models(HttpCall *call);
void handle_model(HttpCall *call);
void handle_metrics(HttpCall *call);
void handle_chat(HttpCall *call);
void handle_runs(HttpCall *call);
void handle_run_file(HttpCall *call);
void handle_stream(HttpCall *call);
void handle_stream_end(HttpCall *call);
void handle_completions(HttpCall *call);
void handle_messages(HttpCall *call);
void handle_count_tokens(HttpCall *call);
void handle_tokenize(HttpCall *call);
void handle_detokenize(HttpCall *call);
void handle_render(HttpCall *call);
void handle_input_tokens(HttpCall *call);
void handle_embeddings(HttpCall *call);
void handle_infill(HttpCall *call);
void handle_rerank(HttpCall *call);
void handle_responses(HttpCall *call);
void handle_ollama_chat(HttpCall *call);
void handle_ollama_generate(HttpCall *call);
void handle_ollama_embed(HttpCall *call);
void handle_ollama_embeddings(HttpCall *call);
void handle_ollama_tags(HttpCall *call);
void handle_ollama_ps(HttpCall *call);
void handle_ollama_show(HttpCall *call);
void handle_ollama_pull(HttpCall *call);
void handle_ollama_create(HttpCall *call);
void handle_ollama_copy(HttpCall *call);
void handle_ollama_delete(HttpCall *call);

#endif
