/* POST /v1/completions: text goes on as it is. One prompt or many, as text or ids; echo gives the
 * prompt back in front of the answer, with log-probabilities if asked (what lm-eval needs); a
 * suffix makes it fill the middle. */
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/server_state.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { PROMPTS_MAX = 256 };

/* One prompt: text or ids, and, for echo with logprobs, what the model thinks of it. */
typedef struct Prompt {
    const char *text; /* NULL: ids */
    int32_t *ids;
    int n_ids;
    float *logprobs;
    wen_score_top *tops; /* [n_ids, n_top]; those of position i predict i */
} Prompt;

typedef struct Completions {
    Prompt *prompts; /* [n] */
    int n, n_top;
    bool echoes;
} Completions;

/* ---- The request ----------------------------------------------------------------------------- */

static bool read_ids(Exchange *x, Prompt *p, const json_t *ids, Fault *fault)
{
    size_t i;
    json_t *id;
    p->ids = ARENA_ARRAY(&x->arena, int32_t, json_array_size(ids) + 1);
    json_array_foreach(ids, i, id)
    {
        json_int_t value = json_is_integer(id) ? json_integer_value(id) : -1;
        if (value < 0 || value > INT32_MAX)
            return fault_set(fault, 400, "prompt", "prompt: element %zu is not a token id", i);
        p->ids[p->n_ids++] = (int32_t)value;
    }
    return true;
}

static bool read_prompt(Exchange *x, Prompt *p, const json_t *value, Fault *fault)
{
    if (json_is_array(value))
        return read_ids(x, p, value, fault);
    p->text = json_string_value(value);
    if (!p->text || strlen(p->text) != json_string_length(value))
        return fault_set(fault, 400, "prompt",
                         "prompt: must be a string without NUL characters, an array of token ids, "
                         "or an array of these");
    return true;
}

static bool read_prompts(Exchange *x, Completions *c, Fault *fault)
{
    const json_t *prompt = in_get(x->body, "prompt");
    const json_t *first = json_array_get(prompt, 0);
    bool is_many = json_is_array(prompt) && (json_is_string(first) || json_is_array(first));
    if (!prompt)
        return fault_set(fault, 400, "prompt", "prompt: is missing");
    c->n = is_many ? (int)json_array_size(prompt) : 1;
    if (c->n * x->options.n > PROMPTS_MAX)
        return fault_set(fault, 400, "prompt", "prompt: at most %d prompts, times n, at once",
                         PROMPTS_MAX);
    c->prompts = ARENA_ARRAY(&x->arena, Prompt, c->n);
    for (int i = 0; i < c->n; i++)
        if (!read_prompt(x, &c->prompts[i], is_many ? json_array_get(prompt, (size_t)i) : prompt,
                         fault))
            return false;
    return true;
}

/* The middle's tokens, as Qwen's models know them. */
const char *openai_fill_in(Arena *arena, const char *prefix, const char *suffix)
{
    Buf text = {0};
    buf_printf(&text, "<|fim_prefix|>%s<|fim_suffix|>%s<|fim_middle|>", prefix, suffix);
    const char *copy = arena_strndup(arena, text.data, text.bytes);
    buf_free(&text);
    return copy;
}

bool openai_can_fill_in(const Exchange *x, Fault *fault)
{
    int32_t *ids = NULL;
    int n = 0;
    bool ok = wen_tokenize(x->model->model, "<|fim_middle|>", 14, false, &ids, &n, NULL) && n == 1;
    wen_free(ids);
    return ok || fault_set(fault, 501, "suffix",
                           "this model has no fill-in-the-middle tokens (<|fim_middle|>)");
}

static bool read_suffix(Exchange *x, Completions *c, Fault *fault)
{
    const char *suffix = NULL;
    if (!in_text(x->body, "", "suffix", &suffix, fault))
        return false;
    if (!suffix || !*suffix)
        return true;
    if (!openai_can_fill_in(x, fault))
        return false;
    for (int i = 0; i < c->n; i++) {
        if (!c->prompts[i].text)
            return fault_set(fault, 400, "suffix", "suffix: needs prompts that are text");
        c->prompts[i].text = openai_fill_in(&x->arena, c->prompts[i].text, suffix);
    }
    return true;
}

