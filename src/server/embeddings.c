/* POST /v1/embeddings: the final hidden state of the last token, scaled to length 1, as Qwen3's
 * embedding models are used. Inputs get the end-of-text token that those models were trained with
 * when they have one. */
#include "server/embeddings.h"

#include "server/json_in.h"
#include "server/json_out.h"
#include "server/openai.h"
#include "server/server_state.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { INPUTS_MAX = 2048 };

static bool embed_ids(Exchange *x, const int32_t *ids, int n, Embeddings *e, Fault *fault)
{
    wen_error err;
    float *vector = e->vectors + (size_t)e->n * (size_t)e->d_model;
    if (!exchange_has_no_adapter(x, fault))
        return false;
    if (!wen_embed(x->model->engine, ids, n, vector, &err))
        return fault_from_wen(fault, &err);
    e->n++;
    e->n_tokens += n;
    return true;
}

/* The pooling token: what the model ends a text with. */
static int32_t end_id(const Exchange *x)
{
    const json_t *pad = json_object_get(json_object_get(x->model->info, "tokenizer"), "pad_id");
    return json_is_integer(pad) ? (int32_t)json_integer_value(pad) : -1;
}

static bool embed_text(Exchange *x, const json_t *text, Embeddings *e, Fault *fault)
{
    wen_error err;
    int32_t *ids = NULL, end = end_id(x);
    int n = 0;
    if (!wen_tokenize(x->model->model, json_string_value(text), json_string_length(text), true,
                      &ids, &n, &err))
        return fault_from_wen(fault, &err);
    int32_t *with_end = mem_alloc(sizeof *with_end * (size_t)(n + 1));
    memcpy(with_end, ids, sizeof *ids * (size_t)n);
    wen_free(ids);
    if (end >= 0)
        with_end[n++] = end;
    bool ok = embed_ids(x, with_end, n, e, fault);
    mem_free(with_end);
    return ok;
}

static bool embed_one(Exchange *x, const json_t *input, Embeddings *e, Fault *fault)
{
    if (json_is_string(input))
        return embed_text(x, input, e, fault);
    size_t n = json_array_size(input), i;
    int32_t *ids = ARENA_ARRAY(&x->arena, int32_t, n + 1);
    for (i = 0; i < n && json_is_integer(json_array_get(input, i)); i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(input, i));
    if (i < n || !json_is_array(input))
        return fault_set(fault, 400, "input",
                         "input: must be a string, an array of strings, or token ids");
    return embed_ids(x, ids, (int)n, e, fault);
}

bool embeddings_make(Exchange *x, const json_t *input, Embeddings *e, Fault *fault)
{
    const json_t *first = json_array_get(input, 0);
    bool is_many = json_is_array(input) && !json_is_integer(first);
    size_t n = is_many ? json_array_size(input) : 1;
    if (!input || n == 0 || n > INPUTS_MAX)
        return fault_set(fault, 400, "input", "input: 1 to %d texts", INPUTS_MAX);
    *e = (Embeddings){.d_model =
                          (int)json_integer_value(json_object_get(x->model->info, "d_model"))};
    e->vectors = ARENA_ARRAY(&x->arena, float, n *(size_t)e->d_model);
    for (size_t i = 0; i < n; i++)
        if (!embed_one(x, is_many ? json_array_get(input, i) : input, e, fault))
            return false;
    return true;
}

/* Matryoshka: the first components, scaled again. */
static void cut(float *vector, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    for (int i = 0; i < n && sum > 0; i++)
        vector[i] = (float)((double)vector[i] / sqrt(sum));
}

void embeddings_put(Buf *out, const char *key, const float *vector, int n)
{
    out_open(out, key, '[');
    for (int i = 0; i < n; i++)
        out_real(out, NULL, (double)vector[i]);
    out_close(out, ']');
}

/* Little-endian floats, as OpenAI's SDKs ask for by themselves. */
static void put_base64(Buf *out, const char *key, const float *vector, int n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *bytes = (const unsigned char *)vector;
    size_t n_bytes = sizeof(float) * (size_t)n;
    Buf text = {0};
    for (size_t i = 0; i < n_bytes; i += 3) {
        unsigned rest = (unsigned)(n_bytes - i);
        unsigned v = (unsigned)bytes[i] << 16 | (rest > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                     (rest > 2 ? bytes[i + 2] : 0);
        buf_putc(&text, digits[v >> 18]);
        buf_putc(&text, digits[v >> 12 & 63]);
        buf_putc(&text, rest > 1 ? digits[v >> 6 & 63] : '=');
        buf_putc(&text, rest > 2 ? digits[v & 63] : '=');
    }
    out_str(out, key, buf_str(&text));
    buf_free(&text);
}

static void put_answer(Buf *out, const Exchange *x, Embeddings *e, int n, bool is_base64)
{
    out_open(out, NULL, '{');
    out_str(out, "object", STR("list"));
    out_open(out, "data", '[');
    for (int i = 0; i < e->n; i++) {
        float *vector = e->vectors + (size_t)i * (size_t)e->d_model;
        if (n < e->d_model)
            cut(vector, n);
        out_open(out, NULL, '{');
        out_str(out, "object", STR("embedding"));
        out_int(out, "index", i);
        if (is_base64)
            put_base64(out, "embedding", vector, n);
        else
            embeddings_put(out, "embedding", vector, n);
        out_close(out, '}');
    }
    out_close(out, ']');
    out_str(out, "model", str_from(x->model_name));
    out_open(out, "usage", '{');
    out_int(out, "prompt_tokens", e->n_tokens);
    out_int(out, "total_tokens", e->n_tokens);
    out_close(out, '}');
    out_close(out, '}');
}

void handle_embeddings(HttpCall *call)
{
    Fault fault;
    Embeddings e = {0};
    const char *format = "float";
    int64_t n = 0;
    Exchange *x = exchange_open(call, NULL, "");
    if (!x)
        return;
    bool ok = in_text(x->body, "", "encoding_format", &format, &fault) &&
              embeddings_make(x, in_get(x->body, "input"), &e, &fault) &&
              in_int(x->body, "", "dimensions", 1, e.d_model, &n, &fault);
    bool is_base64 = strcmp(format, "base64") == 0;
    if (ok && !is_base64 && strcmp(format, "float") != 0)
        ok = fault_set(&fault, 400, "encoding_format", "encoding_format: float or base64");
    if (!ok) {
        exchange_refuse(x, &fault);
        return;
    }
    Buf out = {0};
    put_answer(&out, x, &e, n ? (int)n : e.d_model, is_base64);
    exchange_close(x);
    http_send_json(call, 200, &out);
}
