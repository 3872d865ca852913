/* POST /api/chat, /api/generate, /api/embed and /api/embeddings: Ollama's dialect. A stream is the
 * default and has one JSON object a line. */
#include "server/ollama.h"

#include "server/embeddings.h"
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/server_state.h"

#include "base/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Asked {
    bool is_generate; /* "response" instead of a message */
    double loaded_s;  /* spent on loading the model */
} Asked;

/* ---- Small parts ----------------------------------------------------------------------------- */

double ollama_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void ollama_put_time(Buf *out, const char *key, double seconds)
{
    time_t whole = (time_t)seconds;
    struct tm parts;
    char text[64];
    gmtime_r(&whole, &parts);
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + n, sizeof text - n, ".%06dZ", (int)((seconds - (double)whole) * 1e6));
    out_str(out, key, str_from(text));
}

/* "300ms", "1h30m", "5m": Go's durations. */
static bool duration_from_text(const char *text, double *seconds)
{
    static const struct {
        const char *unit;
        double seconds;
    } units[] = {{"ms", 1e-3}, {"h", 3600}, {"m", 60}, {"s", 1}};
    *seconds = 0;
    if (!*text)
        return false;
    while (*text) {
        char *end;
        double n = strtod(text, &end);
        size_t u = 0;
        if (end == text || !isfinite(n))
            return false;
        while (u < 4 && strncmp(end, units[u].unit, strlen(units[u].unit)) != 0)
            u++;
        if (u == 4 && *end)
            return false;
        *seconds += n * (u < 4 ? units[u].seconds : 1);
        text = end + (u < 4 ? strlen(units[u].unit) : 0);
    }
    return true;
}

bool ollama_read_keep(const json_t *body, bool *is_given, double *seconds, Fault *fault)
{
    const json_t *keep = in_get(body, "keep_alive");
    *is_given = keep != NULL;
    if (!keep)
        return true;
    *seconds = json_number_value(keep);
    if (json_is_number(keep) ||
        (json_is_string(keep) && duration_from_text(json_string_value(keep), seconds)))
        return true;
    return fault_set(fault, 400, "keep_alive",
                     "keep_alive: must be seconds or a duration such as \"5m\"");
}

/* ---- The request ----------------------------------------------------------------------------- */

static bool read_fields(Exchange *x, Fault *fault)
{
    json_t *options = NULL;
    x->options.is_stream = true;
    return options_read(&x->options, x->body, "", fault) &&
           in_object(x->body, "", "options", &options, fault) &&
           (!options || options_read(&x->options, options, "options.", fault));
}

static bool refuse_images(const json_t *holder, const char *where, Fault *fault)
{
    const json_t *images = in_get(holder, "images");
    if (json_array_size(images) == 0)
        return true;
    return fault_set(fault, 400, "images", "%simages: this model reads only text", where);
}

/* Thoughts are called thinking here; arguments are objects, which the template takes as well. */
static bool set_messages(Exchange *x, Fault *fault)
{
    json_t *messages = NULL, *message;
    size_t i;
    if (!in_array(x->body, "", "messages", &messages, fault))
        return false;
    json_array_foreach(messages, i, message)
    {
        char where[48];
        snprintf(where, sizeof where, "messages[%zu].", i);
        if (!refuse_images(message, where, fault))
            return false;
        if (json_is_string(in_get(message, "thinking")))
            json_object_set(message, "reasoning_content", json_object_get(message, "thinking"));
        if (json_is_object(message) && !in_get(message, "content"))
            json_object_set_new(message, "content", json_string(""));
    }
    return openai_set_messages(x, messages, fault);
}

