/* See settings.h. */
#include "data/settings.h"

#include "base/file.h"
#include "train/yaml.h"

#include <string.h>

enum { CONFIG_BYTES_MAX = 1 << 20 };

json_t *settings_read(const char *path, Error *err)
{
    Buf text = {0};
    json_t *json =
        file_read(&text, path, CONFIG_BYTES_MAX, err) ? yaml_read(buf_str(&text), path, err) : NULL;
    buf_free(&text);
    if (!json || json_is_object(json))
        return json;
    json_decref(json);
    error_set(err, ERROR_FORMAT, "%s: it is not a mapping", path);
    return NULL;
}

static bool is_word(const char *names, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = names; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && memcmp(at, word, n) == 0)
            return true;
    return false;
}

/* Every key of `object` has to be one of the names, apart by blanks. */
bool settings_check(const json_t *object, const char *names, const char *where, Error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return error_set(err, ERROR_FORMAT, "%s: it is not a mapping", where);
    json_object_foreach((json_t *)object, key, value)
    {
        if (!is_word(names, key))
            return error_set(err, ERROR_FORMAT, "%s.%s: there is no such key; there are %s", where,
                             key, names);
    }
    return true;
}

/* A number in low .. high; absent: *out stays. */
bool settings_real(const json_t *object, const char *key, double low, double high, double *out,
                   Error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    *out = json_number_value(value);
    return (json_is_number(value) && *out >= low && *out <= high) ||
           error_set(err, ERROR_FORMAT, "%s: it is not a number in %g .. %g", key, low, high);
}

bool settings_int(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *out,
                  Error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    *out = json_integer_value(value);
    return (json_is_integer(value) && *out >= low && *out <= high) ||
           error_set(err, ERROR_FORMAT, "%s: it is not a whole number in %lld .. %lld", key,
                     (long long)low, (long long)high);
}

bool settings_bool(const json_t *object, const char *key, bool *out, Error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    *out = json_is_true(value);
    return json_is_boolean(value) || error_set(err, ERROR_FORMAT, "%s: it is true or false", key);
}

bool settings_text(const json_t *object, const char *key, const char **out, Error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    *out = json_string_value(value);
    return *out || error_set(err, ERROR_FORMAT, "%s: it is not a text", key);
}
