/* See sweep_config.h. */
#include "train/sweep_config.h"

#include "base/bug.h"
#include "train/fields.h"

#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_TOKENS, VALUE_ROWS, VALUE_SHAPES };

#define AT(field) offsetof(SweepConfig, field)
static const Field fields[] = {
    {"sweep.base", FIELD_TEXT, AT(base), 0, 0, 0, NULL, true},
    {"sweep.stage", FIELD_CHOICE, AT(stage), 0, 0, STAGE_PRETRAIN, "pretrain|sft", true},
    {"sweep.write", FIELD_TEXT, AT(write), 0, 0, 0, NULL, true},
    {"sweep.tokens", FIELD_JSON, AT(values[VALUE_TOKENS]), 0, 0, 0, NULL, true},
    {"sweep.set", FIELD_JSON, AT(set), 0, 0, 0, NULL, true},
    {"rate.from", FIELD_REAL, AT(rate_from), 0, 10, 0, NULL, true},
    {"rate.to", FIELD_REAL, AT(rate_to), 0, 10, 0, NULL, true},
    {"rate.n", FIELD_INT, AT(n_rates), 3, SWEEP_RATES_MAX, 5, NULL, true},
    {"batch.rows", FIELD_JSON, AT(values[VALUE_ROWS]), 0, 0, 0, NULL, true},
    {"size.shapes", FIELD_JSON, AT(values[VALUE_SHAPES]), 0, 0, 0, NULL, true},
    {"mixture.n", FIELD_INT, AT(n_mixtures), 0, SWEEP_MIXTURES_MAX, 0, NULL, true},
    {"mixture.seed", FIELD_INT64, AT(seed), 0, 9e15, 1, NULL, true},
    {"mixture.least", FIELD_REAL, AT(least), 0, 0.5, 0.01, NULL, true},
};
static const FieldTable table = {fields, sizeof fields / sizeof *fields};

/* ---- Lists of sets
 * --------------------------------------------------------------------------------------------- */

void set_list_add(SetList *list, const char *format, ...)
{
    va_list args;
    char *text;
    va_start(args, format);
    ASSERT(list->n < (int)(sizeof list->items / sizeof *list->items));
    ASSERT(vasprintf(&text, format, args) >= 0);
    va_end(args);
    list->items[list->n++] = text;
}

void set_list_add_json(SetList *list, const char *key, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    set_list_add(list, "%s=%s", key, text);
    free(text);
}

void set_list_add_trial(SetList *list, const SweepConfig *c)
{
    const char *key;
    json_t *value;
    json_object_foreach(c->set, key, value) set_list_add_json(list, key, value);
}

void set_list_close(SetList *list)
{
    for (int i = 0; i < list->n; i++)
        free(list->items[i]);
    list->n = 0;
}

bool set_list_read(const SetList *list, const SweepConfig *c, TrainConfig *out, Error *err)
{
    const char *items[sizeof list->items / sizeof *list->items];
    for (int i = 0; i < list->n; i++)
        items[i] = list->items[i];
    return train_config_read(out, c->stage, c->base, items, list->n, err);
}

/* ---- Reading
 * --------------------------------------------------------------------------------------------- */

/* Whole numbers from 1 to `most`, rising; a number alone is a list of one. */
static int read_numbers(const json_t *value, const char *key, double most,
                        int64_t out[SWEEP_LIST_MAX], Error *err)
{
    const int n = json_is_array(value) ? (int)json_array_size(value) : 1;
    if (n < 1 || n > SWEEP_LIST_MAX) {
        error_set(err, ERROR_FORMAT, "%s: a list of 1 to %d whole numbers is needed", key,
                  SWEEP_LIST_MAX);
        return 0;
    }
    for (int i = 0; i < n; i++) {
        const json_t *item = json_is_array(value) ? json_array_get(value, (size_t)i) : value;
        const double number = json_number_value(item); /* 1e6 is a real */
        if (!json_is_number(item) || number != floor(number) || !(number >= 1 && number <= most)) {
            error_set(err, ERROR_FORMAT, "%s: [%d] is not a whole number from 1 to %g", key, i,
                      most);
            return 0;
        }
        out[i] = (int64_t)number;
        if (i > 0 && out[i] <= out[i - 1]) {
            error_set(err, ERROR_FORMAT, "%s: the numbers have to rise", key);
            return 0;
        }
    }
    return n;
}

static bool read_rates(SweepConfig *c, Error *err)
{
    if (c->rate_from == 0 && c->rate_to == 0) {
        c->rates[0] = c->target.schedule.peak;
        c->n_rates = 1;
        return true;
    }
    if (!(c->rate_from > 0 && c->rate_from < c->rate_to))
        return error_set(err, ERROR_FORMAT, "rate: from %g to %g is no range of learning rates",
                         c->rate_from, c->rate_to);
    for (int i = 0; i < c->n_rates; i++)
        c->rates[i] = c->rate_from * pow(c->rate_to / c->rate_from, i / (c->n_rates - 1.0));
    return true;
}

