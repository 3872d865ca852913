/* POST /v1/chat/completions: OpenAI's chat, with the reasoning in both fields that clients read
 * (reasoning_content and reasoning). */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/server_state.h"

#include <string.h>

/* ---- The request ----------------------------------------------------------------------------- */

static bool set_role(json_t *message, size_t i, Fault *fault)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    const char *role = json_string_value(json_object_get(message, "role"));
    char path[48];
    snprintf(path, sizeof path, "messages[%zu].role", i);
    if (!role)
        return fault_set(fault, 400, path, "messages[%zu]: must be an object with a role", i);
    if (strcmp(role, "developer") == 0) {
        json_object_set_new(message, "role", json_string("system"));
        return true;
    }
    for (size_t k = 0; k < sizeof roles / sizeof *roles; k++)
        if (strcmp(role, roles[k]) == 0)
            return true;
    return fault_set(fault, 400, path,
                     "%s: \"%.40s\" is none of system, developer, user, assistant, tool", path,
                     role);
}

static bool check_message(json_t *message, size_t i, Fault *fault)
{
    const json_t *content = in_get(message, "content");
    char path[48];
    snprintf(path, sizeof path, "messages[%zu].content", i);
    if (!set_role(message, i, fault))
        return false;
    Buf text = {0};
    bool ok = in_content(content, path, &text, fault);
    buf_free(&text);
    bool may_be_empty =
        strcmp(json_string_value(json_object_get(message, "role")), "assistant") == 0;
    if (ok && !content && !may_be_empty)
        return fault_set(fault, 400, path, "%s: is missing", path);
    if (json_is_string(in_get(message, "reasoning")) && !in_get(message, "reasoning_content"))
        json_object_set(message, "reasoning_content", json_object_get(message, "reasoning"));
    return ok;
}

bool openai_set_messages(Exchange *x, json_t *messages, Fault *fault)
{
    size_t i;
    json_t *message;
    if (json_array_size(messages) == 0)
        return fault_set(fault, 400, "messages",
                         "messages: must be an array with at least one message");
    json_array_foreach(messages, i, message)
    {
        if (!check_message(message, i, fault))
            return false;
    }
    options_set_messages(&x->options, messages);
    return true;
}

/* ---- Parts of answers that the dialects of OpenAI share -------------------------------------- */

void openai_put_usage(Buf *out, const char *key, const Exchange *x)
{
    wen_usage u = exchange_usage(x);
    out_open(out, key, '{');
    out_int(out, "prompt_tokens", u.prompt_tokens);
    out_int(out, "completion_tokens", u.completion_tokens);
    out_int(out, "total_tokens", u.prompt_tokens + u.completion_tokens);
    out_open(out, "prompt_tokens_details", '{');
    out_int(out, "cached_tokens", u.cached_tokens);
    out_close(out, '}');
    out_open(out, "completion_tokens_details", '{');
    out_int(out, "reasoning_tokens", u.reasoning_tokens);
    out_close(out, '}');
    out_close(out, '}');
}

void openai_put_head(Buf *out, const Exchange *x, const char *object)
{
    out_open(out, NULL, '{');
    out_str(out, "id", str_from(x->id));
    out_str(out, "object", str_from(object));
    out_int(out, "created", x->created);
    out_str(out, "model", str_from(x->model_name));
    out_str(out, "system_fingerprint", str_from(wen_version()));
}

static void put_token(Buf *out, const Exchange *x, int32_t id, double logprob)
{
    Str text;
    text.data = wen_token_text(x->model->model, id, &text.bytes);
    out_str(out, "token", text);
    out_real(out, "logprob", logprob);
    out_open(out, "bytes", '[');
    for (size_t i = 0; i < text.bytes; i++)
        out_int(out, NULL, (unsigned char)text.data[i]);
    out_close(out, ']');
    out_int(out, "id", id);
}

