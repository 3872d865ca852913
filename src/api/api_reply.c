/* wen_reply: asking, and the events on their way to the reader. */
#include "api/api.h"

#include "base/bug.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

_Static_assert((int)WEN_EVENT_DONE == (int)EVENT_DONE, "the kinds are the same");
_Static_assert((int)WEN_FINISH_NO_MEMORY == (int)FINISH_NO_MEMORY, "the reasons are the same");

wen_request wen_request_defaults(void)
{
    return (wen_request){
        .think = -1,
        .think_budget = -1,
        .sampling = {.temperature = NAN,
                     .top_p = NAN,
                     .min_p = NAN,
                     .top_k = -1,
                     .repetition_penalty = NAN,
                     .presence_penalty = NAN,
                     .frequency_penalty = NAN,
                     .seed = -1},
        .n_logprobs = -1,
        .parses_tools = -1,
        .n_adapters = -1,
    };
}

const char *wen_finish_name(wen_finish finish)
{
    return finish == WEN_FINISH_ERROR ? "error" : finish_reason_name((FinishReason)finish);
}

/* ---- Queues of events ------------------------------------------------------------------------ */

/* Doubles an array; the old items are kept. */
static void *grow(void *items, size_t item_bytes, int n, int *n_max, int n_needed)
{
    while (*n_max < n_needed)
        *n_max = *n_max ? 2 * *n_max : 16;
    void *grown = mem_alloc(item_bytes * (size_t)*n_max);
    if (n)
        memcpy(grown, items, item_bytes * (size_t)n);
    mem_free(items);
    return grown;
}

static void queue_push(EventQueue *q, const QueuedEvent *event, Str text, const wen_top *tops)
{
    QueuedEvent *last = q->n > 0 ? &q->items[q->n - 1] : NULL;
    bool joins = last && last->kind == event->kind && last->call_i == event->call_i &&
                 (event->kind == WEN_EVENT_THINKING || event->kind == WEN_EVENT_TEXT ||
                  event->kind == WEN_EVENT_TOOL_ARGUMENTS);
    if (joins) {
        q->text.bytes--; /* the NUL */
    } else {
        if (q->n == q->n_max)
            q->items = grow(q->items, sizeof *q->items, q->n, &q->n_max, q->n + 1);
        last = &q->items[q->n++];
        *last = *event;
        last->text_from = q->text.bytes;
        last->top_from = q->n_tops;
    }
    buf_add(&q->text, text);
    last->text_bytes += text.bytes;
    buf_putc(&q->text, '\0');
    if (event->n_top == 0)
        return;
    if (q->n_tops + event->n_top > q->n_tops_max)
        q->tops =
            grow(q->tops, sizeof *q->tops, q->n_tops, &q->n_tops_max, q->n_tops + event->n_top);
    memcpy(q->tops + q->n_tops, tops, sizeof *tops * (size_t)event->n_top);
    q->n_tops += event->n_top;
}

static void queue_clear(EventQueue *q)
{
    q->n = q->next = q->n_tops = 0;
    buf_clear(&q->text);
}

static void queue_free(EventQueue *q)
{
    mem_free(q->items);
    mem_free(q->tops);
    buf_free(&q->text);
}

void reply_push_done(wen_reply *r, wen_finish finish, const Usage *u, const char *text)
{
    r->finish = finish;
    r->usage = (wen_usage){
        .prompt_tokens = u->prompt_tokens,
        .cached_tokens = u->cached_tokens,
        .completion_tokens = u->completion_tokens,
        .reasoning_tokens = u->reasoning_tokens,
        .context_is_full = u->context_is_full,
        .thought_was_closed = u->thought_was_closed,
        .drafted_tokens = u->drafted_tokens,
        .accepted_tokens = u->accepted_tokens,
        .prefill_seconds = u->prefill_seconds,
        .decode_seconds = u->decode_seconds,
    };
    queue_push(&r->back, &(QueuedEvent){.kind = WEN_EVENT_DONE}, str_from(text), NULL);
    pthread_cond_signal(&r->arrived);
}

