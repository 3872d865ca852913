/* See eval_run.h.
 *
 * Conversations are numbered: task by task, case by case, setting by setting, so that a case's
 * prompt is found computed by its later settings. They are begun in this order, end in any, and are
 * written in this order again: a ring holds those that wait for an earlier one. */
#include "eval/eval_run.h"

#include "base/clock.h"
#include "base/hash.h"
#include "eval/eval_samples.h"
#include "tasks/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RING_PER_SLOT = 8, WAIT_MS = 5, PROGRESS_EVERY = 16 };

typedef struct Talk {
    int task_i, case_i, setting_i;
    EvalCase c;
    json_t *turns;
    EvalRecord record;
    Buf line; /* for the samples */
    bool is_done;
} Talk;

typedef struct Loop {
    const EvalJob *job;
    const EvalAsker *asker;
    EvalRecords *r;
    SampleFile **files; /* [task]; NULL: no folder */
    Talk *ring;         /* talk number i is at i % n_ring */
    int n_ring;
    int64_t *slots; /* the number of the talk in each slot; -1: none */
    int64_t n_begun, n_written;
    int64_t n_all, n_kept;
    int task_i, case_i, setting_i; /* the next one to begin */
    EvalTurn turn;
} Loop;

static Talk *talk_at(Loop *l, int64_t number) { return &l->ring[number % l->n_ring]; }

/* ---- One conversation ------------------------------------------------------------------------ */

static bool talk_error(const Loop *l, const Talk *t, Error *err)
{
    const json_t *id = json_object_get(t->c.doc, "id");
    if (id)
        return error_add(err, "%s", json_string_value(id));
    return error_add(err, "%s: case %d", l->r->tasks->items[t->task_i]->name, t->case_i);
}

