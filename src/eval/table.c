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

static void put_cut(Buf *out, const EvalRecords *r, int t, int s, const EvalGroup *group)
{
    const EvalMean cut = eval_result_mean(r, t, s, EVAL_CUT, group);
    if (cut.n > 0 && cut.mean > 0)
        buf_printf(out, "%.1f", 100 * cut.mean);
}

/* "chain", or "– level=2" of a group. */
static void put_name(Buf *out, const EvalRecords *r, int t, const EvalGroup *group)
{
    buf_printf(out, "| %s", group ? "– " : r->tasks->items[t]->name);
    if (group)
        eval_group_name(group, out);
    buf_puts(out, " |");
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

/* A table's rows of one task: all of it, then its groups. */
static void put_rows(const EvalRecords *r, int t, EvalSplit split, Buf *out,
                     void (*put_row)(const EvalRecords *r, int t, const EvalGroup *group, Buf *out))
{
    EvalGroup groups[EVAL_GROUPS_MAX];
    const EvalSplit by = split ? split : r->tasks->items[t]->split;
    const int n = by ? eval_groups(r, t, by, groups) : 0;
    put_row(r, t, NULL, out);
    for (int g = 0; g < n; g++)
        put_row(r, t, &groups[g], out);
}

/* ---- Modes ----------------------------------------------------------------------------------- */

/* The settings that have columns. */
typedef struct Modes {
    int n, settings[2];
    const char *names[2];
} Modes;

static Modes modes_of(const EvalSettings *s)
{
    Modes m = {0};
    if (s->think_i >= 0) {
        m.names[m.n] = "thinking";
        m.settings[m.n++] = s->think_i;
    }
    if (s->plain_i >= 0) {
        m.names[m.n] = "not thinking";
        m.settings[m.n++] = s->plain_i;
    }
    return m;
}

static void put_mode_row(const EvalRecords *r, int t, const EvalGroup *group, Buf *out)
{
    const Modes m = modes_of(r->settings);
    put_name(out, r, t, group);
    buf_printf(out, " %d | %.0f |", eval_result_mean(r, t, m.settings[0], 0, group).n,
               eval_result_mean(r, t, m.settings[0], EVAL_PROMPT_TOKENS, group).mean);
    for (int k = 0; k < m.n; k++) {
        buf_putc(out, ' ');
        put_mean(out, eval_result_mean(r, t, m.settings[k], 0, group), false);
        buf_puts(out, " | ");
        put_tokens(out, r, t, m.settings[k], group);
        buf_puts(out, " | ");
        put_cut(out, r, t, m.settings[k], group);
        buf_puts(out, " |");
    }
    if (m.n == 2) {
        buf_putc(out, ' ');
        put_mean(out, eval_result_gain(r, t, group), true);
        buf_puts(out, " |");
    }
    buf_putc(out, '\n');
}

/* The mean of means, and its error. */
typedef struct Average {
    int n;
    double sum, squares;
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

static void put_average_row(const EvalRecords *r, Buf *out)
{
    const Modes m = modes_of(r->settings);
    Average means[2] = {{0}}, gains = {0};
    int n = 0;
    for (int t = 0; t < r->tasks->n; t++) {
        if (r->tasks->items[t]->has_own_mode)
            continue;
        n++;
        for (int k = 0; k < m.n; k++)
            average(&means[k], eval_result_mean(r, t, m.settings[k], 0, NULL));
        average(&gains, eval_result_gain(r, t, NULL));
    }
    if (n < 2)
        return;
    buf_printf(out, "| mean of %d | | |", n);
    for (int k = 0; k < m.n; k++) {
        buf_putc(out, ' ');
        put_mean(out, average_mean(&means[k]), false);
        buf_puts(out, " | | |");
    }
    if (m.n == 2) {
        buf_putc(out, ' ');
        put_mean(out, average_mean(&gains), true);
        buf_puts(out, " |");
    }
    buf_putc(out, '\n');
}

static void put_modes(const EvalRecords *r, EvalSplit split, Buf *out)
{
    const Modes m = modes_of(r->settings);
    const char *head[12] = {"task", "n", "prompt"};
    int n = 3;
    for (int k = 0; k < m.n; k++) {
        head[n++] = m.names[k];
        head[n++] = "tokens";
        head[n++] = "% cut off";
    }
    if (m.n == 2)
        head[n++] = "difference";
    put_head(out, head, n);
    for (int t = 0; t < r->tasks->n; t++)
        if (!r->tasks->items[t]->has_own_mode)
            put_rows(r, t, split, out, put_mode_row);
    put_average_row(r, out);
}

/* ---- Tasks with a mode of their own ---------------------------------------------------------- */

static int own_setting(const EvalRecords *r) { return r->settings->n - 1; }

static void put_own_row(const EvalRecords *r, int t, const EvalGroup *group, Buf *out)
{
    const EvalTask *task = r->tasks->items[t];
    const int s = own_setting(r);
    put_name(out, r, t, group);
    buf_printf(out, " %d | ", eval_result_mean(r, t, s, EVAL_REPLY_TOKENS, group).n);
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

static void put_own_modes(const EvalRecords *r, EvalSplit split, Buf *out)
{
    static const char *const head[] = {"as the conversation says", "n", "right", "tokens"};
    put_head(out, head, 4);
    for (int t = 0; t < r->tasks->n; t++)
        if (r->tasks->items[t]->has_own_mode)
            put_rows(r, t, split, out, put_own_row);
}

/* ---- Budgets --------------------------------------------------------------------------------- */

static void put_curve(const EvalRecords *r, int t, const char *name, Buf *out)
{
    EvalMean points[EVAL_BUDGETS_MAX];
    const EvalCurve curve = eval_result_curve(r, t, points);
    buf_printf(out, "| %s |", name);
    for (int b = 0; b < r->settings->n_budgets; b++) {
        buf_putc(out, ' ');
        put_mean(out, points[b], false);
        buf_puts(out, " |");
    }
    buf_printf(out, " %d of %d | %d | ", curve.n_rises, curve.n_steps, curve.n_falls);
    put_mean(out, curve.first_to_last, true);
    buf_puts(out, " |\n");
}

static void put_curves(const EvalRecords *r, Buf *out)
{
    const EvalSettings *s = r->settings;
    int n = 0;
    buf_puts(out, "| budget of thought |");
    for (int b = 0; b < s->n_budgets; b++)
        if (s->budgets[b] < 0)
            buf_puts(out, " ∞ |");
        else
            buf_printf(out, " %d |", s->budgets[b]);
    buf_puts(out, " rises | falls | last - first |\n|---|");
    for (int b = 0; b < s->n_budgets + 3; b++)
        buf_puts(out, "--:|");
    buf_putc(out, '\n');
    for (int t = 0; t < r->tasks->n; t++)
        if (eval_has_curve(r, t)) {
            put_curve(r, t, r->tasks->items[t]->name, out);
            n++;
        }
    if (n > 1)
        put_curve(r, EVAL_ALL_TASKS, "all together", out);
    buf_puts(out, "\nRises and falls: steps of more than two standard errors of the paired "
                  "difference.\n");
}

static bool has_tasks(const EvalRecords *r, bool with_own_mode)
{
    for (int t = 0; t < r->tasks->n; t++)
        if (r->tasks->items[t]->has_own_mode == with_own_mode)
            return true;
    return false;
}

void eval_table(const EvalRecords *r, EvalSplit split, Buf *out)
{
    const bool is_switched = has_tasks(r, false), is_own = has_tasks(r, true);
    if (is_switched && modes_of(r->settings).n > 0)
        put_modes(r, split, out);
    if (is_switched && r->settings->n_budgets > 0) {
        buf_puts(out, out->bytes ? "\n" : "");
        put_curves(r, out);
    }
    if (is_own) {
        buf_puts(out, out->bytes ? "\n" : "");
        put_own_modes(r, split, out);
    }
}
