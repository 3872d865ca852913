/* The paths and who answers them. */
#include "server/server_state.h"

#include <string.h>

static const Route routes[] = {
    {"GET", "/", handle_page, FAULT_OPENAI, true, true},
    {"GET", "/health", handle_health, FAULT_OPENAI, true, true},
    {"GET", "/version", handle_version, FAULT_OPENAI, true, true},
    {"GET", "/metrics", handle_metrics, FAULT_OPENAI, false, true},
    {"GET", "/v1/models", handle_models, FAULT_OPENAI, false, true},
    {"GET", "/v1/models/*", handle_model, FAULT_OPENAI, false, true},
    {"GET", "/v1/runs", handle_runs, FAULT_OPENAI, false, true},
    {"GET", "/v1/runs/*", handle_run_file, FAULT_OPENAI, false, true},
    {"POST", "/v1/chat/completions", handle_chat, FAULT_OPENAI, false, false},
    {"POST", "/v1/chat/completions/render", handle_render, FAULT_OPENAI, false, false},
    {"POST", "/v1/chat/completions/input_tokens", handle_input_tokens, FAULT_OPENAI, false, false},
    {"POST", "/v1/completions", handle_completions, FAULT_OPENAI, false, false},
    {"POST", "/v1/embeddings", handle_embeddings, FAULT_OPENAI, false, false},
    {"POST", "/v1/responses", handle_responses, FAULT_OPENAI, false, false},
    {"GET", "/v1/streams/*", handle_stream, FAULT_OPENAI, false, false},
    {"DELETE", "/v1/streams/*", handle_stream_end, FAULT_OPENAI, false, false},
    {"POST", "/v1/messages", handle_messages, FAULT_ANTHROPIC, false, false},
    {"POST", "/v1/messages/count_tokens", handle_count_tokens, FAULT_ANTHROPIC, false, false},
    {"POST", "/api/chat", handle_ollama_chat, FAULT_OLLAMA, false, false},
    {"POST", "/api/generate", handle_ollama_generate, FAULT_OLLAMA, false, false},
    {"POST", "/api/embed", handle_ollama_embed, FAULT_OLLAMA, false, false},
    {"POST", "/api/embeddings", handle_ollama_embeddings, FAULT_OLLAMA, false, false},
    {"GET", "/api/tags", handle_ollama_tags, FAULT_OLLAMA, false, true},
    {"GET", "/api/ps", handle_ollama_ps, FAULT_OLLAMA, false, true},
    {"POST", "/api/show", handle_ollama_show, FAULT_OLLAMA, false, false},
    {"POST", "/api/pull", handle_ollama_pull, FAULT_OLLAMA, false, true},
    {"POST", "/api/create", handle_ollama_create, FAULT_OLLAMA, false, true},
    {"POST", "/api/copy", handle_ollama_copy, FAULT_OLLAMA, false, true},
    {"DELETE", "/api/delete", handle_ollama_delete, FAULT_OLLAMA, false, true},
    {"GET", "/api/version", handle_version, FAULT_OLLAMA, true, true},
    {"POST", "/rerank", handle_rerank, FAULT_OPENAI, false, false},
    {"POST", "/v1/rerank", handle_rerank, FAULT_OPENAI, false, false},
    {"POST", "/v2/rerank", handle_rerank, FAULT_OPENAI, false, false},
    {"POST", "/infill", handle_infill, FAULT_OPENAI, false, false},
    {"POST", "/tokenize", handle_tokenize, FAULT_OPENAI, false, false},
    {"POST", "/detokenize", handle_detokenize, FAULT_OPENAI, false, false},
    {"POST", "/apply-template", handle_render, FAULT_OPENAI, false, false},
};
enum { N_ROUTES = sizeof routes / sizeof *routes };

static bool matches_path(const Route *r, const char *path, const char **rest)
{
    size_t n = strlen(r->path);
    if (r->path[n - 1] != '*')
        return strcmp(r->path, path) == 0;
    *rest = path + n - 1;
    return strncmp(r->path, path, n - 1) == 0 && **rest;
}

static FaultShape shape_of(const char *path)
{
    if (strncmp(path, "/api/", 5) == 0)
        return FAULT_OLLAMA;
    return strncmp(path, "/v1/messages", 12) == 0 ? FAULT_ANTHROPIC : FAULT_OPENAI;
}

static bool method_fits(const Route *r, const char *method)
{
    return strcmp(r->method, method) == 0 || strcmp(method, "OPTIONS") == 0 ||
           (strcmp(method, "HEAD") == 0 && strcmp(r->method, "GET") == 0);
}

bool route_find(HttpCall *call, Fault *fault)
{
    const Route *other = NULL;
    call->shape = shape_of(call->path);
    for (int i = 0; i < N_ROUTES; i++) {
        if (!matches_path(&routes[i], call->path, &call->path_rest))
            continue;
        if (method_fits(&routes[i], call->method)) {
            call->route = &routes[i];
            return true;
        }
        other = &routes[i];
    }
    if (!other)
        return fault_set(fault, 404, NULL,
                         "there is no %.150s here; docs/server.md lists the paths", call->path);
    http_add_header(call, "Allow", "%s", other->method);
    return fault_set(fault, 405, NULL, "%s answers %s only", other->path, other->method);
}
