/* POST /rerank, /v1/rerank, /v2/rerank, in the shape of Jina's and Cohere's: how well each document
 * answers a query, as Qwen3's reranker models judge it: the share of "yes" against "no" as the
 * first token of an answer (prompt and formula: README of Qwen/Qwen3-Reranker-0.6B).
 *
 * Both words are asked for apart, each the only token allowed, and the engine says how likely it
 * was before that; the prompt is computed once for both. */
#include "server/exchange.h"
#include "server/json_in.h"
#include "server/json_out.h"
#include "server/server_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DOCUMENTS_MAX = 128 };

static const char before[] =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and "
    "the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n"
    "<|im_start|>user\n";
static const char behind[] = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
static const char usual_task[] =
    "Given a web search query, retrieve relevant passages that answer the query";

typedef struct Rerank {
    const char *query, *task;
    json_t *documents; /* borrowed */
    int n, n_wanted;
    bool returns_documents;
    int32_t word_ids[2]; /* yes, no */
    int *order;          /* best first */
    double *scores;
} Rerank;

/* ---- The request ----------------------------------------------------------------------------- */

static Str document_text(const Rerank *r, int i)
{
    const json_t *document = json_array_get(r->documents, (size_t)i);
    const json_t *text = json_is_object(document) ? json_object_get(document, "text") : document;
    return (Str){json_string_value(text), json_string_length(text)};
}

static bool read_request(Exchange *x, Rerank *r, Fault *fault)
{
    int64_t n_wanted = 0;
    r->task = usual_task;
    if (!in_text(x->body, "", "query", &r->query, fault) ||
        !in_text(x->body, "", "instruction", &r->task, fault) ||
        !in_array(x->body, "", "documents", &r->documents, fault) ||
        !in_bool(x->body, "", "return_documents", &r->returns_documents, fault) ||
        !in_int(x->body, "", "top_n", 1, DOCUMENTS_MAX, &n_wanted, fault))
        return false;
    r->n = (int)json_array_size(r->documents);
    if (!r->query)
        return fault_set(fault, 400, "query", "query: is missing");
    if (r->n < 1 || r->n > DOCUMENTS_MAX)
        return fault_set(fault, 400, "documents", "documents: 1 to %d texts", DOCUMENTS_MAX);
    for (int i = 0; i < r->n; i++)
        if (!document_text(r, i).data)
            return fault_set(fault, 400, "documents",
                             "documents[%d]: must be a string or {\"text\": string}", i);
    r->n_wanted = n_wanted && n_wanted < r->n ? (int)n_wanted : r->n;
    return true;
}

/* ---- Prompts --------------------------------------------------------------------------------- */

typedef struct IdBuf {
    int32_t *ids;
    int n;
} IdBuf;

static bool add_ids(Exchange *x, IdBuf *to, Str text, bool is_plain, Fault *fault)
{
    wen_error err;
    int32_t *ids = NULL;
    int n = 0;
    if (!wen_tokenize(x->model->model, text.data, text.bytes, is_plain, &ids, &n, &err))
        return fault_from_wen(fault, &err);
    int32_t *joined = ARENA_ARRAY(&x->arena, int32_t, to->n + n + 1);
    if (to->n)
        memcpy(joined, to->ids, sizeof *joined * (size_t)to->n);
    memcpy(joined + to->n, ids, sizeof *joined * (size_t)n);
    to->ids = joined;
    to->n += n;
    wen_free(ids);
    return true;
}

/* Special tokens are matched in the frame, never in query and document. */
static bool make_prompt(Exchange *x, const Rerank *r, int i, IdBuf *prompt, Fault *fault)
{
    Buf text = {0};
    buf_printf(&text, "<Instruct>: %s\n<Query>: %s\n<Document>: ", r->task, r->query);
    buf_add(&text, document_text(r, i));
    bool ok = add_ids(x, prompt, str_from(before), false, fault) &&
              add_ids(x, prompt, buf_str(&text), true, fault) &&
              add_ids(x, prompt, str_from(behind), false, fault);
    buf_free(&text);
    return ok;
}

