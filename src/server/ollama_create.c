/* POST /api/create, POST /api/copy, DELETE /api/delete: models made out of others (hub/hub_made.h),
 * and the store's models removed. */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/modelfile.h"
#include "server/ollama.h"
#include "server/server_state.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool ollama_read_name(const json_t *body, const char **name, Fault *fault)
{
    if (!in_text(body, "", "name", name, fault) || !in_text(body, "", "model", name, fault))
        return false;
    return *name != NULL || fault_set(fault, 400, "model", "model: a name is needed");
}

bool ollama_may_manage(const HttpCall *call, Fault *fault)
{
    return models_offers_store(call->server->models) ||
           fault_set(fault, 403, NULL,
                     "clients may pull, create, copy and delete models where only this machine can "
                     "ask, or with --manage");
}

static bool fault_from_error(Fault *fault, int status, const char *param, const Error *err)
{
    return fault_set(fault, status, param, "%s", err->message);
}

/* ---- Parameters ------------------------------------------------------------------------------ */

typedef enum ParameterUse { PARAMETER_UNKNOWN, PARAMETER_COUNTS, PARAMETER_IDLE } ParameterUse;

/* IDLE: how Ollama's own engine runs, which has no counterpart here. */
static ParameterUse parameter_use(const char *name)
{
    static const char *const counts[] = {
        "temperature",       "top_p",          "top_k", "min_p",       "presence_penalty",
        "frequency_penalty", "repeat_penalty", "seed",  "num_predict", "stop"};
    static const char *const idle[] = {
        "num_ctx",  "num_keep",     "num_batch",    "num_gpu",   "main_gpu",        "num_thread",
        "use_mmap", "use_mlock",    "low_vram",     "numa",      "repeat_last_n",   "tfs_z",
        "mirostat", "mirostat_tau", "mirostat_eta", "typical_p", "penalize_newline"};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (strcmp(name, counts[i]) == 0)
            return PARAMETER_COUNTS;
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        if (strcmp(name, idle[i]) == 0)
            return PARAMETER_IDLE;
    return PARAMETER_UNKNOWN;
}

static void put_status(Buf *lines, const char *status)
{
    out_open(lines, NULL, '{');
    out_str(lines, "status", str_from(status));
    out_close(lines, '}');
    buf_putc(lines, '\n');
}

/* Adds `given` to `parameters`; what has no effect is said. */
static bool take_parameters(json_t *settings, const json_t *given, Buf *lines, Fault *fault)
{
    RequestOptions checked;
    const RequestDefaults none = request_defaults_none();
    const char *name;
    json_t *value, *all = json_object_get(settings, "parameters");
    all = all ? json_copy(all) : json_object();
    bool ok = true;
    json_object_foreach((json_t *)given, name, value)
    {
        const ParameterUse use = parameter_use(name);
        if (use == PARAMETER_UNKNOWN)
            ok = fault_set(fault, 400, "parameters", "parameters.%.60s: there is none of that name",
                           name);
        if (use == PARAMETER_COUNTS)
            json_object_set(all, name, value);
        if (use != PARAMETER_IDLE)
            continue;
        char status[120];
        snprintf(status, sizeof status, "parameter %.60s has no effect here", name);
        put_status(lines, status);
    }
    options_open(&checked, &none);
    ok = ok && options_read(&checked, all, "parameters.", fault);
    options_close(&checked);
    if (ok && json_object_size(all) > 0)
        json_object_set(settings, "parameters", all);
    json_decref(all);
    return ok;
}

/* ---- The base -------------------------------------------------------------------------------- */

typedef struct Making {
    json_t *settings;
    Buf template; /* "": none */
    Buf lines;    /* what is said on the way */
} Making;

static void making_close(Making *m)
{
    json_decref(m->settings);
    buf_free(&m->template);
    buf_free(&m->lines);
}

static bool set_from(Making *m, const char *from)
{
    char *path = strcmp(from, "builtin") == 0 ? NULL : realpath(from, NULL);
    json_object_set_new(m->settings, "from", json_string(path ? path : from));
    free(path);
    return true;
}

/* Begins with all that the base says, if it is a made one itself. */
static bool take_base(Making *m, Models *models, const char *from, Fault *fault)
{
    ModelListing listing;
    Error err;
    const ModelOrigin origin = models_origin(models, from);
    m->settings = json_object();
    if (origin == ORIGIN_NONE && (file_exists(from) || strcmp(from, "builtin") == 0))
        return set_from(m, from);
    if (origin == ORIGIN_NONE || !models_look_up(models, from, &listing))
        return fault_set(fault, 404, "from", "the model \"%.200s\" is not here; pull it first",
                         from);
    json_decref(listing.info);
    const json_t *settings = models_made_settings(models, from);
    if (!settings)
        return set_from(m, origin == ORIGIN_PULLED ? listing.name : listing.path);
    json_decref(m->settings);
    m->settings = json_deep_copy(settings);
    HubMade *made = hub_made_find(from);
    bool ok = !made || !made->template_file ||
              file_read(&m->template, made->template_file, MADE_TEMPLATE_MAX, &err) ||
              fault_from_error(fault, 500, "from", &err);
    hub_made_free(made);
    return ok;
}

