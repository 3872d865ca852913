/* See plan.h. */
#include "pipeline/plan.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"
#include "data/settings.h"
#include "train/yaml.h"

#include <string.h>

int plan_find(const Plan *p, const char *name)
{
    for (int i = 0; i < p->n; i++)
        if (strcmp(p->stages[i].name, name) == 0)
            return i;
    return -1;
}

/* ---- References ------------------------------------------------------------------------------ */

/* What a text refers to is written to `out`, and noted in `stage` when that is given. */
typedef struct Expansion {
    const Plan *plan;
    int stage_i;
    const char *folder; /* that stages write below */
    PlanStage *stage;   /* NULL: all has been noted */
} Expansion;

/* "/data.jsonl or /stats.csv" */
static void list_outputs(const StageKind *kind, Buf *out)
{
    for (int i = 0; i < KIND_OUTPUTS_MAX && kind->outputs[i]; i++)
        buf_printf(out, "%s\"%s\"", i ? ", " : "",
                   kind->outputs[i][0] ? kind->outputs[i] + 1 : "the folder itself");
}

static bool expand_stage(const Expansion *e, Str name, Str rest, Buf *out, Error *err)
{
    Buf known = {0};
    int i = 0;
    while (i < e->plan->n && !str_equals(name, e->plan->stages[i].name))
        i++;
    if (i >= e->stage_i) {
        for (int k = 0; k < e->stage_i; k++)
            buf_printf(&known, "%s%s", k ? ", " : "", e->plan->stages[k].name);
        error_set(err, ERROR_FORMAT, "${%.*s}: %s; earlier stages are: %s", (int)name.bytes,
                  name.data,
                  i < e->plan->n ? "it is not an earlier stage" : "there is no such stage",
                  known.bytes ? known.data : "none");
        buf_free(&known);
        return false;
    }
    const StageKind *kind = e->plan->stages[i].kind;
    int k = 0;
    while (k < KIND_OUTPUTS_MAX && kind->outputs[k] && !str_equals(rest, kind->outputs[k]))
        k++;
    if (k == KIND_OUTPUTS_MAX || !kind->outputs[k]) {
        list_outputs(kind, &known);
        error_set(err, ERROR_FORMAT, "${%.*s}%.*s: stage %s (%s) makes %s", (int)name.bytes,
                  name.data, (int)rest.bytes, rest.data, e->plan->stages[i].name, kind->run,
                  known.data);
        buf_free(&known);
        return false;
    }
    if (e->stage)
        e->stage->needs[i] = true;
    buf_printf(out, "%s/%s%.*s", e->folder, e->plan->stages[i].name, (int)rest.bytes, rest.data);
    return true;
}

static bool note_file(PlanStage *stage, const char *path, Error *err)
{
    FileMap map;
    if (!stage)
        return true;
    if (file_is_dir(path))
        return error_set(err, ERROR_ARGUMENT, "%s: it is a folder, and no file", path);
    if (!file_map(&map, path, err))
        return false;
    stage->files = hash_bytes(stage->files, (Str){(const char *)map.data, map.bytes});
    file_unmap(&map);
    return true;
}

/* A text that begins with "${": nothing else is a reference. */
static bool expand(const Expansion *e, const char *text, Buf *out, Error *err)
{
    const char *end = strchr(text, '}');
    if (strncmp(text, "${", 2) != 0) {
        buf_puts(out, text);
        return true;
    }
    if (!end)
        return error_set(err, ERROR_FORMAT, "%.60s: its } is missing", text);
    const Str name = {text + 2, (size_t)(end - text) - 2}, rest = str_from(end + 1);
    if (!str_equals(name, "folder"))
        return expand_stage(e, name, rest, out, err);
    buf_printf(out, "%s%.*s", e->plan->folder, (int)rest.bytes, rest.data);
    return note_file(e->stage, out->data, err);
}

/* A copy of the value with every text expanded; NULL: an error that says where. */
static json_t *expand_json(const Expansion *e, const json_t *value, Error *err)
{
    const char *key;
    size_t i;
    json_t *item, *copy = NULL;
    Buf text = {0};
    if (json_is_string(value)) {
        if (expand(e, json_string_value(value), &text, err))
            copy = json_stringn(text.data ? text.data : "", text.bytes);
        buf_free(&text);
        return copy;
    }
    copy = json_is_object(value)  ? json_object()
           : json_is_array(value) ? json_array()
                                  : json_deep_copy(value);
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        json_t *expanded = expand_json(e, item, err);
        if (!expanded) {
            json_decref(copy);
            error_add(err, "%s", key);
            return NULL;
        }
        json_object_set_new(copy, key, expanded);
    }
    json_array_foreach(value, i, item)
    {
        json_t *expanded = expand_json(e, item, err);
        if (!expanded) {
            json_decref(copy);
            error_add(err, "[%zu]", i);
            return NULL;
        }
        json_array_append_new(copy, expanded);
    }
    return copy;
}

json_t *plan_resolve(const Plan *p, int stage_i, const json_t *value, const char *out)
{
    const Expansion e = {p, stage_i, out, NULL};
    return expand_json(&e, value, NULL);
}

/* ---- Values from the command line ------------------------------------------------------------ */

