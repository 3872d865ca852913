/* See label.h. */
#include "data/label.h"

#include "data/records.h"
#include "data/settings.h"

#include <string.h>

/* ---- Configuration ----------------------------------------------------------------------------
 */

static bool read_axis(LabelConfig *c, const json_t *item, int i, Error *err)
{
    char where[32];
    LabelAxis *axis = &c->axes[c->n_axes++];
    snprintf(where, sizeof where, "axes[%d]", i);
    *axis = (LabelAxis){.low = INT64_MIN, .high = INT64_MIN};
    if (!settings_check(item, "name about low high choices", where, err))
        return false;
    if (!settings_text(item, "name", &axis->name, err) ||
        !settings_text(item, "about", &axis->about, err) ||
        !settings_int(item, "low", -1000000, 1000000, &axis->low, err) ||
        !settings_int(item, "high", -1000000, 1000000, &axis->high, err))
        return error_add(err, "%s", where);
    axis->choices = json_object_get(item, "choices");
    const bool has_range = axis->low != INT64_MIN && axis->high >= axis->low;
    bool is_list = json_array_size(axis->choices) > 0;
    for (size_t k = 0; k < json_array_size(axis->choices); k++)
        is_list = is_list && json_is_string(json_array_get(axis->choices, k));
    if (!axis->name)
        return error_set(err, ERROR_FORMAT, "%s: its name is missing", where);
    if (has_range == is_list || (axis->choices && !is_list))
        return error_set(err, ERROR_FORMAT,
                         "%s: give either low and high, or choices, a list of texts", where);
    return true;
}

static bool read_all(LabelConfig *c, Error *err)
{
    const json_t *axes = json_object_get(c->json, "axes");
    int64_t max_bytes = 6000, max_tokens = 200;
    c->max_failed = 0.5;
    c->seed = 1;
    if (!settings_check(c->json,
                        "prompt axes max_bytes max_tokens temperature think seed max_failed",
                        "the labels", err) ||
        !settings_text(c->json, "prompt", &c->prompt, err) ||
        !settings_int(c->json, "max_bytes", 16, 1 << 24, &max_bytes, err) ||
        !settings_int(c->json, "max_tokens", 1, 1 << 20, &max_tokens, err) ||
        !settings_real(c->json, "temperature", 0, 100, &c->temperature, err) ||
        !settings_bool(c->json, "think", &c->thinks, err) ||
        !settings_int(c->json, "seed", 0, INT64_MAX / 2, &c->seed, err) ||
        !settings_real(c->json, "max_failed", 0, 1, &c->max_failed, err))
        return false;
    c->max_bytes = (int)max_bytes;
    c->max_tokens = (int)max_tokens;
    if (!c->prompt || !strstr(c->prompt, "{axes}"))
        return error_set(err, ERROR_FORMAT, "prompt: a text with {axes} in it is needed");
    if (json_array_size(axes) == 0 || json_array_size(axes) > LABEL_AXES_MAX)
        return error_set(err, ERROR_FORMAT, "axes: a list of 1 to %d is needed", LABEL_AXES_MAX);
    for (size_t i = 0; i < json_array_size(axes); i++)
        if (!read_axis(c, json_array_get(axes, i), (int)i, err))
            return false;
    return true;
}

bool label_config_read(LabelConfig *c, const char *path, Error *err)
{
    *c = (LabelConfig){.json = settings_read(path, err)};
    return c->json && (read_all(c, err) || error_add(err, "%s", path));
}

void label_config_close(LabelConfig *c)
{
    json_decref(c->json);
    *c = (LabelConfig){0};
}

/* ---- Answers ----------------------------------------------------------------------------------
 */

static bool is_allowed(const LabelAxis *axis, const json_t *value)
{
    if (!axis->choices)
        return json_is_integer(value) && json_integer_value(value) >= axis->low &&
               json_integer_value(value) <= axis->high;
    for (size_t i = 0; i < json_array_size(axis->choices); i++)
        if (json_equal(value, json_array_get(axis->choices, i)))
            return true;
    return false;
}

static json_t *check(const LabelConfig *c, json_t *labels)
{
    for (int i = 0; i < c->n_axes; i++) {
        const json_t *value = json_object_get(labels, c->axes[i].name);
        if (!value)
            return ask_failed("\"%s\" is missing", c->axes[i].name);
        if (!is_allowed(&c->axes[i], value))
            return ask_failed("\"%s\" is not what it may be", c->axes[i].name);
    }
    if (json_object_size(labels) > (size_t)c->n_axes)
        return ask_failed("the object has a member that is no axis");
    return json_pack("{s: O}", "labels", labels);
}

