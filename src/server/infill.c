/* POST /infill, as llama.cpp has it: what stands between input_prefix and input_suffix, with other
 * files (input_extra) as context, in the form that Qwen's coder models were trained with. */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/server_state.h"

#include <string.h>

static bool add_extra(Buf *text, const json_t *extra, size_t i, Fault *fault)
{
    char where[48];
    const char *name = "file", *content = NULL;
    snprintf(where, sizeof where, "input_extra[%zu].", i);
    if (!in_text(extra, where, "filename", &name, fault) ||
        !in_text(extra, where, "text", &content, fault))
        return false;
    if (!content)
        return fault_set(fault, 400, "input_extra", "%stext: is missing", where);
    buf_printf(text, "<|file_sep|>%s\n%s\n", name, content);
    return true;
}

static bool make_prompt(Exchange *x, Buf *text, Fault *fault)
{
    const char *prefix = "", *suffix = "", *prompt = "";
    json_t *extras = NULL, *extra;
    size_t i;
    if (!in_text(x->body, "", "input_prefix", &prefix, fault) ||
        !in_text(x->body, "", "input_suffix", &suffix, fault) ||
        !in_text(x->body, "", "prompt", &prompt, fault) ||
        !in_array(x->body, "", "input_extra", &extras, fault) || !openai_can_fill_in(x, fault))
        return false;
    if (json_array_size(extras) > 0)
        buf_puts(text, "<|repo_name|>project\n");
    json_array_foreach(extras, i, extra)
    {
        if (!add_extra(text, extra, i, fault))
            return false;
    }
    if (json_array_size(extras) > 0)
        buf_puts(text, "<|file_sep|>this\n");
    buf_printf(text, "<|fim_prefix|>%s%s<|fim_suffix|>%s<|fim_middle|>", prefix, prompt, suffix);
    return true;
}

static void put_rest(Buf *out, const Exchange *x)
{
    const Choice *c = &x->choices[0];
    out_bool(out, "stop", true);
    out_str(out, "model", str_from(x->model_name));
    out_int(out, "tokens_predicted", c->usage.completion_tokens);
    out_int(out, "tokens_evaluated", c->usage.prompt_tokens);
    out_int(out, "tokens_cached", c->usage.cached_tokens);
    out_str(out, "stop_type",
            str_from(c->finish == WEN_FINISH_LENGTH ? "limit"
                     : c->stop_i >= 0               ? "word"
                                                    : "eos"));
    out_str(out, "stopping_word", str_from(c->stop_i >= 0 ? x->options.stops[c->stop_i] : ""));
    out_close(out, '}');
}

static void write_whole(Exchange *x, Buf *out)
{
    out_open(out, NULL, '{');
    out_str(out, "content", buf_str(&x->choices[0].text));
    put_rest(out, x);
}

static void begin_stream(Exchange *x, Buf *out)
{
    (void)x;
    (void)out;
}

static void stream_piece(Exchange *x, const Piece *p, Buf *out)
{
    (void)x;
    if (p->kind != PIECE_TEXT)
        return;
    buf_puts(out, "data: ");
    out_open(out, NULL, '{');
    out_str(out, "content", p->text);
    out_bool(out, "stop", false);
    out_close(out, '}');
    buf_puts(out, "\n\n");
}

static void end_stream(Exchange *x, Buf *out)
{
    buf_puts(out, "data: ");
    out_open(out, NULL, '{');
    out_str(out, "content", STR(""));
    put_rest(out, x);
    buf_puts(out, "\n\n");
}

static const Dialect infill_dialect = {
    .stream_type = "text/event-stream",
    .begin = begin_stream,
    .piece = stream_piece,
    .end = end_stream,
    .fail = openai_fail_stream,
    .ping = openai_ping,
    .whole = write_whole,
};

void handle_infill(HttpCall *call)
{
    Fault fault;
    Buf text = {0};
    Exchange *x = exchange_open(call, &infill_dialect, "");
    if (!x)
        return;
    x->options.n = 1;
    x->options.ask.n_logprobs = -1;
    bool ok = make_prompt(x, &text, &fault) && options_finish(&x->options, &fault);
    x->options.ask.prompt = text.data;
    ok = ok && exchange_ask_n(x, &fault);
    buf_free(&text);
    if (ok)
        exchange_answer(x);
    else
        exchange_refuse(x, &fault);
}
