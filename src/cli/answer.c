/* See answer.h. */
#include "cli/answer.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "cli/term.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum {
    POLL_MS = 100,     /* between looks for Ctrl-C */
    PATIENCE_MS = 400, /* how long a cancelled reply may take to end in order */
};

/* ---- Gathering ------------------------------------------------------------------------------- */

static ToolCall *call_at(Answer *a, int i)
{
    while (i >= a->n_calls_max) {
        int n_max = a->n_calls_max ? 2 * a->n_calls_max : 4;
        ToolCall *calls = mem_alloc(sizeof *calls * (size_t)n_max);
        if (a->n_calls)
            memcpy(calls, a->calls, sizeof *calls * (size_t)a->n_calls);
        mem_free(a->calls);
        a->calls = calls;
        a->n_calls_max = n_max;
    }
    if (i >= a->n_calls)
        a->n_calls = i + 1;
    return &a->calls[i];
}

static void put_number(Buf *out, double value)
{
    if (isfinite(value))
        buf_printf(out, "%.6f", value);
    else
        buf_puts(out, "null");
}

static void put_token(Buf *out, const wen_model *model, int32_t id, double logprob)
{
    Str text;
    text.data = wen_token_text(model, id, &text.bytes);
    buf_printf(out, "{\"id\": %" PRId32 ", \"token\": ", id);
    buf_put_json(out, text);
    buf_puts(out, ", \"logprob\": ");
    put_number(out, logprob);
}

static void gather_token(Answer *a, const wen_model *model, const wen_event *event)
{
    Buf *out = &a->logprobs;
    if (out->bytes)
        buf_puts(out, ", ");
    put_token(out, model, event->id, event->is_forced ? (double)NAN : (double)event->logprob);
    buf_printf(out, ", \"is_forced\": %s, \"top\": [", event->is_forced ? "true" : "false");
    for (int i = 0; i < event->n_top; i++) {
        buf_puts(out, i ? ", " : "");
        put_token(out, model, event->top[i].id, (double)event->top[i].logprob);
        buf_puts(out, "}");
    }
    buf_puts(out, "]}");
}

/* Returns true when that was the last event. */
static bool take_event(Answer *a, Display *d, const wen_model *model, const wen_event *event)
{
    Str text = {event->text, event->text_bytes};
    switch (event->kind) {
    case WEN_EVENT_THINKING:
        buf_add(&a->thinking, text);
        display_thinking(d, text);
        break;
    case WEN_EVENT_TEXT:
        buf_add(&a->content, text);
        display_text(d, text);
        break;
    case WEN_EVENT_TOOL_NAME:
        buf_add(&call_at(a, event->call_i)->name, text);
        break;
    case WEN_EVENT_TOOL_ARGUMENTS:
        buf_add(&call_at(a, event->call_i)->arguments, text);
        break;
    case WEN_EVENT_TOOL_END:
        break;
    case WEN_EVENT_TOKEN:
        gather_token(a, model, event);
        break;
    case WEN_EVENT_DONE:
        a->finish = event->finish;
        a->usage = event->usage;
        a->seed = event->seed;
        if (event->finish == WEN_FINISH_ERROR)
            buf_add(&a->error, text);
        return true;
    }
    return false;
}

void answer_read(Answer *a, wen_reply *reply, const wen_model *model, DisplayStyle style)
{
    Display display = display_open(style);
    bool is_done = false;
    double deadline = 0;
    a->finish = WEN_FINISH_CANCELLED; /* until it ends in order */
    while (!is_done && (!a->was_interrupted || clock_seconds() < deadline) && !ferror(stdout)) {
        wen_event event;
        if (term_take_interrupt() && !a->was_interrupted) {
            wen_cancel(reply);
            a->was_interrupted = true;
            deadline = clock_seconds() + PATIENCE_MS / 1000.0;
        }
        if (wen_next(reply, POLL_MS, &event) == WEN_NEXT_EVENT)
            is_done = take_event(a, a->was_interrupted ? &(Display){0} : &display, model, &event);
    }
    display_close(&display);
    wen_reply_free(reply); /* what still runs in it ends by itself */
}