/* Sets a.b.c of an object, making mappings on the way. Takes the value over. */
static bool put(json_t *object, const char *key, json_t *value, Error *err)
{
    for (const char *dot; (dot = strchr(key, '.')); key = dot + 1) {
        char *name = mem_strndup(key, (size_t)(dot - key));
        json_t *inner = json_object_get(object, name);
        if (!inner || json_is_null(inner)) {
            inner = json_object();
            json_object_set_new(object, name, inner);
        }
        mem_free(name);
        object = inner;
        if (!json_is_object(object)) {
            json_decref(value);
            return error_set(err, ERROR_ARGUMENT, "there is no mapping before .%s", dot + 1);
        }
    }
    json_object_set_new(object, key, value);
    return true;
}

static bool apply_set(Plan *p, const char *text, Error *err)
{
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    if (!dot || !equals || dot > equals)
        return error_set(err, ERROR_ARGUMENT, "--set %s: it has to be STAGE.key=value", text);
    char *name = mem_strndup(text, (size_t)(dot - text));
    char *key = mem_strndup(dot + 1, (size_t)(equals - dot) - 1);
    const int i = plan_find(p, name);
    bool ok = false;
    json_t *value = NULL;
    if (i < 0)
        error_set(err, ERROR_ARGUMENT, "there is no stage %s", name);
    else if (!p->stages[i].settings)
        error_set(err, ERROR_ARGUMENT, "stage %s has no configuration", name);
    else if ((value = yaml_read(str_from(equals + 1), key, err)))
        ok = put(p->stages[i].settings, key, value, err);
    mem_free(name);
    mem_free(key);
    return ok || error_add(err, "--set %s", text);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static bool is_name(const char *name)
{
    static const char *const taken[] = {"folder", "configs", "logs"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(name, taken[i]) == 0)
            return false;
    return name[0] && strlen(name) < 64 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               strlen(name);
}

static bool check_args(const json_t *args, Error *err)
{
    size_t i;
    const json_t *item;
    if (args && !json_is_array(args))
        return error_set(err, ERROR_FORMAT, "args: it is not a list of texts");
    json_array_foreach(args, i, item) if (!json_is_string(item)) return error_set(
        err, ERROR_FORMAT, "args[%zu]: it is not a text; put it into quotes", i);
    return true;
}

static bool read_settings(const Plan *p, PlanStage *s, Error *err)
{
    if (!s->config)
        return true;
    char *path = file_join(p->folder, s->config);
    s->settings = settings_read(path, err);
    mem_free(path);
    return s->settings != NULL;
}

static bool read_stage(Plan *p, const json_t *item, Error *err)
{
    PlanStage *s = &p->stages[p->n];
    const char *run = NULL;
    if (!settings_check(item, "name run config args", "the stage", err) ||
        !settings_text(item, "name", &s->name, err) || !settings_text(item, "run", &run, err) ||
        !settings_text(item, "config", &s->config, err))
        return false;
    if (!s->name || !run)
        return error_set(err, ERROR_FORMAT, "a stage needs name and run");
    if (!is_name(s->name) || plan_find(p, s->name) >= 0)
        return error_set(err, ERROR_FORMAT,
                         "name: \"%.60s\" is taken, or not made of letters, digits, _ and -",
                         s->name);
    s->args = json_object_get(item, "args");
    if (!check_args(s->args, err) || !(s->kind = stage_kind_find(run, err)))
        return false;
    if (s->kind->takes_config != (s->config != NULL))
        return error_set(err, ERROR_FORMAT,
                         s->config ? "config: %s takes none; give args" : "%s needs a config",
                         s->kind->run);
    return read_settings(p, s, err);
}

/* A null value is as good as no value; expand_json gives NULL only with an error. */
static bool note_references(Plan *p, int i, Error *err)
{
    PlanStage *s = &p->stages[i];
    const Expansion e = {p, i, "", s};
    json_t *settings = s->settings ? expand_json(&e, s->settings, err) : NULL;
    if (s->settings && !settings)
        return error_add(err, "%s/%s", p->folder, s->config);
    json_t *args = s->args ? expand_json(&e, s->args, err) : NULL;
    json_decref(settings);
    json_decref(args);
    return !s->args || args || error_add(err, "args");
}

static bool read_stages(Plan *p, Error *err)
{
    const json_t *list = json_object_get(p->json, "stages");
    const size_t n = json_array_size(list);
    if (!settings_check(p->json, "stages", "the pipeline", err))
        return false;
    if (n == 0 || n > PLAN_STAGES_MAX)
        return error_set(err, ERROR_FORMAT, "stages: a list of 1 to %d is needed", PLAN_STAGES_MAX);
    for (size_t i = 0; i < n; i++) {
        const bool ok = read_stage(p, json_array_get(list, i), err);
        p->n++;
        if (!ok)
            return error_add(err, "stages[%zu]", i);
    }
    return true;
}

bool plan_read(Plan *p, const char *folder, const char *const *sets, int n_sets, Error *err)
{
    *p = (Plan){.folder = mem_strdup(folder)};
    char *path = file_join(folder, "pipeline.yaml");
    p->json = settings_read(path, err);
    bool ok = p->json && (read_stages(p, err) || error_add(err, "%s", path));
    for (int i = 0; ok && i < n_sets; i++)
        ok = apply_set(p, sets[i], err);
    for (int i = 0; ok && i < p->n; i++)
        ok = note_references(p, i, err) || error_add(err, "stage %s", p->stages[i].name);
    mem_free(path);
    if (!ok)
        plan_close(p);
    return ok;
}

void plan_close(Plan *p)
{
    for (int i = 0; i < p->n; i++)
        json_decref(p->stages[i].settings);
    json_decref(p->json);
    mem_free(p->folder);
    *p = (Plan){0};
}
