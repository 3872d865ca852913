/* See update.h. */
#include "rl/update.h"

#include <stdlib.h>
#include <string.h>

/* What the model reads of an answer: all but the last id, which it only predicts. */
static int n_inputs(const UpdateAnswer *a) { return a->rollout->ids.n - 1; }

typedef struct Packing {
    int n_rows, rows_max;
    int *filled;       /* [rows_max] tokens */
    int *first, *last; /* [rows_max] answers; -1: none */
    int *next;         /* of each answer: the one behind it in its row, or -1 */
} Packing;

typedef struct ByLength {
    int n, i;
} ByLength;

static int longer_first(const void *a, const void *b)
{
    const ByLength *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : (x->i > y->i) - (x->i < y->i);
}

static void put(Packing *p, int row, int answer, int n_tokens)
{
    p->filled[row] += n_tokens;
    p->next[answer] = -1;
    if (p->last[row] >= 0)
        p->next[p->last[row]] = answer;
    else
        p->first[row] = answer;
    p->last[row] = answer;
    if (row >= p->n_rows)
        p->n_rows = row + 1;
}

/* First-fit decreasing; the first `least` answers open a row each, so that no grain is empty. */
static void pack(Packing *p, const UpdateAnswer *answers, int n, int row_tokens, int least,
                 Arena *arena)
{
    ByLength *order = ARENA_ARRAY(arena, ByLength, n);
    p->rows_max = n;
    p->filled = ARENA_ARRAY(arena, int, n);
    p->next = ARENA_ARRAY(arena, int, n);
    p->first = ARENA_ARRAY(arena, int, n);
    p->last = ARENA_ARRAY(arena, int, n);
    for (int i = 0; i < n; i++) {
        order[i] = (ByLength){n_inputs(&answers[i]), i};
        p->first[i] = p->last[i] = -1;
        p->filled[i] = 0;
    }
    qsort(order, (size_t)n, sizeof *order, longer_first);
    for (int i = 0; i < n; i++) {
        int row = i < least ? i : 0;
        while (p->filled[row] > 0 && p->filled[row] + order[i].n > row_tokens)
            row++;
        put(p, row, order[i].i, order[i].n);
    }
}

/* Answers as documents, row by row. */
static void lay_out(Update *u, const Packing *p, int n_tokens, int n)
{
    int32_t *ids = ARENA_ARRAY(&u->arena, int32_t, n_tokens);
    int32_t *targets = ARENA_ARRAY(&u->arena, int32_t, n_tokens);
    float *weights = ARENA_ARRAY(&u->arena, float, n_tokens);
    int at = 0, doc = 0;
    u->doc_answer = ARENA_ARRAY(&u->arena, int, n);
    u->doc_start = ARENA_ARRAY(&u->arena, int, n + 1);
    u->row_start = ARENA_ARRAY(&u->arena, int, p->n_rows + 1);
    u->place_doc = ARENA_ARRAY(&u->arena, int, n_tokens);
    for (int row = 0; row < p->n_rows; row++) {
        u->row_start[row] = doc;
        for (int answer = p->first[row]; answer >= 0; answer = p->next[answer], doc++) {
            const Rollout *r = u->answers[answer].rollout;
            u->doc_answer[doc] = answer;
            u->doc_start[doc] = at;
            for (int i = 0; i + 1 < r->ids.n; i++, at++) {
                ids[at] = r->ids.data[i];
                targets[at] = r->ids.data[i + 1];
                weights[at] = r->is_sampled[i + 1] ? 1.0f : 0.0f;
                u->place_doc[at] = doc;
            }
        }
    }
    u->row_start[p->n_rows] = doc;
    u->doc_start[doc] = at;
    u->rows = (Rows){p->n_rows, u->row_start, u->doc_start, ids, targets, weights};
}

/* n tokens of one answer. */
static void weigh_answer(Update *u, int doc, int n, const int *places, const float *logprobs,
                         float *weights)
{
    const UpdateAnswer *a = &u->answers[u->doc_answer[doc]];
    for (int i = 0; i < n; i++) {
        const int target = places[i] - u->doc_start[doc] + 1;
        u->sampled[i] = a->rollout->logprobs[target];
        u->reference[i] = a->reference ? a->reference[target] : 0;
    }
    const Answer answer = {n, a->advantage, u->sampled, u->reference};
    policy_weights(u->policy, &u->batch, &answer, logprobs, weights, &u->stats);
}

static void weigh(void *context, int n, const int *places, const float *logprobs, float *weights)
{
    Update *u = context;
    for (int from = 0, to; from < n; from = to) {
        to = from + 1;
        if (places[from] < 0)
            continue;
        const int doc = u->place_doc[places[from]];
        while (to < n && places[to] >= 0 && u->place_doc[places[to]] == doc)
            to++;
        weigh_answer(u, doc, to - from, places + from, logprobs + from, weights + from);
    }
}

bool update_make(Update *u, const Policy *policy, const UpdateAnswer *answers, int n,
                 int row_tokens, int grains, Error *err)
{
    int n_tokens = 0, longest = 0;
    *u = (Update){.policy = policy, .answers = answers};
    for (int i = 0; i < n; i++) {
        const int len = n_inputs(&answers[i]);
        if (len > row_tokens)
            return error_set(err, ERROR_LIMIT,
                             "an answer with its prompt has %d tokens; batch.tokens is %d", len,
                             row_tokens);
        n_tokens += len;
        longest = len > longest ? len : longest;
        u->batch.n_tokens += answers[i].rollout->n_sampled;
    }
    if (n < grains)
        return error_set(err, ERROR_LIMIT, "%d answers cannot be divided into %d grains", n,
                         grains);
    u->batch.n_answers = n;
    Packing p = {0};
    int least = grains;
    do { /* until the rows divide into grains; n of them always do where grains divides n */
        p = (Packing){0};
        pack(&p, answers, n, row_tokens, least, &u->arena);
        least = (p.n_rows + grains - 1) / grains * grains;
    } while (p.n_rows % grains != 0 && least <= n);
    if (p.n_rows % grains != 0)
        return error_set(err, ERROR_LIMIT, "%d answers cannot be divided into %d grains", n,
                         grains);
    lay_out(u, &p, n_tokens, n);
    u->sampled = ARENA_ARRAY(&u->arena, float, longest);
    u->reference = ARENA_ARRAY(&u->arena, float, longest);
    u->objective = (Objective){.weigh = weigh, .context = u};
    return true;
}

void update_free(Update *u)
{
    arena_close(&u->arena);
    *u = (Update){0};
}
