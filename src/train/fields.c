/* See fields.h. */
#include "train/fields.h"

#include "base/file.h"
#include "train/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 1 << 20, KEY_BYTES = 64, DISTANCE_MAX = 3 };

/* ---- Keys
 * ------------------------------------------------------------------------------------------- */

/* How many letters to insert, remove or change; at most DISTANCE_MAX + 1 for far ones. */
static int distance(const char *a, const char *b)
{
    int row[KEY_BYTES + 1];
    const int n = (int)strlen(a), m = (int)strlen(b);
    if (m > KEY_BYTES || n > KEY_BYTES)
        return DISTANCE_MAX + 1;
    for (int j = 0; j <= m; j++)
        row[j] = j;
    for (int i = 1; i <= n; i++) {
        int before = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            const int change = before + (a[i - 1] != b[j - 1]);
            before = row[j];
            const int gap = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            row[j] = change < gap ? change : gap;
        }
    }
    return row[m];
}

static bool unknown_key(const FieldTable *table, const char *key, Error *err)
{
    const char *nearest = NULL;
    int best = DISTANCE_MAX + 1;
    for (int i = 0; i < table->n; i++) {
        const int d = distance(key, table->fields[i].key);
        if (d < best) {
            best = d;
            nearest = table->fields[i].key;
        }
    }
    if (nearest)
        return error_set(err, ERROR_FORMAT, "%s: there is no such key; did you mean %s?", key,
                         nearest);
    return error_set(err, ERROR_FORMAT, "%s: there is no such key", key);
}

static bool is_known(const FieldTable *table, const char *key)
{
    for (int i = 0; i < table->n; i++)
        if (strcmp(table->fields[i].key, key) == 0)
            return true;
    return false;
}

static bool check_keys(const FieldTable *table, const json_t *json, Error *err)
{
    const char *group, *name;
    json_t *members, *value;
    if (!json_is_object(json))
        return error_set(err, ERROR_FORMAT, "the configuration is not a mapping of groups");
    json_object_foreach((json_t *)json, group, members)
    {
        if (!json_is_object(members))
            return unknown_key(table, group, err);
        json_object_foreach(members, name, value)
        {
            char key[2 * KEY_BYTES];
            if (strlen(group) >= KEY_BYTES || strlen(name) >= KEY_BYTES)
                return error_set(err, ERROR_FORMAT, "%.40s.%.40s: there is no such key", group,
                                 name);
            snprintf(key, sizeof key, "%.63s.%.63s", group, name); /* the check above holds */
            if (!is_known(table, key))
                return unknown_key(table, key, err);
        }
    }
    return true;
}

/* The value of "group.name", or NULL. */
static json_t *find(const json_t *json, const char *key)
{
    const char *dot = strchr(key, '.');
    char group[KEY_BYTES];
    snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
    return json_object_get(json_object_get(json, group), dot + 1);
}

static void put(json_t *json, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    char group[KEY_BYTES];
    snprintf(group, sizeof group, "%.*s", (int)(dot - key), key);
    if (!json_object_get(json, group))
        json_object_set_new(json, group, json_object());
    json_object_set_new(json_object_get(json, group), dot + 1, value);
}

static bool apply_set(const FieldTable *table, json_t *json, const char *text, Error *err)
{
    const char *equals = strchr(text, '=');
    char key[2 * KEY_BYTES];
    if (!equals || !memchr(text, '.', (size_t)(equals - text)) ||
        (size_t)(equals - text) >= sizeof key)
        return error_set(err, ERROR_ARGUMENT, "--set %s: it has to be group.name=value", text);
    snprintf(key, sizeof key, "%.*s", (int)(equals - text), text);
    if (!is_known(table, key))
        return unknown_key(table, key, err) || error_add(err, "--set");
    json_t *value = yaml_read(str_from(equals + 1), key, err);
    if (!value)
        return error_add(err, "--set");
    put(json, key, value);
    return true;
}

/* ---- Values
 * ----------------------------------------------------------------------------------------- */