/* ---- Create ---------------------------------------------------------------------------------- */

/* Folders on this machine, as a list or an object of them. */
static bool take_adapters(Making *m, json_t *given, Fault *fault)
{
    json_t *all = json_array();
    json_t *values = json_is_object(given) ? json_array() : json_incref(given), *value;
    const char *key;
    size_t i;
    json_object_foreach(given, key, value) json_array_append(values, value);
    bool ok = json_is_array(values) ||
              fault_set(fault, 400, "adapters", "adapters: must be a list of folders");
    json_array_foreach(values, i, value)
    {
        const char *text = json_string_value(value);
        char *path = text && file_is_dir(text) ? realpath(text, NULL) : NULL;
        if (!path) {
            ok = fault_set(fault, 400, "adapters",
                           "adapters: %.200s: not the folder of an adapter on the server's machine "
                           "(PEFT's layout)",
                           text ? text : "no text");
            break;
        }
        json_array_append_new(all, json_string(path));
        free(path);
    }
    if (ok && json_array_size(all) > 0)
        json_object_set(m->settings, "adapters", all);
    json_decref(values);
    json_decref(all);
    return ok;
}

static bool take_text(json_t *settings, const json_t *given, const char *key, Fault *fault)
{
    const char *text = NULL;
    if (!in_text(given, "", key, &text, fault))
        return false;
    if (text)
        json_object_set_new(settings, key, json_string(text));
    return true;
}

static bool refuse_others(const json_t *given, Fault *fault)
{
    static const struct {
        const char *field, *instead;
    } others[] = {{"quantize", "wen quantize makes such a file"},
                  {"files", "FROM takes a path on the server's machine"},
                  {"messages", "begin requests with them"}};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (in_get(given, others[i].field))
            return fault_set(fault, 501, others[i].field, "%s: not here; %s", others[i].field,
                             others[i].instead);
    return true;
}

static bool take_changes(Making *m, const json_t *given, Fault *fault)
{
    const char *template = NULL;
    json_t *parameters = NULL, *adapters = in_get(given, "adapters");
    if (!refuse_others(given, fault) || !take_text(m->settings, given, "system", fault) ||
        !take_text(m->settings, given, "license", fault) ||
        !in_text(given, "", "template", &template, fault) ||
        !in_object(given, "", "parameters", &parameters, fault) ||
        !take_parameters(m->settings, parameters, &m->lines, fault))
        return false;
    if (template) {
        buf_clear(&m->template);
        buf_puts(&m->template, template);
    }
    return !adapters || take_adapters(m, adapters, fault);
}

static bool renders(const wen_model *model, wen_error *err)
{
    char *prompt = wen_render(
        model, "{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}", NULL, err);
    wen_free(prompt);
    return prompt != NULL;
}

/* Whether the base opens, and the template renders. */
static bool check_base(const Making *m, const char *base, Fault *fault)
{
    char file[] = "/tmp/wen-template-XXXXXX";
    Error why;
    wen_error err = {0};
    wen_model_options options = wen_model_options_defaults();
    options.load = WEN_LOAD_TEXT;
    int fd = m->template.bytes ? mkstemp(file) : -1;
    if (fd >= 0) {
        close(fd);
        options.template_file = file;
        if (!file_write(file, buf_str(&m->template), &why)) {
            unlink(file);
            return fault_from_error(fault, 500, "template", &why);
        }
    }
    wen_model *model = wen_model_open(base, &options, &err);
    bool ok = model && (fd < 0 || renders(model, &err));
    wen_model_close(model);
    if (fd >= 0)
        unlink(file);
    return ok || fault_set(fault, 400, fd < 0 ? "from" : "template", "%s%s", err.message,
                           fd < 0 ? "" : " (templates are Jinja here, as Hugging Face has them)");
}

/* A name that is free, or that of a made model. */
static bool check_name(Models *models, const char *text, char name[MADE_NAME_MAX], Fault *fault)
{
    Error err;
    if (!hub_made_name(name, text, &err))
        return fault_from_error(fault, 400, "model", &err);
    const ModelOrigin origin = models_origin(models, name);
    return origin == ORIGIN_NONE || origin == ORIGIN_MADE ||
           fault_set(fault, 400, "model", "\"%s\" is another model's name here", name);
}

