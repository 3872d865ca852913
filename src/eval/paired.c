/* See paired.h. */
#include "eval/paired.h"

#include "base/file.h"
#include "eval/eval_samples.h"

#include <math.h>
#include <string.h>

/* {SETTING: {HASH: the line's metrics}} */
static bool take_line(json_t *all, json_t *line, Error *err)
{
    const char *setting = json_string_value(json_object_get(line, "filter"));
    const char *hash = json_string_value(json_object_get(line, "doc_hash"));
    const json_t *metrics = json_object_get(line, "metrics"), *name;
    size_t i;
    if (!setting || !hash || !json_is_array(metrics))
        return error_set(err, ERROR_FORMAT, "not a sample");
    json_t *values = json_object(), *cases = json_object_get(all, setting);
    json_array_foreach(metrics, i, name) if (json_is_string(name)) json_object_set(
        values, json_string_value(name), json_object_get(line, json_string_value(name)));
    if (!cases) {
        cases = json_object();
        json_object_set_new(all, setting, cases);
    }
    json_object_set_new(cases, hash, values);
    return true;
}

json_t *paired_read(const char *dir, const char *task, Error *err)
{
    FileMap map = {0};
    char *path = eval_samples_path(dir, task);
    json_t *all = json_object();
    bool ok = !file_exists(path) || file_map(&map, path, err);
    const Str text = {(const char *)map.data, map.bytes};
    int64_t number = 1;
    for (size_t at = 0, to; ok && at < text.bytes; at = to + 1, number++) {
        const char *newline = memchr(text.data + at, '\n', text.bytes - at);
        to = newline ? (size_t)(newline - text.data) : text.bytes;
        json_t *line = json_loadb(text.data + at, to - at, JSON_ALLOW_NUL, NULL);
        ok = (line ? take_line(all, line, err) : error_set(err, ERROR_FORMAT, "it is not JSON")) ||
             error_add(err, "%s:%lld", path, (long long)number);
        json_decref(line);
    }
    file_unmap(&map);
    mem_free(path);
    if (ok)
        return all;
    json_decref(all);
    return NULL;
}

EvalMean paired_difference(const json_t *a, const json_t *b, const char *setting,
                           const char *metric)
{
    const json_t *ours = json_object_get(a, setting), *theirs = json_object_get(b, setting);
    double *differences = mem_alloc(sizeof *differences * (json_object_size(ours) + 1));
    const char *hash;
    json_t *values;
    int n = 0;
    json_object_foreach((json_t *)ours, hash, values)
    {
        const json_t *before = json_object_get(values, metric);
        const json_t *after = json_object_get(json_object_get(theirs, hash), metric);
        if (json_is_number(before) && json_is_number(after))
            differences[n++] = json_number_value(after) - json_number_value(before);
    }
    const EvalMean mean = eval_mean(differences, n);
    mem_free(differences);
    return mean;
}
