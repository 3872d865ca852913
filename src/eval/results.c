/* See results.h. */
#include "eval/results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static double *values_of(const EvalRecords *r, int task_i, int setting_i, int metric,
                         const EvalGroup *group)
{
    double *values = mem_alloc(sizeof *values * (size_t)r->tasks->items[task_i]->n_cases);
    eval_values(r, task_i, setting_i, metric, group, values);
    return values;
}

EvalMean eval_result_mean(const EvalRecords *r, int task_i, int setting_i, int metric,
                          const EvalGroup *group)
{
    double *values = values_of(r, task_i, setting_i, metric, group);
    const EvalMean mean = eval_mean(values, r->tasks->items[task_i]->n_cases);
    mem_free(values);
    return mean;
}

EvalMean eval_result_gain(const EvalRecords *r, int task_i, const EvalGroup *group)
{
    if (r->settings->think_i < 0 || r->settings->plain_i < 0)
        return (EvalMean){.mean = (double)NAN, .error = (double)NAN};
    double *think = values_of(r, task_i, r->settings->think_i, 0, group);
    double *plain = values_of(r, task_i, r->settings->plain_i, 0, group);
    const EvalMean gain = eval_difference(think, plain, r->tasks->items[task_i]->n_cases);
    mem_free(think);
    mem_free(plain);
    return gain;
}

/* A setting's values of one task, or (EVAL_ALL_TASKS) of all that have a curve, one behind the
 * other. */
static double *pooled(const EvalRecords *r, int task_i, int setting_i, int *n)
{
    int n_all = 0;
    for (int t = 0; t < r->tasks->n; t++)
        n_all += r->tasks->items[t]->n_cases;
    double *values = mem_alloc(sizeof *values * (size_t)n_all);
    *n = 0;
    for (int t = 0; t < r->tasks->n; t++) {
        if ((task_i != EVAL_ALL_TASKS && t != task_i) || !eval_has_curve(r, t))
            continue;
        eval_values(r, t, setting_i, 0, NULL, values + *n);
        *n += r->tasks->items[t]->n_cases;
    }
    return values;
}

EvalCurve eval_result_curve(const EvalRecords *r, int task_i, EvalMean points[EVAL_BUDGETS_MAX])
{
    double *values[EVAL_BUDGETS_MAX] = {NULL};
    const int n_points = r->settings->n_budgets;
    int n = 0;
    for (int b = 0; b < n_points; b++) {
        values[b] = pooled(r, task_i, r->settings->budget_i[b], &n);
        points[b] = eval_mean(values[b], n);
    }
    const EvalCurve curve = eval_curve((const double *const *)values, n_points, n);
    for (int b = 0; b < n_points; b++)
        mem_free(values[b]);
    return curve;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_string("N/A");
}

static void put_mean(json_t *result, const char *metric, const char *setting, EvalMean mean)
{
    char key[96];
    if (mean.n == 0)
        return;
    snprintf(key, sizeof key, "%s,%s", metric, setting);
    json_object_set_new(result, key, number(mean.mean));
    snprintf(key, sizeof key, "%s_stderr,%s", metric, setting);
    json_object_set_new(result, key, number(mean.error));
}

static json_t *result(const EvalRecords *r, int task_i, const EvalGroup *group, const char *alias)
{
    static const struct {
        const char *name;
        int metric;
    } counts[] = {{"thinking_tokens", EVAL_THINKING_TOKENS}, {"reply_tokens", EVAL_REPLY_TOKENS},
                  {"prompt_tokens", EVAL_PROMPT_TOKENS},     {"cut_off", EVAL_CUT},
                  {"thought_closed", EVAL_CLOSED},           {"has_thought", EVAL_HAS_THOUGHT}};
    const EvalTask *task = r->tasks->items[task_i];
    json_t *object = json_pack("{s:s}", "alias", alias);
    for (int s = 0; s < r->settings->n; s++) {
        const char *setting = r->settings->items[s].name;
        if (!eval_is_asked(r, task_i, s))
            continue;
        for (int m = 0; m < task->n_metrics; m++)
            put_mean(object, task->metrics[m], setting, eval_result_mean(r, task_i, s, m, group));
        for (size_t k = 0; k < sizeof counts / sizeof *counts; k++)
            put_mean(object, counts[k].name, setting,
                     eval_result_mean(r, task_i, s, counts[k].metric, group));
    }
    return object;
}

/* A task's result, and those of its groups. */
static void put_results(json_t *all, const EvalRecords *r, int task_i)
{
    const EvalTask *task = r->tasks->items[task_i];
    EvalGroup groups[EVAL_GROUPS_MAX];
    json_t *results = json_object_get(all, "results"), *subtasks = json_array();
    json_object_set_new(results, task->name, result(r, task_i, NULL, task->name));
    for (int split = EVAL_SPLIT_LEVEL; split < N_EVAL_SPLITS; split++) {
        const int n = eval_groups(r, task_i, (EvalSplit)split, groups);
        for (int g = 0; g < n; g++) {
            Buf name = {0}, alias = {0};
            buf_printf(&name, "%s/", task->name);
            buf_puts(&alias, " - ");
            eval_group_name(&groups[g], &name);
            eval_group_name(&groups[g], &alias);
            json_object_set_new(results, name.data, result(r, task_i, &groups[g], alias.data));
            json_array_append_new(subtasks, json_string(name.data));
            buf_free(&name);
            buf_free(&alias);
        }
    }
    json_object_set_new(json_object_get(all, "group_subtasks"), task->name, subtasks);
}

