/* POST /v1/responses: OpenAI's newer dialect, stateless: nothing is stored, the whole conversation
 * comes with each request. An answer is a list of items: a thought, a message, calls. */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/responses_input.h"
#include "server/server_state.h"

#include <string.h>

typedef enum ItemKind { ITEM_NONE, ITEM_THINKING, ITEM_TEXT, ITEM_CALL } ItemKind;

typedef struct Responses {
    ItemKind open;    /* the item that the stream is in */
    int output_i;     /* its index, or the next one's */
    size_t text_from; /* where its text begins in the choice's */
    int64_t sequence;
} Responses;

/* ---- Items ----------------------------------------------------------------------------------- */

/* An item's id: its kind and the answer's own letters. */
static void put_id(Buf *out, const char *key, const Exchange *x, ItemKind kind)
{
    char id[80];
    snprintf(id, sizeof id, "%s_%s", kind == ITEM_TEXT ? "msg" : "rs", x->id + strlen("resp_"));
    out_str(out, key, str_from(id));
}

static void put_call_id(Buf *out, const char *key, const Call *call)
{
    char id[80];
    snprintf(id, sizeof id, "fc_%s", call->id + strlen("call_"));
    out_str(out, key, str_from(id));
}

static void put_part(Buf *out, const char *key, ItemKind kind, Str text)
{
    out_open(out, key, '{');
    out_str(out, "type", str_from(kind == ITEM_TEXT ? "output_text" : "reasoning_text"));
    out_str(out, "text", text);
    if (kind == ITEM_TEXT) {
        out_open(out, "annotations", '[');
        out_close(out, ']');
        out_open(out, "logprobs", '[');
        out_close(out, ']');
    }
    out_close(out, '}');
}

/* A thought or message; text NULL: it has just begun. */
static void put_item(Buf *out, const char *key, const Exchange *x, ItemKind kind, const Str *text)
{
    out_open(out, key, '{');
    put_id(out, "id", x, kind);
    out_str(out, "type", str_from(kind == ITEM_TEXT ? "message" : "reasoning"));
    out_str(out, "status", str_from(text ? "completed" : "in_progress"));
    if (kind == ITEM_TEXT) {
        out_str(out, "role", STR("assistant"));
    } else {
        out_open(out, "summary", '[');
        out_close(out, ']');
    }
    out_open(out, "content", '[');
    if (text)
        put_part(out, NULL, kind, *text);
    out_close(out, ']');
    out_close(out, '}');
}

static void put_call(Buf *out, const char *key, const Call *call, const char *status)
{
    out_open(out, key, '{');
    put_call_id(out, "id", call);
    out_str(out, "type", STR("function_call"));
    out_str(out, "status", str_from(status));
    out_str(out, "call_id", str_from(call->id));
    out_str(out, "name", buf_str(&call->name));
    out_str(out, "arguments", buf_str(&call->arguments));
    out_close(out, '}');
}

static const char *call_status(const Call *call)
{
    return call->is_whole ? "completed" : "incomplete";
}

/* ---- The response object --------------------------------------------------------------------- */

static void put_output(Buf *out, const Exchange *x)
{
    const Choice *c = &x->choices[0];
    Str thinking = buf_str(&c->thinking), text = buf_str(&c->text);
    out_open(out, "output", '[');
    if (thinking.bytes)
        put_item(out, NULL, x, ITEM_THINKING, &thinking);
    if (text.bytes)
        put_item(out, NULL, x, ITEM_TEXT, &text);
    for (int i = 0; i < c->n_calls; i++)
        put_call(out, NULL, &c->calls[i], call_status(&c->calls[i]));
    out_close(out, ']');
}

static void put_usage(Buf *out, const Exchange *x)
{
    wen_usage u = exchange_usage(x);
    out_open(out, "usage", '{');
    out_int(out, "input_tokens", u.prompt_tokens);
    out_open(out, "input_tokens_details", '{');
    out_int(out, "cached_tokens", u.cached_tokens);
    out_close(out, '}');
    out_int(out, "output_tokens", u.completion_tokens);
    out_open(out, "output_tokens_details", '{');
    out_int(out, "reasoning_tokens", u.reasoning_tokens);
    out_close(out, '}');
    out_int(out, "total_tokens", u.prompt_tokens + u.completion_tokens);
    out_close(out, '}');
}

