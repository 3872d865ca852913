/* See problems.h. */
#include "train/problems.h"

#include "base/mem.h"
#include "train/jsonl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAMILIES_MAX = 128,
    NAME_BYTES = 96,
    TURNS_MAX = 8, /* replies in one conversation */
};
enum { MODE_PLAIN, MODE_THINK, N_MODES };
static const char *const mode_names[] = {"plain", "think"};

typedef struct Family {
    char name[NAME_BYTES];
    int n; /* problems taken */
    int columns[N_MODES];
    double right[N_MODES]; /* of the evaluation in work */
} Family;

struct Problems {
    const TrainConfig *config;
    bool is_hybrid;
    json_t *lines;  /* the problems that are asked */
    int *family_of; /* [size of lines] */
    Family *families;
    int n_families;
    int columns[N_MODES], token_columns[N_MODES];
    Arena arena;
};

/* ---- Reading
 * --------------------------------------------------------------------------------------------- */

static bool bad(const char *place, const char *what, Error *err)
{
    return error_set(err, ERROR_FORMAT, "%s: %s", place, what);
}

static bool check_problem(const json_t *problem, const char *place, Error *err)
{
    const json_t *messages = json_object_get(problem, "messages");
    const json_t *answer = json_object_get(problem, "answer");
    const char *family = json_string_value(json_object_get(problem, "family"));
    if (!json_is_object(problem))
        return bad(place, "a problem is a JSON object", err);
    if (!family || !*family)
        return bad(place, "the problem has no \"family\"", err);
    if (json_array_size(messages) == 0)
        return bad(place, "the problem has no \"messages\"", err);
    for (size_t i = 0; i < json_array_size(messages); i++)
        if (!json_is_string(json_object_get(json_array_get(messages, i), "role")))
            return bad(place, "one of the \"messages\" has no \"role\"", err);
    if (!answer || json_is_null(answer))
        return bad(place, "the problem has no \"answer\"", err);
    return true;
}

static Family *family_named(Problems *p, const char *name, const char *place, Error *err)
{
    for (int i = 0; i < p->n_families; i++)
        if (strcmp(p->families[i].name, name) == 0)
            return &p->families[i];
    if (strlen(name) >= NAME_BYTES - 32) {
        bad(place, "the name of the family is too long", err);
        return NULL;
    }
    if (p->n_families == FAMILIES_MAX) {
        error_set(err, ERROR_LIMIT, "%s: more than %d families", place, FAMILIES_MAX);
        return NULL;
    }
    Family *f = &p->families[p->n_families++];
    snprintf(f->name, sizeof f->name, "%s", name);
    return f;
}

/* Takes the problem unless its family has eval.per_family already. */
static bool add_problem(void *problems, json_t *problem, const char *place, Error *err)
{
    Problems *p = problems;
    if (!check_problem(problem, place, err))
        return false;
    const char *name = json_string_value(json_object_get(problem, "family"));
    Family *f = family_named(p, name, place, err);
    const int most = p->config->eval.per_family;
    if (!f || (most > 0 && f->n == most))
        return f != NULL;
    f->n++;
    json_array_append(p->lines, problem);
    return true;
}

static bool is_asked(const Problems *p, int mode) { return mode == MODE_PLAIN || p->is_hybrid; }

static void add_columns(Problems *p, RunLog *log)
{
    char name[2 * NAME_BYTES], tag[2 * NAME_BYTES];
    for (int mode = 0; mode < N_MODES; mode++) {
        if (!is_asked(p, mode))
            continue;
        snprintf(name, sizeof name, "accuracy_%s", mode_names[mode]);
        snprintf(tag, sizeof tag, "accuracy_%s/all", mode_names[mode]);
        p->columns[mode] = run_log_column(log, name, tag, 4);
        snprintf(name, sizeof name, "reply_tokens_%s", mode_names[mode]);
        snprintf(tag, sizeof tag, "reply_tokens/%s", mode_names[mode]);
        p->token_columns[mode] = run_log_column(log, name, tag, 1);
    }
    for (int i = 0; i < p->n_families; i++)
        for (int mode = 0; mode < N_MODES; mode++)
            if (is_asked(p, mode)) {
                snprintf(name, sizeof name, "accuracy_%s/%s", mode_names[mode],
                         p->families[i].name);
                p->families[i].columns[mode] = run_log_column(log, name, name, 4);
            }
}

