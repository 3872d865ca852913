/* Ollama's view of the served models: /api/tags, /api/ps, /api/show. */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/modelfile.h"
#include "server/ollama.h"
#include "server/server_state.h"

#include "base/file.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Clients tell models apart by it; here it stands for name and path, not for the weights. */
static void put_digest(Buf *out, const ModelListing *m)
{
    char digest[80];
    uint64_t a = str_hash(str_from(m->name)), b = str_hash(str_from(m->path));
    snprintf(digest, sizeof digest, "%016" PRIx64 "%016" PRIx64 "%016" PRIx64 "%016" PRIx64, a, b,
             a ^ b, a + b);
    out_str(out, "digest", str_from(digest));
}

static void put_details(Buf *out, const json_t *info, const char *parent)
{
    double n = json_number_value(json_object_get(info, "parameters"));
    const char *family = json_string_value(json_object_get(info, "architecture"));
    const char *format = json_string_value(json_object_get(info, "format"));
    const char *type = json_string_value(json_object_get(info, "type"));
    char size[32];
    snprintf(size, sizeof size, "%.1f%c", n >= 1e9 ? n / 1e9 : n / 1e6, n >= 1e9 ? 'B' : 'M');
    out_open(out, "details", '{');
    out_str(out, "parent_model", str_from(parent ? parent : ""));
    out_str(out, "format", str_from(format ? format : ""));
    out_str(out, "family", str_from(family ? family : ""));
    out_open(out, "families", '[');
    if (family)
        out_str(out, NULL, str_from(family));
    out_close(out, ']');
    out_str(out, "parameter_size", str_from(info ? size : ""));
    out_str(out, "quantization_level", str_from(type ? type : ""));
    out_close(out, '}');
}

static int64_t file_bytes(const ModelListing *m)
{
    struct stat status;
    if (m->weights_bytes || stat(m->path, &status) != 0 || !S_ISREG(status.st_mode))
        return (int64_t)m->weights_bytes;
    return status.st_size;
}

static void put_model(Buf *out, const Server *s, const ModelListing *m, bool is_running)
{
    out_open(out, NULL, '{');
    out_str(out, "name", str_from(m->name));
    out_str(out, "model", str_from(m->name));
    out_int(out, "size", file_bytes(m));
    put_digest(out, m);
    put_details(out, m->info, m->parent);
    if (is_running) {
        /* "Never" is a time far away, as Ollama has it. */
        double rest = m->expires_s >= 0 ? m->expires_s : 100.0 * 365 * 86400;
        ollama_put_time(out, "expires_at", ollama_now() + rest);
        out_int(out, "size_vram", 0);
        out_int(out, "context_length", m->context);
    } else {
        ollama_put_time(out, "modified_at",
                        (double)(m->loaded_at ? (int64_t)m->loaded_at : s->started_at));
    }
    out_close(out, '}');
}

static void answer_list(HttpCall *call, bool only_running)
{
    Buf out = {0};
    Server *s = call->server;
    out_open(&out, NULL, '{');
    out_open(&out, "models", '[');
    int n;
    if (!only_running)
        models_refresh(s->models);
    ModelListing *list = models_list(s->models, &n);
    for (int i = 0; i < n; i++)
        if (!only_running || (list[i].state == MODEL_READY && !list[i].is_adapter))
            put_model(&out, s, &list[i], only_running);
    models_list_free(list, n);
    out_close(&out, ']');
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}

void handle_ollama_tags(HttpCall *call) { answer_list(call, false); }

void handle_ollama_ps(HttpCall *call) { answer_list(call, true); }

/* ---- Show ------------------------------------------------------------------------------------ */

static void put_number(Buf *out, const char *family, const char *key, const json_t *value)
{
    char name[96];
    snprintf(name, sizeof name, "%.40s.%s", family, key);
    if (value)
        out_value(out, name, value);
}

