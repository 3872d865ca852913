/* POST /v1/messages and /v1/messages/count_tokens: Anthropic's dialect. What comes in is brought
 * into OpenAI's shape by anthropic_input.c. */
#include "server/anthropic.h"
#include "server/exchange.h"
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/server_state.h"

#include <string.h>

typedef enum BlockKind { BLOCK_NONE, BLOCK_THINKING, BLOCK_TEXT, BLOCK_CALL } BlockKind;

typedef struct Messages {
    BlockKind open; /* the block that the stream is in */
    int block_i;    /* its index, or the next one's */
} Messages;

/* ---- Parts ----------------------------------------------------------------------------------- */

static const char *stop_reason(const Choice *c)
{
    if (c->finish == WEN_FINISH_LENGTH)
        return c->usage.context_is_full ? "model_context_window_exceeded" : "max_tokens";
    if (c->finish == WEN_FINISH_TOOL_CALLS)
        return "tool_use";
    return c->stop_i >= 0 ? "stop_sequence" : "end_turn";
}

static void put_stop(Buf *out, const Exchange *x, const Choice *c)
{
    out_str(out, "stop_reason", str_from(stop_reason(c)));
    if (c->stop_i >= 0)
        out_str(out, "stop_sequence", str_from(x->options.stops[c->stop_i]));
    else
        out_null(out, "stop_sequence");
}

/* Cached tokens are counted apart, as Anthropic does. */
static void put_usage(Buf *out, const wen_usage *u)
{
    out_open(out, "usage", '{');
    out_int(out, "input_tokens", u->prompt_tokens - u->cached_tokens);
    out_int(out, "cache_creation_input_tokens", 0);
    out_int(out, "cache_read_input_tokens", u->cached_tokens);
    out_int(out, "output_tokens", u->completion_tokens);
    out_int(out, "reasoning_tokens", u->reasoning_tokens);
    out_close(out, '}');
}

static void put_head(Buf *out, const Exchange *x)
{
    out_str(out, "id", str_from(x->id));
    out_str(out, "type", STR("message"));
    out_str(out, "role", STR("assistant"));
    out_str(out, "model", str_from(x->model_name));
}

static void put_tool_id(Buf *out, const Call *call)
{
    char id[48];
    snprintf(id, sizeof id, "toolu_%s", call->id + strlen("call_"));
    out_str(out, "id", str_from(id));
}

/* ---- The whole answer ------------------------------------------------------------------------ */

static void open_block(Buf *out, const char *key, const char *type)
{
    out_open(out, key, '{');
    out_str(out, "type", str_from(type));
}

static void put_content(Buf *out, const Choice *c)
{
    out_open(out, "content", '[');
    if (c->thinking.bytes) {
        open_block(out, NULL, "thinking");
        out_str(out, "thinking", buf_str(&c->thinking));
        out_str(out, "signature", STR(""));
        out_close(out, '}');
    }
    if (c->text.bytes) {
        open_block(out, NULL, "text");
        out_str(out, "text", buf_str(&c->text));
        out_close(out, '}');
    }
    for (int i = 0; i < c->n_calls; i++) {
        const Call *call = &c->calls[i];
        open_block(out, NULL, "tool_use");
        put_tool_id(out, call);
        out_str(out, "name", buf_str(&call->name));
        /* A call that was cut has no object to give. */
        out_raw(out, "input", call->is_whole ? buf_str(&call->arguments) : STR("{}"));
        out_close(out, '}');
    }
    out_close(out, ']');
}

static void write_whole(Exchange *x, Buf *out)
{
    const Choice *c = &x->choices[0];
    wen_usage usage = exchange_usage(x);
    out_open(out, NULL, '{');
    put_head(out, x);
    put_content(out, c);
    put_stop(out, x, c);
    put_usage(out, &usage);
    out_close(out, '}');
}

/* ---- The stream ------------------------------------------------------------------------------ */

static void open_event(Buf *out, const char *type)
{
    buf_printf(out, "event: %s\ndata: ", type);
    open_block(out, NULL, type);
}

static void close_event(Buf *out)
{
    out_close(out, '}');
    buf_puts(out, "\n\n");
}

static void begin_stream(Exchange *x, Buf *out)
{
    wen_usage usage = {.prompt_tokens = wen_reply_prompt_tokens(x->choices[0].reply)};
    open_event(out, "message_start");
    out_open(out, "message", '{');
    put_head(out, x);
    out_open(out, "content", '[');
    out_close(out, ']');
    out_null(out, "stop_reason");
    out_null(out, "stop_sequence");
    put_usage(out, &usage);
    out_close(out, '}');
    close_event(out);
}

static void end_block(Messages *m, Buf *out)
{
    if (m->open == BLOCK_NONE)
        return;
    if (m->open == BLOCK_THINKING) {
        open_event(out, "content_block_delta");
        out_int(out, "index", m->block_i);
        open_block(out, "delta", "signature_delta");
        out_str(out, "signature", STR(""));
        out_close(out, '}');
        close_event(out);
    }
    open_event(out, "content_block_stop");
    out_int(out, "index", m->block_i++);
    close_event(out);
    m->open = BLOCK_NONE;
}

