/* See compare.h. */
#include "eval/compare.h"

#include "base/file.h"
#include "base/mem.h"
#include "eval/paired.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS_BYTES_MAX = 256 << 20 };

typedef struct Run {
    char *dir;
    json_t *all; /* results.json */
} Run;

typedef struct Column {
    char *name;
    Run runs[COMPARE_RUNS_MAX];
    int n;
    json_t *samples; /* of the task in work, where a column is compared by them; NULL: it is not */
} Column;

/* ---- Reading --------------------------------------------------------------------------------- */

static bool read_run(Run *run, Error *err)
{
    Buf file = {0};
    json_error_t where;
    char *path = file_join(run->dir, "results.json");
    bool ok = file_read(&file, path, RESULTS_BYTES_MAX, err);
    if (ok) {
        run->all = json_loadb(file.data ? file.data : "", file.bytes, 0, &where);
        if (!run->all)
            ok = error_set(err, ERROR_FORMAT, "%s:%d: %s", path, where.line, where.text);
        else if (!json_is_object(json_object_get(run->all, "results")))
            ok = error_set(err, ERROR_FORMAT, "%s: there are no \"results\" in it", path);
    }
    buf_free(&file);
    mem_free(path);
    return ok;
}

static bool read_column(Column *c, const char *text, Error *err)
{
    const char *equals = strchr(text, '=');
    char *copy = mem_strdup(equals ? equals + 1 : text), *rest = copy;
    bool ok = true;
    for (char *dir; ok && (dir = strsep(&rest, ","));) {
        if (c->n == COMPARE_RUNS_MAX) {
            ok = error_set(err, ERROR_ARGUMENT, "%s: at most %d runs a column", text,
                           COMPARE_RUNS_MAX);
            break;
        }
        c->runs[c->n].dir = mem_strdup(dir);
        ok = read_run(&c->runs[c->n++], err);
    }
    mem_free(copy);
    const Str name = equals ? (Str){text, (size_t)(equals - text)} : file_base_name(c->runs[0].dir);
    c->name = mem_strndup(name.data, name.bytes);
    return ok;
}

static void close_column(Column *c)
{
    for (int i = 0; i < c->n; i++) {
        json_decref(c->runs[i].all);
        mem_free(c->runs[i].dir);
    }
    json_decref(c->samples);
    mem_free(c->name);
}

/* ---- Cells ----------------------------------------------------------------------------------- */

static const json_t *part_of(const Run *run, const char *part, const char *task)
{
    return json_object_get(json_object_get(run->all, part), task);
}

static double number_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Of a run: its mean and error; of several: the mean of their means. n is 0 where there is none. */
static EvalMean mean_of(const Column *c, const char *part, const char *task, const char *mean_key,
                        const char *error_key)
{
    double means[COMPARE_RUNS_MAX];
    for (int i = 0; i < c->n; i++)
        means[i] = number_of(part_of(&c->runs[i], part, task), mean_key);
    EvalMean mean = eval_mean(means, c->n);
    if (c->n == 1)
        mean.error = number_of(part_of(&c->runs[0], part, task), error_key);
    return mean;
}

static void put_cell(Buf *out, EvalMean mean, bool is_signed)
{
    buf_putc(out, ' ');
    if (mean.n > 0)
        buf_printf(out, is_signed ? "%+.1f" : "%.1f", 100 * mean.mean);
    if (mean.n > 0 && isfinite(mean.error))
        buf_printf(out, " ± %.1f", 100 * mean.error);
    buf_puts(out, " |");
}

static EvalMean difference(const Column *first, const Column *last, EvalMean a, EvalMean b,
                           const char *setting, const char *metric)
{
    if (first->samples && last->samples)
        return paired_difference(first->samples, last->samples, setting, metric);
    return (EvalMean){.n = a.n < b.n ? a.n : b.n,
                      .mean = b.mean - a.mean,
                      .error = sqrt(a.error * a.error + b.error * b.error)};
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static void put_row(const Column *columns, int n, const char *task, const char *metric,
                    const char *setting, Buf *out)
{
    Buf mean_key = {0}, error_key = {0};
    const bool is_acc = strcmp(metric, "acc") == 0;
    EvalMean first = {0}, mean = {0};
    buf_printf(&mean_key, "%s,%s", metric, setting);
    buf_printf(&error_key, "%s_stderr,%s", metric, setting);
    buf_printf(out, "| %s | %s%s%s |", task, setting, is_acc ? "" : ", ", is_acc ? "" : metric);
    for (int i = 0; i < n; i++) {
        mean = mean_of(&columns[i], "results", task, mean_key.data, error_key.data);
        first = i == 0 ? mean : first;
        put_cell(out, mean, false);
    }
    if (n > 1)
        put_cell(out, difference(&columns[0], &columns[n - 1], first, mean, setting, metric), true);
    buf_putc(out, '\n');
    buf_free(&mean_key);
    buf_free(&error_key);
}

/* The paired difference of modes, in the runs that have both. */
static void put_gain_row(const Column *columns, int n, const char *task, Buf *out)
{
    EvalMean means[COMPARE_MAX];
    bool has_any = false;
    for (int i = 0; i < n; i++) {
        means[i] = mean_of(&columns[i], "differences", task, "mean", "stderr");
        has_any |= means[i].n > 0;
    }
    if (!has_any)
        return;
    buf_printf(out, "| %s | think - plain |", task);
    for (int i = 0; i < n; i++)
        put_cell(out, means[i], true);
    buf_puts(out, n > 1 ? " |\n" : "\n");
}

static bool is_metric(const Run *run, const char *task, const char *name)
{
    return json_object_get(part_of(run, "higher_is_better", task), name) != NULL;
}

/* Adds "metric,setting" of a run's result to the rows of a task that are printed. */
static void collect(const Run *run, const char *task, json_t *rows)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)part_of(run, "results", task), key, value)
    {
        const char *comma = strchr(key, ',');
        char *metric = comma ? mem_strndup(key, (size_t)(comma - key)) : NULL;
        if (metric && is_metric(run, task, metric))
            json_object_set_new(rows, key, json_pack("[s, s]", metric, comma + 1));
        mem_free(metric);
    }
}

