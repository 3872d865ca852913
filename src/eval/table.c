/* See table.h. */
#include "eval/table.h"

#include "eval/results.h"

#include <math.h>
#include <stdio.h>

/* "98.1 ± 0.4", in percent; with its sign if is_signed. */
static void put_mean(Buf *out, EvalMean mean, bool is_signed)
{
    if (mean.n == 0)
        return;
    buf_printf(out, is_signed ? "%+.1f" : "%.1f", 100 * mean.mean);
    if (isfinite(mean.error))
        buf_printf(out, " ± %.1f", 100 * mean.error);
}

static int count_cases(const EvalRecords *r, int t, int s)
{
    return eval_result_mean(r, t, s, 0, NULL).n;
}

/* "41 + 3": tokens of the thought and behind it. */
static void put_tokens(Buf *out, const EvalRecords *r, int t, int s, const EvalGroup *group)
{
    const EvalMean thought = eval_result_mean(r, t, s, EVAL_THINKING_TOKENS, group);
    const EvalMean reply = eval_result_mean(r, t, s, EVAL_REPLY_TOKENS, group);
    if (reply.n == 0)
        return;
    if (thought.mean > 0)
        buf_printf(out, "%.0f + ", thought.mean);
    buf_printf(out, "%.0f", reply.mean - thought.mean);
}

static void put_cut(Buf *out, const EvalRecords *r, int t, int s)
{
    const EvalMean cut = eval_result_mean(r, t, s, EVAL_CUT, NULL);
    if (cut.n > 0 && cut.mean > 0)
        buf_printf(out, "%.1f", 100 * cut.mean);
}

/* ---- Modes ----------------------------------------------------------------------------------- */

typedef struct Average {
    int n;
    double sum, squares; /* of means and of their errors */
} Average;

static void average(Average *a, EvalMean mean)
{
    if (mean.n == 0)
        return;
    a->n++;
    a->sum += mean.mean;
    a->squares += isfinite(mean.error) ? mean.error * mean.error : 0;
}

static EvalMean average_mean(const Average *a)
{
    return (EvalMean){a->n, a->sum / a->n, sqrt(a->squares) / a->n};
}

static bool has_tasks(const EvalRecords *r, bool with_own_mode)
{
    for (int t = 0; t < r->tasks->n; t++)
        if (r->tasks->items[t]->has_own_mode == with_own_mode)
            return true;
    return false;
}

static void put_head(Buf *out, const char *const *columns, int n)
{
    for (int i = 0; i < n; i++)
        buf_printf(out, "| %s ", columns[i]);
    buf_puts(out, "|\n|---|");
    for (int i = 1; i < n; i++)
        buf_puts(out, "--:|");
    buf_putc(out, '\n');
}

static void put_modes(const EvalRecords *r, Buf *out)
{
    const EvalSettings *s = r->settings;
    const int columns[2] = {s->think_i, s->plain_i};
    static const char *const names[2] = {"thinking", "not thinking"};
    const char *head[12];
    int n = 0;
    head[n++] = "task";
    head[n++] = "n";
    for (int k = 0; k < 2; k++)
        if (columns[k] >= 0) {
            head[n++] = names[k];
            head[n++] = "tokens";
            head[n++] = "% cut off";
        }
    const bool is_both = s->think_i >= 0 && s->plain_i >= 0;
    if (is_both)
        head[n++] = "difference";
    put_head(out, head, n);
    Average modes[2] = {{0}}, gains = {0};
    int n_tasks = 0;
    for (int t = 0; t < r->tasks->n; t++) {
        if (r->tasks->items[t]->has_own_mode)
            continue;
        n_tasks++;
        buf_printf(out, "| %s | %d ", r->tasks->items[t]->name,
                   count_cases(r, t, columns[0] >= 0 ? columns[0] : columns[1]));
        for (int k = 0; k < 2; k++)
            if (columns[k] >= 0) {
                const EvalMean mean = eval_result_mean(r, t, columns[k], 0, NULL);
                average(&modes[k], mean);
                buf_puts(out, "| ");
                put_mean(out, mean, false);
                buf_puts(out, " | ");
                put_tokens(out, r, t, columns[k], NULL);
                buf_puts(out, " | ");
                put_cut(out, r, t, columns[k]);
                buf_putc(out, ' ');
            }
        if (is_both) {
            const EvalMean gain = eval_result_gain(r, t);
            average(&gains, gain);
            buf_puts(out, "| ");
            put_mean(out, gain, true);
            buf_putc(out, ' ');
        }
        buf_puts(out, "|\n");
    }
    if (n_tasks < 2)
        return;
    buf_printf(out, "| mean of %d | ", n_tasks);
    for (int k = 0; k < 2; k++)
        if (columns[k] >= 0) {
            buf_puts(out, "| ");
            put_mean(out, average_mean(&modes[k]), false);
            buf_puts(out, " | | ");
        }
    if (is_both) {
        buf_puts(out, "| ");
        put_mean(out, average_mean(&gains), true);
        buf_putc(out, ' ');
    }
    buf_puts(out, "|\n");
}

