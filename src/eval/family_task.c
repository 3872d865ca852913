/* See family_task.h. */
#include "eval/family_task.h"

#include "base/bug.h"
#include "base/hash_index.h"
#include "base/rng.h"
#include "eval/problem_case.h"

#include <stdio.h>

/* For a problem that is none of those before; small families run out. */
enum { TRIES_MAX = 200 };

typedef struct Drawn {
    uint64_t seed;
    int level, lang;
} Drawn;

typedef struct State {
    const TaskFamily *family;
    Drawn *drawn; /* [n_cases] */
} State;

static void make(const State *s, const Drawn *d, Problem *p)
{
    problem_make(p, &(ProblemSpec){.family = s->family,
                                   .split = SPLIT_EVAL,
                                   .difficulty = d->level,
                                   .lang = d->lang,
                                   .seed = d->seed});
}

static bool open_case(const EvalTask *task, int i, EvalCase *c, Error *err)
{
    const State *s = task->state;
    make(s, &s->drawn[i], problem_case_new(c));
    return problem_case_begin(c, err);
}

static void close_task(EvalTask *task)
{
    State *s = task->state;
    mem_free(s->drawn);
    mem_free(s);
}

static uint64_t prompt_hash(const Problem *p)
{
    uint64_t hash = p->n_messages > 0 ? 0 : 1;
    for (int i = 0; i < p->n_messages; i++)
        hash = rng_mix(hash ^ str_hash(p->messages[i].content));
    return hash ^ str_hash(p->answer);
}

/* ---- Drawing --------------------------------------------------------------------------------- */

enum { LEVELS_MAX = 16 };

typedef struct Drawing {
    State *s;
    const FamilyDraw *draw;
    uint64_t stream;
    uint64_t n_tries;
    PairMap seen;
    Problem problem;
    bool has_flags; /* one of them has */
} Drawing;

/* A problem of this level and language that was not drawn before; false: there is none left. */
static bool draw_one(Drawing *g, Drawn *d)
{
    uint32_t unused;
    for (int i = 0; i < TRIES_MAX; i++) {
        d->seed = rng_counter(g->stream, (uint64_t)g->draw->seed, g->n_tries++) >> 16;
        make(g->s, d, &g->problem);
        const uint64_t hash = prompt_hash(&g->problem) >> 1;
        if (pair_map_find(&g->seen, hash, &unused))
            continue;
        pair_map_put(&g->seen, hash, 1);
        g->has_flags |= problem_has_flags(&g->problem);
        return true;
    }
    return false;
}

/* Levels and languages in turn, until there are n or no pair of them has any left. */
static int draw_all(Drawing *g, int from, int to, const int *langs, int n_langs)
{
    bool is_over[LEVELS_MAX * N_LANGS] = {false};
    const int n_levels = to - from + 1, n_pairs = n_levels * n_langs;
    int n = 0, n_over = 0;
    ASSERT(n_levels <= LEVELS_MAX);
    for (int i = 0; n < g->draw->n && n_over < n_pairs; i = (i + 1) % n_pairs) {
        if (is_over[i])
            continue;
        Drawn *d = &g->s->drawn[n];
        *d = (Drawn){.level = from + i % n_levels, .lang = langs[i / n_levels]};
        if (draw_one(g, d)) {
            n++;
        } else {
            is_over[i] = true;
            n_over++;
        }
    }
    return n;
}

EvalTask *family_task_open(const TaskFamily *family, int from, int to, const FamilyDraw *draw,
                           Error *err)
{
    int langs[N_LANGS], n_langs = 0;
    for (int l = 0; l < N_LANGS; l++)
        if (draw->langs[l] && (family->langs & (1u << l)))
            langs[n_langs++] = l;
    if (n_langs == 0) {
        error_set(err, ERROR_ARGUMENT, "the family %s has none of these languages", family->name);
        return NULL;
    }
    EvalTask *task = mem_alloc(sizeof *task);
    State *s = mem_alloc(sizeof *s);
    *task = (EvalTask){.state = s, .open_case = open_case, .close = close_task};
    *s = (State){family, mem_alloc(sizeof *s->drawn * (size_t)draw->n)};
    if (from == 0)
        snprintf(task->name, sizeof task->name, "%s", family->name);
    else
        snprintf(task->name, sizeof task->name, from == to ? "%s:%d" : "%s:%d-%d", family->name,
                 from, to);
    snprintf(task->about, sizeof task->about, "%s", family->about);
    Drawing g = {.s = s, .draw = draw, .stream = str_hash(str_from(task->name))};
    task->n_cases =
        draw_all(&g, from ? from : 1, from ? to : family->difficulty_max, langs, n_langs);
    problem_task_set(task, family);
    task->has_own_mode = g.has_flags;
    pair_map_close(&g.seen);
    problem_close(&g.problem);
    return task;
}

/* ---- Lengths --------------------------------------------------------------------------------- */

enum { LOOKED_AT = 64 };

/* Tokens of the longest of a task's prompts; -1 with an error. */
static int longest(const EvalTask *task, const FamilyDraw *draw, Error *err)
{
    int most = 0;
    for (int i = 0; i < task->n_cases; i++) {
        EvalCase c = {0};
        const int n = task->open_case(task, i, &c, err)
                          ? draw->count(draw->count_context, c.messages, err)
                          : -1;
        eval_case_close(task, &c);
        if (n < 0)
            return -1;
        most = n > most ? n : most;
    }
    return most;
}

EvalTask *family_task_open_long(const TaskFamily *family, int n_tokens, const FamilyDraw *draw,
                                Error *err)
{
    FamilyDraw few = *draw;
    int level = family->difficulty_max + 1, n;
    few.n = LOOKED_AT;
    do {
        level--;
        EvalTask *task = family_task_open(family, level, level, &few, err);
        n = task ? longest(task, draw, err) : -1;
        eval_task_close(task);
        if (n < 0)
            return NULL;
    } while (n > n_tokens && level > 1);
    if (n > n_tokens) {
        error_set(err, ERROR_ARGUMENT, "%s@%d: even level 1 has prompts of %d tokens", family->name,
                  n_tokens, n);
        return NULL;
    }
    EvalTask *task = family_task_open(family, level, level, draw, err);
    if (task)
        snprintf(task->name, sizeof task->name, "%s@%d", family->name, n_tokens);
    return task;
}
