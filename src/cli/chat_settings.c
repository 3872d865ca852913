/* What /set and /show know: a table, a row for each setting. */
#include "cli/conversation_parts.h"
#include "cli/term.h"

#include "base/mem.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum Kind {
    KIND_ON,     /* bool */
    KIND_THINK,  /* int: 1, 0, -1 */
    KIND_BUDGET, /* int, off: -1 */
    KIND_COUNT,  /* int, off: 0 */
    KIND_TOP_K,  /* int, default -1 */
    KIND_SEED,   /* int64_t, default -1 */
    KIND_REAL,   /* float, default as the command line or the model says */
    KIND_STOP,   /* a list */
    KIND_SYSTEM, /* the first message */
} Kind;

typedef struct Setting {
    const char *name, *values, *about;
    Kind kind;
    size_t offset; /* in Chat */
    float min, max;
} Setting;

#define OF(member) offsetof(Chat, member)
static const Setting settings[] = {
    {"think", "on|off|default", "thinking; /think in a message goes to the model", KIND_THINK,
     OF(request.think), 0, 0},
    {"budget", "N|off", "end a thought after N tokens", KIND_BUDGET, OF(request.think_budget), 0,
     0},
    {"max-tokens", "N|off", "of thought and answer together", KIND_COUNT, OF(request.max_tokens), 0,
     0},
    {"temperature", "X|default", "0: always the likeliest token", KIND_REAL,
     OF(request.sampling.temperature), 0, 100},
    {"top-p", "X|default", "draw from the likeliest that make up X", KIND_REAL,
     OF(request.sampling.top_p), 0, 1},
    {"top-k", "N|default", "draw from the N likeliest; 0: from all", KIND_TOP_K,
     OF(request.sampling.top_k), 0, 0},
    {"min-p", "X|default", "none below X times the likeliest", KIND_REAL,
     OF(request.sampling.min_p), 0, 1},
    {"repetition-penalty", "X|default", "a factor; 1: none", KIND_REAL,
     OF(request.sampling.repetition_penalty), 0, 100},
    {"presence-penalty", "X|default", "against words again", KIND_REAL,
     OF(request.sampling.presence_penalty), -100, 100},
    {"frequency-penalty", "X|default", "the same, for every time", KIND_REAL,
     OF(request.sampling.frequency_penalty), -100, 100},
    {"seed", "N|default", "same seed, same answer", KIND_SEED, OF(request.sampling.seed), 0, 0},
    {"stop", "TEXT|off", "end the answer before TEXT; again adds one", KIND_STOP, 0, 0, 0},
    {"system", "TEXT|off", "the system message; /system is short for it", KIND_SYSTEM, 0, 0, 0},
    {"stats", "on|off", "tokens a second and the context's use, after every answer", KIND_ON,
     OF(has_stats), 0, 0},
    {"fold", "on|off", "thoughts in a window that goes when they end", KIND_ON, OF(folds_thoughts),
     0, 0},
    {"markdown", "on|off", "headings, bold, code shown as such", KIND_ON, OF(has_markdown), 0, 0},
};
enum { N_SETTINGS = sizeof settings / sizeof *settings, INT_VALUE_MAX = 1 << 24 };

