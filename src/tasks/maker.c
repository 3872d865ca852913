#include "tasks/maker.h"

#include "base/bug.h"
#include "tasks/families.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    TRIES_MAX = 100000, /* without an owned key: then the family has none for this split */
    SHARES_TRAIN = 12,
    SHARES_RL = 14, /* of 16; the rest is eval's */
};

/* ---- Draws ----------------------------------------------------------------------------------- */

int64_t maker_int(Maker *m, int64_t lo, int64_t hi)
{
    ASSERT(lo <= hi);
    return lo + (int64_t)rng_below(&m->rng, (uint64_t)(hi - lo) + 1);
}

bool maker_chance(Maker *m, double share) { return rng_uniform(&m->rng) < share; }

void maker_choose(Maker *m, int n, int k, int *chosen)
{
    ASSERT(k <= n);
    for (int i = 0; i < k; i++) {
        int value = (int)rng_below(&m->rng, (uint64_t)(n - i)), at = 0;
        /* chosen[0 .. i-1] is kept sorted while drawing: the value skips those below it. */
        for (; at < i && chosen[at] <= value; at++)
            value++;
        memmove(chosen + at + 1, chosen + at, sizeof *chosen * (size_t)(i - at));
        chosen[at] = value;
    }
    maker_shuffle(m, chosen, k);
}

void maker_shuffle(Maker *m, int *items, int n)
{
    for (int i = n - 1; i > 0; i--) {
        const int j = (int)rng_below(&m->rng, (uint64_t)i + 1), kept = items[i];
        items[i] = items[j];
        items[j] = kept;
    }
}

const char *maker_phrase(Maker *m, const char *const *phrases, int n)
{
    int n_given = 0;
    while (n_given < n && phrases[n_given])
        n_given++;
    ASSERT(n_given > 0);
    return phrases[rng_below(&m->rng, (uint64_t)n_given)];
}

/* ---- Text ------------------------------------------------------------------------------------ */

const char *maker_num(Maker *m, int64_t value) { return maker_text(m, "%" PRId64, value); }

static const char *keep(Maker *m, const Buf *text)
{
    return arena_strndup(&m->p->arena, text->data ? text->data : "", text->bytes);
}

/* Formats into m->text. */
PRINTF_LIKE(2, 0)
static void format_text(Maker *m, const char *format, va_list args)
{
    char line[512];
    va_list again;
    va_copy(again, args);
    const int n = vsnprintf(line, sizeof line, format, args);
    ASSERT(n >= 0);
    buf_clear(&m->text);
    if ((size_t)n < sizeof line) {
        buf_append(&m->text, line, (size_t)n);
    } else {
        char *all = arena_alloc(&m->p->arena, (size_t)n + 1);
        vsnprintf(all, (size_t)n + 1, format, again);
        buf_append(&m->text, all, (size_t)n);
    }
    va_end(again);
}

const char *maker_text(Maker *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    format_text(m, format, args);
    va_end(args);
    return keep(m, &m->text);
}

enum { FILL_MAX = 10 };

static const char *fill(Maker *m, const char *template_text, va_list args)
{
    const char *values[FILL_MAX];
    int n = 0;
    for (const char *s; (s = va_arg(args, const char *));) {
        ASSERT(n < FILL_MAX);
        values[n++] = s;
    }
    buf_clear(&m->text);
    for (const char *c = template_text; *c;) {
        const char *open = strchr(c, '{');
        if (open && open[1] >= '0' && open[1] <= '9' && open[2] == '}') {
            ASSERT(open[1] - '0' < n);
            buf_append(&m->text, c, (size_t)(open - c));
            buf_puts(&m->text, values[open[1] - '0']);
            c = open + 3;
        } else {
            const size_t bytes = open ? (size_t)(open - c) + 1 : strlen(c);
            buf_append(&m->text, c, bytes);
            c += bytes;
        }
    }
    return keep(m, &m->text);
}

const char *maker_fill(Maker *m, const char *template_text, ...)
{
    va_list args;
    va_start(args, template_text);
    const char *text = fill(m, template_text, args);
    va_end(args);
    return text;
}