/* ---- Echo ------------------------------------------------------------------------------------ */

typedef struct Scoring {
    Prompt *prompt;
    int n_top;
} Scoring;

static bool take_score(void *context, int pos, int32_t id, float logprob, const wen_score_top *top,
                       int n_top)
{
    const Scoring *s = context;
    (void)id;
    s->prompt->logprobs[pos] = logprob;
    if (pos + 1 < s->prompt->n_ids && n_top > 0)
        memcpy(s->prompt->tops + (size_t)(pos + 1) * (size_t)n_top, top,
               sizeof *top * (size_t)n_top);
    return true;
}

static bool score_prompt(Exchange *x, Completions *c, Prompt *p, Fault *fault)
{
    wen_error err;
    Scoring scoring = {p, c->n_top};
    if (!exchange_has_no_adapter(x, fault))
        return false;
    if (p->text) {
        int32_t *ids = NULL;
        if (!wen_tokenize(x->model->model, p->text, strlen(p->text), false, &ids, &p->n_ids, &err))
            return fault_from_wen(fault, &err);
        p->ids = ARENA_ARRAY(&x->arena, int32_t, p->n_ids + 1);
        memcpy(p->ids, ids, sizeof *ids * (size_t)p->n_ids);
        wen_free(ids);
    }
    size_t n = (size_t)p->n_ids + 1;
    p->logprobs = ARENA_ARRAY(&x->arena, float, n);
    p->tops = ARENA_ARRAY(&x->arena, wen_score_top, n * (size_t)(c->n_top + 1));
    return wen_score(x->model->engine, p->ids, p->n_ids, c->n_top, take_score, &scoring, &err) ||
           fault_from_wen(fault, &err);
}

static bool read_echo(Exchange *x, Completions *c, Fault *fault)
{
    if (!in_bool(x->body, "", "echo", &c->echoes, fault))
        return false;
    c->n_top = x->options.ask.n_logprobs;
    if (x->options.is_prompt_only && !c->echoes)
        return fault_set(fault, 400, "max_tokens", "max_tokens: 0 needs \"echo\": true");
    for (int i = 0; i < c->n && c->echoes && c->n_top >= 0; i++)
        if (!score_prompt(x, c, &c->prompts[i], fault))
            return false;
    return true;
}

/* ---- Parts of answers ------------------------------------------------------------------------ */

static Str token_text(const Exchange *x, int32_t id)
{
    Str text;
    text.data = wen_token_text(x->model->model, id, &text.bytes);
    return text;
}

/* A token that is no whole text is named by its bytes, as OpenAI does: "bytes:\xe4\xbd". */
static void put_token_name(Buf *out, const Exchange *x, const char *key, int32_t id)
{
    Str text = token_text(x, id);
    Buf name = {0};
    if (utf8_valid_prefix(text) == text.bytes) {
        buf_add(&name, text);
    } else {
        buf_puts(&name, "bytes:");
        for (size_t i = 0; i < text.bytes; i++)
            buf_printf(&name, "\\x%02x", (unsigned char)text.data[i]);
    }
    if (key)
        out_str(out, key, buf_str(&name));
    else
        out_str(out, NULL, buf_str(&name));
    buf_free(&name);
}

static size_t n_characters(Str text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.bytes; i++)
        n += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return n;
}

/* Tokens [from, to) of prompt and answer together: the prompt's come first. */
typedef struct Span {
    const Prompt *prompt; /* NULL: not told */
    const Choice *choice;
    size_t from, to; /* of the choice's */
} Span;

static int32_t span_id(const Span *s, size_t i)
{
    size_t n = s->prompt ? (size_t)s->prompt->n_ids : 0;
    return i < n ? s->prompt->ids[i] : s->choice->tokens[s->from + i - n].id;
}

static float span_logprob(const Span *s, size_t i)
{
    size_t n = s->prompt ? (size_t)s->prompt->n_ids : 0;
    return i < n ? s->prompt->logprobs[i] : s->choice->tokens[s->from + i - n].logprob;
}

static void put_top(Buf *out, const Exchange *x, int32_t id, double logprob)
{
    Buf name = {0};
    put_token_name(&name, x, NULL, id);
    if (out->data[out->bytes - 1] != '{')
        buf_putc(out, ',');
    buf_add(out, buf_str(&name));
    buf_printf(out, ":%.9g", logprob);
    buf_free(&name);
}