json_t *label_parse(const LabelConfig *c, Str answer, bool is_whole)
{
    json_error_t why;
    if (!is_whole)
        return ask_failed("the answer was cut off");
    if (answer.bytes == 0)
        return ask_failed("the answer is empty");
    json_t *labels = json_loadb(answer.data, answer.bytes, JSON_REJECT_DUPLICATES, &why);
    json_t *noted =
        json_is_object(labels) ? check(c, labels) : ask_failed("the answer is not one JSON object");
    json_decref(labels);
    return noted;
}

/* ---- The run ----------------------------------------------------------------------------------
 */

typedef struct Labels {
    const LabelOptions *options;
    RecordReader reader;
    int path; /* of the reader, or of the next file to open */
    bool is_open;
    Buf system, text;
    FileWriter *out;
} Labels;

/* The prompt, with the axes in place of {axes}. */
static void make_system(const LabelConfig *c, Buf *out)
{
    const char *place = strstr(c->prompt, "{axes}");
    buf_append(out, c->prompt, (size_t)(place - c->prompt));
    for (int i = 0; i < c->n_axes; i++) {
        const LabelAxis *axis = &c->axes[i];
        buf_printf(out, "\n\"%s\": ", axis->name);
        if (!axis->choices)
            buf_printf(out, "a whole number from %lld to %lld", (long long)axis->low,
                       (long long)axis->high);
        for (size_t k = 0; k < json_array_size(axis->choices); k++)
            buf_printf(out, "%s\"%s\"", k ? ", " : "one of ",
                       json_string_value(json_array_get(axis->choices, k)));
        if (axis->about)
            buf_printf(out, " (%s)", axis->about);
    }
    buf_puts(out, place + strlen("{axes}"));
}

static bool next_record(Labels *l, const Record **record, Error *err)
{
    *record = NULL;
    while (l->path < l->options->n_paths) {
        if (!l->is_open && !records_open(&l->reader, l->options->paths[l->path], err))
            return false;
        l->is_open = true;
        if (!records_next(&l->reader, record, err))
            return false;
        if (*record)
            return true;
        records_close(&l->reader);
        l->is_open = false;
        l->path++;
    }
    return true;
}

static bool next_question(void *context, int64_t i, json_t **question, Error *err)
{
    Labels *l = context;
    const Record *record;
    (void)i;
    if (!next_record(l, &record, err))
        return false;
    if (!record)
        return true;
    buf_clear(&l->text);
    if (!record_text(record->json, &l->text, err))
        return records_error(&l->reader, err);
    const Str shown = ask_cut(buf_str(&l->text), (size_t)l->options->config->max_bytes);
    *question = json_pack("{s: s%, s: s%}", "system", l->system.data, l->system.bytes, "user",
                          shown.bytes ? shown.data : "", shown.bytes);
    return *question || error_set(err, ERROR_FORMAT, "%s:%lld: the text is not UTF-8",
                                  l->reader.path, (long long)record->number);
}

static json_t *judge(void *context, int64_t i, Str answer, bool is_whole)
{
    (void)i;
    return label_parse(((Labels *)context)->options->config, answer, is_whole);
}

/* The document with its labels; one without an answer that counts, as it is. */
static bool write_line(void *context, int64_t number, json_t *noted, Error *err)
{
    Labels *l = context;
    const Record *record;
    json_t *labels = json_object_get(noted, "labels");
    (void)number;
    if (!next_record(l, &record, err))
        return false;
    if (!record || !labels)
        return !record || record_write(record, l->out, err);
    json_t *old = json_object_get(record->json, "labels");
    if (json_is_object(old))
        json_object_update(old, labels);
    else
        json_object_set(record->json, "labels", labels);
    return record_write_json(record->json, l->out, err);
}

static bool ask_and_write(Labels *l, Journal *journal, AskReport *report, Error *err)
{
    const LabelOptions *o = l->options;
    const AskJob job = {l, next_question, judge, o->progress, o->stop};
    if (!ask_all(&o->asker, &job, journal, report, err) ||
        !ask_check(report, o->config->max_failed, o->out, err))
        return false;
    l->path = 0;
    l->out = file_writer_open(o->out, err);
    const bool ok = l->out && journal_read(journal, write_line, l, err);
    return file_writer_finish(l->out, ok, err);
}

bool label_run(const LabelOptions *options, AskReport *report, Error *err)
{
    Labels l = {.options = options};
    Journal journal;
    Buf run = {0};
    *report = (AskReport){0};
    make_system(options->config, &l.system);
    bool ok =
        journal_describe(options->config->json, options->paths, options->n_paths, &run, err) &&
        journal_open(&journal, options->out, buf_str(&run), err);
    if (ok) {
        ok = ask_and_write(&l, &journal, report, err);
        if (ok)
            journal_remove(&journal);
        else
            journal_close(&journal);
    }
    records_close(&l.reader);
    buf_free(&l.system);
    buf_free(&l.text);
    buf_free(&run);
    return ok;
}