Problems *problems_open(const TrainConfig *c, bool is_hybrid, RunLog *log, Error *err)
{
    Problems *p = mem_alloc(sizeof *p);
    p->config = c;
    p->is_hybrid = is_hybrid;
    p->lines = json_array();
    p->families = ARENA_ARRAY(&p->arena, Family, FAMILIES_MAX);
    if (!c->eval.problems)
        return p;
    bool ok = jsonl_read(c->eval.problems, add_problem, p, err);
    if (ok && json_array_size(p->lines) == 0)
        ok = error_set(err, ERROR_FORMAT, "%s: there is no problem in it", c->eval.problems);
    if (!ok) {
        problems_close(p);
        error_add(err, "eval.problems");
        return NULL;
    }
    const size_t n = json_array_size(p->lines);
    p->family_of = ARENA_ARRAY(&p->arena, int, n);
    for (size_t i = 0; i < n; i++) {
        const json_t *name = json_object_get(json_array_get(p->lines, i), "family");
        while (strcmp(p->families[p->family_of[i]].name, json_string_value(name)) != 0)
            p->family_of[i]++;
    }
    add_columns(p, log);
    return p;
}

void problems_close(Problems *p)
{
    if (!p)
        return;
    json_decref(p->lines);
    arena_close(&p->arena);
    mem_free(p);
}

int problems_count(const Problems *p) { return (int)json_array_size(p->lines); }

/* ---- Asking
 * --------------------------------------------------------------------------------------------- */

static Str trim(Str s)
{
    while (s.bytes > 0 && strchr(" \t\r\n", s.data[0]))
        s = str_slice(s, 1, s.bytes);
    while (s.bytes > 0 && strchr(" \t\r\n", s.data[s.bytes - 1]))
        s.bytes--;
    return s;
}

double score_same_text(void *context, const json_t *problem, const Reply *reply)
{
    (void)context;
    const json_t *answer = json_object_get(problem, "answer");
    char *other = json_is_string(answer) ? NULL : json_dumps(answer, JSON_ENCODE_ANY);
    const char *text = other ? other : json_string_value(answer);
    const bool is_same = str_equal(trim(str_from(reply->content)), trim(str_from(text)));
    free(other);
    return is_same;
}

/* All problems in one mode, as their conversations go on. */
typedef struct Round {
    int n, n_open;
    int *open;           /* [n_open]: the problems whose conversations go on */
    json_t **messages;   /* [n] */
    Question *questions; /* [n_open] */
    Reply *replies;      /* [n_open] of this round */
    Reply *last;         /* [n]: with the calls and the tokens of all */
} Round;

static Round *round_open(const Problems *p)
{
    Round *r = mem_alloc(sizeof *r);
    const size_t n = (size_t)problems_count(p);
    *r = (Round){.n = (int)n,
                 .n_open = (int)n,
                 .open = mem_alloc(sizeof *r->open * n),
                 .messages = mem_alloc(sizeof(json_t *) * n),
                 .questions = mem_alloc(sizeof *r->questions * n),
                 .replies = mem_alloc(sizeof *r->replies * n),
                 .last = mem_alloc(sizeof *r->last * n)};
    for (int i = 0; i < r->n; i++) {
        r->open[i] = i;
        r->messages[i] =
            json_incref(json_object_get(json_array_get(p->lines, (size_t)i), "messages"));
    }
    return r;
}