/* The first token of each word, in Qwen's vocabulary the whole word. */
static bool find_words(Exchange *x, Rerank *r, Fault *fault)
{
    static const char *const words[] = {"yes", "no"};
    for (int i = 0; i < 2; i++) {
        IdBuf ids = {0};
        if (!add_ids(x, &ids, str_from(words[i]), true, fault))
            return false;
        r->word_ids[i] = ids.ids[0];
    }
    return true;
}

static bool ask(Exchange *x, Rerank *r, Fault *fault)
{
    static const float only = 1e6F;
    wen_request *asks = ARENA_ARRAY(&x->arena, wen_request, 2 * r->n);
    for (int i = 0; i < r->n; i++) {
        IdBuf prompt = {0};
        if (!make_prompt(x, r, i, &prompt, fault))
            return false;
        for (int k = 0; k < 2; k++) {
            wen_request *a = &asks[2 * i + k];
            *a = wen_request_defaults();
            a->ids = prompt.ids;
            a->n_ids = prompt.n;
            a->adapters = x->options.ask.adapters;
            a->n_adapters = x->options.ask.n_adapters;
            a->max_tokens = 1;
            a->n_logprobs = 0;
            a->ignores_eos = true;
            a->sampling.temperature = 0;
            a->sampling.bias_ids = &r->word_ids[k];
            a->sampling.bias = &only;
            a->sampling.n_bias = 1;
        }
    }
    return exchange_ask(x, asks, 2 * r->n, r->n, fault);
}

/* ---- The answer ------------------------------------------------------------------------------ */

static int by_score(const void *a, const void *b, void *scores)
{
    double x = ((const double *)scores)[*(const int *)a];
    double y = ((const double *)scores)[*(const int *)b];
    return x < y ? 1 : x > y ? -1 : *(const int *)a - *(const int *)b;
}

static void judge(Exchange *x, Rerank *r)
{
    r->scores = ARENA_ARRAY(&x->arena, double, r->n);
    r->order = ARENA_ARRAY(&x->arena, int, r->n);
    for (int i = 0; i < r->n; i++) {
        double yes = (double)x->choices[2 * i].tokens[0].logprob;
        double no = (double)x->choices[2 * i + 1].tokens[0].logprob;
        r->scores[i] = 1 / (1 + exp(no - yes));
        r->order[i] = i;
    }
    qsort_r(r->order, (size_t)r->n, sizeof *r->order, by_score, r->scores);
}

static void write_whole(Exchange *x, Buf *out)
{
    Rerank *r = x->state;
    judge(x, r);
    out_open(out, NULL, '{');
    out_str(out, "id", str_from(x->id));
    out_str(out, "model", str_from(x->model_name));
    out_open(out, "results", '[');
    for (int k = 0; k < r->n_wanted; k++) {
        int i = r->order[k];
        out_open(out, NULL, '{');
        out_int(out, "index", i);
        out_real(out, "relevance_score", r->scores[i]);
        if (r->returns_documents) {
            out_open(out, "document", '{');
            out_str(out, "text", document_text(r, i));
            out_close(out, '}');
        }
        out_close(out, '}');
    }
    out_close(out, ']');
    int n_tokens = exchange_usage(x).prompt_tokens;
    out_open(out, "usage", '{');
    out_int(out, "prompt_tokens", n_tokens);
    out_int(out, "total_tokens", n_tokens);
    out_close(out, '}');
    out_close(out, '}');
}

static const Dialect rerank_dialect = {.whole = write_whole};

void handle_rerank(HttpCall *call)
{
    Fault fault;
    Exchange *x = exchange_open(call, &rerank_dialect, "rerank-");
    if (!x)
        return;
    Rerank *r = ARENA_NEW(&x->arena, Rerank);
    x->state = r;
    x->options.is_stream = false;
    if (read_request(x, r, &fault) && find_words(x, r, &fault) && ask(x, r, &fault))
        exchange_answer(x);
    else
        exchange_refuse(x, &fault);
}
