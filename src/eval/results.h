/* The results of a run as one JSON object in lm-evaluation-harness' shape:
 *
 *   results {TASK: {alias, "acc,SETTING", "acc_stderr,SETTING", ...}} and the same for groups of a
 *     task's cases ("chain/level=2", "chain/lang=zh"), which group_subtasks lists
 *   configs, versions, n-shot, higher_is_better, n-samples
 *   config {model, model_args, ...}: what the folder's run.json says
 *   date, total_evaluation_time_seconds
 *
 * and what that shape has no place for: differences {TASK: {thinking minus not thinking, paired}},
 * budgets {TASK or "all": {budgets, acc, rises, falls, ...}}, n_replies. */
#ifndef WEN_EVAL_RESULTS_H
#define WEN_EVAL_RESULTS_H

#include "eval/record.h"
#include "eval/stats.h"

/* A new reference. identity: as in eval_samples.h. */
json_t *eval_results(const EvalRecords *r, const json_t *identity);

/* A metric (or count) of a task's cases in a setting; group NULL: all of them. */
EvalMean eval_result_mean(const EvalRecords *r, int task_i, int setting_i, int metric,
                          const EvalGroup *group);
/* Thinking minus not thinking, of the first metric. */
EvalMean eval_result_gain(const EvalRecords *r, int task_i, const EvalGroup *group);
/* Along the budgets: the points, and how they follow each other. EVAL_ALL_TASKS: the cases of all
 * tasks that have a curve, in one heap. */
enum { EVAL_ALL_TASKS = -1 };
EvalCurve eval_result_curve(const EvalRecords *r, int task_i, EvalMean points[EVAL_BUDGETS_MAX]);

#endif