static json_t *fallback_of(const Field *f)
{
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
        return json_integer((json_int_t)f->fallback);
    case FIELD_REAL:
        return json_real(f->fallback);
    case FIELD_BOOL:
        return json_boolean(f->fallback != 0);
    case FIELD_TEXT:
    case FIELD_JSON:
        break;
    case FIELD_CHOICE: {
        const char *at = f->choices;
        for (int i = 0; i < (int)f->fallback; i++)
            at = strchr(at, '|') + 1;
        return json_stringn(at, strcspn(at, "|"));
    }
    }
    return json_null();
}

static bool read_choice(const Field *f, const json_t *value, int *out, Error *err)
{
    const char *text = json_string_value(value), *at = f->choices;
    for (int i = 0; text; i++) {
        const size_t n = strcspn(at, "|");
        if (strlen(text) == n && memcmp(text, at, n) == 0) {
            *out = i;
            return true;
        }
        if (at[n] == 0)
            break;
        at += n + 1;
    }
    return error_set(err, ERROR_FORMAT, "%s: it is one of %s", f->key, f->choices);
}

static bool read_field(const Field *f, json_t *value, void *out, Error *err)
{
    const double number = json_number_value(value);
    const bool is_integer = json_is_integer(value);
    switch (f->type) {
    case FIELD_INT:
    case FIELD_INT64:
    case FIELD_REAL:
        if (!json_is_number(value) || (f->type != FIELD_REAL && !is_integer))
            return error_set(err, ERROR_FORMAT, "%s: it is not %s", f->key,
                             f->type == FIELD_REAL ? "a number" : "a whole number");
        if (!(number >= f->low && number <= f->high))
            return error_set(err, ERROR_LIMIT, "%s: %g is not in %g .. %g", f->key, number, f->low,
                             f->high);
        if (f->type == FIELD_INT)
            *(int *)out = (int)json_integer_value(value);
        else if (f->type == FIELD_INT64)
            *(int64_t *)out = json_integer_value(value);
        else
            *(double *)out = number;
        return true;
    case FIELD_BOOL:
        *(bool *)out = json_is_true(value);
        return json_is_boolean(value) ||
               error_set(err, ERROR_FORMAT, "%s: it is true or false", f->key);
    case FIELD_TEXT:
        *(const char **)out = json_string_value(value);
        return json_is_string(value) || json_is_null(value) ||
               error_set(err, ERROR_FORMAT, "%s: it is not a text", f->key);
    case FIELD_CHOICE:
        return read_choice(f, value, out, err);
    case FIELD_JSON:
        *(json_t **)out = json_is_null(value) ? NULL : value;
        return true;
    }
    return false;
}

static bool fill(const FieldTable *table, json_t *json, void *config, Error *err)
{
    for (int i = 0; i < table->n; i++) {
        const Field *f = &table->fields[i];
        if (f->type != FIELD_JSON && !find(json, f->key))
            put(json, f->key, fallback_of(f));
        if (!read_field(f, find(json, f->key), (char *)config + f->offset, err))
            return false;
    }
    return true;
}

json_t *fields_read(const FieldTable *table, const char *path, const char *const *sets, int n_sets,
                    void *config, Error *err)
{
    Buf text = {0};
    json_t *json = NULL;
    bool ok = file_read(&text, path, CONFIG_BYTES_MAX, err);
    if (ok) {
        json = yaml_read(buf_str(&text), path, err);
        ok = json && check_keys(table, json, err);
    }
    buf_free(&text);
    for (int i = 0; ok && i < n_sets; i++)
        ok = apply_set(table, json, sets[i], err);
    if (ok && fill(table, json, config, err))
        return json;
    if (ok)
        error_add(err, "%s", path);
    json_decref(json);
    return NULL;
}

static void compare(const char *key, const json_t *old, const json_t *new, Buf *difference)
{
    if ((!old && !new) || (old && new &&json_equal(old, new)))
        return;
    char *before = old ? json_dumps(old, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    char *now = new ? json_dumps(new, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    buf_printf(difference, "%s%s: %s -> %s", difference->bytes ? "; " : "", key,
               before ? before : "-", now ? now : "-");
    free(before);
    free(now);
}

bool fields_differ(const FieldTable *table, const json_t *now, const json_t *old, Buf *difference)
{
    for (int i = 0; i < table->n; i++) {
        const char *key = table->fields[i].key;
        if (!table->fields[i].may_change)
            compare(key, find(old, key), find(now, key), difference);
    }
    return difference->bytes > 0;
}
