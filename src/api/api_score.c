/* Log-probabilities and logits of given ids, on the model thread. */
#include "api/api.h"

/* engine_score's callback with the caller's context. */
static bool forward_score(void *context, int pos, int32_t id, float logprob, const ScoreTop *top,
                          int n_top)
{
    const ScoreJob *job = context;
    return job->score_each(job->context, pos, id, logprob, (const wen_score_top *)top, n_top);
}

_Static_assert(sizeof(ScoreTop) == sizeof(wen_score_top) &&
                   offsetof(ScoreTop, logit) == offsetof(wen_score_top, logit) &&
                   offsetof(ScoreTop, logprob) == offsetof(wen_score_top, logprob),
               "the same struct");

void score_run(wen_engine *e, ScoreJob *job)
{
    const ScoreInput input = {job->ids, job->n_ids, e->adapters.uses, e->adapters.n};
    turn_take(&e->model->turn);
    if (job->score_each)
        job->ok = engine_score(e->engine, &input, job->n_top, forward_score, job, &job->err);
    else if (job->vector)
        job->ok = engine_embed(e->engine, &input, job->vector, &job->err);
    else
        job->ok = engine_logits(e->engine, &input, job->logits_each, job->context, &job->err);
    turn_give(&e->model->turn);
}

static bool post_and_wait(wen_engine *e, ScoreJob *job, wen_error *err)
{
    job->task.score = job;
    pthread_cond_init(&job->done, NULL);
    pthread_mutex_lock(&e->mutex);
    if (engine_post(e, &job->task, &job->err)) {
        while (!job->is_done)
            pthread_cond_wait(&job->done, &e->mutex);
        engine_unref_unlock(e);
    } else {
        pthread_mutex_unlock(&e->mutex);
    }
    pthread_cond_destroy(&job->done);
    return job->ok ? true : api_fail(err, &job->err);
}

bool wen_score(wen_engine *e, const int32_t *ids, int n_ids, int n_top, wen_score_each *each,
               void *context, wen_error *err)
{
    ScoreJob job = {
        .ids = ids, .n_ids = n_ids, .n_top = n_top, .score_each = each, .context = context};
    return post_and_wait(e, &job, err);
}

bool wen_embed(wen_engine *e, const int32_t *ids, int n_ids, float *vector, wen_error *err)
{
    ScoreJob job = {.ids = ids, .n_ids = n_ids, .vector = vector};
    return post_and_wait(e, &job, err);
}

bool wen_logits(wen_engine *e, const int32_t *ids, int n_ids, wen_logits_each *each, void *context,
                wen_error *err)
{
    ScoreJob job = {.ids = ids, .n_ids = n_ids, .logits_each = each, .context = context};
    return post_and_wait(e, &job, err);
}