static void stream_text(Messages *m, BlockKind kind, Str text, Buf *out)
{
    const char *key = kind == BLOCK_TEXT ? "text" : "thinking";
    if (m->open != kind) {
        end_block(m, out);
        open_event(out, "content_block_start");
        out_int(out, "index", m->block_i);
        open_block(out, "content_block", key);
        out_str(out, key, STR(""));
        if (kind == BLOCK_THINKING)
            out_str(out, "signature", STR(""));
        out_close(out, '}');
        close_event(out);
        m->open = kind;
    }
    open_event(out, "content_block_delta");
    out_int(out, "index", m->block_i);
    open_block(out, "delta", kind == BLOCK_TEXT ? "text_delta" : "thinking_delta");
    out_str(out, key, text);
    out_close(out, '}');
    close_event(out);
}

static void begin_call(Messages *m, const Call *call, Buf *out)
{
    end_block(m, out);
    open_event(out, "content_block_start");
    out_int(out, "index", m->block_i);
    open_block(out, "content_block", "tool_use");
    put_tool_id(out, call);
    out_str(out, "name", buf_str(&call->name));
    out_open(out, "input", '{');
    out_close(out, '}');
    out_close(out, '}');
    close_event(out);
    m->open = BLOCK_CALL;
}

static void stream_arguments(Messages *m, Str text, Buf *out)
{
    open_event(out, "content_block_delta");
    out_int(out, "index", m->block_i);
    open_block(out, "delta", "input_json_delta");
    out_str(out, "partial_json", text);
    out_close(out, '}');
    close_event(out);
}

static void stream_piece(Exchange *x, const Piece *p, Buf *out)
{
    Messages *m = x->state;
    switch (p->kind) {
    case PIECE_THINKING:
        stream_text(m, BLOCK_THINKING, p->text, out);
        break;
    case PIECE_TEXT:
        stream_text(m, BLOCK_TEXT, p->text, out);
        break;
    case PIECE_CALL:
        begin_call(m, p->call, out);
        break;
    case PIECE_CALL_ARGUMENTS:
        stream_arguments(m, p->text, out);
        break;
    case PIECE_CALL_END:
    case PIECE_DONE:
        end_block(m, out);
        break;
    }
}

static void end_stream(Exchange *x, Buf *out)
{
    wen_usage usage = exchange_usage(x);
    open_event(out, "message_delta");
    out_open(out, "delta", '{');
    put_stop(out, x, &x->choices[0]);
    out_close(out, '}');
    put_usage(out, &usage);
    close_event(out);
    open_event(out, "message_stop");
    close_event(out);
}

static void fail_stream(Exchange *x, const Fault *fault, Buf *out)
{
    buf_puts(out, "event: error\ndata: ");
    fault_put(out, fault, FAULT_ANTHROPIC, x->call->id);
    buf_puts(out, "\n\n");
}

static void ping(Exchange *x, Buf *out)
{
    (void)x;
    open_event(out, "ping");
    close_event(out);
}

static const Dialect messages_dialect = {
    .stream_type = "text/event-stream",
    .begin = begin_stream,
    .piece = stream_piece,
    .end = end_stream,
    .fail = fail_stream,
    .ping = ping,
    .whole = write_whole,
};

/* ---- Endpoints ------------------------------------------------------------------------------- */

/* The body read and completed; NULL: the fault has been sent. */
static Exchange *open_messages(HttpCall *call)
{
    Fault fault;
    Exchange *x = exchange_open(call, &messages_dialect, "msg_");
    if (!x)
        return NULL;
    x->state = ARENA_NEW(&x->arena, Messages);
    x->options.n = 1;
    x->options.ask.n_logprobs = -1;
    json_t *messages = anthropic_messages(x->body, &fault);
    bool ok = messages != NULL;
    if (ok) { /* an assistant's message at the end is the beginning of the answer */
        const json_t *last = json_array_get(messages, json_array_size(messages) - 1);
        const char *role = json_string_value(json_object_get(last, "role"));
        x->options.ask.continues_last = strcmp(role, "assistant") == 0;
        options_set_messages(&x->options, messages);
    }
    json_decref(messages);
    if (ok && options_finish(&x->options, &fault))
        return x;
    exchange_refuse(x, &fault);
    return NULL;
}

void handle_messages(HttpCall *call)
{
    Fault fault;
    Exchange *x = open_messages(call);
    if (x && exchange_ask_n(x, &fault))
        exchange_answer(x);
    else if (x)
        exchange_refuse(x, &fault);
}

void handle_count_tokens(HttpCall *call)
{
    wen_error err;
    int32_t *ids = NULL;
    int n = 0;
    Buf out = {0};
    Exchange *x = open_messages(call);
    if (!x)
        return;
    if (!wen_prompt_ids(x->model->model, &x->options.ask, &ids, &n, &err)) {
        Fault fault;
        fault_from_wen(&fault, &err);
        exchange_refuse(x, &fault);
        return;
    }
    wen_free(ids);
    exchange_close(x);
    out_open(&out, NULL, '{');
    out_int(&out, "input_tokens", n);
    out_close(&out, '}');
    http_send_json(call, 200, &out);
}