static bool read_rows(SweepConfig *c, Error *err)
{
    int64_t rows[SWEEP_LIST_MAX];
    c->rows[0] = c->trial.rows;
    c->n_rows = 1;
    if (!c->values[VALUE_ROWS])
        return true;
    c->n_rows = read_numbers(c->values[VALUE_ROWS], "batch.rows", 1 << 20, rows, err);
    for (int i = 0; i < c->n_rows; i++)
        c->rows[i] = (int)rows[i];
    return c->n_rows > 0;
}

static bool read_shapes(SweepConfig *c, Error *err)
{
    json_t *list = c->values[VALUE_SHAPES];
    c->n_shapes = list ? (int)json_array_size(list) : 1;
    if (list && (c->n_shapes < 1 || c->n_shapes > SWEEP_LIST_MAX))
        return error_set(err, ERROR_FORMAT, "size.shapes: a list of 1 to %d mappings is needed",
                         SWEEP_LIST_MAX);
    if (list && c->target.from)
        return error_set(err, ERROR_ARGUMENT,
                         "size.shapes: %s goes on from a model; only random weights can have other "
                         "shapes",
                         c->base);
    for (int i = 0; i < c->n_shapes; i++) {
        json_t *item = json_array_get(list, (size_t)i);
        if (list && !json_is_object(item))
            return error_set(err, ERROR_FORMAT,
                             "size.shapes: [%d] is not a mapping of model.shape's keys", i);
        c->shapes[i] = c->trial.shape ? json_deep_copy(c->trial.shape) : json_null();
        if (item)
            json_object_update(c->shapes[i], item);
    }
    return true;
}

static bool check_mixture(const SweepConfig *c, Error *err)
{
    const int n = c->target.n_sources;
    if (c->n_mixtures == 0)
        return true;
    if (n < 2)
        return error_set(err, ERROR_ARGUMENT, "mixture.n: %s has a single source of data", c->base);
    if (c->target.eval.n_sources == 0)
        return error_set(
            err, ERROR_ARGUMENT,
            "mixture.n: mixtures are judged by held-out losses; %s has no eval.sources", c->base);
    if (c->n_mixtures < n + 1)
        return error_set(err, ERROR_ARGUMENT,
                         "mixture.n: %d trials cannot tell %d sources apart; at least %d",
                         c->n_mixtures, n, n + 1);
    if (c->least * n >= 1)
        return error_set(err, ERROR_ARGUMENT,
                         "mixture.least: %g for each of %d sources is too much", c->least, n);
    return true;
}

static bool check_dimensions(const SweepConfig *c, Error *err)
{
    if (c->n_rates == 1 && c->n_rows == 1 && c->n_mixtures == 0)
        return error_set(err, ERROR_ARGUMENT,
                         "nothing is varied: give rate.from and rate.to, batch.rows or mixture.n");
    if ((c->n_shapes > 1 || c->n_tokens > 1) && c->n_rates == 1 && c->n_rows == 1)
        return error_set(err, ERROR_ARGUMENT,
                         "several sizes or numbers of tokens need a range of rate or batch.rows");
    return true;
}

static bool read_base(SweepConfig *c, Error *err)
{
    SetList none = {0}, sets = {0};
    if (!c->base)
        return error_set(err, ERROR_FORMAT, "sweep.base: the configuration to tune is needed");
    if (c->set && !json_is_object(c->set))
        return error_set(err, ERROR_FORMAT, "sweep.set: it is a mapping {\"group.name\": value}");
    if (json_object_size(c->set) > 32)
        return error_set(err, ERROR_LIMIT, "sweep.set: at most 32 keys");
    set_list_add_trial(&sets, c);
    const bool ok = (set_list_read(&none, c, &c->target, err) || error_add(err, "sweep.base")) &&
                    (set_list_read(&sets, c, &c->trial, err) || error_add(err, "sweep.set"));
    set_list_close(&sets);
    return ok;
}

static bool read_all(SweepConfig *c, Error *err)
{
    if (!read_base(c, err))
        return false;
    if (!c->values[VALUE_TOKENS])
        return error_set(err, ERROR_FORMAT, "sweep.tokens: the tokens of a trial are needed");
    c->n_tokens = read_numbers(c->values[VALUE_TOKENS], "sweep.tokens", 1e15, c->tokens, err);
    return c->n_tokens > 0 && read_rates(c, err) && read_rows(c, err) && read_shapes(c, err) &&
           check_mixture(c, err) && check_dimensions(c, err);
}

bool sweep_config_read(SweepConfig *c, const char *path, const char *const *sets, int n_sets,
                       Error *err)
{
    *c = (SweepConfig){0};
    c->json = fields_read(&table, path, sets, n_sets, c, err);
    if (c->json && (read_all(c, err) || error_add(err, "%s", path)))
        return true;
    sweep_config_close(c);
    return false;
}

void sweep_config_close(SweepConfig *c)
{
    for (int i = 0; i < c->n_shapes; i++)
        json_decref(c->shapes[i]);
    if (c->target.json)
        train_config_close(&c->target);
    if (c->trial.json)
        train_config_close(&c->trial);
    json_decref(c->json);
    *c = (SweepConfig){0};
}