static void put_logprobs(Buf *out, const Exchange *x, const Choice *c, size_t from)
{
    if (x->options.ask.n_logprobs < 0) {
        out_null(out, "logprobs");
        return;
    }
    out_open(out, "logprobs", '{');
    out_open(out, "content", '[');
    for (size_t t = from; t < c->n_tokens; t++) {
        const TokenRecord *token = &c->tokens[t];
        out_open(out, NULL, '{');
        put_token(out, x, token->id, (double)token->logprob);
        out_open(out, "top_logprobs", '[');
        for (int k = 0; k < token->n_top; k++) {
            const wen_top *top = &c->tops[token->top_from + (size_t)k];
            out_open(out, NULL, '{');
            put_token(out, x, top->id, (double)top->logprob);
            out_close(out, '}');
        }
        out_close(out, ']');
        out_close(out, '}');
    }
    out_close(out, ']');
    out_null(out, "refusal");
    out_close(out, '}');
}

static void put_call(Buf *out, const Call *call, int index)
{
    out_open(out, NULL, '{');
    if (index >= 0)
        out_int(out, "index", index);
    out_str(out, "id", str_from(call->id));
    out_str(out, "type", STR("function"));
    out_open(out, "function", '{');
    out_str(out, "name", buf_str(&call->name));
    out_str(out, "arguments", index >= 0 ? STR("") : buf_str(&call->arguments));
    out_close(out, '}');
    out_close(out, '}');
}

/* OpenAI says "stop" for a call that tool_choice named. */
static const char *finish_name(const Exchange *x, const Choice *c)
{
    bool was_named = x->options.ask.tool_name && c->finish == WEN_FINISH_TOOL_CALLS;
    return was_named ? "stop" : choice_finish_name(c);
}

/* vLLM's: the stop string that came, or null. */
static void put_stop(Buf *out, const Exchange *x, const Choice *c)
{
    if (c->stop_i >= 0)
        out_str(out, "stop_reason", str_from(x->options.stops[c->stop_i]));
    else
        out_null(out, "stop_reason");
}

/* What was decided about thinking, told back. */
static void put_thinking(Buf *out, const Exchange *x)
{
    int budget;
    bool thinks = exchange_thinks(x, &budget);
    out_open(out, "thinking", '{');
    out_str(out, "type", str_from(thinks ? "enabled" : "disabled"));
    if (thinks && budget >= 0)
        out_int(out, "budget_tokens", budget);
    out_close(out, '}');
}

/* ---- The whole answer ------------------------------------------------------------------------ */

static void put_message(Buf *out, const Choice *c)
{
    out_open(out, "message", '{');
    out_str(out, "role", STR("assistant"));
    if (c->text.bytes || !(c->n_calls || c->thinking.bytes))
        out_str(out, "content", buf_str(&c->text));
    else
        out_null(out, "content");
    out_null(out, "refusal");
    if (c->thinking.bytes) {
        out_str(out, "reasoning_content", buf_str(&c->thinking));
        out_str(out, "reasoning", buf_str(&c->thinking));
    }
    if (c->n_calls) {
        out_open(out, "tool_calls", '[');
        for (int i = 0; i < c->n_calls; i++)
            put_call(out, &c->calls[i], -1);
        out_close(out, ']');
    }
    out_close(out, '}');
}

static void write_whole(Exchange *x, Buf *out)
{
    openai_put_head(out, x, "chat.completion");
    out_open(out, "choices", '[');
    for (int i = 0; i < x->n_choices; i++) {
        const Choice *c = &x->choices[i];
        out_open(out, NULL, '{');
        out_int(out, "index", i);
        put_message(out, c);
        put_logprobs(out, x, c, 0);
        out_str(out, "finish_reason", str_from(finish_name(x, c)));
        put_stop(out, x, c);
        out_int(out, "seed", c->seed);
        out_close(out, '}');
    }
    out_close(out, ']');
    openai_put_usage(out, "usage", x);
    put_thinking(out, x);
    out_close(out, '}');
}

/* ---- The stream ------------------------------------------------------------------------------ */

static void open_chunk(Exchange *x, Buf *out)
{
    buf_puts(out, "data: ");
    openai_put_head(out, x, "chat.completion.chunk");
}

static void close_chunk(Buf *out)
{
    out_close(out, '}');
    buf_puts(out, "\n\n");
}

