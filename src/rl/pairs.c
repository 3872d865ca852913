/* See pairs.h. */
#include "rl/pairs.h"

#include "base/hash.h"
#include "rl/packing.h"
#include "train/chat_data.h"
#include "train/jsonl.h"

#include <string.h>

/* ---- Reading --------------------------------------------------------------------------------- */

typedef struct Reading {
    Pairs *pairs;
    const RewardText *text;
    int row_tokens;
} Reading;

/* Appends the conversation prompt + object[side] to the ids. */
static bool read_side(Reading *r, const json_t *object, const char *side, Error *err)
{
    json_t *prompt = json_object_get(object, "prompt"), *own = json_object_get(object, side);
    json_t *messages = prompt ? json_copy(prompt) : json_array();
    bool ok = chat_messages_check(own, err);
    if (ok && strcmp(json_string_value(
                         json_object_get(json_array_get(own, json_array_size(own) - 1), "role")),
                     "assistant") != 0)
        ok = error_set(err, ERROR_FORMAT, "its last message is not the assistant's");
    if (ok) {
        json_array_extend(messages, own);
        ok = reward_text_ids(r->text, messages, json_object_get(object, "tools"), &r->pairs->ids,
                             err);
    }
    json_decref(messages);
    return ok || error_add(err, "%s", side);
}

static void add(Pairs *p, int64_t middle, int64_t end)
{
    if (p->n == p->capacity) {
        const int more = 2 * p->n + 64;
        int64_t *grown = mem_alloc(sizeof *grown * (size_t)(2 * more + 1));
        if (p->n > 0)
            memcpy(grown, p->start, sizeof *grown * (size_t)(2 * p->n + 1));
        mem_free(p->start);
        p->start = grown;
        p->capacity = more;
    }
    p->start[2 * p->n + 1] = middle;
    p->start[2 * p->n + 2] = end;
    p->n++;
}

static bool read_pair(void *context, json_t *value, const char *place, Error *err)
{
    Reading *r = context;
    Pairs *p = r->pairs;
    const int from = p->ids.n;
    const json_t *prompt = json_object_get(value, "prompt");
    const json_t *tools = json_object_get(value, "tools");
    if (!json_is_object(value))
        return error_set(err, ERROR_FORMAT, "%s: it is not an object", place);
    if (prompt && !chat_messages_check(prompt, err)) {
        error_add(err, "prompt");
        return error_add(err, "%s", place);
    }
    if (tools && !json_is_null(tools) && !json_is_array(tools))
        return error_set(err, ERROR_FORMAT, "%s: tools: it is not an array", place);
    if (!read_side(r, value, "chosen", err))
        return error_add(err, "%s", place);
    const int middle = p->ids.n;
    if (!read_side(r, value, "rejected", err))
        return error_add(err, "%s", place);
    const int n = middle - from, end = p->ids.n;
    const bool is_alike = end - middle == n && memcmp(p->ids.data + from, p->ids.data + middle,
                                                      sizeof(int32_t) * (size_t)n) == 0;
    const bool is_long = end - from > r->row_tokens;
    p->n_alike += is_alike;
    p->n_long += is_long && !is_alike;
    if (is_alike || is_long)
        p->ids.n = from;
    else
        add(p, middle, end);
    return true;
}

bool pairs_read(Pairs *p, const char *path, const RewardText *text, int row_tokens, Error *err)
{
    Reading reading = {p, text, row_tokens};
    *p = (Pairs){0};
    if (!jsonl_read(path, read_pair, &reading, err))
        return false;
    if (p->n == 0)
        return error_set(err, ERROR_FORMAT,
                         "%s: no pair is left of %d: %d are longer than batch.tokens (%d), %d have "
                         "two answers alike",
                         path, p->n_long + p->n_alike, p->n_long, row_tokens, p->n_alike);
    const Str starts = {(const char *)p->start, sizeof *p->start * (size_t)(2 * p->n + 1)};
    const Str ids = {(const char *)p->ids.data, sizeof(int32_t) * (size_t)p->ids.n};
    p->hash = hash_bytes(hash_bytes(0, starts), ids);
    return true;
}

void pairs_close(Pairs *p)
{
    ids_free(&p->ids);
    mem_free(p->start);
    *p = (Pairs){0};
}

/* ---- Batches --------------------------------------------------------------------------------- */

/* What is laid out of a batch, from its beginning. */
typedef struct Layout {
    int *row_start, *doc_start;
    int32_t *ids;
    float *weights;
    int n_docs, n_tokens;
} Layout;

static void add_conversation(Layout *at, const Pairs *p, int conversation)
{
    const int64_t from = p->start[conversation];
    const int n = (int)(p->start[conversation + 1] - from);
    memcpy(at->ids + at->n_tokens, p->ids.data + from, sizeof(int32_t) * (size_t)n);
    at->doc_start[at->n_docs++] = at->n_tokens;
    at->n_tokens += n;
    at->weights[at->n_tokens - 1] = 1;
}

bool pairs_rows(const Pairs *p, const int *which, int n, int row_tokens, int grains, Arena *arena,
                Rows *rows, Error *err)
{
    int *lengths = ARENA_ARRAY(arena, int, n), n_tokens = 0;
    Packing packing;
    for (int i = 0; i < n; i++) {
        lengths[i] = (int)(p->start[2 * which[i] + 2] - p->start[2 * which[i]]);
        n_tokens += lengths[i];
    }
    if (!packing_make(&packing, lengths, n, row_tokens, grains, arena))
        return error_set(err, ERROR_LIMIT, "%d pairs cannot be divided into %d grains", n, grains);
    int32_t *targets = ARENA_ARRAY(arena, int32_t, n_tokens); /* the loss looks at none */
    Layout at = {ARENA_ARRAY(arena, int, packing.n_rows + 1),
                 ARENA_ARRAY(arena, int, 2 * n + 1),
                 ARENA_ARRAY(arena, int32_t, n_tokens),
                 ARENA_ARRAY(arena, float, n_tokens),
                 0,
                 0};
    memset(targets, 0, sizeof *targets * (size_t)n_tokens);
    memset(at.weights, 0, sizeof *at.weights * (size_t)n_tokens);
    for (int row = 0; row < packing.n_rows; row++) {
        at.row_start[row] = at.n_docs;
        for (int i = packing.first[row]; i >= 0; i = packing.next[i]) {
            add_conversation(&at, p, 2 * which[i]);
            add_conversation(&at, p, 2 * which[i] + 1);
        }
    }
    at.row_start[packing.n_rows] = at.n_docs;
    at.doc_start[at.n_docs] = at.n_tokens;
    *rows = (Rows){packing.n_rows, at.row_start, at.doc_start, at.ids, targets, at.weights};
    return true;
}
