/* What the server says of itself: health, version, models, metrics. */
#include "server/json_out.h"
#include "server/server_state.h"

#include "base/mem.h"

#include <string.h>

void handle_health(HttpCall *call)
{
    Buf out = {0};
    Server *s = call->server;
    bool is_ready = atomic_load(&s->is_ready) && !server_is_draining(s);
    out_open(&out, NULL, '{');
    out_str(&out, "status", str_from(is_ready ? "ok" : "loading"));
    out_close(&out, '}');
    if (!is_ready)
        http_add_header(call, "Retry-After", "2");
    http_send_json(call, is_ready ? 200 : 503, &out);
}

void handle_version(HttpCall *call)
{
    Buf out = {0};
    out_open(&out, NULL, '{');
    out_str(&out, "version", str_from(wen_version()));
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}

/* ---- Models ---------------------------------------------------------------------------------- */

static void put_model(Buf *out, const Server *s, const ModelListing *m)
{
    static const char *const states[] = {"unloaded", "loading", "loaded", "failed"};
    out_open(out, NULL, '{');
    out_str(out, "id", str_from(m->name));
    out_str(out, "object", STR("model"));
    out_int(out, "created", m->loaded_at ? (int64_t)m->loaded_at : s->started_at);
    out_str(out, "owned_by", STR("wen"));
    out_str(out, "root", str_from(m->path));
    if (m->context)
        out_int(out, "max_model_len", m->context);
    out_str(out, "state", str_from(states[m->state]));
    if (m->info) {
        static const char *const keys[] = {"architecture", "parameters", "type", "template",
                                           "sampling"};
        out_open(out, "meta", '{');
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            out_value(out, keys[i], json_object_get(m->info, keys[i]));
        out_close(out, '}');
    }
    out_close(out, '}');
}

void handle_models(HttpCall *call)
{
    Buf out = {0};
    Server *s = call->server;
    out_open(&out, NULL, '{');
    out_str(&out, "object", STR("list"));
    out_open(&out, "data", '[');
    for (int i = 0; i < models_count(s->models); i++) {
        ModelListing m = models_listing(s->models, i);
        put_model(&out, s, &m);
        json_decref(m.info);
    }
    out_close(&out, ']');
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}

void handle_model(HttpCall *call)
{
    Buf out = {0};
    Server *s = call->server;
    int i = models_find(s->models, call->path_rest);
    if (i < 0) {
        Fault fault;
        fault_set(&fault, 404, "model", "the model \"%.200s\" does not exist here",
                  call->path_rest);
        fault.code = "model_not_found";
        http_send_fault(call, &fault);
        return;
    }
    ModelListing m = models_listing(s->models, i);
    put_model(&out, s, &m);
    json_decref(m.info);
    http_send_json(call, 200, &out);
}

/* ---- Metrics --------------------------------------------------------------------------------- */

void handle_metrics(HttpCall *call)
{
    Buf out = {0};
    Arena arena = {0};
    Models *models = call->server->models;
    int n = 0, n_max = models_count(models);
    const char **names = ARENA_ARRAY(&arena, const char *, n_max);
    wen_engine_stats *stats = ARENA_ARRAY(&arena, wen_engine_stats, n_max);
    const char *first = NULL;
    for (int i = 0; i < n_max; i++) {
        ModelListing m = models_listing(models, i);
        first = i == 0 ? m.name : first;
        json_decref(m.info);
        if (m.state != MODEL_READY)
            continue;
        names[n] = m.name;
        stats[n++] = m.stats;
    }
    metrics_put_engines(&out, names, stats, n);
    metrics_put(&call->server->metrics, first, &out);
    arena_close(&arena);
    http_send(call, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}