static void put_task(const Column *columns, int n, const char *task, Buf *out)
{
    json_t *rows = json_object(), *row;
    const char *key;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < columns[i].n; k++)
            collect(&columns[i].runs[k], task, rows);
    json_object_foreach(rows, key, row)
        put_row(columns, n, task, json_string_value(json_array_get(row, 0)),
                json_string_value(json_array_get(row, 1)), out);
    json_decref(rows);
    put_gain_row(columns, n, task, out);
}

/* ---- The table ------------------------------------------------------------------------------- */

/* Of the columns that are compared, if both are single runs. */
static bool read_samples(Column *columns, int n, const char *task, Error *err)
{
    if (n < 2 || columns[0].n > 1 || columns[n - 1].n > 1)
        return true;
    for (int i = 0; i < n; i += n - 1) {
        json_decref(columns[i].samples);
        columns[i].samples = paired_read(columns[i].runs[0].dir, task, err);
        if (!columns[i].samples)
            return false;
    }
    return true;
}

/* The names of all tasks, in order: an object, a new reference. */
static json_t *tasks_of(const Column *columns, int n)
{
    json_t *tasks = json_object(), *value;
    const char *task;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < columns[i].n; k++) {
            const Run *run = &columns[i].runs[k];
            json_object_foreach(
                json_object_get(run->all, "results"), task,
                value) if (part_of(run, "configs", task)) /* a group of a task's cases has none */
                json_object_set_new(tasks, task, json_true());
        }
    return tasks;
}

static void put_models(const Column *c, Buf *out)
{
    buf_printf(out, "%s:", c->name);
    for (int i = 0; i < c->n; i++) {
        const json_t *args =
            json_object_get(json_object_get(c->runs[i].all, "config"), "model_args");
        const char *hash = json_string_value(json_object_get(args, "model_hash"));
        buf_printf(out, "%s model %s, seed %lld", i ? ";" : "", hash ? hash : "?",
                   (long long)json_integer_value(json_object_get(args, "seed")));
    }
    buf_putc(out, '\n');
}

static bool put_table(Column *columns, int n, Buf *out, Error *err)
{
    json_t *tasks = tasks_of(columns, n), *value;
    const char *task;
    bool ok = true;
    buf_puts(out, "| task | asked |");
    for (int i = 0; i < n; i++)
        buf_printf(out, " %s |", columns[i].name);
    buf_puts(out, n > 1 ? " last - first |\n|---|---|--:|" : "\n|---|---|");
    for (int i = 0; i < n; i++)
        buf_puts(out, "--:|");
    buf_putc(out, '\n');
    json_object_foreach(tasks, task, value)
    {
        ok = ok && read_samples(columns, n, task, err);
        if (ok)
            put_task(columns, n, task, out);
    }
    json_decref(tasks);
    buf_putc(out, '\n');
    for (int i = 0; i < n; i++)
        put_models(&columns[i], out);
    return ok;
}

bool eval_compare(char *const *texts, int n, Buf *out, Error *err)
{
    if (n > COMPARE_MAX)
        return error_set(err, ERROR_ARGUMENT, "%d columns; at most %d", n, COMPARE_MAX);
    Column *columns = mem_alloc(sizeof *columns * COMPARE_MAX);
    bool ok = true;
    for (int i = 0; ok && i < n; i++)
        ok = read_column(&columns[i], texts[i], err);
    ok = ok && put_table(columns, n, out, err);
    for (int i = 0; i < n; i++)
        close_column(&columns[i]);
    mem_free(columns);
    return ok;
}
