/* wen_engine: the model thread. It alone steps the Engine; others post tasks to it, oldest first,
 * and it hands out events through each reply's queue. Scores run between two steps. */
#include "api/api.h"

#include "backend/profile.h"
#include "base/bug.h"
#include "base/clock.h"
#include "engine/assets.h"

#include <signal.h>
#include <string.h>

enum { REPLIES_MAX = 1024 };

wen_engine_options wen_engine_options_defaults(void) { return (wen_engine_options){0}; }

/* ---- Turns ----------------------------------------------------------------------------------- */

/* In the order of their addresses, so that no two engines wait for each other. */
static void take_turns(wen_model *a, wen_model *b)
{
    wen_model *first = b && b < a ? b : a, *second = first == a ? b : a;
    turn_take(&first->turn);
    if (second && second != first)
        turn_take(&second->turn);
}

static void give_turns(wen_model *a, wen_model *b)
{
    turn_give(&a->turn);
    if (b && b != a)
        turn_give(&b->turn);
}

void engine_take_turn(wen_engine *e) { take_turns(e->model, e->draft); }
void engine_give_turn(wen_engine *e) { give_turns(e->model, e->draft); }

/* ---- The model thread ------------------------------------------------------------------------ */

bool engine_post(wen_engine *e, Task *task, Error *err)
{
    if (e->is_closing)
        return error_set(err, ERROR_CANCELLED, "the engine is being closed");
    task->next = NULL;
    *(e->last ? &e->last->next : &e->first) = task;
    e->last = task;
    e->n_refs++;
    pthread_cond_signal(&e->work);
    return true;
}

static Task *take_task(wen_engine *e)
{
    Task *task = e->first;
    if (!task)
        return NULL;
    e->first = task->next;
    if (!e->first)
        e->last = NULL;
    return task;
}

/* A reply that nobody waits for any more goes here, an unread one with its wen_reply_free. */
static void finish_reply(wen_engine *e, wen_reply *r)
{
    r->is_done = true;
    e->n_unfinished--;
    if (r->is_released) {
        reply_destroy(r);
        e->n_refs--;
    }
}

static void begin_reply(wen_engine *e, wen_reply *r)
{
    Error err = {0};
    r->id = r->is_cancelled ? 0 : engine_add(e->engine, &r->request, &err);
    if (r->id) {
        r->next_active = e->active;
        e->active = r;
        return;
    }
    Usage none = {.prompt_tokens = r->request.n_prompt};
    reply_push_done(r, r->is_cancelled ? WEN_FINISH_CANCELLED : WEN_FINISH_ERROR, &none,
                    err.message);
    finish_reply(e, r);
}

static void run_score(wen_engine *e, ScoreJob *job)
{
    pthread_mutex_unlock(&e->mutex);
    score_run(e, job);
    pthread_mutex_lock(&e->mutex);
    job->is_done = true;
    pthread_cond_signal(&job->done);
}

static void begin_tasks(wen_engine *e)
{
    for (Task *task; !e->is_closing && (task = take_task(e));) {
        if (task->reply)
            begin_reply(e, task->reply);
        else
            run_score(e, task->score);
    }
}

static void cancel_marked(wen_engine *e)
{
    for (wen_reply *r = e->active; r; r = r->next_active)
        if (r->is_cancelled || e->is_closing)
            engine_cancel(e->engine, r->id);
}

static void deliver(wen_engine *e)
{
    for (wen_reply **link = &e->active; *link;) {
        wen_reply *r = *link;
        Event event = {0};
        bool is_done = false;
        while (!is_done && engine_next(e->engine, r->id, &event)) {
            is_done = event.kind == EVENT_DONE;
            reply_push_event(r, &event);
        }
        if (is_done) {
            *link = r->next_active;
            finish_reply(e, r);
        } else {
            link = &r->next_active;
        }
    }
    e->stats = engine_stats(e->engine);
}

static void refuse_tasks(wen_engine *e)
{
    for (Task *task; (task = take_task(e));) {
        if (task->reply) {
            task->reply->is_cancelled = true;
            begin_reply(e, task->reply);
        } else {
            task->score->is_done = true;
            error_set(&task->score->err, ERROR_CANCELLED, "the engine was closed");
            pthread_cond_signal(&task->score->done);
        }
    }
}

static void step(wen_engine *e)
{
    const double started = clock_seconds();
    engine_step(e->engine);
    profile_add_step(e->model->backend, clock_seconds() - started);
}

static void *model_thread(void *argument)
{
    wen_engine *e = argument;
    pthread_mutex_lock(&e->mutex);
    for (;;) {
        begin_tasks(e);
        cancel_marked(e);
        deliver(e);
        if (e->is_closing)
            break;
        if (!e->active) {
            if (!e->first)
                pthread_cond_wait(&e->work, &e->mutex);
            continue;
        }
        pthread_mutex_unlock(&e->mutex);
        engine_take_turn(e);
        step(e);
        engine_give_turn(e);
        pthread_mutex_lock(&e->mutex);
        deliver(e);
    }
    ASSERT(!e->active);
    refuse_tasks(e);
    pthread_mutex_unlock(&e->mutex);
    return NULL;
}

/* ---- Open and close -------------------------------------------------------------------------- */