/* system and prompt as a conversation, or, raw, the prompt as it is. */
static bool set_prompt(Exchange *x, Fault *fault)
{
    const char *prompt = "", *system = NULL, *suffix = NULL, *template = NULL;
    bool is_raw = false;
    if (!in_text(x->body, "", "prompt", &prompt, fault) ||
        !in_text(x->body, "", "system", &system, fault) ||
        !in_text(x->body, "", "suffix", &suffix, fault) ||
        !in_text(x->body, "", "template", &template, fault) ||
        !in_bool(x->body, "", "raw", &is_raw, fault) || !refuse_images(x->body, "", fault))
        return false;
    if (template && *template)
        return fault_set(fault, 501, "template", "template: only the model's own is rendered");
    if (suffix && *suffix) {
        if (!openai_can_fill_in(x, fault))
            return false;
        x->options.ask.prompt = openai_fill_in(&x->arena, prompt, suffix);
        return true;
    }
    if (is_raw) {
        x->options.ask.prompt = prompt;
        return true;
    }
    json_t *messages = json_array();
    if (system && *system)
        json_array_append_new(messages,
                              json_pack("{s:s, s:s}", "role", "system", "content", system));
    json_array_append_new(messages, json_pack("{s:s, s:s}", "role", "user", "content", prompt));
    options_set_messages(&x->options, messages);
    json_decref(messages);
    return true;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void put_head(Buf *out, const Exchange *x)
{
    out_open(out, NULL, '{');
    out_str(out, "model", str_from(x->options.model ? x->options.model : x->model_name));
    ollama_put_time(out, "created_at", ollama_now());
}

static void put_call(Buf *out, const Call *call)
{
    out_open(out, NULL, '{');
    out_str(out, "id", str_from(call->id));
    out_open(out, "function", '{');
    out_str(out, "name", buf_str(&call->name));
    out_raw(out, "arguments", buf_str(&call->arguments));
    out_close(out, '}');
    out_close(out, '}');
}

/* Text, thought and calls, as a message or as the members of generate. */
static void put_said(Buf *out, const Exchange *x, Str text, Str thinking, const Call *calls,
                     int n_calls)
{
    const Asked *asked = x->state;
    if (!asked->is_generate) {
        out_open(out, "message", '{');
        out_str(out, "role", STR("assistant"));
    }
    out_str(out, asked->is_generate ? "response" : "content", text);
    if (thinking.bytes)
        out_str(out, "thinking", thinking);
    bool has_calls = false;
    for (int i = 0; i < n_calls; i++) {
        if (!calls[i].is_whole)
            continue;
        if (!has_calls)
            out_open(out, "tool_calls", '[');
        has_calls = true;
        put_call(out, &calls[i]);
    }
    if (has_calls)
        out_close(out, ']');
    if (!asked->is_generate)
        out_close(out, '}');
}

static int64_t nanoseconds(double seconds) { return (int64_t)(seconds * 1e9); }

static void put_end(Buf *out, const Exchange *x)
{
    const Asked *asked = x->state;
    const Choice *c = &x->choices[0];
    out_bool(out, "done", true);
    out_str(out, "done_reason", str_from(c->finish == WEN_FINISH_LENGTH ? "length" : "stop"));
    out_int(out, "total_duration", nanoseconds(clock_seconds() - x->call->started));
    out_int(out, "load_duration", nanoseconds(asked->loaded_s));
    out_int(out, "prompt_eval_count", c->usage.prompt_tokens);
    out_int(out, "prompt_eval_duration", nanoseconds(c->usage.prefill_seconds));
    out_int(out, "eval_count", c->usage.completion_tokens);
    out_int(out, "eval_duration", nanoseconds(c->usage.decode_seconds));
    out_close(out, '}');
}

static void write_whole(Exchange *x, Buf *out)
{
    const Choice *c = &x->choices[0];
    put_head(out, x);
    put_said(out, x, buf_str(&c->text), buf_str(&c->thinking), c->calls, c->n_calls);
    put_end(out, x);
}

static void begin_stream(Exchange *x, Buf *out)
{
    (void)x;
    (void)out;
}

static void stream_piece(Exchange *x, const Piece *p, Buf *out)
{
    if (p->kind != PIECE_TEXT && p->kind != PIECE_THINKING && p->kind != PIECE_CALL_END)
        return;
    put_head(out, x);
    put_said(out, x, p->kind == PIECE_TEXT ? p->text : STR(""),
             p->kind == PIECE_THINKING ? p->text : STR(""), p->call, p->kind == PIECE_CALL_END);
    out_bool(out, "done", false);
    out_close(out, '}');
    buf_putc(out, '\n');
}

static void end_stream(Exchange *x, Buf *out)
{
    put_head(out, x);
    put_said(out, x, STR(""), STR(""), NULL, 0);
    put_end(out, x);
    buf_putc(out, '\n');
}

static void fail_stream(Exchange *x, const Fault *fault, Buf *out)
{
    fault_put(out, fault, FAULT_OLLAMA, x->call->id);
    buf_putc(out, '\n');
}

static const Dialect ollama_dialect = {
    .stream_type = "application/x-ndjson",
    .begin = begin_stream,
    .piece = stream_piece,
    .end = end_stream,
    .fail = fail_stream,
    .whole = write_whole,
};

/* ---- Loading and unloading ------------------------------------------------------------------- */

/* Nothing to answer: the model is loaded, or let go. */
static void answer_empty(Exchange *x, const char *reason)
{
    HttpCall *call = x->call;
    Buf out = {0};
    put_head(&out, x);
    put_said(&out, x, STR(""), STR(""), NULL, 0);
    out_bool(&out, "done", true);
    out_str(&out, "done_reason", str_from(reason));
    out_close(&out, '}');
    buf_putc(&out, '\n');
    exchange_close(x);
    http_send_json(call, 200, &out);
}

/* True when the request was only about loading and has been answered. */
static bool only_loads(Exchange *x, bool keeps, double keep_s)
{
    const Asked *asked = x->state;
    const json_t *prompt = in_get(x->body, asked->is_generate ? "prompt" : "messages");
    bool is_empty = !prompt || (json_is_string(prompt) && json_string_length(prompt) == 0) ||
                    (json_is_array(prompt) && json_array_size(prompt) == 0);
    if (!is_empty || json_string_length(in_get(x->body, "suffix")) > 0)
        return false;
    Models *models = x->call->server->models;
    const char *name = x->model->name;
    bool is_unload = keeps && keep_s == 0;
    answer_empty(x, is_unload ? "unload" : "load");
    if (is_unload)
        models_unload(models, name);
    return true;
}

static void handle(HttpCall *call, bool is_generate)
{
    Fault fault;
    bool keeps = false;
    double keep_s = 0, started = clock_seconds();
    Exchange *x = exchange_open_bare(call, &ollama_dialect, "");
    if (!x)
        return;
    Asked *asked = ARENA_NEW(&x->arena, Asked);
    x->state = asked;
    asked->is_generate = is_generate;
    if (!read_fields(x, &fault) || !ollama_read_keep(x->body, &keeps, &keep_s, &fault) ||
        !exchange_take_model(x, &fault)) {
        exchange_refuse(x, &fault);
        return;
    }
    asked->loaded_s = clock_seconds() - started;
    if (keeps)
        models_keep(call->server->models, x->model, keep_s);
    if (only_loads(x, keeps, keep_s))
        return;
    x->options.n = 1;
    x->options.ask.n_logprobs = -1;
    if ((is_generate ? set_prompt(x, &fault) : set_messages(x, &fault)) &&
        options_finish(&x->options, &fault) && exchange_ask_n(x, &fault))
        exchange_answer(x);
    else
        exchange_refuse(x, &fault);
}

void handle_ollama_chat(HttpCall *call) { handle(call, false); }

void handle_ollama_generate(HttpCall *call) { handle(call, true); }

/* ---- Embeddings ------------------------------------------------------------------------------ */

static void put_embeddings(Buf *out, const Exchange *x, const Embeddings *e)
{
    put_head(out, x);
    out_open(out, "embeddings", '[');
    for (int i = 0; i < e->n; i++)
        embeddings_put(out, NULL, e->vectors + (size_t)i * (size_t)e->d_model, e->d_model);
    out_close(out, ']');
    out_int(out, "total_duration", nanoseconds(clock_seconds() - x->call->started));
    out_int(out, "load_duration", 0);
    out_int(out, "prompt_eval_count", e->n_tokens);
    out_close(out, '}');
}

/* /api/embed has "input" and many vectors, the older /api/embeddings "prompt" and one. */
static void handle_embedding(HttpCall *call, bool is_old)
{
    Fault fault;
    Embeddings e = {0};
    Buf out = {0};
    Exchange *x = exchange_open_bare(call, &ollama_dialect, "");
    if (!x)
        return;
    x->state = ARENA_NEW(&x->arena, Asked);
    if (!read_fields(x, &fault) || !exchange_take_model(x, &fault) ||
        !embeddings_make(x, in_get(x->body, is_old ? "prompt" : "input"), &e, &fault)) {
        exchange_refuse(x, &fault);
        return;
    }
    if (is_old) {
        out_open(&out, NULL, '{');
        embeddings_put(&out, "embedding", e.vectors, e.d_model);
        out_close(&out, '}');
    } else {
        put_embeddings(&out, x, &e);
    }
    exchange_close(x);
    http_send_json(call, 200, &out);
}

void handle_ollama_embed(HttpCall *call) { handle_embedding(call, false); }

void handle_ollama_embeddings(HttpCall *call) { handle_embedding(call, true); }