static void put_config(json_t *all, const EvalRecords *r, int task_i, const json_t *identity)
{
    const EvalTask *task = r->tasks->items[task_i];
    json_t *metrics = json_array(), *higher = json_object(), *filters = json_array();
    for (int m = 0; m < task->n_metrics; m++) {
        json_array_append_new(metrics, json_pack("{s:s, s:s, s:b}", "metric", task->metrics[m],
                                                 "aggregation", "mean", "higher_is_better", 1));
        json_object_set_new(higher, task->metrics[m], json_true());
    }
    for (int s = 0; s < r->settings->n; s++)
        if (eval_is_asked(r, task_i, s))
            json_array_append_new(filters, json_pack("{s:s}", "name", r->settings->items[s].name));
    json_t *config = json_pack(
        "{s:s, s:s, s:i, s:i, s:o, s:o, s:{s:O?, s:O?}, s:{s:f, s:s}}", "task", task->name,
        "output_type", "generate_until", "num_fewshot", 0, "repeats", 1, "metric_list", metrics,
        "filter_list", filters, "generation_kwargs", "temperature",
        json_object_get(identity, "temperature"), "max_gen_toks",
        json_object_get(identity, "max_tokens"), "metadata", "version", 1.0, "about", task->about);
    json_object_set_new(json_object_get(all, "configs"), task->name, config);
    json_object_set_new(json_object_get(all, "versions"), task->name, json_real(1.0));
    json_object_set_new(json_object_get(all, "n-shot"), task->name, json_integer(0));
    json_object_set_new(json_object_get(all, "higher_is_better"), task->name, higher);
    json_object_set_new(
        json_object_get(all, "n-samples"), task->name,
        json_pack("{s:i, s:i}", "original", task->n_cases, "effective", task->n_cases));
}

static void put_gain(json_t *all, const EvalRecords *r, int task_i)
{
    const EvalTask *task = r->tasks->items[task_i];
    const EvalMean gain = eval_result_gain(r, task_i, NULL);
    if (gain.n > 0)
        json_object_set_new(json_object_get(all, "differences"), task->name,
                            json_pack("{s:s, s:s, s:o, s:o, s:i}", "metric", task->metrics[0], "of",
                                      "think - plain", "mean", number(gain.mean), "stderr",
                                      number(gain.error), "n", gain.n));
}

static void put_curve(json_t *all, const EvalRecords *r, int task_i)
{
    const EvalSettings *settings = r->settings;
    EvalMean points[EVAL_BUDGETS_MAX];
    const EvalCurve curve = eval_result_curve(r, task_i, points);
    json_t *budgets = json_array(), *acc = json_array(), *errors = json_array();
    for (int b = 0; b < settings->n_budgets; b++) {
        json_array_append_new(budgets, settings->budgets[b] < 0
                                           ? json_string("inf")
                                           : json_integer(settings->budgets[b]));
        json_array_append_new(acc, number(points[b].mean));
        json_array_append_new(errors, number(points[b].error));
    }
    json_object_set_new(json_object_get(all, "budgets"),
                        task_i == EVAL_ALL_TASKS ? "all" : r->tasks->items[task_i]->name,
                        json_pack("{s:o, s:o, s:o, s:i, s:i, s:i, s:o, s:o}", "budgets", budgets,
                                  "acc", acc, "acc_stderr", errors, "steps", curve.n_steps, "rises",
                                  curve.n_rises, "falls", curve.n_falls, "gain",
                                  number(curve.first_to_last.mean), "gain_stderr",
                                  number(curve.first_to_last.error)));
}

json_t *eval_results(const EvalRecords *r, const json_t *identity)
{
    static const char *const parts[] = {"results", "group_subtasks",   "configs",   "versions",
                                        "n-shot",  "higher_is_better", "n-samples", "differences"};
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        json_object_set_new(all, parts[i], json_object());
    if (r->settings->n_budgets > 0)
        json_object_set_new(all, "budgets", json_object());
    for (int t = 0; t < r->tasks->n; t++) {
        put_results(all, r, t);
        put_config(all, r, t, identity);
        put_gain(all, r, t);
        if (eval_has_curve(r, t))
            put_curve(all, r, t);
    }
    if (r->settings->n_budgets > 0)
        put_curve(all, r, EVAL_ALL_TASKS);
    json_object_set_new(all, "config",
                        json_pack("{s:s, s:O}", "model", "wen", "model_args", identity));
    json_object_set_new(
        all, "n_replies",
        json_pack("{s:I, s:I}", "asked", (json_int_t)r->n_asked, "kept", (json_int_t)r->n_kept));
    json_object_set_new(all, "date", json_real((double)time(NULL)));
    json_object_set_new(all, "total_evaluation_time_seconds", json_real(r->seconds));
    return all;
}