static bool check_options(const wen_model *m, const wen_engine_options *o, Error *err)
{
    if (!m->model)
        return error_set(err, ERROR_ARGUMENT, "%s was opened without its weights", m->path);
    if (o->context < 0 || o->max_sequences < 0 || o->max_sequences > 4096 || o->max_replies < 0)
        return error_set(err, ERROR_ARGUMENT,
                         "context %d, max_sequences %d (at most 4096), max_replies %d: one is out "
                         "of range",
                         o->context, o->max_sequences, o->max_replies);
    if (o->speculation < WEN_SPECULATE_AUTO || o->speculation > WEN_SPECULATE_DRAFT)
        return error_set(err, ERROR_ARGUMENT, "speculation %d: there is no such", o->speculation);
    if (o->speculation == WEN_SPECULATE_DRAFT && !o->draft)
        return error_set(err, ERROR_ARGUMENT, "speculation by a draft model needs one (--draft)");
    if (o->draft && !o->draft->model)
        return error_set(err, ERROR_ARGUMENT, "the draft model %s was opened without its weights",
                         o->draft->path);
    return true;
}

static void choose_speculation(const wen_engine_options *o, EngineOptions *options)
{
    const bool is_auto = o->speculation == WEN_SPECULATE_AUTO;
    if (is_auto || o->speculation == WEN_SPECULATE_LOOKUP)
        options->speculation |= 1 << DRAFT_LOOKUP;
    if ((is_auto && o->draft) || o->speculation == WEN_SPECULATE_DRAFT) {
        options->speculation |= 1 << DRAFT_MODEL;
        options->draft_model = o->draft->model;
        options->draft_tokenizer = o->draft->tokenizer;
    }
}

static Engine *open_inner(wen_model *m, const wen_engine_options *o, Error *err)
{
    int32_t eos[CONFIG_EOS_MAX];
    EngineOptions options = {
        .context = o->context,
        .kv_bytes = o->kv_bytes,
        .max_sequences = o->max_sequences,
        .eos_ids = eos,
        .n_eos = assets_generation_eos(m->generation, m->config.n_vocab, eos),
    };
    if (!check_options(m, o, err) || !kv_type_from_name(m, o->kv_type, &options.kv_type, err))
        return NULL;
    choose_speculation(o, &options);
    take_turns(m, o->draft);
    Engine *engine = engine_open(m->model, m->tokenizer, &options, err);
    give_turns(m, o->draft);
    return engine;
}

/* Signals are for the program's own threads. */
static bool start_thread(wen_engine *e, Error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&e->thread, NULL, model_thread, e);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed
               ? error_set(err, ERROR_MEMORY, "cannot start the model thread: %s", strerror(failed))
               : true;
}

static void engine_destroy(wen_engine *e)
{
    engine_take_turn(e);
    engine_close(e->engine);
    engine_give_turn(e);
    grammar_cache_close(&e->grammars);
    pthread_mutex_destroy(&e->mutex);
    pthread_cond_destroy(&e->work);
    adapter_list_give(&e->adapters);
    wen_model_close(e->model);
    wen_model_close(e->draft);
    mem_free(e);
}

wen_engine *wen_engine_open(wen_model *m, const wen_engine_options *options, wen_error *err)
{
    wen_engine_options defaults = wen_engine_options_defaults();
    Error error = {0};
    if (!options)
        options = &defaults;
    Engine *inner = open_inner(m, options, &error);
    if (!inner) {
        api_fail(err, &error);
        return NULL;
    }
    wen_engine *e = mem_alloc(sizeof *e);
    e->model = model_ref(m);
    e->draft = options->draft ? model_ref(options->draft) : NULL;
    e->engine = inner;
    e->n_replies_max = options->max_replies ? options->max_replies : REPLIES_MAX;
    e->n_refs = 1;
    grammar_cache_open(&e->grammars);
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->work, NULL);
    if (adapter_list_take(&e->adapters, m, options->adapters, options->n_adapters, &error) &&
        start_thread(e, &error))
        return e;
    engine_destroy(e);
    api_fail(err, &error);
    return NULL;
}

void engine_unref_unlock(wen_engine *e)
{
    bool is_last = --e->n_refs == 0;
    pthread_mutex_unlock(&e->mutex);
    if (is_last)
        engine_destroy(e);
}

void wen_engine_close(wen_engine *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->mutex);
    e->is_closing = true;
    pthread_cond_signal(&e->work);
    pthread_mutex_unlock(&e->mutex);
    pthread_join(e->thread, NULL);
    pthread_mutex_lock(&e->mutex);
    engine_unref_unlock(e);
}

int wen_engine_context(const wen_engine *e) { return engine_context(e->engine); }

wen_engine_stats wen_engine_get_stats(wen_engine *e)
{
    pthread_mutex_lock(&e->mutex);
    EngineStats s = e->stats;
    pthread_mutex_unlock(&e->mutex);
    return (wen_engine_stats){
        .n_running = s.n_running,
        .n_waiting = s.n_waiting,
        .n_pages = s.n_pages,
        .n_pages_held = s.n_pages_held,
        .n_pages_cached = s.n_pages_cached,
        .n_steps = s.n_steps,
        .n_preemptions = s.n_preemptions,
        .prompt_tokens = s.prompt_tokens,
        .cached_tokens = s.cached_tokens,
        .generated_tokens = s.generated_tokens,
        .n_drafts = s.n_drafts,
        .drafted_tokens = s.drafted_tokens,
        .accepted_tokens = s.accepted_tokens,
    };
}