const char *maker_list(Maker *m, const char *const *items, int n)
{
    buf_clear(&m->text);
    for (int i = 0; i < n; i++) {
        if (i > 0)
            buf_puts(&m->text, m->lang == LANG_ZH ? "、" : ", ");
        buf_puts(&m->text, items[i]);
    }
    return keep(m, &m->text);
}

/* ---- Structure ------------------------------------------------------------------------------- */

uint64_t key_text(const char *text) { return str_hash(str_from(text)); }

uint64_t key_more(uint64_t key, int64_t value)
{
    return rng_mix(key + 0x9e3779b97f4a7c15u + rng_mix((uint64_t)value));
}

TaskSplit structure_split(uint64_t key)
{
    const int share = (int)(rng_mix(key ^ 0x7461736b73u) >> 60);
    return share < SHARES_TRAIN ? SPLIT_TRAIN : share < SHARES_RL ? SPLIT_RL : SPLIT_EVAL;
}

bool maker_owns(Maker *m, uint64_t key)
{
    ASSERT(m->n_tries++ < TRIES_MAX);
    m->p->structure = key;
    return structure_split(key) == m->split;
}

/* ---- Messages -------------------------------------------------------------------------------- */

static TaskMessage *add_message(Maker *m, TaskRole role, const char *content)
{
    ASSERT(m->n_messages < MAKER_MESSAGES_MAX);
    TaskMessage *message = &m->messages[m->n_messages++];
    *message = (TaskMessage){.role = role, .content = str_from(content)};
    return message;
}

void maker_system(Maker *m, const char *template_text, ...)
{
    va_list args;
    va_start(args, template_text);
    add_message(m, ROLE_SYSTEM, fill(m, template_text, args));
    va_end(args);
}

void maker_user(Maker *m, const char *template_text, ...)
{
    va_list args;
    va_start(args, template_text);
    add_message(m, ROLE_USER, fill(m, template_text, args));
    va_end(args);
}

void maker_said(Maker *m, const char *template_text, ...)
{
    va_list args;
    va_start(args, template_text);
    add_message(m, ROLE_ASSISTANT, fill(m, template_text, args));
    va_end(args);
}

PRINTF_LIKE(3, 0)
static void append(Maker *m, Buf *out, const char *format, va_list args)
{
    format_text(m, format, args);
    buf_add(out, buf_str(&m->text));
}

void maker_think(Maker *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(m, &m->thinking, format, args);
    va_end(args);
}

void maker_think_line(Maker *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (m->thinking.bytes > 0)
        buf_putc(&m->thinking, '\n');
    append(m, &m->thinking, format, args);
    va_end(args);
}

void maker_reply(Maker *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(m, &m->content, format, args);
    va_end(args);
}

void maker_answer(Maker *m, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    append(m, &m->answer, format, args);
    va_end(args);
}

/* ---- Tools ----------------------------------------------------------------------------------- */

static Str kept_str(Maker *m, const char *text)
{
    const size_t bytes = strlen(text);
    return (Str){arena_strndup(&m->p->arena, text, bytes), bytes};
}

void maker_tools(Maker *m, const char *json) { m->p->tools = kept_str(m, json); }

static void set_call(Maker *m, TaskMessage *message, const char *name, const char *arguments)
{
    TaskCall *call = ARENA_NEW(&m->p->arena, TaskCall);
    *call = (TaskCall){kept_str(m, name), kept_str(m, arguments)};
    message->calls = call;
    message->n_calls = 1;
}

static TaskMessage *add_solution(Maker *m, TaskRole role)
{
    ASSERT(m->n_solution < MAKER_MESSAGES_MAX);
    TaskMessage *message = &m->solution[m->n_solution++];
    *message = (TaskMessage){.role = role, .content = STR("")};
    if (role == ROLE_ASSISTANT) {
        message->thinking = (Str){keep(m, &m->thinking), m->thinking.bytes};
        message->content = (Str){keep(m, &m->content), m->content.bytes};
        buf_clear(&m->thinking);
        buf_clear(&m->content);
    }
    return message;
}

