/* See exchange.h. */
#include "server/exchange.h"

#include "base/bug.h"
#include "base/clock.h"
#include "server/json_in.h"
#include "server/next_turn.h"
#include "server/server_state.h"

#include <string.h>

enum { WAIT_MS = 50, WAIT_MANY_MS = 5 };

/* ---- Open and close -------------------------------------------------------------------------- */

Exchange *exchange_open_bare(HttpCall *call, const Dialect *dialect, const char *id_prefix)
{
    Fault fault;
    json_t *body = in_body(buf_str(&call->body), &fault);
    if (!body) {
        http_send_fault(call, &fault);
        return NULL;
    }
    buf_free(&call->body);
    Exchange *x = mem_alloc(sizeof *x);
    x->call = call;
    x->dialect = dialect;
    x->body = body;
    x->created = (int64_t)time(NULL);
    server_make_id(x->id, sizeof x->id, id_prefix);
    options_open(&x->options, &call->server->options.defaults);
    Models *models = call->server->models;
    const char *name = json_string_value(in_get(body, "model"));
    if (options_read_made(&x->options, models_made_settings(models, name), &fault))
        return x;
    exchange_refuse(x, &fault);
    return NULL;
}

bool exchange_take_model(Exchange *x, Fault *fault)
{
    x->model = models_take(x->call->server->models, x->options.model, fault);
    if (!x->model)
        return false;
    const int i = model_adapter(x->model, x->options.model);
    x->model_name = i < 0 ? x->model->name : x->model->adapter_names[i];
    if (i >= 0) {
        x->options.ask.adapters = &x->model->adapters[i];
        x->options.ask.n_adapters = 1;
    }
    return true;
}

bool exchange_has_no_adapter(const Exchange *x, Fault *fault)
{
    return x->model_name == x->model->name ||
           fault_set(fault, 501, "model",
                     "model: this is not computed with an adapter of a request");
}

Exchange *exchange_open(HttpCall *call, const Dialect *dialect, const char *id_prefix)
{
    Fault fault;
    Exchange *x = exchange_open_bare(call, dialect, id_prefix);
    if (!x)
        return NULL;
    if (options_read(&x->options, x->body, "", &fault) && exchange_take_model(x, &fault))
        return x;
    exchange_refuse(x, &fault);
    return NULL;
}

static void drop_reply(Exchange *x, Choice *c)
{
    if (!c->reply)
        return;
    wen_reply_free(c->reply);
    c->reply = NULL;
    atomic_fetch_sub(&x->model->n_asked, 1);
}

static void choice_close(Choice *c)
{
    for (int i = 0; i < c->n_calls; i++) {
        buf_free(&c->calls[i].name);
        buf_free(&c->calls[i].arguments);
    }
    mem_free(c->calls);
    mem_free(c->tokens);
    mem_free(c->tops);
    buf_free(&c->thinking);
    buf_free(&c->text);
    buf_free(&c->behind_call);
}

static void tell_log(Exchange *x)
{
    LogRequest *log = &x->call->log;
    wen_usage usage = exchange_usage(x);
    if (x->n_choices == 0)
        return;
    log->model = x->model_name;
    log->prompt_tokens = usage.prompt_tokens;
    log->cached_tokens = usage.cached_tokens;
    log->completion_tokens = usage.completion_tokens;
    log->first_token_seconds = usage.completion_tokens ? usage.prefill_seconds : 0;
    if (x->n_done == x->n_choices)
        log->finish = wen_finish_name(x->choices[0].finish);
}

void exchange_close(Exchange *x)
{
    if (!x)
        return;
    if (!x->has_ended && x->model)
        tell_log(x);
    if (x->model && !server_is_draining(x->call->server))
        next_turn_prepare(x);
    for (int i = 0; i < x->n_choices; i++) {
        drop_reply(x, &x->choices[i]);
        choice_close(&x->choices[i]);
    }
    if (x->model)
        models_give(x->call->server->models, x->model);
    options_close(&x->options);
    json_decref(x->body);
    arena_close(&x->arena);
    mem_free(x);
}

