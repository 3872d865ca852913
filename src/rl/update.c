/* See update.h. */
#include "rl/update.h"

#include "rl/packing.h"

/* What the model reads of an answer: all but the last id, which it only predicts. */
static int n_inputs(const UpdateAnswer *a) { return a->rollout->ids.n - 1; }

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
    int *lengths = ARENA_ARRAY(&u->arena, int, n);
    for (int i = 0; i < n; i++) {
        const int len = lengths[i] = n_inputs(&answers[i]);
        if (len > row_tokens)
            return error_set(err, ERROR_LIMIT,
                             "an answer with its prompt has %d tokens; batch.tokens is %d", len,
                             row_tokens);
        n_tokens += len;
        longest = len > longest ? len : longest;
        u->batch.n_tokens += answers[i].rollout->n_sampled;
    }
    u->batch.n_answers = n;
    Packing p;
    if (!packing_make(&p, lengths, n, row_tokens, grains, &u->arena))
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