static void put_tops(Buf *out, const Exchange *x, const Span *s, size_t i, int n_top)
{
    size_t n = s->prompt ? (size_t)s->prompt->n_ids : 0;
    if (isnan(span_logprob(s, i))) {
        out_null(out, NULL);
        return;
    }
    bool has_own = false;
    out_open(out, NULL, '{');
    for (int k = 0; k < n_top; k++) {
        wen_top top;
        if (i < n) {
            const wen_score_top *t = &s->prompt->tops[i * (size_t)n_top + (size_t)k];
            top = (wen_top){t->id, t->logprob};
        } else {
            const TokenRecord *t = &s->choice->tokens[s->from + i - n];
            if (k >= t->n_top)
                break;
            top = s->choice->tops[t->top_from + (size_t)k];
        }
        has_own |= top.id == span_id(s, i);
        put_top(out, x, top.id, (double)top.logprob);
    }
    if (!has_own)
        put_top(out, x, span_id(s, i), (double)span_logprob(s, i));
    out_close(out, '}');
}

static void put_logprobs(Buf *out, const Exchange *x, const Span *s, size_t *offset)
{
    int n_top = x->options.ask.n_logprobs;
    size_t n = (s->prompt ? (size_t)s->prompt->n_ids : 0) + s->to - s->from;
    if (n_top < 0) {
        out_null(out, "logprobs");
        return;
    }
    out_open(out, "logprobs", '{');
    out_open(out, "tokens", '[');
    for (size_t i = 0; i < n; i++)
        put_token_name(out, x, NULL, span_id(s, i));
    out_close(out, ']');
    out_open(out, "token_logprobs", '[');
    for (size_t i = 0; i < n; i++)
        out_real(out, NULL, (double)span_logprob(s, i));
    out_close(out, ']');
    out_open(out, "top_logprobs", '[');
    for (size_t i = 0; i < n; i++)
        put_tops(out, x, s, i, n_top);
    out_close(out, ']');
    out_open(out, "text_offset", '[');
    for (size_t i = 0; i < n; i++) {
        out_int(out, NULL, (int64_t)*offset);
        *offset += n_characters(token_text(x, span_id(s, i)));
    }
    out_close(out, ']');
    out_close(out, '}');
}

static const Prompt *prompt_of(const Exchange *x, int choice_i)
{
    const Completions *c = x->state;
    return &c->prompts[choice_i / (x->n_choices / c->n)];
}

static void add_prompt_text(Buf *text, const Exchange *x, const Prompt *p)
{
    if (p->text) {
        buf_puts(text, p->text);
        return;
    }
    size_t bytes = 0;
    char *decoded = wen_detokenize(x->model->model, p->ids, p->n_ids, false, &bytes, NULL);
    buf_append(text, decoded, bytes);
    wen_free(decoded);
}

