/* A whole evaluation of a model: what `wen eval` does between its options and its tables. */
#ifndef WEN_EVAL_EVALUATE_H
#define WEN_EVAL_EVALUATE_H

#include "eval/aims.h"
#include "eval/eval_asker.h"
#include "eval/eval_run.h"

typedef struct EvalPlan {
    TaskList tasks;  /* eval_plan_close closes them, and the aims */
    Aims *aims;      /* NULL: none */
    EvalModes modes; /* 0: all that the model can */
    bool plain_by_flag;
    EvalSettings
        settings; /* the budgets are read before (eval_budgets_read); evaluate does the rest */
    EvalSampling sampling;
    int64_t seed;
    int n_at_once;   /* as many as the engine computes side by side */
    const char *dir; /* where results.json and the samples go; NULL: nowhere */
    /* What makes replies what they are, beside what stands here: an object with the model's hash,
     * its adapters, ... Owned. */
    json_t *identity;
    void (*progress)(void *context, const EvalRecords *r, int64_t n_done, int64_t n_all);
    void *progress_context;
    const volatile int *stop; /* as in EvalJob */
} EvalPlan;

/* Greedy, both modes as the model can, seed 1, 64 at once, 1024 tokens a reply. */
EvalPlan eval_plan_defaults(void);
void eval_plan_close(EvalPlan *plan);

/* Asks, judges, keeps. The records are opened here and closed by the caller, whatever is returned;
 * *results (results.h, with "aims") is a new reference, NULL on failure. The plan stays. */
bool evaluate(EvalPlan *plan, const wen_model *model, wen_engine *engine, EvalRecords *records,
              json_t **results, Error *err) MUST_USE;

#endif
