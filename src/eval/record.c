/* See record.h. */
#include "eval/record.h"

#include <math.h>
#include <string.h>

void eval_records_open(EvalRecords *r, const TaskList *tasks, const EvalSettings *settings)
{
    const size_t n = (size_t)tasks->n;
    *r = (EvalRecords){.tasks = tasks,
                       .settings = settings,
                       .records = mem_alloc(sizeof(EvalRecord *) * n),
                       .labels = mem_alloc(sizeof(EvalLabels *) * n),
                       .left_out = mem_alloc(sizeof(EvalLeftOut) * n)};
    for (size_t t = 0; t < n; t++) {
        const size_t n_cases = (size_t)tasks->items[t]->n_cases;
        r->records[t] = mem_alloc(sizeof(EvalRecord) * n_cases * (size_t)settings->n);
        r->labels[t] = mem_alloc(sizeof(EvalLabels) * n_cases);
    }
}

void eval_records_close(EvalRecords *r)
{
    for (int t = 0; r->tasks && t < r->tasks->n; t++) {
        mem_free(r->records[t]);
        mem_free(r->labels[t]);
    }
    mem_free(r->records);
    mem_free(r->labels);
    mem_free(r->left_out);
    *r = (EvalRecords){0};
}

EvalRecord *eval_record(const EvalRecords *r, int task_i, int case_i, int setting_i)
{
    return &r->records[task_i][case_i * r->settings->n + setting_i];
}

bool eval_is_asked(const EvalRecords *r, int task_i, int setting_i)
{
    const EvalTask *task = r->tasks->items[task_i];
    const EvalSetting *setting = &r->settings->items[setting_i];
    return task->has_own_mode == setting->is_own && !(task->skips_budgets && setting->budget > 0);
}

bool eval_has_curve(const EvalRecords *r, int task_i)
{
    const EvalTask *task = r->tasks->items[task_i];
    return r->settings->n_budgets > 0 && !task->has_own_mode && !task->skips_budgets;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static EvalGroup group_of(const EvalLabels *labels, EvalSplit split)
{
    return (EvalGroup){.split = split,
                       .level = split == EVAL_SPLIT_LEVEL ? labels->level : 0,
                       .text = split == EVAL_SPLIT_LANG   ? labels->lang
                               : split == EVAL_SPLIT_KIND ? labels->kind
                                                          : NULL};
}

static int compare(const EvalGroup *a, const EvalGroup *b)
{
    return a->text && b->text ? strcmp(a->text, b->text) : a->level - b->level;
}

static bool is_label(const EvalGroup *g) { return g->text || g->level > 0; }

int eval_groups(const EvalRecords *r, int task_i, EvalSplit split,
                EvalGroup groups[EVAL_GROUPS_MAX])
{
    int n = 0;
    for (int i = 0; i < r->tasks->items[task_i]->n_cases; i++) {
        const EvalGroup g = group_of(&r->labels[task_i][i], split);
        int at = 0;
        while (at < n && compare(&groups[at], &g) < 0)
            at++;
        if (!is_label(&g) || n == EVAL_GROUPS_MAX || (at < n && compare(&groups[at], &g) == 0))
            continue;
        memmove(groups + at + 1, groups + at, sizeof *groups * (size_t)(n - at));
        groups[at] = g;
        n++;
    }
    return n > 1 ? n : 0;
}

void eval_group_name(const EvalGroup *group, Buf *out)
{
    static const char *const names[N_EVAL_SPLITS] = {"", "level", "lang", "kind"};
    if (group->text)
        buf_printf(out, "%s=%s", names[group->split], group->text);
    else
        buf_printf(out, "%s=%d", names[group->split], group->level);
}

static double value_of(const EvalRecord *record, int metric)
{
    switch (metric) {
    case EVAL_THINKING_TOKENS:
        return record->thinking_tokens;
    case EVAL_REPLY_TOKENS:
        return record->reply_tokens;
    case EVAL_PROMPT_TOKENS:
        return record->prompt_tokens;
    case EVAL_CUT:
        return record->is_cut;
    case EVAL_CLOSED:
        return record->was_closed;
    case EVAL_HAS_THOUGHT:
        return record->has_thought;
    default:
        return record->values[metric];
    }
}

void eval_values(const EvalRecords *r, int task_i, int setting_i, int metric,
                 const EvalGroup *group, double *values)
{
    for (int i = 0; i < r->tasks->items[task_i]->n_cases; i++) {
        const EvalRecord *record = eval_record(r, task_i, i, setting_i);
        bool is_in = record->is_there;
        if (is_in && group) {
            const EvalGroup own = group_of(&r->labels[task_i][i], group->split);
            is_in = is_label(&own) && compare(&own, group) == 0;
        }
        values[i] = is_in ? value_of(record, metric) : (double)NAN;
    }
}
