/* See compare.h. */
#include "eval/compare.h"

#include "base/file.h"
#include "base/mem.h"
#include "eval/paired.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS_BYTES_MAX = 256 << 20 };

typedef struct Run {
    char *name, *dir;
    json_t *all;
    json_t *samples; /* of the task in work; of the first and the last run only */
} Run;

/* ---- Reading --------------------------------------------------------------------------------- */

static void name_run(Run *run, const char *text)
{
    const char *equals = strchr(text, '=');
    run->dir = mem_strdup(equals ? equals + 1 : text);
    for (size_t n = strlen(run->dir); n > 1 && run->dir[n - 1] == '/'; n--)
        run->dir[n - 1] = 0;
    const char *slash = strrchr(run->dir, '/');
    run->name = equals ? mem_strndup(text, (size_t)(equals - text))
                       : mem_strdup(slash && slash[1] ? slash + 1 : run->dir);
}

static bool read_run(Run *run, const char *text, Error *err)
{
    Buf file = {0};
    json_error_t where;
    name_run(run, text);
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

/* ---- Rows ------------------------------------------------------------------------------------ */

static const json_t *result_of(const Run *run, const char *part, const char *task)
{
    return json_object_get(json_object_get(run->all, part), task);
}

static void put_cell(Buf *out, const json_t *mean, const json_t *error)
{
    buf_putc(out, ' ');
    if (json_is_number(mean))
        buf_printf(out, "%.1f", 100 * json_number_value(mean));
    if (json_is_number(error))
        buf_printf(out, " ± %.1f", 100 * json_number_value(error));
    buf_puts(out, " |");
}

static void put_difference(const Run *first, const Run *last, const char *setting,
                           const char *metric, Buf *out)
{
    const EvalMean mean = paired_difference(first->samples, last->samples, setting, metric);
    buf_putc(out, ' ');
    if (mean.n > 0)
        buf_printf(out, "%+.1f", 100 * mean.mean);
    if (mean.n > 1)
        buf_printf(out, " ± %.1f", 100 * mean.error);
    buf_puts(out, " |");
}

static void put_row(const Run *runs, int n, const char *task, const char *metric,
                    const char *setting, Buf *out)
{
    Buf mean = {0}, error = {0};
    buf_printf(&mean, "%s,%s", metric, setting);
    buf_printf(&error, "%s_stderr,%s", metric, setting);
    buf_printf(out, "| %s | %s%s%s |", task, setting, strcmp(metric, "acc") == 0 ? "" : ", ",
               strcmp(metric, "acc") == 0 ? "" : metric);
    for (int i = 0; i < n; i++) {
        const json_t *result = result_of(&runs[i], "results", task);
        put_cell(out, json_object_get(result, mean.data), json_object_get(result, error.data));
    }
    if (n > 1)
        put_difference(&runs[0], &runs[n - 1], setting, metric, out);
    buf_putc(out, '\n');
    buf_free(&mean);
    buf_free(&error);
}

static bool is_metric(const Run *run, const char *task, const char *name)
{
    return json_object_get(result_of(run, "higher_is_better", task), name) != NULL;
}

/* Adds "metric,setting" of a run's result to the rows of a task that are printed. */
static void collect(const Run *run, const char *task, json_t *rows)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)result_of(run, "results", task), key, value)
    {
        const char *comma = strchr(key, ',');
        char *metric = comma ? mem_strndup(key, (size_t)(comma - key)) : NULL;
        if (metric && is_metric(run, task, metric))
            json_object_set_new(rows, key, json_pack("[s, s]", metric, comma + 1));
        mem_free(metric);
    }
}

static void put_task(const Run *runs, int n, const char *task, Buf *out)
{
    json_t *rows = json_object(), *row;
    const char *key;
    bool has_difference = false;
    for (int i = 0; i < n; i++) {
        collect(&runs[i], task, rows);
        has_difference |= result_of(&runs[i], "differences", task) != NULL;
    }
    json_object_foreach(rows, key, row)
        put_row(runs, n, task, json_string_value(json_array_get(row, 0)),
                json_string_value(json_array_get(row, 1)), out);
    json_decref(rows);
    if (!has_difference)
        return;
    buf_printf(out, "| %s | think - plain |", task);
    for (int i = 0; i < n; i++) {
        const json_t *difference = result_of(&runs[i], "differences", task);
        put_cell(out, json_object_get(difference, "mean"), json_object_get(difference, "stderr"));
    }
    buf_puts(out, n > 1 ? " |\n" : "\n");
}

static bool read_samples(Run *runs, int n, const char *task, Error *err)
{
    for (int i = 0; i < n && n > 1; i += n - 1) {
        json_decref(runs[i].samples);
        runs[i].samples = paired_read(runs[i].dir, task, err);
        if (!runs[i].samples)
            return false;
    }
    return true;
}

static bool put_table(Run *runs, int n, Buf *out, Error *err)
{
    bool ok = true;
    json_t *tasks = json_object(), *value;
    const char *task;
    buf_puts(out, "| task | asked |");
    for (int i = 0; i < n; i++)
        buf_printf(out, " %s |", runs[i].name);
    buf_puts(out, n > 1 ? " last - first |\n|---|---|--:|" : "\n|---|---|");
    for (int i = 0; i < n; i++) {
        buf_puts(out, "--:|");
        json_object_foreach(json_object_get(runs[i].all, "results"), task,
                            value) if (result_of(&runs[i], "configs", task))
            json_object_set_new(tasks, task, json_true());
    }
    buf_putc(out, '\n');
    json_object_foreach(tasks, task, value)
    {
        ok = ok && read_samples(runs, n, task, err);
        if (ok)
            put_task(runs, n, task, out);
    }
    json_decref(tasks);
    buf_putc(out, '\n');
    for (int i = 0; i < n; i++) {
        const json_t *args = json_object_get(json_object_get(runs[i].all, "config"), "model_args");
        const char *hash = json_string_value(json_object_get(args, "model_hash"));
        buf_printf(out, "%s: model %s, seed %lld\n", runs[i].name, hash ? hash : "?",
                   (long long)json_integer_value(json_object_get(args, "seed")));
    }
    return ok;
}

bool eval_compare(char *const *texts, int n, Buf *out, Error *err)
{
    Run runs[COMPARE_MAX] = {{NULL, NULL, NULL, NULL}};
    bool ok =
        n <= COMPARE_MAX || error_set(err, ERROR_ARGUMENT, "%d runs; at most %d", n, COMPARE_MAX);
    for (int i = 0; ok && i < n; i++)
        ok = read_run(&runs[i], texts[i], err);
    ok = ok && put_table(runs, n, out, err);
    for (int i = 0; i < n && i < COMPARE_MAX; i++) {
        json_decref(runs[i].all);
        json_decref(runs[i].samples);
        mem_free(runs[i].name);
        mem_free(runs[i].dir);
    }
    return ok;
}
