/* Around the model, without an answer: text to ids and back, the exact prompt.
 *
 *   POST /tokenize      {"prompt" or "content"}, or {"messages", ...} -> {"tokens", "count"}
 *   POST /detokenize    {"tokens"} -> {"prompt", "content"}
 *   POST /apply-template, /v1/chat/completions/render   a chat request -> {"prompt", ids}
 *   POST /v1/chat/completions/input_tokens              a chat request -> {"input_tokens"} */
#include "server/exchange.h"
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/server_state.h"

#include <limits.h>
#include <string.h>

static void close_and_send(Exchange *x, Buf *out)
{
    HttpCall *call = x->call;
    exchange_close(x);
    http_send_json(call, 200, out);
}

/* ---- Ids ------------------------------------------------------------------------------------- */

typedef struct IdList {
    int32_t *ids; /* freed with wen_free */
    int n;
} IdList;

static bool prompt_ids(Exchange *x, IdList *list, Fault *fault)
{
    wen_error err;
    return wen_prompt_ids(x->model->model, &x->options.ask, &list->ids, &list->n, &err) ||
           fault_from_wen(fault, &err);
}

static bool read_chat(Exchange *x, Fault *fault)
{
    json_t *messages = NULL;
    return in_array(x->body, "", "messages", &messages, fault) &&
           openai_set_messages(x, messages, fault) && options_finish(&x->options, fault);
}

static bool text_ids(Exchange *x, IdList *list, Fault *fault)
{
    wen_error err;
    bool parses_special = true;
    const json_t *text = in_get(x->body, "prompt");
    if (!text)
        text = in_get(x->body, "content");
    if (!json_is_string(text))
        return fault_set(fault, 400, "prompt",
                         "prompt: give text in \"prompt\" or \"content\", or \"messages\"");
    if (!in_bool(x->body, "", "parse_special", &parses_special, fault))
        return false;
    return wen_tokenize(x->model->model, json_string_value(text), json_string_length(text),
                        !parses_special, &list->ids, &list->n, &err) ||
           fault_from_wen(fault, &err);
}

static void put_ids(Buf *out, const Exchange *x, const IdList *list, bool with_pieces)
{
    out_open(out, "tokens", '[');
    for (int i = 0; i < list->n; i++) {
        Str text;
        text.data = wen_token_text(x->model->model, list->ids[i], &text.bytes);
        if (!with_pieces) {
            out_int(out, NULL, list->ids[i]);
            continue;
        }
        out_open(out, NULL, '{');
        out_int(out, "id", list->ids[i]);
        out_str(out, "piece", text);
        out_close(out, '}');
    }
    out_close(out, ']');
}

static void put_strings(Buf *out, const Exchange *x, const IdList *list)
{
    out_open(out, "token_strs", '[');
    for (int i = 0; i < list->n; i++) {
        Str text;
        text.data = wen_token_text(x->model->model, list->ids[i], &text.bytes);
        out_str(out, NULL, text);
    }
    out_close(out, ']');
}

void handle_tokenize(HttpCall *call)
{
    Fault fault;
    IdList list = {0};
    bool with_pieces = false, with_strings = false;
    Exchange *x = exchange_open(call, NULL, "");
    if (!x)
        return;
    bool ok = in_bool(x->body, "", "with_pieces", &with_pieces, &fault) &&
              in_bool(x->body, "", "return_token_strs", &with_strings, &fault) &&
              (in_get(x->body, "messages") ? read_chat(x, &fault) && prompt_ids(x, &list, &fault)
                                           : text_ids(x, &list, &fault));
    if (!ok) {
        exchange_refuse(x, &fault);
        return;
    }
    Buf out = {0};
    out_open(&out, NULL, '{');
    out_int(&out, "count", list.n);
    out_int(&out, "max_model_len", x->model->context);
    put_ids(&out, x, &list, with_pieces);
    if (with_strings)
        put_strings(&out, x, &list);
    out_close(&out, '}');
    wen_free(list.ids);
    close_and_send(x, &out);
}

static bool read_tokens(Exchange *x, IdList *list, Fault *fault)
{
    json_t *tokens = NULL, *token;
    size_t i;
    if (!in_array(x->body, "", "tokens", &tokens, fault))
        return false;
    if (!tokens)
        return fault_set(fault, 400, "tokens", "tokens: is missing");
    list->ids = ARENA_ARRAY(&x->arena, int32_t, json_array_size(tokens) + 1);
    json_array_foreach(tokens, i, token)
    {
        json_int_t id = json_is_integer(token) ? json_integer_value(token) : -1;
        if (id < 0 || id > INT32_MAX)
            return fault_set(fault, 400, "tokens", "tokens[%zu]: is not a token id", i);
        list->ids[list->n++] = (int32_t)id;
    }
    return true;
}

void handle_detokenize(HttpCall *call)
{
    Fault fault;
    wen_error err;
    IdList list = {0};
    size_t bytes = 0;
    Exchange *x = exchange_open(call, NULL, "");
    if (!x)
        return;
    bool ok = read_tokens(x, &list, &fault);
    char *text = ok ? wen_detokenize(x->model->model, list.ids, list.n, false, &bytes, &err) : NULL;
    if (!text) {
        if (ok)
            fault_from_wen(&fault, &err);
        exchange_refuse(x, &fault);
        return;
    }
    Buf out = {0};
    out_open(&out, NULL, '{');
    out_str(&out, "prompt", (Str){text, bytes});
    out_str(&out, "content", (Str){text, bytes});
    out_close(&out, '}');
    wen_free(text);
    close_and_send(x, &out);
}

/* ---- Prompts --------------------------------------------------------------------------------- */

static void answer_prompt(HttpCall *call, bool only_count)
{
    Fault fault;
    IdList list = {0};
    size_t bytes = 0;
    Buf out = {0};
    Exchange *x = exchange_open(call, NULL, "");
    if (!x)
        return;
    if (!read_chat(x, &fault) || !prompt_ids(x, &list, &fault)) {
        exchange_refuse(x, &fault);
        return;
    }
    out_open(&out, NULL, '{');
    if (only_count) {
        out_int(&out, "input_tokens", list.n);
    } else {
        char *text = wen_detokenize(x->model->model, list.ids, list.n, false, &bytes, NULL);
        out_str(&out, "prompt", (Str){text ? text : "", bytes});
        out_open(&out, "prompt_token_ids", '[');
        for (int i = 0; i < list.n; i++)
            out_int(&out, NULL, list.ids[i]);
        out_close(&out, ']');
        wen_free(text);
    }
    out_close(&out, '}');
    wen_free(list.ids);
    close_and_send(x, &out);
}

void handle_render(HttpCall *call) { answer_prompt(call, false); }

void handle_input_tokens(HttpCall *call) { answer_prompt(call, true); }