void reply_push_event(wen_reply *r, const Event *e)
{
    if (e->kind == EVENT_DONE) {
        r->stop_i = e->stop_i;
        reply_push_done(r, (wen_finish)e->reason, &e->usage, "");
        return;
    }
    if (r->is_released)
        return;
    QueuedEvent event = {
        .kind = (wen_event_kind)e->kind,
        .call_i = e->call_i,
        .id = e->id,
        .logprob = e->logprob,
        .is_forced = e->is_forced,
        .n_top = e->n_top,
    };
    Str text =
        e->kind == EVENT_TOKEN ? tokenizer_bytes(r->engine->model->tokenizer, e->id) : e->text;
    wen_top tops[ENGINE_TOP_MAX];
    for (int i = 0; i < e->n_top; i++)
        tops[i] = (wen_top){e->top[i].id, e->top[i].logprob};
    queue_push(&r->back, &event, text, tops);
    pthread_cond_signal(&r->arrived);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void wait_for_event(wen_reply *r, int timeout_ms)
{
    pthread_mutex_t *mutex = &r->engine->mutex;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += timeout_ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    int status = 0;
    while (r->back.n == 0 && status != ETIMEDOUT)
        status = timeout_ms < 0 ? pthread_cond_wait(&r->arrived, mutex)
                                : pthread_cond_timedwait(&r->arrived, mutex, &until);
}

static void hand_out(wen_reply *r, wen_event *event)
{
    const QueuedEvent *e = &r->front.items[r->front.next++];
    *event = (wen_event){
        .kind = e->kind,
        .text = r->front.text.data + e->text_from,
        .text_bytes = e->text_bytes,
        .call_i = e->call_i,
        .id = e->id,
        .logprob = e->logprob,
        .is_forced = e->is_forced,
        .top = r->front.tops ? r->front.tops + e->top_from : NULL,
        .n_top = e->n_top,
    };
    if (e->kind == WEN_EVENT_DONE) {
        r->was_told = true;
        event->finish = r->finish;
        event->usage = r->usage;
        event->stop_i = r->stop_i;
        event->seed = (int64_t)r->request.sampling.seed;
    }
}

wen_next_result wen_next(wen_reply *r, int timeout_ms, wen_event *event)
{
    if (r->was_told)
        return WEN_NEXT_END;
    if (r->front.next == r->front.n) {
        queue_clear(&r->front);
        pthread_mutex_lock(&r->engine->mutex);
        if (r->back.n == 0 && timeout_ms != 0)
            wait_for_event(r, timeout_ms);
        EventQueue filled = r->back;
        r->back = r->front;
        r->front = filled;
        pthread_mutex_unlock(&r->engine->mutex);
        if (r->front.n == 0)
            return WEN_NEXT_TIMEOUT;
    }
    hand_out(r, event);
    return WEN_NEXT_EVENT;
}

int wen_reply_prompt_tokens(const wen_reply *r) { return r->request.n_prompt; }

void wen_cancel(wen_reply *r)
{
    pthread_mutex_lock(&r->engine->mutex);
    r->is_cancelled = true;
    pthread_cond_signal(&r->engine->work);
    pthread_mutex_unlock(&r->engine->mutex);
}

void reply_destroy(wen_reply *r)
{
    queue_free(&r->front);
    queue_free(&r->back);
    pthread_cond_destroy(&r->arrived);
    grammar_unref(r->request.grammar);
    adapter_list_give(&r->adapters);
    arena_close(&r->arena);
    mem_free(r);
}

void wen_reply_free(wen_reply *r)
{
    if (!r)
        return;
    wen_engine *e = r->engine;
    pthread_mutex_lock(&e->mutex);
    if (!r->is_done) { /* the model thread frees it when it lets go */
        r->is_released = r->is_cancelled = true;
        pthread_cond_signal(&e->work);
        pthread_mutex_unlock(&e->mutex);
        return;
    }
    reply_destroy(r);
    engine_unref_unlock(e);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static uint64_t draw_seed(void)
{
    uint32_t seed = 0;
    /* 32 bits: short enough to type again. */
    if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
        seed = (uint32_t)time(NULL);
    return seed;
}

static bool copy_array(Arena *arena, const void **array, size_t bytes, Error *err)
{
    if (bytes == 0)
        return true;
    void *copy = arena_try_alloc(arena, bytes, "a request", err);
    if (copy)
        memcpy(copy, *array, bytes);
    *array = copy;
    return copy != NULL;
}

/* The request as the Engine wants it; its arrays are still the caller's. */
static Request convert(const wen_model *m, const wen_request *r, const Ids *ids)
{
    bool is_off = r->messages && (r->think == 0 || r->think_budget == 0);
    bool can_think = m->think_kind == THINK_ALWAYS || m->think_kind == THINK_HYBRID;
    Request request = request_defaults();
    request.prompt = ids->data;
    request.n_prompt = ids->n;
    request.max_tokens = r->max_tokens;
    request.sampling =
        sampling_resolve(m, &r->sampling, can_think && !(is_off && m->think_kind == THINK_HYBRID));
    if (r->sampling.seed < 0)
        request.sampling.seed = draw_seed();
    /* A template that always opens a thought is switched off by closing it at once. */
    request.think_budget = is_off ? 0 : r->think_budget;
    request.stops = r->stops;
    request.n_stops = r->n_stops;
    request.n_logprobs = r->n_logprobs;
    request.parse_tools = r->parses_tools >= 0 ? r->parses_tools > 0 : r->tools != NULL;
    request.ignore_eos = r->ignores_eos;
    request.cache_salt = r->cache_salt ? str_hash(str_from(r->cache_salt)) : 0;
    return request;
}

static bool own(wen_reply *reply, Error *err)
{
    Request *r = &reply->request;
    Sampling *s = &r->sampling;
    Arena *arena = &reply->arena;
    if (!copy_array(arena, (const void **)&r->prompt, sizeof(int32_t) * (size_t)r->n_prompt, err) ||
        !copy_array(arena, (const void **)&s->bias_ids, sizeof(int32_t) * (size_t)s->n_bias, err) ||
        !copy_array(arena, (const void **)&s->bias, sizeof(float) * (size_t)s->n_bias, err))
        return false;
    const char **stops = ARENA_ARRAY(arena, const char *, r->n_stops);
    for (int i = 0; i < r->n_stops; i++)
        stops[i] = arena_strndup(arena, r->stops[i], strlen(r->stops[i]));
    r->stops = stops;
    return true;
}

/* The request's adapters, or the engine's. */
static bool take_adapters(wen_reply *reply, const wen_engine *e, const wen_request *r, Error *err)
{
    AdapterList *list = &reply->adapters;
    if (r->n_adapters >= 0 && !adapter_list_take(list, e->model, r->adapters, r->n_adapters, err))
        return false;
    for (int i = 0; r->n_adapters < 0 && i < e->adapters.n; i++) {
        const wen_adapter_use use = {e->adapters.handles[i], e->adapters.uses[i].scale};
        if (!adapter_list_take(list, e->model, &use, 1, err))
            return false;
    }
    reply->request.adapters = list->uses;
    reply->request.n_adapters = list->n;
    return true;
}

static wen_reply *make_reply(wen_engine *e, const wen_request *request, Error *err)
{
    wen_reply *reply = mem_alloc(sizeof *reply);
    Ids ids = {0};
    bool ok = prompt_build(e->model, request, &ids, err);
    if (ok) {
        reply->request = convert(e->model, request, &ids);
        ok = take_adapters(reply, e, request, err) &&
             engine_check(e->engine, &reply->request, err) && own(reply, err) &&
             request_grammar(e, request, reply->request.parse_tools, &reply->request.grammar, err);
    }
    ids_free(&ids);
    if (!ok) {
        adapter_list_give(&reply->adapters);
        arena_close(&reply->arena);
        mem_free(reply);
        return NULL;
    }
    reply->engine = e;
    reply->stop_i = -1;
    reply->task.reply = reply;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&reply->arrived, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return reply;
}

wen_reply *wen_ask(wen_engine *e, const wen_request *request, wen_error *err)
{
    Error error = {0};
    wen_reply *reply = make_reply(e, request, &error);
    if (!reply) {
        api_fail(err, &error);
        return NULL;
    }
    pthread_mutex_lock(&e->mutex);
    bool ok = e->n_unfinished < e->n_replies_max
                  ? engine_post(e, &reply->task, &error)
                  : error_set(&error, ERROR_LIMIT, "%d requests are waiting; ask again later",
                              e->n_unfinished);
    e->n_unfinished += ok;
    pthread_mutex_unlock(&e->mutex);
    if (ok)
        return reply;
    reply_destroy(reply);
    api_fail(err, &error);
    return NULL;
}
