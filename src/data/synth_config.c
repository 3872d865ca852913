/* The prompts of synth.h. */
#include "data/settings.h"
#include "data/synth.h"

#include <math.h>
#include <string.h>

/* The end of a name in braces that begins behind the brace at `at`, or NULL: it is no place. */
static const char *place_end(const char *at)
{
    const char *end = at + 1;
    while ((*end >= 'a' && *end <= 'z') || (*end >= '0' && *end <= '9') || *end == '_')
        end++;
    return *end == '}' && end > at + 1 ? end : NULL;
}

/* Every {name} has to be a list. */
static bool check_places(const SynthConfig *c, const char *text, Error *err)
{
    for (const char *at = text ? strchr(text, '{') : NULL; at; at = strchr(at + 1, '{')) {
        const char *end = place_end(at);
        char name[64];
        if (!end)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(end - at - 1), at + 1);
        if (!json_object_get(c->lists, name))
            return error_set(err, ERROR_FORMAT, "{%s}: there is no such list", name);
    }
    return true;
}

static bool read_kind(const json_t *item, SynthKind *kind, Error *err)
{
    static const char *const names[] = {"text", "dialogue", "code"};
    const char *makes = "text";
    if (!settings_text(item, "makes", &makes, err))
        return false;
    for (int i = 0; i < 3; i++) {
        if (strcmp(makes, names[i]) == 0) {
            *kind = (SynthKind)i;
            return true;
        }
    }
    return error_set(err, ERROR_FORMAT, "makes: it is text, dialogue or code");
}

static bool read_prompt(SynthConfig *c, const json_t *item, int i, Error *err)
{
    char where[32];
    SynthPrompt *p = &c->prompts[c->n_prompts++];
    snprintf(where, sizeof where, "prompts[%d]", i);
    *p = (SynthPrompt){.count = 1, .min_bytes = 1, .max_bytes = 1 << 20};
    if (!settings_check(item, "name count system user makes min_bytes max_bytes", where, err))
        return false;
    if (!settings_text(item, "name", &p->name, err) ||
        !settings_text(item, "system", &p->system, err) ||
        !settings_text(item, "user", &p->user, err) || !read_kind(item, &p->kind, err) ||
        !settings_int(item, "count", 0, 1000000000000, &p->count, err) ||
        !settings_int(item, "min_bytes", 0, 1 << 30, &p->min_bytes, err) ||
        !settings_int(item, "max_bytes", 1, 1 << 30, &p->max_bytes, err) ||
        !check_places(c, p->system, err) || !check_places(c, p->user, err))
        return error_add(err, "%s", where);
    return (p->name && p->user) ||
           error_set(err, ERROR_FORMAT, "%s: its name or user is missing", where);
}

static bool read_lists(SynthConfig *c, Error *err)
{
    const char *name;
    json_t *list;
    c->lists = json_object_get(c->json, "lists");
    if (c->lists && !json_is_object(c->lists))
        return error_set(err, ERROR_FORMAT, "lists: it is not a mapping");
    json_object_foreach((json_t *)c->lists, name, list)
    {
        bool is_list = json_array_size(list) > 0;
        for (size_t i = 0; i < json_array_size(list); i++)
            is_list = is_list && json_is_string(json_array_get(list, i));
        if (!is_list)
            return error_set(err, ERROR_FORMAT, "lists.%s: it is not a list of texts", name);
    }
    return true;
}

static bool read_all(SynthConfig *c, Error *err)
{
    const json_t *prompts = json_object_get(c->json, "prompts");
    c->seed = 1;
    c->max_tokens = 1500;
    c->temperature = (double)NAN;
    c->max_failed = 0.5;
    if (!settings_check(c->json, "seed max_tokens temperature think max_failed lists prompts",
                        "the prompts", err) ||
        !settings_int(c->json, "seed", 0, INT64_MAX / 2, &c->seed, err) ||
        !settings_int(c->json, "max_tokens", 1, 1 << 20, &c->max_tokens, err) ||
        !settings_real(c->json, "temperature", 0, 100, &c->temperature, err) ||
        !settings_bool(c->json, "think", &c->thinks, err) ||
        !settings_real(c->json, "max_failed", 0, 1, &c->max_failed, err) || !read_lists(c, err))
        return false;
    if (json_array_size(prompts) == 0 || json_array_size(prompts) > SYNTH_PROMPTS_MAX)
        return error_set(err, ERROR_FORMAT, "prompts: a list of 1 to %d is needed",
                         SYNTH_PROMPTS_MAX);
    for (size_t i = 0; i < json_array_size(prompts); i++)
        if (!read_prompt(c, json_array_get(prompts, i), (int)i, err))
            return false;
    return true;
}

bool synth_config_read(SynthConfig *c, const char *path, Error *err)
{
    *c = (SynthConfig){.json = settings_read(path, err)};
    return c->json && (read_all(c, err) || error_add(err, "%s", path));
}

void synth_config_close(SynthConfig *c)
{
    json_decref(c->json);
    *c = (SynthConfig){0};
}
