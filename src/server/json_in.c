/* See json_in.h. */
#include "server/json_in.h"

#include <inttypes.h>
#include <string.h>

json_t *in_get(const json_t *object, const char *name)
{
    json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static bool wrong(Fault *fault, const char *where, const char *name, const char *wanted)
{
    char path[96];
    snprintf(path, sizeof path, "%s%s", where, name);
    return fault_set(fault, 400, path, "%s: must be %s", path, wanted);
}

bool in_bool(const json_t *object, const char *where, const char *name, bool *value, Fault *fault)
{
    const json_t *v = in_get(object, name);
    if (!v)
        return true;
    if (!json_is_boolean(v))
        return wrong(fault, where, name, "true or false");
    *value = json_is_true(v);
    return true;
}

bool in_switch(const json_t *object, const char *where, const char *name, int *value, Fault *fault)
{
    bool is_on = false;
    if (!in_get(object, name))
        return true;
    if (!in_bool(object, where, name, &is_on, fault))
        return false;
    *value = is_on;
    return true;
}

bool in_int(const json_t *object, const char *where, const char *name, int64_t min, int64_t max,
            int64_t *value, Fault *fault)
{
    const json_t *v = in_get(object, name);
    if (!v)
        return true;
    /* 16.0 is what some clients send for 16. */
    double real = json_number_value(v);
    bool is_whole = json_is_integer(v) || (json_is_real(v) && real >= -0x1p53 && real <= 0x1p53 &&
                                           real == (double)(int64_t)real);
    int64_t n = json_is_integer(v) ? json_integer_value(v) : is_whole ? (int64_t)real : 0;
    if (!is_whole || n < min || n > max) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a whole number from %" PRId64 " to %" PRId64, min, max);
        return wrong(fault, where, name, wanted);
    }
    *value = n;
    return true;
}

bool in_real(const json_t *object, const char *where, const char *name, double min, double max,
             double *value, Fault *fault)
{
    const json_t *v = in_get(object, name);
    if (!v)
        return true;
    double real = json_number_value(v);
    if (!json_is_number(v) || !(real >= min && real <= max)) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a number from %g to %g", min, max);
        return wrong(fault, where, name, wanted);
    }
    *value = real;
    return true;
}

bool in_text(const json_t *object, const char *where, const char *name, const char **value,
             Fault *fault)
{
    const json_t *v = in_get(object, name);
    if (!v)
        return true;
    if (!json_is_string(v))
        return wrong(fault, where, name, "a string");
    if (strlen(json_string_value(v)) != json_string_length(v))
        return wrong(fault, where, name, "a string without NUL characters");
    *value = json_string_value(v);
    return true;
}

bool in_array(const json_t *object, const char *where, const char *name, json_t **value,
              Fault *fault)
{
    json_t *v = in_get(object, name);
    if (!v)
        return true;
    if (!json_is_array(v))
        return wrong(fault, where, name, "an array");
    *value = v;
    return true;
}

bool in_object(const json_t *object, const char *where, const char *name, json_t **value,
               Fault *fault)
{
    json_t *v = in_get(object, name);
    if (!v)
        return true;
    if (!json_is_object(v))
        return wrong(fault, where, name, "an object");
    *value = v;
    return true;
}

static bool is_text_part(const json_t *part)
{
    const char *type = json_string_value(json_object_get(part, "type"));
    return json_is_string(part) || !type || strcmp(type, "text") == 0 ||
           strcmp(type, "input_text") == 0 || strcmp(type, "output_text") == 0;
}

bool in_content(const json_t *content, const char *where, Buf *text, Fault *fault)
{
    if (!content || json_is_null(content))
        return true;
    if (json_is_string(content)) {
        buf_append(text, json_string_value(content), json_string_length(content));
        return true;
    }
    if (!json_is_array(content))
        return fault_set(fault, 400, where, "%s: must be a string or an array of parts", where);
    size_t i;
    json_t *part;
    json_array_foreach(content, i, part)
    {
        const json_t *value = json_is_string(part) ? part : json_object_get(part, "text");
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!is_text_part(part) || !json_is_string(value))
            return fault_set(fault, 400, where,
                             "%s[%zu]: type \"%.60s\": this model reads only text", where, i,
                             type ? type : "none");
        if (i > 0)
            buf_putc(text, '\n');
        buf_append(text, json_string_value(value), json_string_length(value));
    }
    return true;
}

json_t *in_body(Str body, Fault *fault)
{
    json_error_t at;
    json_t *json = json_loadb(body.bytes ? body.data : "", body.bytes, JSON_ALLOW_NUL, &at);
    if (!json) {
        fault_set(fault, 400, NULL, "the body is not JSON: line %d, column %d: %.200s", at.line,
                  at.column, at.text);
        return NULL;
    }
    if (json_is_object(json))
        return json;
    json_decref(json);
    fault_set(fault, 400, NULL, "the body must be a JSON object");
    return NULL;
}
