/* See aims.h. */
#include "eval/aims.h"

#include "base/file.h"
#include "eval/results.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { FILE_BYTES_MAX = 1 << 20 };

struct Aims {
    json_t *file;
};

/* ---- Reading --------------------------------------------------------------------------------- */

static bool is_share(const json_t *value)
{
    return json_is_number(value) && json_number_value(value) >= 0 && json_number_value(value) <= 1;
}

static bool check_aim(const json_t *aim, Error *err)
{
    const json_t *metric = json_object_get(aim, "metric");
    if (!json_is_string(json_object_get(aim, "task")) ||
        !json_is_string(json_object_get(aim, "asked")) || (metric && !json_is_string(metric)) ||
        !is_share(json_object_get(aim, "at_least")))
        return error_set(err, ERROR_FORMAT,
                         "it needs \"task\", \"asked\" (think, plain, flags) and \"at_least\", a "
                         "number from 0 to 1");
    return true;
}

static bool check_file(const json_t *file, Error *err)
{
    const json_t *aims = json_object_get(file, "aims"), *aim;
    const json_t *gain = json_object_get(file, "gain"), *curve = json_object_get(file, "budgets");
    size_t i;
    if (!json_is_array(aims))
        return error_set(err, ERROR_FORMAT, "there is no list \"aims\" in it");
    json_array_foreach(aims, i, aim) if (!check_aim(aim, err)) return error_add(err, "aim %zu",
                                                                                i + 1);
    if (gain && (!is_share(json_object_get(gain, "at_least")) ||
                 !json_is_integer(json_object_get(gain, "tasks")) ||
                 !json_is_string(json_object_get(gain, "of"))))
        return error_set(err, ERROR_FORMAT, "\"gain\" needs \"at_least\", \"tasks\" and \"of\"");
    if (curve && (!is_share(json_object_get(curve, "at_least")) ||
                  !json_is_integer(json_object_get(curve, "rises")) ||
                  !json_is_string(json_object_get(curve, "budgets")) ||
                  !json_is_string(json_object_get(curve, "of"))))
        return error_set(err, ERROR_FORMAT,
                         "\"budgets\" needs \"budgets\", \"rises\", \"at_least\" and \"of\"");
    return true;
}

Aims *aims_open(const char *path, Error *err)
{
    Buf text = {0};
    json_error_t at;
    Aims *aims = mem_alloc(sizeof *aims);
    bool ok = file_read(&text, path, FILE_BYTES_MAX, err);
    if (ok) {
        aims->file = json_loadb(text.data ? text.data : "", text.bytes, 0, &at);
        ok = aims->file ? check_file(aims->file, err) || error_add(err, "%s", path)
                        : error_set(err, ERROR_FORMAT, "%s:%d: %s", path, at.line, at.text);
    }
    buf_free(&text);
    if (ok)
        return aims;
    aims_close(aims);
    return NULL;
}

void aims_close(Aims *aims)
{
    if (aims)
        json_decref(aims->file);
    mem_free(aims);
}

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* Whether the words of a list, with commas between them, hold this one. */
static bool has_word(const char *words, const char *word)
{
    const size_t bytes = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += bytes)
        if ((at == words || at[-1] == ',') && (at[bytes] == ',' || at[bytes] == 0))
            return true;
    return false;
}

bool aims_add_tasks(const Aims *aims, TaskList *list, const FamilyDraw *draw, bool has_budgets,
                    Error *err)
{
    static const char *const parts[] = {"gain", "budgets"};
    const json_t *aim;
    size_t i;
    json_array_foreach(json_object_get(aims->file, "aims"), i,
                       aim) if (!task_list_read(list, text_of(aim, "task"), draw,
                                                err)) return error_add(err, "aim %zu", i + 1);
    for (i = 0; i < 2; i++) {
        const char *of = text_of(json_object_get(aims->file, parts[i]), "of");
        if (of && !task_list_read(list, of, draw, err))
            return error_add(err, "\"%s\"", parts[i]);
    }
    const char *with = text_of(json_object_get(aims->file, "budgets"), "of");
    for (int t = 0; with && has_budgets && t < list->n; t++)
        list->items[t]->skips_budgets = !has_word(with, list->items[t]->name);
    return true;
}

const char *aims_budgets(const Aims *aims)
{
    return text_of(json_object_get(aims->file, "budgets"), "budgets");
}

/* ---- Checking -------------------------------------------------------------------------------- */

static json_t *checked(const char *what, double at_least, double value, double error, bool is_met)
{
    json_t *object =
        json_pack("{s:s, s:f, s:b}", "aim", what, "at_least", at_least, "is_met", is_met);
    if (isfinite(value))
        json_object_set_new(object, "value", json_real(value));
    if (isfinite(error))
        json_object_set_new(object, "stderr", json_real(error));
    return object;
}

