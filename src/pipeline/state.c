/* See state.h. */
#include "pipeline/state.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

enum { STATE_BYTES_MAX = 64 << 20, SHOWN_BYTES = 60 };

static const char *const state_names[] = {"new", "stale", "begun", "finished"};

bool state_open(PipelineState *s, const char *out, Error *err)
{
    Buf text = {0};
    json_error_t where;
    *s = (PipelineState){.path = file_join(out, "pipeline.json"), .stages = json_object()};
    if (!file_exists(s->path))
        return true;
    bool ok = file_read(&text, s->path, STATE_BYTES_MAX, err);
    if (ok) {
        json_t *json = json_loadb(text.data, text.bytes, 0, &where);
        json_t *stages = json_object_get(json, "stages");
        ok = json_is_object(stages) ||
             error_set(err, ERROR_FORMAT, "%s: it does not hold the stages of a pipeline", s->path);
        if (ok)
            json_object_update(s->stages, stages);
        json_decref(json);
    }
    buf_free(&text);
    return ok;
}

void state_close(PipelineState *s)
{
    mem_free(s->path);
    json_decref(s->stages);
    *s = (PipelineState){0};
}

StageState state_of_stage(const PipelineState *s, const char *name)
{
    const char *word =
        json_string_value(json_object_get(json_object_get(s->stages, name), "state"));
    for (int i = STAGE_STALE; word && i <= STAGE_FINISHED; i++)
        if (strcmp(word, state_names[i]) == 0)
            return (StageState)i;
    return STAGE_NEW;
}

uint64_t state_key(const PipelineState *s, const char *name)
{
    const char *hex = json_string_value(json_object_get(json_object_get(s->stages, name), "key"));
    return hex ? strtoull(hex, NULL, 16) : 0;
}

double state_seconds(const PipelineState *s, const char *name)
{
    return json_number_value(json_object_get(json_object_get(s->stages, name), "seconds"));
}

bool state_note(PipelineState *s, const PlanStage *stage, StageState state, uint64_t key,
                double seconds, Error *err)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)key);
    json_t *entry = json_pack("{s:s, s:s, s:s, s:f}", "state", state_names[state], "key", hex,
                              "run", stage->kind->run, "seconds", seconds);
    if (stage->settings)
        json_object_set(entry, "settings", stage->settings);
    if (stage->args)
        json_object_set(entry, "args", stage->args);
    json_object_set_new(s->stages, stage->name, entry);
    json_t *all = json_pack("{s:O}", "stages", s->stages);
    char *text = json_dumps(all, JSON_INDENT(1));
    const bool ok = file_write(s->path, str_from(text ? text : "{}"), err);
    free(text);
    json_decref(all);
    return ok;
}

void state_spoil(PipelineState *s, const char *name)
{
    json_t *entry = json_object_get(s->stages, name);
    if (entry)
        json_object_set_new(entry, "state", json_string(state_names[STAGE_STALE]));
}

static uint64_t hash_json(uint64_t seed, const json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    const uint64_t key = hash_bytes(seed, str_from(text ? text : ""));
    free(text);
    return key;
}

uint64_t stage_key(const PlanStage *stage, const uint64_t *keys, int n)
{
    uint64_t key = hash_bytes(stage->files, str_from(stage->kind->run));
    key = hash_json(hash_json(key, stage->settings), stage->args);
    for (int i = 0; i < n; i++)
        if (stage->needs[i])
            key = hash_bytes(key, (Str){(const char *)&keys[i], sizeof keys[i]});
    return key;
}

/* ---- What has changed ------------------------------------------------------------------------ */

static void put_value(const json_t *value, Buf *out)
{
    char *text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    buf_printf(out, "%.*s%s", SHOWN_BYTES, text ? text : "nothing",
               text && strlen(text) > SHOWN_BYTES ? "..." : "");
    free(text);
}

static void differ(const char *place, const json_t *old, const json_t *now, Buf *out)
{
    const char *key;
    json_t *value;
    if (old && now && json_equal(old, now))
        return;
    if (!json_is_object(old) || !json_is_object(now)) {
        buf_printf(out, "%s%s: ", out->bytes ? "; " : "", place);
        put_value(old, out);
        buf_puts(out, " -> ");
        put_value(now, out);
        return;
    }
    json_t *both = json_copy((json_t *)(uintptr_t)old);
    json_object_update_missing(both, (json_t *)(uintptr_t)now);
    json_object_foreach(both, key, value)
    {
        Buf inner = {0};
        buf_printf(&inner, "%s%s%s", place, place[0] ? "." : "", key);
        differ(inner.data, json_object_get(old, key), json_object_get(now, key), out);
        buf_free(&inner);
    }
    json_decref(both);
}

void state_differences(const PipelineState *s, const PlanStage *stage, Buf *out)
{
    const json_t *entry = json_object_get(s->stages, stage->name);
    const char *run = json_string_value(json_object_get(entry, "run"));
    const json_t *settings = json_object_get(entry, "settings");
    const json_t *args = json_object_get(entry, "args");
    if (run && strcmp(run, stage->kind->run) != 0)
        buf_printf(out, "run: %s -> %s", run, stage->kind->run);
    if (settings || stage->settings)
        differ("", settings, stage->settings, out);
    if (args || stage->args)
        differ("args", args, stage->args, out);
}