void maker_called(Maker *m, const char *name, const char *arguments)
{
    set_call(m, add_message(m, ROLE_ASSISTANT, ""), name, arguments);
}

void maker_responded(Maker *m, const char *response)
{
    add_message(m, ROLE_TOOL, kept_str(m, response).data);
}

void maker_call(Maker *m, const char *name, const char *arguments)
{
    set_call(m, add_solution(m, ROLE_ASSISTANT), name, arguments);
}

void maker_response(Maker *m, const char *response)
{
    add_solution(m, ROLE_TOOL)->content = kept_str(m, response);
}

/* ---- A problem ------------------------------------------------------------------------------- */

static TaskLang draw_lang(Maker *m, unsigned langs)
{
    /* Half of the problems of a family with several languages are in English. */
    if ((langs & EN) && ((langs == EN) | maker_chance(m, 0.5)))
        return LANG_EN;
    TaskLang lang;
    do
        lang = (TaskLang)rng_below(&m->rng, N_LANGS);
    while (!(langs & (1u << lang)));
    return lang;
}

/* Moves what the family wrote into the problem. */
static void finish(Maker *m)
{
    Problem *p = m->p;
    if (m->answer.bytes == 0)
        buf_add(&m->answer, buf_str(&m->content));
    p->answer = (Str){keep(m, &m->answer), m->answer.bytes};
    p->answer_is_json = m->answer.bytes > 0 && m->answer.data[0] == '{';
    if (m->content.bytes > 0 || m->n_solution == 0)
        add_solution(m, ROLE_ASSISTANT);
    TaskMessage *messages = ARENA_ARRAY(&p->arena, TaskMessage, m->n_messages);
    TaskMessage *solution = ARENA_ARRAY(&p->arena, TaskMessage, m->n_solution);
    memcpy(messages, m->messages, sizeof *messages * (size_t)m->n_messages);
    memcpy(solution, m->solution, sizeof *solution * (size_t)m->n_solution);
    p->messages = messages;
    p->n_messages = m->n_messages;
    p->solution = solution;
    p->n_solution = m->n_solution;
    p->family_name = str_from(p->family->name);
    p->id =
        str_from(maker_text(m, "%s-%s-%d-%s-%" PRIu64, p->family->name, task_split_name(p->split),
                            p->difficulty, task_lang_name(p->lang), p->seed));
}

static void run(Problem *p, const ProblemSpec *spec, void (*make)(Maker *m))
{
    const TaskFamily *family = spec->family;
    ASSERT(spec->difficulty >= 0 && spec->difficulty <= family->difficulty_max);
    ASSERT(spec->lang < 0 || (family->langs & (1u << spec->lang)));
    const Arena arena = p->arena;
    *p = (Problem){.family = family, .split = spec->split, .seed = spec->seed, .arena = arena};
    arena_reset(&p->arena);
    const uint64_t stream = key_more(key_text(family->name), (int64_t)spec->split);
    Maker m = {.p = p, .split = spec->split, .rng = {rng_counter(stream, spec->seed, 0)}};
    const int drawn_level = (int)maker_int(&m, 1, family->difficulty_max);
    const TaskLang drawn_lang = draw_lang(&m, family->langs);
    p->difficulty = m.level = spec->difficulty > 0 ? spec->difficulty : drawn_level;
    p->lang = m.lang = spec->lang >= 0 ? (TaskLang)spec->lang : drawn_lang;
    /* The problem that is drawn must not depend on whether its level and language were given. */
    m.rng.state =
        rng_counter(stream, spec->seed, (uint64_t)(p->difficulty * N_LANGS) + p->lang + 1);
    make(&m);
    finish(&m);
    buf_free(&m.thinking);
    buf_free(&m.content);
    buf_free(&m.answer);
    buf_free(&m.text);
}

void problem_make(Problem *p, const ProblemSpec *spec) { run(p, spec, spec->family->make); }

void problem_tell(Problem *p, const ProblemSpec *spec) { run(p, spec, spec->family->tell); }