static void put_finish(Buf *out, const Choice *c)
{
    out_str(out, "finish_reason", str_from(choice_finish_name(c)));
    out_int(out, "seed", c->seed);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void write_whole(Exchange *x, Buf *out)
{
    const Completions *completions = x->state;
    openai_put_head(out, x, "text_completion");
    out_open(out, "choices", '[');
    for (int i = 0; i < x->n_choices; i++) {
        const Choice *c = &x->choices[i];
        const Prompt *p = completions->echoes ? prompt_of(x, i) : NULL;
        Buf text = {0};
        size_t offset = 0;
        if (p)
            add_prompt_text(&text, x, p);
        buf_add(&text, buf_str(&c->text));
        out_open(out, NULL, '{');
        out_int(out, "index", i);
        out_str(out, "text", buf_str(&text));
        put_logprobs(out, x, &(Span){p, c, 0, c->n_tokens}, &offset);
        put_finish(out, c);
        out_close(out, '}');
        buf_free(&text);
    }
    out_close(out, ']');
    openai_put_usage(out, "usage", x);
    out_close(out, '}');
}

static void write_chunk(Exchange *x, int choice_i, Str text, const Prompt *prompt, bool is_done,
                        Buf *out)
{
    Choice *c = &x->choices[choice_i];
    buf_puts(out, "data: ");
    openai_put_head(out, x, "text_completion");
    out_open(out, "choices", '[');
    out_open(out, NULL, '{');
    out_int(out, "index", choice_i);
    out_str(out, "text", text);
    put_logprobs(out, x, &(Span){prompt, c, c->n_tokens_told, c->n_tokens}, &c->text_offset);
    c->n_tokens_told = c->n_tokens;
    if (is_done)
        put_finish(out, c);
    else
        out_null(out, "finish_reason");
    out_close(out, '}');
    out_close(out, ']');
    if (x->options.has_usage_in_each)
        openai_put_usage(out, "usage", x);
    out_close(out, '}');
    buf_puts(out, "\n\n");
}

static void begin_stream(Exchange *x, Buf *out)
{
    const Completions *completions = x->state;
    for (int i = 0; i < x->n_choices && completions->echoes; i++) {
        const Prompt *p = prompt_of(x, i);
        Buf text = {0};
        add_prompt_text(&text, x, p);
        write_chunk(x, i, buf_str(&text), p, false, out);
        buf_free(&text);
    }
}

static void stream_piece(Exchange *x, const Piece *p, Buf *out)
{
    bool is_done = p->kind == PIECE_DONE;
    if (!is_done && p->kind != PIECE_TEXT)
        return;
    write_chunk(x, p->choice_i, is_done ? STR("") : p->text, NULL, is_done, out);
}

static void end_stream(Exchange *x, Buf *out)
{
    if (x->options.includes_usage) {
        buf_puts(out, "data: ");
        openai_put_head(out, x, "text_completion");
        out_open(out, "choices", '[');
        out_close(out, ']');
        openai_put_usage(out, "usage", x);
        out_close(out, '}');
        buf_puts(out, "\n\n");
    }
    buf_puts(out, "data: [DONE]\n\n");
}

static const Dialect completions_dialect = {
    .stream_type = "text/event-stream",
    .begin = begin_stream,
    .piece = stream_piece,
    .end = end_stream,
    .fail = openai_fail_stream,
    .ping = openai_ping,
    .whole = write_whole,
};

/* ---- Asking ---------------------------------------------------------------------------------- */

/* Only the prompt is wanted: nothing is generated, all choices have ended. */
static void answer_prompts(Exchange *x, const Completions *c)
{
    x->n_prompts = c->n;
    x->n_choices = x->n_done = c->n * x->options.n;
    x->choices = ARENA_ARRAY(&x->arena, Choice, x->n_choices);
    for (int i = 0; i < x->n_choices; i++) {
        x->choices[i].finish = WEN_FINISH_LENGTH;
        x->choices[i].usage.prompt_tokens = prompt_of(x, i)->n_ids;
    }
    exchange_answer(x);
}

static bool ask(Exchange *x, const Completions *c, Fault *fault)
{
    int n = x->options.n;
    wen_request *asks = ARENA_ARRAY(&x->arena, wen_request, c->n * n);
    for (int i = 0; i < c->n * n; i++) {
        const Prompt *p = &c->prompts[i / n];
        asks[i] = x->options.ask;
        asks[i].prompt = p->text;
        asks[i].ids = p->text ? NULL : p->ids;
        asks[i].n_ids = p->text ? 0 : p->n_ids;
        if (asks[i].sampling.seed >= 0)
            asks[i].sampling.seed = (asks[i].sampling.seed + i % n) & INT64_MAX;
    }
    return exchange_ask(x, asks, c->n * n, c->n, fault);
}

void handle_completions(HttpCall *call)
{
    Fault fault;
    Exchange *x = exchange_open(call, &completions_dialect, "cmpl-");
    if (!x)
        return;
    Completions *c = ARENA_NEW(&x->arena, Completions);
    x->state = c;
    x->options.merges_thinking = true; /* what was written is given as it was written */
    bool ok = read_prompts(x, c, &fault) && read_suffix(x, c, &fault) &&
              options_finish(&x->options, &fault) && read_echo(x, c, &fault);
    if (ok && x->options.is_prompt_only)
        answer_prompts(x, c);
    else if (ok && ask(x, c, &fault))
        exchange_answer(x);
    else
        exchange_refuse(x, &fault);
}
