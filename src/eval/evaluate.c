/* See evaluate.h. */
#include "eval/evaluate.h"

#include "base/file.h"
#include "eval/eval_samples.h"
#include "eval/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Conversations in work for each that is computed, so that the engine never waits for one. */
enum { BACKLOG = 2 };

EvalPlan eval_plan_defaults(void)
{
    return (EvalPlan){
        .sampling = {.temperature = 0, .top_p = (double)NAN, .top_k = -1, .max_tokens = 1024},
        .seed = 1,
        .n_at_once = 64,
    };
}

void eval_plan_close(EvalPlan *plan)
{
    task_list_close(&plan->tasks);
    aims_close(plan->aims);
    json_decref(plan->identity);
    *plan = (EvalPlan){0};
}

static bool make_settings(EvalPlan *plan, const wen_model *model, Error *err)
{
    wen_error failure;
    char *text = wen_model_info(model, 0, NULL, &failure);
    if (!text)
        return error_set(err, (ErrorCode)failure.code, "%s", failure.message);
    json_t *info = json_loads(text, 0, NULL);
    const char *kind = json_string_value(json_object_get(info, "template"));
    const bool can_switch = kind && strcmp(kind, "hybrid") == 0;
    const bool always = kind && strcmp(kind, "thinking") == 0;
    const EvalModes modes = plan->modes  ? plan->modes
                            : can_switch ? EVAL_BOTH
                            : always     ? EVAL_THINK
                                         : EVAL_PLAIN;
    const bool ok =
        eval_settings_make(&plan->settings, modes, can_switch, always, plan->plain_by_flag, err);
    json_decref(info);
    wen_free(text);
    return ok;
}

/* A new reference. */
static json_t *whole_identity(const EvalPlan *plan)
{
    json_t *identity = plan->identity ? json_copy(plan->identity) : json_object();
    json_t *more = json_pack("{s:I, s:s, s:i, s:f, s:f, s:i}", "seed", (json_int_t)plan->seed,
                             "plain", plan->plain_by_flag ? "flag" : "switch", "max_tokens",
                             plan->sampling.max_tokens, "temperature", plan->sampling.temperature,
                             "top_p", isnan(plan->sampling.top_p) ? -1.0 : plan->sampling.top_p,
                             "top_k", plan->sampling.top_k);
    json_object_update(identity, more);
    json_decref(more);
    return identity;
}

static bool write_results(const char *dir, const json_t *results, Error *err)
{
    char *path = file_join(dir, "results.json");
    char *text = json_dumps(results, JSON_INDENT(2) | JSON_REAL_PRECISION(10));
    const bool ok = file_write(path, str_from(text), err);
    free(text);
    mem_free(path);
    return ok;
}

bool evaluate(EvalPlan *plan, const wen_model *model, wen_engine *engine, EvalRecords *records,
              json_t **results, Error *err)
{
    *results = NULL;
    *records = (EvalRecords){0};
    if (!make_settings(plan, model, err))
        return false;
    json_t *identity = whole_identity(plan);
    EvalAsker asker = eval_live_open(engine, &plan->sampling, BACKLOG * plan->n_at_once);
    const EvalJob job = {.dir = plan->dir,
                         .seed = plan->seed,
                         .progress = plan->progress,
                         .progress_context = plan->progress_context,
                         .stop = plan->stop};
    eval_records_open(records, &plan->tasks, &plan->settings);
    bool ok = (!plan->dir || eval_samples_folder(plan->dir, identity, err)) &&
              eval_run(&job, &asker, records, err);
    if (ok) {
        *results = eval_results(records, identity);
        if (plan->aims)
            json_object_set_new(*results, "aims", aims_check(plan->aims, records));
        ok = !plan->dir || write_results(plan->dir, *results, err);
    }
    if (!ok) {
        json_decref(*results);
        *results = NULL;
    }
    eval_live_close(&asker);
    json_decref(identity);
    return ok;
}