static void open_delta(Exchange *x, int choice_i, Buf *out)
{
    open_chunk(x, out);
    out_open(out, "choices", '[');
    out_open(out, NULL, '{');
    out_int(out, "index", choice_i);
    out_open(out, "delta", '{');
}

static void close_delta(Exchange *x, int choice_i, const char *finish, Buf *out)
{
    Choice *c = &x->choices[choice_i];
    out_close(out, '}');
    put_logprobs(out, x, c, c->n_tokens_told);
    c->n_tokens_told = c->n_tokens;
    if (finish) {
        out_str(out, "finish_reason", str_from(finish));
        put_stop(out, x, c);
        out_int(out, "seed", c->seed);
    } else {
        out_null(out, "finish_reason");
    }
    out_close(out, '}');
    out_close(out, ']');
    if (x->options.has_usage_in_each)
        openai_put_usage(out, "usage", x);
    else if (x->options.includes_usage)
        out_null(out, "usage");
    close_chunk(out);
}

static void begin_stream(Exchange *x, Buf *out)
{
    for (int i = 0; i < x->n_choices; i++) {
        open_delta(x, i, out);
        out_str(out, "role", STR("assistant"));
        out_str(out, "content", STR(""));
        close_delta(x, i, NULL, out);
    }
}

static void put_arguments(Buf *out, const Piece *p)
{
    out_open(out, NULL, '{');
    out_int(out, "index", p->call_i);
    out_open(out, "function", '{');
    out_str(out, "arguments", p->text);
    out_close(out, '}');
    out_close(out, '}');
}

static void stream_piece(Exchange *x, const Piece *p, Buf *out)
{
    const char *finish = NULL;
    if (p->kind == PIECE_CALL_END)
        return;
    open_delta(x, p->choice_i, out);
    switch (p->kind) {
    case PIECE_THINKING:
        out_str(out, "reasoning_content", p->text);
        out_str(out, "reasoning", p->text);
        break;
    case PIECE_TEXT:
        out_str(out, "content", p->text);
        break;
    case PIECE_CALL:
    case PIECE_CALL_ARGUMENTS:
        out_open(out, "tool_calls", '[');
        if (p->kind == PIECE_CALL)
            put_call(out, p->call, p->call_i);
        else
            put_arguments(out, p);
        out_close(out, ']');
        break;
    case PIECE_CALL_END:
        break;
    case PIECE_DONE:
        finish = finish_name(x, &x->choices[p->choice_i]);
        break;
    }
    close_delta(x, p->choice_i, finish, out);
}

static void end_stream(Exchange *x, Buf *out)
{
    if (x->options.includes_usage) {
        open_chunk(x, out);
        out_open(out, "choices", '[');
        out_close(out, ']');
        openai_put_usage(out, "usage", x);
        put_thinking(out, x);
        close_chunk(out);
    }
    buf_puts(out, "data: [DONE]\n\n");
}

void openai_fail_stream(Exchange *x, const Fault *fault, Buf *out)
{
    buf_puts(out, "data: ");
    fault_put(out, fault, FAULT_OPENAI, x->call->id);
    buf_puts(out, "\n\ndata: [DONE]\n\n");
}

void openai_ping(Exchange *x, Buf *out)
{
    (void)x;
    buf_puts(out, ": ping\n\n");
}

static const Dialect chat_dialect = {
    .stream_type = "text/event-stream",
    .begin = begin_stream,
    .piece = stream_piece,
    .end = end_stream,
    .fail = openai_fail_stream,
    .ping = openai_ping,
    .whole = write_whole,
};

void handle_chat(HttpCall *call)
{
    Fault fault;
    json_t *messages = NULL;
    Exchange *x = exchange_open(call, &chat_dialect, "chatcmpl-");
    if (!x)
        return;
    if (in_array(x->body, "", "messages", &messages, &fault) &&
        openai_set_messages(x, messages, &fault) && options_finish(&x->options, &fault) &&
        exchange_ask_n(x, &fault))
        exchange_answer(x);
    else
        exchange_refuse(x, &fault);
}