/* What was asked, told back, as the SDKs' types have it. */
static void put_asked(Buf *out, const Exchange *x)
{
    static const char *const members[] = {"instructions", "temperature", "top_p",
                                          "max_output_tokens", "reasoning"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        out_value(out, members[i], json_object_get(x->body, members[i]));
    out_bool(out, "parallel_tool_calls", !x->options.ask.makes_single_call);
    out_null(out, "previous_response_id");
    out_bool(out, "store", false);
    const json_t *choice = in_get(x->body, "tool_choice");
    if (choice)
        out_value(out, "tool_choice", choice);
    else
        out_str(out, "tool_choice", STR("auto"));
    const json_t *tools = in_get(x->body, "tools");
    if (tools)
        out_value(out, "tools", tools);
    else
        out_raw(out, "tools", STR("[]"));
    const json_t *text = in_get(x->body, "text");
    if (text)
        out_value(out, "text", text);
    else
        out_raw(out, "text", STR("{\"format\":{\"type\":\"text\"}}"));
    out_str(out, "truncation", STR("disabled"));
    const json_t *metadata = in_get(x->body, "metadata");
    if (metadata)
        out_value(out, "metadata", metadata);
    else
        out_raw(out, "metadata", STR("{}"));
}

static bool was_cut(const Exchange *x) { return x->choices[0].finish == WEN_FINISH_LENGTH; }

static void put_response(Buf *out, const char *key, const Exchange *x, bool is_done)
{
    out_open(out, key, '{');
    out_str(out, "id", str_from(x->id));
    out_str(out, "object", STR("response"));
    out_int(out, "created_at", x->created);
    out_str(out, "status",
            str_from(!is_done     ? "in_progress"
                     : was_cut(x) ? "incomplete"
                                  : "completed"));
    out_null(out, "error");
    if (is_done && was_cut(x))
        out_raw(out, "incomplete_details", STR("{\"reason\":\"max_output_tokens\"}"));
    else
        out_null(out, "incomplete_details");
    out_str(out, "model", str_from(x->model_name));
    put_asked(out, x);
    if (is_done) {
        put_output(out, x);
        put_usage(out, x);
    } else {
        out_raw(out, "output", STR("[]"));
        out_null(out, "usage");
    }
    out_close(out, '}');
}

static void write_whole(Exchange *x, Buf *out) { put_response(out, NULL, x, true); }

/* ---- The stream ------------------------------------------------------------------------------ */

static void open_event(Exchange *x, const char *type, Buf *out)
{
    Responses *r = x->state;
    buf_printf(out, "event: %s\ndata: ", type);
    out_open(out, NULL, '{');
    out_str(out, "type", str_from(type));
    out_int(out, "sequence_number", r->sequence++);
}

static void close_event(Buf *out)
{
    out_close(out, '}');
    buf_puts(out, "\n\n");
}

static void response_event(Exchange *x, const char *type, bool is_done, Buf *out)
{
    open_event(x, type, out);
    put_response(out, "response", x, is_done);
    close_event(out);
}

/* An event about the part that is open. */
static void open_part_event(Exchange *x, const char *type, Buf *out)
{
    const Responses *r = x->state;
    open_event(x, type, out);
    put_id(out, "item_id", x, r->open);
    out_int(out, "output_index", r->output_i);
    out_int(out, "content_index", 0);
}

static void begin_stream(Exchange *x, Buf *out)
{
    response_event(x, "response.created", false, out);
    response_event(x, "response.in_progress", false, out);
}

static void end_call(Exchange *x, const Call *call, Buf *out)
{
    Responses *r = x->state;
    open_event(x, "response.function_call_arguments.done", out);
    put_call_id(out, "item_id", call);
    out_int(out, "output_index", r->output_i);
    out_str(out, "name", buf_str(&call->name));
    out_str(out, "arguments", buf_str(&call->arguments));
    close_event(out);
    open_event(x, "response.output_item.done", out);
    out_int(out, "output_index", r->output_i++);
    put_call(out, "item", call, call_status(call));
    close_event(out);
    r->open = ITEM_NONE;
}

static void end_item(Exchange *x, Buf *out)
{
    Responses *r = x->state;
    const Choice *c = &x->choices[0];
    if (r->open == ITEM_NONE)
        return;
    if (r->open == ITEM_CALL) { /* it was cut */
        end_call(x, &c->calls[c->n_calls - 1], out);
        return;
    }
    bool is_text = r->open == ITEM_TEXT;
    Str all = buf_str(is_text ? &c->text : &c->thinking);
    Str text = str_slice(all, r->text_from, all.bytes);
    open_part_event(x, is_text ? "response.output_text.done" : "response.reasoning_text.done", out);
    out_str(out, "text", text);
    if (is_text)
        out_raw(out, "logprobs", STR("[]"));
    close_event(out);
    open_part_event(x, "response.content_part.done", out);
    put_part(out, "part", r->open, text);
    close_event(out);
    open_event(x, "response.output_item.done", out);
    out_int(out, "output_index", r->output_i);
    put_item(out, "item", x, r->open, &text);
    close_event(out);
    r->open = ITEM_NONE;
    r->output_i++;
}

static void begin_item(Exchange *x, ItemKind kind, Str first, Buf *out)
{
    Responses *r = x->state;
    const Choice *c = &x->choices[0];
    end_item(x, out);
    r->open = kind;
    r->text_from = (kind == ITEM_TEXT ? c->text.bytes : c->thinking.bytes) - first.bytes;
    open_event(x, "response.output_item.added", out);
    out_int(out, "output_index", r->output_i);
    put_item(out, "item", x, kind, NULL);
    close_event(out);
    open_part_event(x, "response.content_part.added", out);
    put_part(out, "part", kind, STR(""));
    close_event(out);
}

static void stream_text(Exchange *x, ItemKind kind, Str text, Buf *out)
{
    const Responses *r = x->state;
    if (r->open != kind)
        begin_item(x, kind, text, out);
    bool is_text = kind == ITEM_TEXT;
    open_part_event(x, is_text ? "response.output_text.delta" : "response.reasoning_text.delta",
                    out);
    out_str(out, "delta", text);
    if (is_text)
        out_raw(out, "logprobs", STR("[]"));
    close_event(out);
}

static void begin_call(Exchange *x, const Call *call, Buf *out)
{
    Responses *r = x->state;
    end_item(x, out);
    open_event(x, "response.output_item.added", out);
    out_int(out, "output_index", r->output_i);
    put_call(out, "item", call, "in_progress");
    close_event(out);
    r->open = ITEM_CALL;
}

static void stream_arguments(Exchange *x, const Piece *p, Buf *out)
{
    const Responses *r = x->state;
    open_event(x, "response.function_call_arguments.delta", out);
    put_call_id(out, "item_id", p->call);
    out_int(out, "output_index", r->output_i);
    out_str(out, "delta", p->text);
    close_event(out);
}

static void stream_piece(Exchange *x, const Piece *p, Buf *out)
{
    switch (p->kind) {
    case PIECE_THINKING:
        stream_text(x, ITEM_THINKING, p->text, out);
        break;
    case PIECE_TEXT:
        stream_text(x, ITEM_TEXT, p->text, out);
        break;
    case PIECE_CALL:
        begin_call(x, p->call, out);
        break;
    case PIECE_CALL_ARGUMENTS:
        stream_arguments(x, p, out);
        break;
    case PIECE_CALL_END:
        end_call(x, p->call, out);
        break;
    case PIECE_DONE:
        end_item(x, out);
        break;
    }
}

static void end_stream(Exchange *x, Buf *out)
{
    response_event(x, was_cut(x) ? "response.incomplete" : "response.completed", true, out);
}

static void fail_stream(Exchange *x, const Fault *fault, Buf *out)
{
    open_event(x, "error", out);
    out_str(out, "code", str_from(fault->code ? fault->code : "server_error"));
    out_str(out, "message", str_from(fault->message));
    out_null(out, "param");
    close_event(out);
}

static const Dialect responses_dialect = {
    .stream_type = "text/event-stream",
    .begin = begin_stream,
    .piece = stream_piece,
    .end = end_stream,
    .fail = fail_stream,
    .ping = openai_ping,
    .whole = write_whole,
};

void handle_responses(HttpCall *call)
{
    Fault fault;
    bool is_background = false;
    Exchange *x = exchange_open(call, &responses_dialect, "resp_");
    if (!x)
        return;
    x->state = ARENA_NEW(&x->arena, Responses);
    x->options.n = 1;
    x->options.ask.n_logprobs = -1;
    bool ok = in_bool(x->body, "", "background", &is_background, &fault);
    if (ok && is_background)
        ok = fault_set(&fault, 400, "background", "background: this server keeps no responses");
    json_t *messages = ok ? responses_messages(x->body, &fault) : NULL;
    if (messages)
        options_set_messages(&x->options, messages);
    ok = messages != NULL;
    json_decref(messages);
    if (ok && options_finish(&x->options, &fault) && exchange_ask_n(x, &fault))
        exchange_answer(x);
    else
        exchange_refuse(x, &fault);
}