static bool making_write(const Making *m, Models *models, const char *name, Fault *fault)
{
    Error err;
    HubMade unwritten = {.settings = m->settings};
    snprintf(unwritten.name, sizeof unwritten.name, "%s", name);
    char *base = hub_made_base(&unwritten, &err);
    if (!base)
        return fault_from_error(fault, 404, "from", &err);
    bool ok = check_base(m, base, fault);
    mem_free(base);
    if (!ok)
        return false;
    if (!hub_made_write(name, m->settings, m->template.bytes ? m->template.data : NULL, &err))
        return fault_from_error(fault, 500, NULL, &err);
    models_forget(models, name);
    return true;
}

/* The fields that matter: from a Modelfile, or as JSON. */
static bool create(HttpCall *call, json_t *body, Making *m, bool *is_stream, Fault *fault)
{
    Models *models = call->server->models;
    const char *text = NULL, *modelfile = NULL, *from = NULL;
    char name[MADE_NAME_MAX];
    if (!ollama_may_manage(call, fault) || !ollama_read_name(body, &text, fault) ||
        !check_name(models, text, name, fault) || !in_bool(body, "", "stream", is_stream, fault) ||
        !in_text(body, "", "modelfile", &modelfile, fault))
        return false;
    json_t *given = modelfile ? modelfile_parse(modelfile, fault) : json_incref(body);
    bool ok = given && in_text(given, "", "from", &from, fault);
    if (ok && !from)
        ok = fault_set(fault, 400, "from", "from: the model that this is made of is needed");
    put_status(&m->lines, "reading the base");
    ok = ok && take_base(m, models, from, fault) && take_changes(m, given, fault) &&
         making_write(m, models, name, fault);
    json_decref(given);
    put_status(&m->lines, "writing manifest");
    put_status(&m->lines, "success");
    return ok;
}

void handle_ollama_create(HttpCall *call)
{
    Fault fault;
    Making m = {0};
    bool is_stream = true;
    json_t *body = in_body(buf_str(&call->body), &fault);
    if (body && create(call, body, &m, &is_stream, &fault)) {
        if (!is_stream) {
            buf_clear(&m.lines);
            put_status(&m.lines, "success");
        }
        http_send(call, 200, is_stream ? "application/x-ndjson" : "application/json", &m.lines);
    } else {
        http_send_fault(call, &fault);
    }
    making_close(&m);
    json_decref(body);
}

/* ---- Copy and delete ------------------------------------------------------------------------- */

void handle_ollama_copy(HttpCall *call)
{
    Fault fault;
    Making m = {0};
    Buf nothing = {0};
    Models *models = call->server->models;
    const char *source = NULL, *destination = NULL;
    char name[MADE_NAME_MAX];
    json_t *body = in_body(buf_str(&call->body), &fault);
    bool ok = body && ollama_may_manage(call, &fault) &&
              in_text(body, "", "source", &source, &fault) &&
              in_text(body, "", "destination", &destination, &fault);
    if (ok && (!source || !destination))
        ok = fault_set(&fault, 400, source ? "destination" : "source",
                       "source and destination are needed");
    ok = ok && check_name(models, destination, name, &fault) &&
         take_base(&m, models, source, &fault) && making_write(&m, models, name, &fault);
    making_close(&m);
    json_decref(body);
    if (ok)
        http_send(call, 200, "application/json", &nothing);
    else
        http_send_fault(call, &fault);
}

static bool remove_model(Models *models, const char *name, Fault *fault)
{
    Error err;
    HubName hub;
    switch (models_origin(models, name)) {
    case ORIGIN_MADE:
        if (!hub_made_remove(name, &err))
            return fault_from_error(fault, 500, NULL, &err);
        break;
    case ORIGIN_PULLED:
        if (!hub_name_parse(&hub, name, &err) || !hub_remove(&hub, NULL, &err))
            return fault_from_error(fault, 500, NULL, &err);
        break;
    case ORIGIN_COMMAND_LINE:
        return fault_set(fault, 400, "model",
                         "\"%.200s\" is of the server's command line, not of the store", name);
    case ORIGIN_NONE:
        return fault_set(fault, 404, "model", "the model \"%.200s\" does not exist here", name);
    }
    models_refresh(models);
    return true;
}

void handle_ollama_delete(HttpCall *call)
{
    Fault fault;
    Buf nothing = {0};
    const char *name = NULL;
    json_t *body = in_body(buf_str(&call->body), &fault);
    bool ok = body && ollama_may_manage(call, &fault) && ollama_read_name(body, &name, &fault) &&
              remove_model(call->server->models, name, &fault);
    json_decref(body);
    if (ok)
        http_send(call, 200, "application/json", &nothing);
    else
        http_send_fault(call, &fault);
}
