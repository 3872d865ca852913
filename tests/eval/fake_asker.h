/* A model that is none: it knows the families' own solutions, and gives wrong ones as it is told.
 * What it is asked is found by the texts of the conversation. */
#ifndef WEN_TESTS_FAKE_ASKER_H
#define WEN_TESTS_FAKE_ASKER_H

#include "eval/eval_asker.h"
#include "eval/task_list.h"
#include "tasks/tasks.h"

#include <stdlib.h>
#include <string.h>

enum { FAKE_SLOTS = 8, FAKE_KNOWN_MAX = 4096 };

typedef struct FakeKnown {
    uint64_t prompt; /* hash of the messages' contents */
    char *id;
} FakeKnown;

typedef struct Fake {
    FakeKnown known[FAKE_KNOWN_MAX];
    int n_known;
    EvalTurn turns[FAKE_SLOTS];
    int polls[FAKE_SLOTS]; /* until it is done: the later slots answer first */
    int n_asked;
    int limit;       /* prompts of more messages do not fit; 0: none */
    int fails_at;    /* this call of start is an error; 0: none */
    int wrong_every; /* every such prompt is answered wrong; 0: none */
    int right_from;  /* below this budget of thought all is wrong; 0: never */
    bool plain_is_wrong;
    char *(*script)(const EvalPrompt *prompt); /* answers instead; NULL: the solutions */
    const char *thought;                       /* of the script; NULL: none */
} Fake;

static inline uint64_t fake_hash(const json_t *messages)
{
    uint64_t hash = 1;
    const json_t *message;
    size_t i;
    json_array_foreach(messages, i, message)
    {
        const char *content = json_string_value(json_object_get(message, "content"));
        if (strcmp(json_string_value(json_object_get(message, "role")), "user") == 0 && content)
            hash = hash * 31 + str_hash(str_from(content));
    }
    return hash;
}

/* Learns the tasks' problems. */
static inline void fake_learn(Fake *f, const TaskList *list)
{
    for (int t = 0; t < list->n; t++)
        for (int i = 0; i < list->items[t]->n_cases; i++) {
            EvalCase c = {0};
            Error err = {0};
            assert_ok(list->items[t]->open_case(list->items[t], i, &c, &err));
            assert_true(f->n_known < FAKE_KNOWN_MAX);
            f->known[f->n_known++] = (FakeKnown){
                fake_hash(c.messages), strdup(json_string_value(json_object_get(c.doc, "id")))};
            eval_case_close(list->items[t], &c);
        }
}

static inline void fake_close(Fake *f)
{
    for (int i = 0; i < f->n_known; i++)
        free(f->known[i].id);
    for (int i = 0; i < FAKE_SLOTS; i++)
        eval_turn_free(&f->turns[i]);
}

/* "chain-eval-2-en-17" made again. */
static inline void fake_remake(const char *id, Problem *p)
{
    char family[64], split[16], lang[8];
    ProblemSpec spec = {.split = SPLIT_EVAL};
    unsigned long long seed;
    TaskLang l = LANG_EN;
    assert_int_equal(
        sscanf(id, "%63[^-]-%15[^-]-%d-%7[^-]-%llu", family, split, &spec.difficulty, lang, &seed),
        5);
    assert_true(task_lang_parse(str_from(lang), &l));
    spec.family = task_find(family);
    spec.lang = (int)l;
    spec.seed = seed;
    problem_make(p, &spec);
}

static inline void fake_solve(Fake *f, const EvalPrompt *prompt, EvalTurn *turn)
{
    const uint64_t hash = fake_hash(prompt->messages);
    int k = 0, n_tools = 0, step = 0;
    while (k < f->n_known && f->known[k].prompt != hash)
        k++;
    assert_true(k < f->n_known);
    Problem p = {0};
    fake_remake(f->known[k].id, &p);
    for (size_t i = (size_t)p.n_messages; i < json_array_size(prompt->messages); i++)
        n_tools +=
            strcmp(json_string_value(json_object_get(json_array_get(prompt->messages, i), "role")),
                   "tool") == 0;
    for (step = 0; step < p.n_solution && n_tools > 0; step++)
        n_tools -= p.solution[step].role == ROLE_TOOL;
    const TaskMessage *m = &p.solution[step];
    const bool thinks = prompt->think == 1 || (prompt->think < 0 && p.mode != MODE_NO_THINK);
    if (thinks) {
        buf_add(&turn->thinking, m->thinking);
        turn->thinking_tokens = 10;
    }
    const bool is_wrong = (f->wrong_every && k % f->wrong_every == 0) ||
                          (f->plain_is_wrong && !thinks) ||
                          (prompt->budget >= 0 && prompt->budget < f->right_from);
    if (is_wrong)
        buf_puts(&turn->content, "wrong ");
    buf_add(&turn->content, m->content);
    for (int c = 0; c < m->n_calls; c++)
        json_array_append_new(turn->calls,
                              json_pack("{s:s%, s:s%}", "name", m->calls[c].name.data,
                                        m->calls[c].name.bytes, "arguments",
                                        m->calls[c].arguments.data, m->calls[c].arguments.bytes));
    turn->finish = m->n_calls ? "tool_calls" : "stop";
    turn->prompt_tokens = 20;
    turn->reply_tokens = turn->thinking_tokens + 5;
    problem_close(&p);
}

static inline bool fake_start(void *context, int slot, const EvalPrompt *prompt, Error *err)
{
    Fake *f = context;
    eval_turn_clear(&f->turns[slot]);
    if (++f->n_asked == f->fails_at)
        return error_set(err, ERROR_DEVICE, "it is broken");
    if (f->limit && (int)json_array_size(prompt->messages) > f->limit)
        return error_set(err, ERROR_LIMIT, "it does not fit");
    f->polls[slot] = FAKE_SLOTS - slot;
    if (f->script) {
        char *answer = f->script(prompt);
        buf_puts(&f->turns[slot].content, answer);
        buf_puts(&f->turns[slot].thinking, f->thought ? f->thought : "");
        f->turns[slot].finish = "stop";
        free(answer);
    } else {
        fake_solve(f, prompt, &f->turns[slot]);
    }
    return true;
}

static inline bool fake_poll(void *context, int slot, int timeout_ms, EvalTurn *turn, bool *is_done,
                             Error *err)
{
    Fake *f = context;
    (void)timeout_ms, (void)err;
    *is_done = --f->polls[slot] <= 0;
    if (!*is_done)
        return true;
    const EvalTurn whole = f->turns[slot];
    f->turns[slot] = *turn;
    *turn = whole;
    return true;
}

static inline EvalAsker fake_asker(Fake *f)
{
    return (EvalAsker){FAKE_SLOTS, fake_start, fake_poll, f};
}

#endif
