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
    if (m->parent)
        out_str(out, "parent", str_from(m->parent));
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
    int n;
    models_refresh(s->models);
    ModelListing *list = models_list(s->models, &n);
    for (int i = 0; i < n; i++)
        put_model(&out, s, &list[i]);
    models_list_free(list, n);
    out_close(&out, ']');
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}

void handle_model(HttpCall *call)
{
    Buf out = {0};
    Server *s = call->server;
    ModelListing m;
    if (!models_look_up(s->models, call->path_rest, &m)) {
        Fault fault;
        fault_set(&fault, 404, "model", "the model \"%.200s\" does not exist here",
                  call->path_rest);
        fault.code = "model_not_found";
        http_send_fault(call, &fault);
        return;
    }
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
    int n = 0, n_max;
    ModelListing *list = models_list(models, &n_max);
    const char **names = ARENA_ARRAY(&arena, const char *, n_max);
    wen_engine_stats *stats = ARENA_ARRAY(&arena, wen_engine_stats, n_max);
    for (int i = 0; i < n_max; i++) {
        if (list[i].state != MODEL_READY || list[i].is_adapter)
            continue;
        names[n] = list[i].name;
        stats[n++] = list[i].stats;
    }
    metrics_put_engines(&out, names, stats, n);
    metrics_put(&call->server->metrics, list[0].name, &out);
    models_list_free(list, n_max);
    arena_close(&arena);
    http_send(call, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
}