void answer_free(Answer *a)
{
    for (int i = 0; i < a->n_calls; i++) {
        buf_free(&a->calls[i].name);
        buf_free(&a->calls[i].arguments);
    }
    mem_free(a->calls);
    buf_free(&a->thinking);
    buf_free(&a->content);
    buf_free(&a->logprobs);
    buf_free(&a->error);
    *a = (Answer){0};
}

/* ---- Telling --------------------------------------------------------------------------------- */

bool answer_is_cut(const Answer *a, int context, Buf *why)
{
    const wen_usage *u = &a->usage;
    const char *what = a->content.bytes == 0 && a->thinking.bytes > 0 ? "thought" : "answer";
    switch (a->finish) {
    case WEN_FINISH_LENGTH:
        if (u->context_is_full)
            buf_printf(why,
                       "the context is full: %d tokens of prompt and %d of answer reach its %d; "
                       "the %s was cut",
                       u->prompt_tokens, u->completion_tokens, context, what);
        else
            buf_printf(why, "the %s was cut after %d tokens (--max-tokens)", what,
                       u->completion_tokens);
        return true;
    case WEN_FINISH_NO_MEMORY:
        buf_printf(why, "the memory for keys and values is full after %d tokens; the %s was cut",
                   u->prompt_tokens + u->completion_tokens, what);
        return true;
    case WEN_FINISH_ERROR:
        buf_add(why, buf_str(&a->error));
        return true;
    case WEN_FINISH_STOP:
    case WEN_FINISH_TOOL_CALLS:
    case WEN_FINISH_CANCELLED:
        break;
    }
    return false;
}

static bool is_blank(const Buf *text)
{
    for (size_t i = 0; i < text->bytes; i++)
        if (!strchr(" \t\r\n", text->data[i]))
            return false;
    return true;
}

static void put_text_or_null(Buf *out, const char *key, const Buf *text, bool is_absent)
{
    buf_printf(out, "\"%s\": ", key);
    if (is_absent)
        buf_puts(out, "null");
    else
        buf_put_json(out, buf_str(text));
    buf_puts(out, ", ");
}

static void put_calls(Buf *out, const Answer *a)
{
    buf_puts(out, "\"tool_calls\": [");
    for (int i = 0; i < a->n_calls; i++) {
        buf_printf(out, "%s{\"id\": \"call_%d\", \"name\": ", i ? ", " : "", i);
        buf_put_json(out, buf_str(&a->calls[i].name));
        buf_puts(out, ", \"arguments\": ");
        buf_put_json(out, buf_str(&a->calls[i].arguments));
        buf_puts(out, "}");
    }
    buf_puts(out, "], ");
}

static double rate(int n, double seconds) { return n > 0 && seconds > 0 ? n / seconds : 0; }

void answer_put_json(const Answer *a, double load_seconds, bool has_logprobs, Buf *out)
{
    const wen_usage *u = &a->usage;
    buf_puts(out, "{");
    put_text_or_null(out, "thinking", &a->thinking, is_blank(&a->thinking));
    put_text_or_null(out, "content", &a->content, a->content.bytes == 0);
    put_calls(out, a);
    buf_printf(out, "\"finish_reason\": \"%s\", ", wen_finish_name(a->finish));
    buf_printf(out,
               "\"usage\": {\"prompt_tokens\": %d, \"completion_tokens\": %d, "
               "\"reasoning_tokens\": %d, \"cached_tokens\": %d}, ",
               u->prompt_tokens, u->completion_tokens, u->reasoning_tokens, u->cached_tokens);
    buf_printf(out,
               "\"timings\": {\"load_seconds\": %.6f, \"prefill_seconds\": %.6f, "
               "\"decode_seconds\": %.6f, \"prefill_tokens_per_s\": %.3f, "
               "\"decode_tokens_per_s\": %.3f, \"drafted_tokens\": %d, "
               "\"accepted_tokens\": %d}, ",
               load_seconds, u->prefill_seconds, u->decode_seconds,
               rate(u->prompt_tokens - u->cached_tokens, u->prefill_seconds),
               rate(u->completion_tokens - 1, u->decode_seconds), u->drafted_tokens,
               u->accepted_tokens);
    if (has_logprobs) {
        buf_puts(out, "\"logprobs\": [");
        buf_add(out, buf_str(&a->logprobs));
        buf_puts(out, "], ");
    }
    buf_printf(out, "\"seed\": %" PRId64 "}\n", a->seed);
}