static const Setting *find(const char *name)
{
    for (int i = 0; i < N_SETTINGS; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

static void *place(Chat *c, const Setting *s) { return (char *)c + s->offset; }
static const void *place_const(const Chat *c, const Setting *s)
{
    return (const char *)c + s->offset;
}

/* ---- Showing --------------------------------------------------------------------------------- */

static void put_int(Buf *out, int64_t n, int64_t unset, const char *when_unset)
{
    if (n == unset)
        buf_puts(out, when_unset);
    else
        buf_printf(out, "%lld", (long long)n);
}

static void put_value(Buf *out, const Chat *c, const Setting *s)
{
    static const char *const thinks[] = {"as the model does by itself", "off", "on"};
    const void *at = place_const(c, s);
    switch (s->kind) {
    case KIND_ON:
        buf_puts(out, *(const bool *)at ? "on" : "off");
        break;
    case KIND_THINK:
        buf_puts(out, thinks[*(const int *)at + 1]);
        break;
    case KIND_BUDGET:
        put_int(out, *(const int *)at, -1, "no limit");
        break;
    case KIND_COUNT:
        put_int(out, *(const int *)at, 0, "the rest of the context");
        break;
    case KIND_TOP_K:
        put_int(out, *(const int *)at, -1, "the model's");
        break;
    case KIND_SEED:
        put_int(out, *(const int64_t *)at, -1, "another one for every answer");
        break;
    case KIND_REAL:
        if (isnan(*(const float *)at))
            buf_puts(out, "the model's");
        else
            buf_printf(out, "%g", (double)*(const float *)at);
        break;
    case KIND_STOP:
        for (int i = 0; i < c->request.n_stops; i++) {
            buf_puts(out, i ? ", " : "");
            buf_put_json(out, str_from(c->request.stops[i]));
        }
        buf_puts(out, c->request.n_stops ? "" : "none");
        break;
    case KIND_SYSTEM:
        buf_puts(out,
                 chat_n_system(c)
                     ? json_string_value(json_object_get(json_array_get(c->messages, 0), "content"))
                     : "none");
        break;
    }
}

static void show(const Chat *c, const Setting *s)
{
    Buf value = {0};
    put_value(&value, c, s);
    chat_say("%s: %s", s->name, value.data);
    buf_free(&value);
}

/* Facts of wen_model_info in a line each. */
static void show_model(const Chat *c)
{
    char *text = wen_model_info(c->model, wen_engine_context(c->engine), NULL, NULL);
    json_t *info = text ? json_loads(text, 0, NULL) : NULL;
    static const char *const keys[] = {"path",    "architecture", "type",    "n_layers",
                                       "d_model", "n_vocab",      "template"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const json_t *value = json_object_get(info, keys[i]);
        if (json_is_string(value))
            chat_say("%s: %s", keys[i], json_string_value(value));
        else if (json_is_integer(value))
            chat_say("%s: %lld", keys[i], (long long)json_integer_value(value));
    }
    chat_say("parameters: %.4g million",
             json_number_value(json_object_get(info, "parameters")) / 1e6);
    chat_say("context: %d", wen_engine_context(c->engine));
    json_decref(info);
    wen_free(text);
}

void chat_show_stats(const Chat *c)
{
    const wen_usage *u = &c->usage;
    if (!c->has_usage) {
        chat_say("There was no answer yet.");
        return;
    }
    const int n_computed = u->prompt_tokens - u->cached_tokens;
    Buf line = {0};
    buf_printf(&line, "%d tokens", u->completion_tokens);
    if (u->reasoning_tokens > 0)
        buf_printf(&line, " (%d of thought)", u->reasoning_tokens);
    if (u->decode_seconds > 0 && u->completion_tokens > 1)
        buf_printf(&line, ", %.0f a second", (u->completion_tokens - 1) / u->decode_seconds);
    buf_printf(&line, "; prompt %d", u->prompt_tokens);
    if (u->cached_tokens > 0)
        buf_printf(&line, " (%d known)", u->cached_tokens);
    if (u->prefill_seconds > 0 && n_computed > 0)
        buf_printf(&line, ", %.0f a second", n_computed / u->prefill_seconds);
    buf_printf(&line, "; context %d of %d", u->prompt_tokens + u->completion_tokens,
               wen_engine_context(c->engine));
    chat_say("[%s]", line.data);
    buf_free(&line);
}

void chat_show(const Chat *c, const char *name)
{
    const Setting *s = find(name);
    if (s) {
        show(c, s);
    } else if (strcmp(name, "model") == 0) {
        show_model(c);
    } else if (strcmp(name, "usage") == 0) {
        chat_show_stats(c);
    } else if (name[0]) {
        chat_say("there is no \"%s\"; /show alone shows all settings, /show model and /show usage "
                 "more",
                 name);
    } else {
        for (int i = 0; i < N_SETTINGS; i++)
            show(c, &settings[i]);
    }
}

/* ---- Setting --------------------------------------------------------------------------------- */

static bool is_on_off(const char *value, bool *is_on)
{
    *is_on = strcmp(value, "on") == 0;
    return *is_on || strcmp(value, "off") == 0;
}

static bool read_int(const char *value, int64_t max, int64_t *n)
{
    char *end;
    *n = strtoll(value, &end, 10);
    return !*end && end != value && *n >= 0 && *n <= max;
}

static bool set_int(int *at, const char *value, const char *word, int unset)
{
    int64_t n = unset;
    if (strcmp(value, word) != 0 && !read_int(value, INT_VALUE_MAX, &n))
        return false;
    *at = (int)n;
    return true;
}

static bool set_real(Chat *c, const Setting *s, const char *value)
{
    char *end;
    float *at = place(c, s), x = strtof(value, &end);
    if (strcmp(value, "default") == 0)
        *at = *(const float *)((const char *)&c->started + (s->offset - OF(request)));
    else if (*end || end == value || !(x >= s->min && x <= s->max))
        return false;
    else
        *at = x;
    return true;
}

static bool set_stop(Chat *c, const char *value)
{
    if (strcmp(value, "off") == 0) {
        for (int i = 0; i < CHAT_STOPS_MAX; i++) {
            mem_free(c->stops[i]);
            c->stops[i] = NULL;
        }
        c->request.n_stops = 0;
        return true;
    }
    if (c->request.n_stops == CHAT_STOPS_MAX)
        return false;
    c->stops[c->request.n_stops++] = mem_strdup(value);
    return true;
}

static bool set_think(Chat *c, const char *value)
{
    bool is_on;
    if (strcmp(value, "default") == 0)
        c->request.think = -1;
    else if (is_on_off(value, &is_on))
        c->request.think = is_on;
    else
        return false;
    if (c->request.think == 1 && c->request.think_budget == 0)
        c->request.think_budget = -1;
    return true;
}

static bool set_value(Chat *c, const Setting *s, const char *value)
{
    void *at = place(c, s);
    switch (s->kind) {
    case KIND_ON:
        return is_on_off(value, at);
    case KIND_THINK:
        return set_think(c, value);
    case KIND_BUDGET:
        return set_int(at, value, "off", -1);
    case KIND_COUNT:
        return set_int(at, value, "off", 0);
    case KIND_TOP_K:
        return set_int(at, value, "default", -1);
    case KIND_SEED:
        if (strcmp(value, "default") == 0)
            *(int64_t *)at = -1;
        else
            return read_int(value, (int64_t)1 << 62, at);
        return true;
    case KIND_REAL:
        return set_real(c, s, value);
    case KIND_STOP:
        return set_stop(c, value);
    case KIND_SYSTEM:
        chat_set_system(c, strcmp(value, "off") == 0 ? NULL : value);
        return true;
    }
    return false;
}

static void list_settings(void)
{
    for (int i = 0; i < N_SETTINGS; i++)
        chat_say("/set %-18s %-14s  %s", settings[i].name, settings[i].values, settings[i].about);
}

void chat_set(Chat *c, char *arguments)
{
    char *name = arguments + strspn(arguments, " \t");
    char *value = name + strcspn(name, " \t");
    if (*value)
        *value++ = '\0';
    value += strspn(value, " \t");
    const Setting *s = find(name);
    if (!*name)
        list_settings();
    else if (!s)
        chat_say("there is no setting \"%s\"; /set lists them", name);
    else if (!*value || !set_value(c, s, value))
        chat_say("/set %s %s: %s", s->name, s->values, s->about);
    else
        show(c, s);
}