static int metric_named(const EvalTask *task, const char *name)
{
    for (int m = 0; m < task->n_metrics; m++)
        if (strcmp(task->metrics[m], name) == 0)
            return m;
    return -1;
}

static EvalMean find(const EvalRecords *r, const char *task, const char *setting,
                     const char *metric)
{
    for (int t = 0; t < r->tasks->n; t++) {
        const int m = strcmp(r->tasks->items[t]->name, task) == 0
                          ? metric_named(r->tasks->items[t], metric)
                          : -1;
        for (int s = 0; m >= 0 && s < r->settings->n; s++)
            if (strcmp(r->settings->items[s].name, setting) == 0)
                return eval_result_mean(r, t, s, m, NULL);
    }
    return (EvalMean){.mean = (double)NAN, .error = (double)NAN};
}

static json_t *check_one(const json_t *aim, const EvalRecords *r)
{
    const char *task = text_of(aim, "task"), *asked = text_of(aim, "asked");
    const char *metric = text_of(aim, "metric");
    const double at_least = json_number_value(json_object_get(aim, "at_least"));
    const EvalMean mean = find(r, task, asked, metric ? metric : "acc");
    Buf what = {0};
    buf_printf(&what, metric ? "%s, %s, %s" : "%s, %s", task, asked, metric);
    json_t *result = checked(what.data, at_least, mean.mean, mean.error, mean.mean >= at_least);
    buf_free(&what);
    return result;
}

static json_t *check_gain(const json_t *gain, const EvalRecords *r)
{
    const double at_least = json_number_value(json_object_get(gain, "at_least"));
    const int wanted = (int)json_integer_value(json_object_get(gain, "tasks"));
    int n = 0;
    for (int t = 0; t < r->tasks->n; t++)
        if (has_word(text_of(gain, "of"), r->tasks->items[t]->name))
            n += eval_result_gain(r, t, NULL).mean >= at_least; /* false where it is NAN */
    char what[96];
    snprintf(what, sizeof what, "think - plain on %d tasks (%d reach it)", wanted, n);
    return checked(what, at_least, (double)NAN, (double)NAN, n >= wanted);
}

static json_t *check_curve(const json_t *aim, const EvalRecords *r)
{
    const double at_least = json_number_value(json_object_get(aim, "at_least"));
    const int rises = (int)json_integer_value(json_object_get(aim, "rises"));
    EvalMean points[EVAL_BUDGETS_MAX];
    const EvalCurve curve = eval_result_curve(r, EVAL_ALL_TASKS, points);
    char what[96];
    snprintf(what, sizeof what, "budgets: no fall (%d), %d rises (%d), last - first", curve.n_falls,
             rises, curve.n_rises);
    return checked(what, at_least, curve.first_to_last.mean, curve.first_to_last.error,
                   curve.n_falls == 0 && curve.n_rises >= rises &&
                       curve.first_to_last.mean >= at_least);
}

json_t *aims_check(const Aims *aims, const EvalRecords *r)
{
    const json_t *gain = json_object_get(aims->file, "gain"), *aim;
    const json_t *curve = json_object_get(aims->file, "budgets");
    json_t *list = json_array();
    size_t i;
    json_array_foreach(json_object_get(aims->file, "aims"), i, aim)
        json_array_append_new(list, check_one(aim, r));
    if (gain)
        json_array_append_new(list, check_gain(gain, r));
    if (curve)
        json_array_append_new(list, check_curve(curve, r));
    return list;
}

void aims_table(const json_t *list, Buf *out)
{
    const json_t *aim;
    size_t i;
    int n_met = 0;
    buf_puts(out, "| aim | at least | reached | met |\n|---|--:|--:|---|\n");
    json_array_foreach(list, i, aim)
    {
        const json_t *value = json_object_get(aim, "value"),
                     *error = json_object_get(aim, "stderr");
        const bool is_met = json_is_true(json_object_get(aim, "is_met"));
        buf_printf(out, "| %s | %.1f | ", text_of(aim, "aim"),
                   100 * json_number_value(json_object_get(aim, "at_least")));
        if (value)
            buf_printf(out, "%.1f", 100 * json_number_value(value));
        if (error)
            buf_printf(out, " ± %.1f", 100 * json_number_value(error));
        buf_printf(out, " | %s |\n", is_met ? "yes" : "no");
        n_met += is_met;
    }
    buf_printf(out, "\n%d of %d aims are met.\n", n_met, (int)json_array_size(list));
}