static void put_model_info(Buf *out, const json_t *info)
{
    static const struct {
        const char *key, *name;
    } members[] = {{"n_layers", "block_count"},
                   {"d_model", "embedding_length"},
                   {"d_ff", "feed_forward_length"},
                   {"n_heads", "attention.head_count"},
                   {"n_kv_heads", "attention.head_count_kv"},
                   {"head_dim", "attention.key_length"},
                   {"context", "context_length"},
                   {"n_vocab", "vocab_size"},
                   {"n_experts", "expert_count"}};
    const char *family = json_string_value(json_object_get(info, "architecture"));
    family = family ? family : "qwen3";
    out_open(out, "model_info", '{');
    out_str(out, "general.architecture", str_from(family));
    out_value(out, "general.parameter_count", json_object_get(info, "parameters"));
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        put_number(out, family, members[i].name, json_object_get(info, members[i].key));
    out_close(out, '}');
}

static void put_capabilities(Buf *out, const ServedModel *m)
{
    int32_t *ids = NULL;
    int n = 0;
    out_open(out, "capabilities", '[');
    out_str(out, NULL, STR("completion"));
    if (m->call_id >= 0)
        out_str(out, NULL, STR("tools"));
    if (m->thinking != THINKING_NEVER)
        out_str(out, NULL, STR("thinking"));
    if (wen_tokenize(m->model, "<|fim_middle|>", 14, false, &ids, &n, NULL) && n == 1)
        out_str(out, NULL, STR("insert"));
    wen_free(ids);
    out_close(out, ']');
}

/* The sampling of the mode that the model answers in by itself, as PARAMETER lines have it. */
static void put_sampling(Buf *out, const json_t *info)
{
    const json_t *sampling = json_object_get(info, "sampling");
    json_t *mode = json_object_get(sampling, "thinking"), *value;
    const char *key;
    Buf text = {0};
    if (!mode)
        mode = json_object_get(sampling, "not_thinking");
    json_object_foreach(mode, key, value)
    {
        buf_printf(&text, "%-30s %.6g\n", key, json_number_value(value));
    }
    out_str(out, "parameters", buf_str(&text));
    buf_free(&text);
}

static void put_text(Buf *out, const char *key, const json_t *settings)
{
    const char *text = json_string_value(json_object_get(settings, key));
    if (text)
        out_str(out, key, str_from(text));
}

/* What was made of a model, or of another, as a Modelfile and in parts. */
static void put_settings(Buf *out, const ServedModel *m)
{
    const json_t *settings = m->made ? m->made->settings : NULL;
    const char *from = json_string_value(json_object_get(settings, "from"));
    Buf template = {0}, parameters = {0}, modelfile = {0};
    if (m->made && m->made->template_file &&
        !file_read(&template, m->made->template_file, MADE_TEMPLATE_MAX, NULL))
        buf_clear(&template);
    modelfile_put(&modelfile, from ? from : m->name, settings, buf_str(&template));
    out_str(out, "modelfile", buf_str(&modelfile));
    modelfile_put_parameters(&parameters, "", json_object_get(settings, "parameters"));
    if (parameters.bytes)
        out_str(out, "parameters", buf_str(&parameters));
    else
        put_sampling(out, m->info);
    out_str(out, "template", buf_str(&template));
    put_text(out, "system", settings);
    put_text(out, "license", settings);
    put_details(out, m->info, from);
    buf_free(&template);
    buf_free(&parameters);
    buf_free(&modelfile);
}

void handle_ollama_show(HttpCall *call)
{
    Fault fault;
    const char *name = NULL;
    Buf out = {0};
    Server *s = call->server;
    json_t *body = in_body(buf_str(&call->body), &fault);
    bool ok = body && ollama_read_name(body, &name, &fault);
    ServedModel *m = ok ? models_take(s->models, name, &fault) : NULL;
    json_decref(body);
    if (!m) {
        http_send_fault(call, &fault);
        return;
    }
    out_open(&out, NULL, '{');
    put_settings(&out, m);
    put_model_info(&out, m->info);
    put_capabilities(&out, m);
    ollama_put_time(&out, "modified_at", (double)m->loaded_at);
    out_close(&out, '}');
    models_give(s->models, m);
    http_send_json(call, 200, &out);
}