void exchange_refuse(Exchange *x, const Fault *fault)
{
    HttpCall *call = x->call;
    exchange_close(x);
    http_send_fault(call, fault);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

static bool reserve(ServedModel *m, int n, Fault *fault)
{
    int before = atomic_fetch_add(&m->n_asked, n);
    if (before + n <= m->n_asked_max)
        return true;
    atomic_fetch_sub(&m->n_asked, n);
    fault_set(fault, 429, NULL, "%d requests are running or waiting; ask again in a moment",
              before);
    fault->retry_after_s = 1;
    return false;
}

bool exchange_ask(Exchange *x, const wen_request *asks, int n, int n_prompts, Fault *fault)
{
    wen_error err;
    if (!reserve(x->model, n, fault))
        return false;
    x->choices = ARENA_ARRAY(&x->arena, Choice, n);
    x->n_choices = n;
    x->n_prompts = n_prompts;
    x->asked = x->last_sent = clock_seconds();
    models_set_preparing(x->call->server->models, x->model, NULL);
    for (int i = 0; i < n; i++) {
        x->choices[i].reply = wen_ask(x->model->engine, &asks[i], &err);
        if (x->choices[i].reply)
            continue;
        atomic_fetch_sub(&x->model->n_asked, n - i);
        return fault_from_wen(fault, &err);
    }
    Metrics *metrics = &x->call->server->metrics;
    metrics_observe(metrics, HISTOGRAM_N, n / n_prompts);
    if (x->options.ask.max_tokens)
        metrics_observe(metrics, HISTOGRAM_MAX_TOKENS, x->options.ask.max_tokens);
    return true;
}

bool exchange_ask_n(Exchange *x, Fault *fault)
{
    int n = x->options.n, budget = 0;
    wen_request *asks = ARENA_ARRAY(&x->arena, wen_request, n);
    for (int i = 0; i < n; i++) {
        asks[i] = x->options.ask;
        if (asks[i].sampling.seed >= 0)
            asks[i].sampling.seed = (asks[i].sampling.seed + i) & INT64_MAX;
    }
    if (exchange_thinks(x, &budget) && budget >= 0)
        http_add_header(x->call, "Wen-Thinking", "on; budget=%d", budget);
    else
        http_add_header(x->call, "Wen-Thinking", exchange_thinks(x, &budget) ? "on" : "off");
    return exchange_ask(x, asks, n, 1, fault);
}

/* ---- Taking events --------------------------------------------------------------------------- */

static void *grown(void *items, size_t item_bytes, size_t n, size_t *n_max, size_t n_needed)
{
    if (n_needed <= *n_max)
        return items;
    *n_max = n_needed > 2 * *n_max ? n_needed + 16 : 2 * *n_max;
    void *more = mem_alloc(item_bytes * *n_max);
    if (n)
        memcpy(more, items, item_bytes * n);
    mem_free(items);
    return more;
}

static void hand_out(Exchange *x, const Piece *piece, Buf *out)
{
    if (out)
        x->dialect->piece(x, piece, out);
}

static void add_text(Exchange *x, int i, PieceKind kind, Str text, Buf *out)
{
    Choice *c = &x->choices[i];
    if (text.bytes == 0)
        return;
    buf_add(kind == PIECE_TEXT ? &c->text : &c->thinking, text);
    hand_out(x, &(Piece){.kind = kind, .choice_i = i, .text = text}, out);
}

/* --reasoning-parser none: the thought belongs to the content, between its tags. */
static void end_merged_thought(Exchange *x, int i, Buf *out)
{
    if (!x->choices[i].is_in_thought)
        return;
    x->choices[i].is_in_thought = false;
    add_text(x, i, PIECE_TEXT, STR("\n</think>\n\n"), out);
}

static void take_thinking(Exchange *x, int i, Str text, Buf *out)
{
    Choice *c = &x->choices[i];
    if (x->options.hides_thinking) {
        c->n_tokens = c->n_tokens_told; /* its tokens would give it away */
        return;
    }
    if (!x->options.merges_thinking) {
        add_text(x, i, PIECE_THINKING, text, out);
        return;
    }
    if (!c->is_in_thought)
        add_text(x, i, PIECE_TEXT, STR("<think>\n"), out);
    c->is_in_thought = true;
    add_text(x, i, PIECE_TEXT, text, out);
}

static void take_token(Choice *c, const wen_event *e)
{
    c->tokens = grown(c->tokens, sizeof *c->tokens, c->n_tokens, &c->n_tokens_max, c->n_tokens + 1);
    c->tops =
        grown(c->tops, sizeof *c->tops, c->n_tops, &c->n_tops_max, c->n_tops + (size_t)e->n_top);
    c->tokens[c->n_tokens++] = (TokenRecord){e->id, e->logprob, c->n_tops, e->n_top};
    if (e->n_top)
        memcpy(c->tops + c->n_tops, e->top, sizeof *c->tops * (size_t)e->n_top);
    c->n_tops += (size_t)e->n_top;
}

static void call_piece(Exchange *x, int i, PieceKind kind, Str text, Buf *out)
{
    const Choice *c = &x->choices[i];
    hand_out(x,
             &(Piece){.kind = kind,
                      .choice_i = i,
                      .text = text,
                      .call_i = c->n_calls - 1,
                      .call = &c->calls[c->n_calls - 1]},
             out);
}

static void begin_call(Exchange *x, int i, Str name, Buf *out)
{
    Choice *c = &x->choices[i];
    size_t n_max = (size_t)c->n_calls_max;
    c->calls =
        grown(c->calls, sizeof *c->calls, (size_t)c->n_calls, &n_max, (size_t)c->n_calls + 1);
    c->n_calls_max = (int)n_max;
    Call *call = &c->calls[c->n_calls++];
    *call = (Call){0};
    buf_add(&call->name, name);
    server_make_id(call->id, sizeof call->id, "call_");
    call_piece(x, i, PIECE_CALL, name, out);
}

static bool is_in_call(const Choice *c) { return c->n_calls && !c->calls[c->n_calls - 1].is_whole; }

static void add_arguments(Exchange *x, int i, Str text, Buf *out)
{
    Choice *c = &x->choices[i];
    buf_add(&c->calls[c->n_calls - 1].arguments, text);
    call_piece(x, i, PIECE_CALL_ARGUMENTS, text, out);
}

static void end_call(Exchange *x, int i, Buf *out)
{
    Choice *c = &x->choices[i];
    c->calls[c->n_calls - 1].is_whole = true;
    call_piece(x, i, PIECE_CALL_END, STR(""), out);
}

static void take_text(Exchange *x, int i, Str text, Buf *out)
{
    Choice *c = &x->choices[i];
    end_merged_thought(x, i, out);
    if (is_in_call(c))
        buf_add(&c->behind_call, text);
    else
        add_text(x, i, PIECE_TEXT, text, out);
}

static void finish_choice(Exchange *x, int i, const wen_event *e, Buf *out)
{
    Choice *c = &x->choices[i];
    end_merged_thought(x, i, out);
    if (e->finish != WEN_FINISH_LENGTH)
        add_text(x, i, PIECE_TEXT, buf_str(&c->behind_call), out);
    c->finish = e->finish;
    c->stop_i = e->stop_i;
    c->usage = e->usage;
    c->seed = e->seed;
    x->n_done++;
    metrics_add_reply(&x->call->server->metrics, &e->usage, e->finish, clock_seconds() - x->asked);
    if (e->finish == WEN_FINISH_ERROR)
        fault_set(&x->fault, 500, NULL, "%s", e->text);
    else if (e->finish == WEN_FINISH_NO_MEMORY)
        fault_set(&x->fault, 503, NULL,
                  "there is no memory left for the keys and values of this "
                  "request");
    else if (e->finish == WEN_FINISH_CANCELLED)
        fault_set(&x->fault, 503, NULL, "the server is shutting down");
    else
        hand_out(x, &(Piece){.kind = PIECE_DONE, .choice_i = i}, out);
    drop_reply(x, c);
}

static void take_event(Exchange *x, int i, const wen_event *e, Buf *out)
{
    Choice *c = &x->choices[i];
    Str text = {e->text, e->text_bytes};
    switch (e->kind) {
    case WEN_EVENT_THINKING:
        take_thinking(x, i, text, out);
        break;
    case WEN_EVENT_TEXT:
        take_text(x, i, text, out);
        break;
    case WEN_EVENT_TOOL_NAME:
        end_merged_thought(x, i, out);
        begin_call(x, i, text, out);
        break;
    case WEN_EVENT_TOOL_ARGUMENTS:
        add_arguments(x, i, text, out);
        break;
    case WEN_EVENT_TOOL_END:
        end_call(x, i, out);
        break;
    case WEN_EVENT_TOKEN:
        take_token(c, e);
        break;
    case WEN_EVENT_DONE:
        finish_choice(x, i, e, out);
        break;
    }
}

/* ---- The loop -------------------------------------------------------------------------------- */

/* Takes what is there; true when there was something. */
static bool take_ready(Exchange *x, Buf *out)
{
    bool any = false;
    for (int i = 0; i < x->n_choices && !x->fault.status; i++) {
        wen_event event;
        while (x->choices[i].reply && !x->fault.status &&
               wen_next(x->choices[i].reply, 0, &event) == WEN_NEXT_EVENT) {
            take_event(x, i, &event, out);
            any = true;
        }
    }
    return any;
}

static void wait_for_more(Exchange *x, Buf *out)
{
    int wait_ms = x->n_choices - x->n_done > 1 ? WAIT_MANY_MS : WAIT_MS;
    for (int i = 0; i < x->n_choices; i++) {
        wen_event event;
        if (!x->choices[i].reply)
            continue;
        if (wen_next(x->choices[i].reply, wait_ms, &event) == WEN_NEXT_EVENT)
            take_event(x, i, &event, out);
        return;
    }
}

static bool is_over_time(const Exchange *x)
{
    int limit = x->call->server->options.request_timeout_s;
    return limit > 0 && clock_seconds() - x->call->started > limit;
}

/* One round. False: it is over, by its end, a fault, or because nobody listens any more. */
static bool pump(Exchange *x, Buf *out)
{
    if (x->n_done == x->n_choices || x->fault.status)
        return false;
    if (!take_ready(x, out)) {
        if (http_client_is_gone(x->call))
            return false;
        if (server_is_stopping(x->call->server))
            return fault_set(&x->fault, 503, NULL, "the server is shutting down");
        if (is_over_time(x))
            return fault_set(&x->fault, 504, NULL, "the answer took more than %d seconds",
                             x->call->server->options.request_timeout_s);
        wait_for_more(x, out);
    }
    return true;
}

bool exchange_wait(Exchange *x)
{
    while (pump(x, NULL))
        ;
    return x->n_done == x->n_choices && !x->fault.status;
}

bool exchange_more(Exchange *x, Buf *out)
{
    if (!x->has_begun) {
        x->has_begun = true;
        x->dialect->begin(x, out);
        return true;
    }
    while (out->bytes == 0 && pump(x, out)) {
        double now = clock_seconds();
        if (out->bytes == 0 && now - x->last_sent > x->call->server->options.ping_seconds &&
            x->dialect->ping)
            x->dialect->ping(x, out);
    }
    x->last_sent = clock_seconds();
    if (x->n_done < x->n_choices && !x->fault.status && out->bytes > 0)
        return true;
    tell_log(x);
    x->has_ended = true;
    if (x->fault.status)
        x->dialect->fail(x, &x->fault, out);
    else if (x->n_done == x->n_choices)
        x->dialect->end(x, out);
    return false;
}

static bool stream_more(void *state, Buf *out) { return exchange_more(state, out); }

static void stream_close(void *state) { exchange_close(state); }

void exchange_answer(Exchange *x)
{
    HttpCall *call = x->call;
    if (x->options.is_stream) {
        bool has_ids = strcmp(x->dialect->stream_type, "text/event-stream") == 0;
        if (x->options.resume_seconds > 0 && has_ids && streams_start(call->server->streams, x))
            return;
        http_send_stream(call, x->dialect->stream_type, (HttpStream){stream_more, stream_close, x});
        return;
    }
    Buf out = {0};
    if (exchange_wait(x)) {
        x->dialect->whole(x, &out);
        exchange_close(x);
        http_send_json(call, 200, &out);
        return;
    }
    Fault fault = x->fault;
    if (!fault.status) /* nobody reads this, but the log does */
        fault_set(&fault, 503, NULL, "the client has gone away");
    exchange_refuse(x, &fault);
}

/* ---- Summing up ------------------------------------------------------------------------------ */

wen_usage exchange_usage(const Exchange *x)
{
    wen_usage sum = {0};
    for (int i = 0; i < x->n_choices; i++) {
        const wen_usage *u = &x->choices[i].usage;
        if (i % (x->n_choices / x->n_prompts) == 0) {
            sum.prompt_tokens += u->prompt_tokens;
            sum.cached_tokens += u->cached_tokens;
        }
        sum.completion_tokens += u->completion_tokens;
        sum.reasoning_tokens += u->reasoning_tokens;
        sum.context_is_full |= u->context_is_full;
        sum.thought_was_closed |= u->thought_was_closed;
        sum.prefill_seconds += u->prefill_seconds;
        sum.decode_seconds += u->decode_seconds;
    }
    return sum;
}

bool exchange_thinks(const Exchange *x, int *budget)
{
    const wen_request *ask = &x->options.ask;
    *budget = ask->think_budget;
    if (!ask->messages || x->model->thinking == THINKING_NEVER)
        return false;
    return ask->think != 0 && ask->think_budget != 0;
}

const char *choice_finish_name(const Choice *c) { return wen_finish_name(c->finish); }