/* ---- Tasks with a mode of their own ---------------------------------------------------------- */

static void put_own_row(const EvalRecords *r, int t, int s, const EvalGroup *group, Buf *out)
{
    const EvalTask *task = r->tasks->items[t];
    buf_printf(out, "| %s", group ? "– " : task->name);
    if (group)
        eval_group_name(group, out);
    buf_printf(out, " | %d | ", eval_result_mean(r, t, s, EVAL_REPLY_TOKENS, group).n);
    for (int m = 0; m < task->n_metrics; m++) {
        const EvalMean mean = eval_result_mean(r, t, s, m, group);
        if (mean.n == 0)
            continue;
        buf_printf(out, "%s%s ", m ? ", " : "", task->metrics[m]);
        put_mean(out, mean, false);
    }
    buf_puts(out, " | ");
    put_tokens(out, r, t, s, group);
    buf_puts(out, " |\n");
}

static void put_own_modes(const EvalRecords *r, Buf *out)
{
    static const char *const head[] = {"as the conversation says", "n", "", "tokens"};
    EvalGroup groups[EVAL_GROUPS_MAX];
    put_head(out, head, 4);
    for (int t = 0; t < r->tasks->n; t++) {
        const int s = r->settings->n - 1;
        if (!r->tasks->items[t]->has_own_mode)
            continue;
        put_own_row(r, t, s, NULL, out);
        const int n = eval_groups(r, t, EVAL_SPLIT_KIND, groups);
        for (int g = 0; g < n; g++)
            put_own_row(r, t, s, &groups[g], out);
    }
}

/* ---- Budgets --------------------------------------------------------------------------------- */

static void put_curves(const EvalRecords *r, Buf *out)
{
    const EvalSettings *s = r->settings;
    buf_puts(out, "| budget of thought ");
    for (int b = 0; b < s->n_budgets; b++)
        if (s->budgets[b] < 0)
            buf_puts(out, "| ∞ ");
        else
            buf_printf(out, "| %d ", s->budgets[b]);
    buf_puts(out, "| rises | falls | last - first |\n|---|");
    for (int b = 0; b < s->n_budgets + 3; b++)
        buf_puts(out, "--:|");
    buf_putc(out, '\n');
    for (int t = 0; t < r->tasks->n; t++) {
        if (r->tasks->items[t]->has_own_mode)
            continue;
        buf_printf(out, "| %s ", r->tasks->items[t]->name);
        for (int b = 0; b < s->n_budgets; b++) {
            buf_puts(out, "| ");
            put_mean(out, eval_result_mean(r, t, s->budget_i[b], 0, NULL), false);
            buf_putc(out, ' ');
        }
        const EvalCurve curve = eval_result_curve(r, t);
        buf_printf(out, "| %d of %d | %d | ", curve.n_rises, curve.n_steps, curve.n_falls);
        put_mean(out, curve.first_to_last, true);
        buf_puts(out, " |\n");
    }
    buf_puts(out, "\nRises and falls: steps of more than two standard errors of the paired "
                  "difference.\n");
}

void eval_table(const EvalRecords *r, Buf *out)
{
    const bool has_plain_tasks = has_tasks(r, false);
    if (has_plain_tasks && (r->settings->think_i >= 0 || r->settings->plain_i >= 0)) {
        put_modes(r, out);
        buf_putc(out, '\n');
    }
    if (has_plain_tasks && r->settings->n_budgets > 0) {
        put_curves(r, out);
        buf_putc(out, '\n');
    }
    if (has_tasks(r, true)) {
        put_own_modes(r, out);
        buf_putc(out, '\n');
    }
}