static void round_close(Round *r)
{
    replies_free(r->replies, r->n_open);
    replies_free(r->last, r->n);
    for (int i = 0; i < r->n; i++)
        json_decref(r->messages[i]);
    mem_free(r->open);
    mem_free(r->messages);
    mem_free(r->questions);
    mem_free(r->replies);
    mem_free(r->last);
    mem_free(r);
}

/* The reply follows those before it. */
static void join(Reply *last, Reply *reply)
{
    json_t *calls = last->tool_calls ? last->tool_calls : json_array();
    const int n_tokens = last->n_tokens + reply->n_tokens;
    json_array_extend(calls, reply->tool_calls);
    last->tool_calls = NULL;
    json_decref(reply->tool_calls);
    replies_free(last, 1);
    *last = *reply;
    last->tool_calls = calls;
    last->n_tokens = n_tokens;
    *reply = (Reply){0};
}

static bool run_round(Problems *p, Round *r, int mode, const Asker *asker,
                      const ProblemJudge *judge, Error *err)
{
    const EvalOptions *eval = &p->config->eval;
    const AskOptions options = {eval->max_tokens, eval->is_greedy, (uint64_t)p->config->seed};
    for (int k = 0; k < r->n_open; k++) {
        const json_t *problem = json_array_get(p->lines, (size_t)r->open[k]);
        r->questions[k] = (Question){.messages = r->messages[r->open[k]],
                                     .tools = json_object_get(problem, "tools"),
                                     .thinks = p->is_hybrid ? mode == MODE_THINK : -1};
    }
    if (!asker->ask(asker->context, &options, r->questions, r->n_open, r->replies, err))
        return false;
    int n_open = 0;
    for (int k = 0; k < r->n_open; k++) {
        const int i = r->open[k];
        const json_t *problem = json_array_get(p->lines, (size_t)i);
        json_t *next = judge->follow
                           ? judge->follow(judge->context, problem, r->messages[i], &r->replies[k])
                           : NULL;
        join(&r->last[i], &r->replies[k]);
        if (!next)
            continue;
        json_decref(r->messages[i]);
        r->messages[i] = next;
        r->open[n_open++] = i;
    }
    r->n_open = n_open;
    return true;
}

static bool run_mode(Problems *p, int mode, const Asker *asker, const ProblemJudge *judge,
                     double *n_tokens, Error *err)
{
    Round *r = round_open(p);
    bool ok = true;
    for (int turn = 0; ok && r->n_open > 0 && turn < TURNS_MAX; turn++)
        ok = run_round(p, r, mode, asker, judge, err);
    for (int i = 0; ok && i < r->n; i++) {
        const json_t *problem = json_array_get(p->lines, (size_t)i);
        p->families[p->family_of[i]].right[mode] +=
            judge->score(judge->context, problem, &r->last[i]);
        *n_tokens += r->last[i].n_tokens;
    }
    round_close(r);
    return ok;
}

bool problems_run(Problems *p, const Asker *asker, const ProblemJudge *judge, RunLog *log,
                  Buf *line, Error *err)
{
    const double n = problems_count(p);
    for (int mode = 0; mode < N_MODES; mode++) {
        double n_tokens = 0, right = 0;
        if (!is_asked(p, mode))
            continue;
        for (int i = 0; i < p->n_families; i++)
            p->families[i].right[mode] = 0;
        if (!run_mode(p, mode, asker, judge, &n_tokens, err))
            return false;
        for (int i = 0; i < p->n_families; i++) {
            const Family *f = &p->families[i];
            right += f->right[mode];
            run_log_set(log, f->columns[mode], f->right[mode] / f->n);
        }
        run_log_set(log, p->columns[mode], right / n);
        run_log_set(log, p->token_columns[mode], n_tokens / n);
        buf_printf(line, "  %.1f %% right%s", 100 * right / n,
                   !p->is_hybrid        ? ""
                   : mode == MODE_THINK ? " thinking"
                                        : " not thinking");
    }
    return true;
}