/* "/no_think" behind the last thing that the user says. */
static void add_flag(EvalCase *c)
{
    for (size_t i = json_array_size(c->messages); i-- > 0;) {
        json_t *message = json_array_get(c->messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        const char *content = json_string_value(json_object_get(message, "content"));
        if (!role || !content || strcmp(role, "user") != 0)
            continue;
        Buf flagged = {0};
        buf_printf(&flagged, "%s /no_think", content);
        json_object_set_new(message, "content", json_stringn(flagged.data, flagged.bytes));
        buf_free(&flagged);
        return;
    }
}

static uint64_t doc_hash(const json_t *doc)
{
    char *text = json_dumps(doc, JSON_COMPACT | JSON_SORT_KEYS);
    const uint64_t hash = text ? hash_bytes(0, str_from(text)) : 0;
    free(text);
    return hash;
}

/* Not *fits: the conversation is longer than the context. */
static bool send(Loop *l, Talk *t, int slot, bool *fits, Error *err)
{
    const EvalSetting *setting = &l->r->settings->items[t->setting_i];
    const EvalPrompt prompt = {.messages = t->c.messages,
                               .tools = t->c.tools,
                               .think = setting->think,
                               .budget = setting->budget,
                               .seed = l->job->seed + t->case_i};
    *fits = l->asker->start(l->asker->context, slot, &prompt, err);
    return *fits || err->code == ERROR_LIMIT || talk_error(l, t, err);
}

static void finish(Loop *l, Talk *t)
{
    const EvalTask *task = l->r->tasks->items[t->task_i];
    t->record.is_there = t->is_done = true;
    *eval_record(l->r, t->task_i, t->case_i, t->setting_i) = t->record;
    if (l->files)
        eval_sample_line(task, &l->r->settings->items[t->setting_i], t->case_i, &t->c, t->turns,
                         &t->record, &t->line);
    eval_case_close(task, &t->c);
    json_decref(t->turns);
    t->turns = NULL;
    l->r->n_asked++;
    l->r->n_tokens += t->record.reply_tokens;
}

/* Takes the loop's turn. Sets *is_over, or sends what follows. A conversation that has outgrown the
 * context is over: its next turn is empty. */
static bool take(Loop *l, Talk *t, int slot, bool *is_talk_over, Error *err)
{
    const EvalTask *task = l->r->tasks->items[t->task_i];
    EvalTurn *turn = &l->turn;
    for (bool fits = false; !fits;) {
        json_array_append_new(t->turns, eval_sample_turn(turn));
        t->record.prompt_tokens = turn->prompt_tokens;
        t->record.thinking_tokens += turn->thinking_tokens;
        t->record.reply_tokens += turn->reply_tokens;
        t->record.is_cut |= strcmp(turn->finish, "length") == 0;
        t->record.was_closed |= turn->was_closed;
        t->record.has_thought = check_trim(buf_str(&turn->thinking)).bytes > 0;
        t->c.n_turns++;
        *is_talk_over = !task->take(task, &t->c, turn, t->record.values);
        if (*is_talk_over) {
            finish(l, t);
            return true;
        }
        if (!send(l, t, slot, &fits, err))
            return false;
        eval_turn_clear(turn);
        turn->finish = "length";
    }
    return true;
}

/* A prompt that does not fit is no case. */
static void leave_out(Loop *l, Talk *t, const Error *why)
{
    EvalRecords *r = l->r;
    EvalLeftOut *left_out = &r->left_out[t->task_i];
    if (left_out->n++ == 0)
        snprintf(left_out->why, sizeof left_out->why, "%.199s", why->message);
    eval_case_close(r->tasks->items[t->task_i], &t->c);
    json_decref(t->turns);
    t->turns = NULL;
    t->is_done = true;
}

/* ---- The next one ---------------------------------------------------------------------------- */

static bool has_room(const Loop *l) { return l->n_begun - l->n_written < l->n_ring; }

static bool is_over(const Loop *l) { return l->task_i == l->r->tasks->n; }

static void step(Loop *l)
{
    if (++l->setting_i < l->r->settings->n)
        return;
    l->setting_i = 0;
    if (++l->case_i < l->r->tasks->items[l->task_i]->n_cases)
        return;
    l->case_i = 0;
    l->task_i++;
}

/* Opens the case that is next; false in *is_new when there is nothing to ask about it. */
static bool open_next(Loop *l, Talk *t, bool *is_new, Error *err)
{
    const EvalTask *task = l->r->tasks->items[l->task_i];
    const EvalRecord *kept = eval_record(l->r, l->task_i, l->case_i, l->setting_i);
    EvalLabels *labels = &l->r->labels[l->task_i][l->case_i];
    *is_new = false;
    if (task->n_cases == 0 || !eval_is_asked(l->r, l->task_i, l->setting_i))
        return true;
    t->task_i = l->task_i;
    t->case_i = l->case_i;
    t->setting_i = l->setting_i;
    if (!task->open_case(task, t->case_i, &t->c, err))
        return error_add(err, "%s: case %d", task->name, t->case_i);
    t->record = (EvalRecord){.doc_hash = doc_hash(t->c.doc)};
    *labels = (EvalLabels){true, t->c.level, t->c.lang, t->c.kind};
    if (kept->is_there && kept->doc_hash != t->record.doc_hash)
        return error_set(err, ERROR_ARGUMENT,
                         "%s: sample %d in %s is of another problem (another version of the task); "
                         "give another --out",
                         task->name, t->case_i, l->job->dir);
    *is_new = !kept->is_there;
    if (!*is_new) {
        l->r->n_kept++;
        eval_case_close(task, &t->c);
    } else if (l->r->settings->items[t->setting_i].is_flagged) {
        add_flag(&t->c);
    }
    return true;
}

/* Begins conversations until the slot has one or there is none. */
static bool begin(Loop *l, int slot, Error *err)
{
    while (!is_over(l) && l->slots[slot] < 0 && has_room(l)) {
        Talk *t = talk_at(l, l->n_begun);
        bool is_new;
        if (!open_next(l, t, &is_new, err))
            return false;
        step(l);
        if (!is_new)
            continue;
        t->turns = json_array();
        t->is_done = false;
        bool fits;
        if (!send(l, t, slot, &fits, err))
            return false;
        l->n_begun++;
        if (fits)
            l->slots[slot] = l->n_begun - 1;
        else
            leave_out(l, t, err);
    }
    return true;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static bool write_done(Loop *l, Error *err)
{
    for (; l->n_written < l->n_begun && talk_at(l, l->n_written)->is_done; l->n_written++) {
        Talk *t = talk_at(l, l->n_written);
        if (l->files && !eval_samples_add(l->files[t->task_i], buf_str(&t->line), err))
            return false;
        buf_clear(&t->line);
        t->is_done = false;
        if (l->job->progress && (l->n_written + 1) % PROGRESS_EVERY == 0)
            l->job->progress(l->job->progress_context, l->r, l->r->n_kept + l->r->n_asked,
                             l->n_all);
    }
    for (int t = 0; l->files && t < l->r->tasks->n; t++)
        if (!eval_samples_flush(l->files[t], err))
            return false;
    return true;
}

/* One round over the slots; *n_busy of them wait for the model, *has_news: something came. */
static bool round_over(Loop *l, int *n_busy, bool *has_news, Error *err)
{
    *n_busy = 0;
    *has_news = false;
    for (int slot = 0; slot < l->asker->n_slots; slot++) {
        bool is_done = false, is_talk_over = false;
        if (l->slots[slot] >= 0 &&
            !l->asker->poll(l->asker->context, slot, 0, &l->turn, &is_done, err))
            return talk_error(l, talk_at(l, l->slots[slot]), err);
        if (is_done && !take(l, talk_at(l, l->slots[slot]), slot, &is_talk_over, err))
            return false;
        if (is_talk_over)
            l->slots[slot] = -1;
        if (l->slots[slot] < 0 && !begin(l, slot, err))
            return false;
        *has_news |= is_done;
        *n_busy += l->slots[slot] >= 0;
    }
    return true;
}

/* Waits a little for the oldest conversation. */
static bool wait_for_news(Loop *l, Error *err)
{
    int oldest = -1;
    for (int slot = 0; slot < l->asker->n_slots; slot++)
        if (l->slots[slot] >= 0 && (oldest < 0 || l->slots[slot] < l->slots[oldest]))
            oldest = slot;
    bool is_done = false, is_talk_over = false;
    Talk *t = talk_at(l, l->slots[oldest]);
    if (!l->asker->poll(l->asker->context, oldest, WAIT_MS, &l->turn, &is_done, err))
        return talk_error(l, t, err);
    if (is_done && !take(l, t, oldest, &is_talk_over, err))
        return false;
    if (is_talk_over)
        l->slots[oldest] = -1;
    return true;
}

static bool run(Loop *l, Error *err)
{
    for (int n_busy = 1; n_busy > 0 || !is_over(l);) {
        bool has_news;
        if (l->job->stop && *l->job->stop)
            return error_set(err, ERROR_CANCELLED,
                             l->files ? "stopped; the same command goes on from there"
                                      : "stopped; with --out DIR the same command would go on");
        if (!round_over(l, &n_busy, &has_news, err) || !write_done(l, err))
            return false;
        if (n_busy > 0 && !has_news && (!wait_for_news(l, err) || !write_done(l, err)))
            return false;
    }
    return true;
}

/* A task of which nothing fits is an error. */
static bool check_left_out(const EvalRecords *r, Error *err)
{
    for (int t = 0; t < r->tasks->n; t++) {
        int n = 0;
        for (int i = 0; r->left_out[t].n > 0 && i < r->tasks->items[t]->n_cases; i++)
            for (int s = 0; s < r->settings->n; s++)
                n += eval_record(r, t, i, s)->is_there;
        if (r->left_out[t].n > 0 && n == 0)
            return error_set(err, ERROR_LIMIT, "%s: none of its prompts fits: %s",
                             r->tasks->items[t]->name, r->left_out[t].why);
    }
    return true;
}

static int64_t count_all(const EvalRecords *r)
{
    int64_t n = 0;
    for (int t = 0; t < r->tasks->n; t++)
        for (int s = 0; s < r->settings->n; s++)
            n += eval_is_asked(r, t, s) ? r->tasks->items[t]->n_cases : 0;
    return n;
}

static bool open_files(Loop *l, Error *err)
{
    if (!l->job->dir)
        return true;
    l->files = mem_alloc(sizeof(SampleFile *) * (size_t)l->r->tasks->n);
    for (int t = 0; t < l->r->tasks->n; t++)
        if (!(l->files[t] = eval_samples_open(l->job->dir, l->r, t, err)))
            return false;
    return true;
}

static void close(Loop *l)
{
    for (int64_t i = l->n_written; i <= l->n_begun;
         i++) { /* the last one may have failed to begin */
        Talk *t = talk_at(l, i);
        if (t->c.doc || t->c.state)
            eval_case_close(l->r->tasks->items[t->task_i], &t->c);
        json_decref(t->turns);
        t->turns = NULL;
    }
    for (int i = 0; i < l->n_ring; i++)
        buf_free(&l->ring[i].line);
    for (int t = 0; l->files && t < l->r->tasks->n; t++)
        eval_samples_close(l->files[t]);
    mem_free(l->files);
    mem_free(l->ring);
    mem_free(l->slots);
    eval_turn_free(&l->turn);
}

bool eval_run(const EvalJob *job, const EvalAsker *asker, EvalRecords *r, Error *err)
{
    const double began_s = clock_seconds();
    Loop l = {.job = job, .asker = asker, .r = r, .n_all = count_all(r)};
    l.n_ring = RING_PER_SLOT * asker->n_slots;
    l.ring = mem_alloc(sizeof *l.ring * (size_t)l.n_ring);
    l.slots = mem_alloc(sizeof *l.slots * (size_t)asker->n_slots);
    for (int i = 0; i < asker->n_slots; i++)
        l.slots[i] = -1;
    eval_turn_clear(&l.turn);
    const bool ok = open_files(&l, err) && run(&l, err) && check_left_out(r, err);
    close(&l);
    r->seconds = clock_seconds() - began_s;
    return ok;
}
