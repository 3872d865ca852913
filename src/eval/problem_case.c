/* See problem_case.h. */
#include "eval/problem_case.h"

#include "eval/scope.h"
#include "tasks/checks.h"
#include "tasks/tool_box.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TURNS_MAX = 8, CALLS_MAX = 32, ARENA_BYTES = 4096 };

typedef struct State {
    Problem problem;
    ToolBox *box;              /* NULL: not an episode */
    TaskCall calls[CALLS_MAX]; /* of all turns */
    int n_calls;
    Arena arena; /* their texts */
} State;

/* ---- Flags ----------------------------------------------------------------------------------- */

typedef struct Flags {
    int n;
    bool has_last, last_thinks; /* in the last turn of the user */
} Flags;

static int count(Str s, Str what)
{
    int n = 0;
    for (ptrdiff_t at = 0; (at = str_find(s, what, (size_t)at)) >= 0; at += (ptrdiff_t)what.bytes)
        n++;
    return n;
}

static Flags find_flags(const Problem *p)
{
    Flags flags = {0};
    for (int i = 0; i < p->n_messages; i++) {
        const TaskMessage *m = &p->messages[i];
        const int n_on = count(m->content, STR("/think"));
        const int n_off = count(m->content, STR("/no_think"));
        if (m->role != ROLE_USER && m->role != ROLE_SYSTEM)
            continue;
        flags.n += n_on + n_off;
        if (m->role == ROLE_USER) {
            flags.has_last = n_on + n_off > 0;
            flags.last_thinks = n_on > 0;
        }
    }
    return flags;
}

bool problem_has_flags(const Problem *p) { return p->mode != MODE_ANY || find_flags(p).n > 0; }

const char *problem_flag_kind(const Problem *p)
{
    const Flags flags = find_flags(p);
    return flags.n == 0        ? "no flag"
           : !flags.has_last   ? "unflagged last turn"
           : flags.n > 1       ? "several flags"
           : flags.last_thinks ? "/think"
                               : "/no_think";
}

/* ---- Beginning ------------------------------------------------------------------------------- */

Problem *problem_case_new(EvalCase *c)
{
    State *s = mem_alloc(sizeof *s);
    s->problem.arena.block_bytes = s->arena.block_bytes = ARENA_BYTES;
    c->state = s;
    return &s->problem;
}

bool problem_case_begin(EvalCase *c, Error *err)
{
    State *s = c->state;
    const Problem *p = &s->problem;
    Buf line = {0};
    problem_write(p, &line);
    c->doc = json_loadb(line.data, line.bytes, 0, NULL);
    buf_free(&line);
    if (!c->doc)
        return error_set(err, ERROR_FORMAT, "%.*s: its answer is not JSON", STR_ARG(p->id));
    c->messages = json_deep_copy(json_object_get(c->doc, "messages"));
    c->tools = json_incref(json_object_get(c->doc, "tools"));
    c->level = p->difficulty;
    c->lang = task_lang_name(p->lang);
    c->kind = problem_flag_kind(p);
    return !p->family || !p->family->is_episode || (s->box = tool_box_open(p, err));
}

static void close_case(EvalCase *c)
{
    State *s = c->state;
    if (!s)
        return;
    tool_box_close(s->box);
    problem_close(&s->problem);
    arena_close(&s->arena);
    mem_free(s);
}

/* ---- Replies --------------------------------------------------------------------------------- */

static Str keep(State *s, const json_t *call, const char *key)
{
    const json_t *text = json_object_get(call, key);
    const size_t bytes = json_string_length(text);
    return (Str){arena_strndup(&s->arena, bytes ? json_string_value(text) : "", bytes), bytes};
}

static bool goes_on(const EvalCase *c, const State *s, const EvalTurn *turn)
{
    return s->box && json_array_size(turn->calls) > 0 && strcmp(turn->finish, "length") != 0 &&
           c->n_turns < TURNS_MAX;
}

static double judge(const Problem *p, const TaskReply *reply)
{
    if (p->family)
        return task_score(p, reply);
    if (str_equals(p->family_name, scope_family))
        return reply->n_calls == 0 && scope_is_declined(reply->content, p->lang);
    return str_equal(check_trim(reply->content), check_trim(p->answer));
}

/* acc, then what is right already at half the score. */
static void set_values(const EvalTask *task, double score, double *values)
{
    values[0] = score >= 1;
    for (int i = 1; i < task->n_metrics; i++)
        values[i] = score >= 0.5;
}

static bool take(const EvalTask *task, EvalCase *c, const EvalTurn *turn, double *values)
{
    State *s = c->state;
    const json_t *call;
    size_t i;
    const int first = s->n_calls;
    json_array_foreach(turn->calls, i, call) if (s->n_calls < CALLS_MAX) s->calls[s->n_calls++] =
        (TaskCall){keep(s, call, "name"), keep(s, call, "arguments")};
    if (goes_on(c, s, turn)) {
        Buf response = {0};
        eval_case_keep_turn(c, turn);
        for (int k = first; k < s->n_calls; k++) {
            buf_clear(&response);
            tool_box_call(s->box, &s->calls[k], &response);
            eval_case_say(c, "tool", buf_str(&response));
        }
        buf_free(&response);
        return true;
    }
    const TaskReply reply = {.thinking = buf_str(&turn->thinking),
                             .content = buf_str(&turn->content),
                             .calls = s->calls,
                             .n_calls = s->n_calls};
    set_values(task, judge(&s->problem, &reply), values);
    return false;
}

void problem_task_set(EvalTask *task, const TaskFamily *family)
{
    task->take = take;
    task->close_case = close_case;
    task->metrics[0] = "acc";
    task->n_metrics = 1;
    if (family && family->is_episode)
        task->metrics[task->n_metrics++] = "calls";
    if (family && strcmp(family->name, "think_follow") == 0) {
        task->metrics[task->n_metrics++] = "mode";
        task->split = EVAL_SPLIT_KIND;
    }
    if (family ? strcmp(family->name, "refusal") == 0 : strcmp(task->name, scope_family) == 0)
        task->split = EVAL_SPLIT_LANG;
}
