/* See reference.h. */
#include "rl/reference.h"

struct Reference {
    Params params;
    Micro micro;
    int row_tokens;
};

/* Where an answer's log-probabilities go. */
typedef struct Capture {
    const Update *update;
    float **logprobs;
} Capture;

Reference *reference_open(const char *path, const Model *like, int row_tokens, Error *err)
{
    Reference *r = mem_alloc(sizeof *r);
    float *masters = NULL;
    r->row_tokens = row_tokens;
    Package *package = package_open(path, true, err);
    bool ok = package && params_open(&r->params, &like->config, like->backend, like->matrix_type,
                                     false, NULL, err);
    ok =
        ok && (masters = mem_try_alloc(sizeof(float) * r->params.size, "the reference model", err));
    ok = ok && params_load(&r->params, package, 0, masters, err) &&
         micro_open(&r->micro, &r->params, row_tokens, false, err);
    if (ok)
        params_publish(&r->params, masters);
    mem_free(masters);
    package_close(package);
    if (ok)
        return r;
    reference_close(r);
    return NULL;
}

void reference_close(Reference *r)
{
    if (!r)
        return;
    micro_close(&r->micro);
    if (r->params.model)
        params_close(&r->params);
    mem_free(r);
}

static void capture(void *context, int n, const int *places, const float *logprobs, float *weights)
{
    const Capture *c = context;
    (void)weights;
    for (int i = 0; i < n; i++) {
        if (places[i] < 0)
            continue;
        const int doc = c->update->place_doc[places[i]];
        const int target = places[i] - c->update->doc_start[doc] + 1;
        c->logprobs[c->update->doc_answer[doc]][target] = logprobs[i];
    }
}

bool reference_logprobs(Reference *r, const Rollouts *rollouts, float **logprobs, Arena *arena,
                        Error *err)
{
    Update u;
    const Policy unused = {0};
    UpdateAnswer *answers = ARENA_ARRAY(arena, UpdateAnswer, rollouts->n);
    for (int i = 0; i < rollouts->n; i++) {
        answers[i] = (UpdateAnswer){&rollouts->items[i], 0, NULL};
        logprobs[i] = ARENA_ARRAY(arena, float, rollouts->items[i].ids.n);
    }
    bool ok = update_make(&u, &unused, answers, rollouts->n, r->row_tokens, 1, err);
    const Capture job = {&u, logprobs};
    const Objective objective = {.weigh = capture, .context = (void *)&job};
    for (int row = 0; ok && row < u.rows.n_rows; row++) {
        micro_load(&r->micro, &u.rows, row, row + 1, 1);
        micro_forward(&r->micro, NULL);
        micro_weigh(&r->micro, &objective);
    }
    update_free(&u);
    return ok;
}
