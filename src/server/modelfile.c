/* See modelfile.h. */
#include "server/modelfile.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct Reader {
    const char *at;
    int line;
    Buf word, value;
} Reader;

/* ---- Reading --------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c != '\n' && isspace((unsigned char)c); }

static void skip_blanks(Reader *r)
{
    while (is_blank(*r->at))
        r->at++;
}

static void skip_empty_lines(Reader *r)
{
    for (skip_blanks(r); *r->at == '\n' || *r->at == '#'; skip_blanks(r)) {
        while (*r->at && *r->at != '\n')
            r->at++;
        if (*r->at) {
            r->at++;
            r->line++;
        }
    }
}

static void read_word(Reader *r)
{
    buf_clear(&r->word);
    skip_blanks(r);
    while (*r->at && !isspace((unsigned char)*r->at))
        buf_putc(&r->word, *r->at++);
}

/* The rest of the line, without the quotes around it; or, between triple quotes, of several. */
static bool read_value(Reader *r, Fault *fault)
{
    buf_clear(&r->value);
    skip_blanks(r);
    if (strncmp(r->at, "\"\"\"", 3) == 0) {
        const char *begin = r->at + 3, *end = strstr(begin, "\"\"\"");
        if (!end)
            return fault_set(fault, 400, "modelfile",
                             "modelfile: line %d: the \"\"\" is not closed", r->line);
        buf_append(&r->value, begin, (size_t)(end - begin));
        for (const char *c = begin; c < end; c++)
            r->line += *c == '\n';
        r->at = end + 3;
        return true;
    }
    while (*r->at && *r->at != '\n')
        buf_putc(&r->value, *r->at++);
    while (r->value.bytes && is_blank(r->value.data[r->value.bytes - 1]))
        r->value.bytes--;
    const char *text = r->value.data;
    const size_t n = r->value.bytes;
    const bool is_quoted = n >= 2 && text[0] == '"' && text[n - 1] == '"';
    Buf bare = {0};
    if (n > 0)
        buf_append(&bare, text + is_quoted, n - 2 * (size_t)is_quoted);
    buf_free(&r->value);
    r->value = bare;
    return true;
}

static json_t *parameter_value(Str text)
{
    char *end;
    if (str_equals(text, "true") || str_equals(text, "false"))
        return json_boolean(text.data[0] == 't');
    if (text.bytes == 0)
        return json_string("");
    const long long whole = strtoll(text.data, &end, 10);
    if (!*end)
        return json_integer(whole);
    const double real = strtod(text.data, &end);
    json_t *number = *end ? NULL : json_real(real);
    return number ? number : json_stringn(text.data, text.bytes);
}

static void add_parameter(json_t *settings, Str name, Str value)
{
    json_t *all = json_object_get(settings, "parameters");
    if (!all) {
        all = json_object();
        json_object_set_new(settings, "parameters", all);
    }
    if (!str_equals(name, "stop")) {
        json_object_set_new(all, name.data, parameter_value(value));
        return;
    }
    json_t *stops = json_object_get(all, "stop");
    if (!stops) {
        stops = json_array();
        json_object_set_new(all, "stop", stops);
    }
    json_array_append_new(stops, json_stringn(value.data, value.bytes));
}

static bool read_parameter(Reader *r, json_t *settings, Fault *fault)
{
    read_word(r);
    if (r->word.bytes == 0)
        return fault_set(fault, 400, "modelfile",
                         "modelfile: line %d: PARAMETER needs a name and a value", r->line);
    if (!read_value(r, fault))
        return false;
    if (r->value.bytes == 0)
        return fault_set(fault, 400, "modelfile",
                         "modelfile: line %d: PARAMETER %.40s has no value", r->line, r->word.data);
    add_parameter(settings, buf_str(&r->word), buf_str(&r->value));
    return true;
}

static bool read_instruction(Reader *r, json_t *settings, Fault *fault)
{
    static const struct {
        const char *word, *key;
    } texts[] = {
        {"FROM", "from"}, {"SYSTEM", "system"}, {"TEMPLATE", "template"}, {"LICENSE", "license"}};
    read_word(r);
    if (strcasecmp(r->word.data, "PARAMETER") == 0)
        return read_parameter(r, settings, fault);
    const char *key = NULL;
    const bool is_adapter = strcasecmp(r->word.data, "ADAPTER") == 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (strcasecmp(r->word.data, texts[i].word) == 0)
            key = texts[i].key;
    if (!key && !is_adapter)
        return fault_set(fault, 400, "modelfile",
                         "modelfile: line %d: %.40s: only FROM, SYSTEM, PARAMETER, TEMPLATE, "
                         "ADAPTER and LICENSE are read",
                         r->line, r->word.data);
    if (!read_value(r, fault))
        return false;
    json_t *text = json_stringn(r->value.data ? r->value.data : "", r->value.bytes);
    if (!text)
        return fault_set(fault, 400, "modelfile", "modelfile: line %d: is not UTF-8", r->line);
    if (key) {
        json_object_set_new(settings, key, text);
        return true;
    }
    json_t *adapters = json_object_get(settings, "adapters");
    if (!adapters) {
        adapters = json_array();
        json_object_set_new(settings, "adapters", adapters);
    }
    json_array_append_new(adapters, text);
    return true;
}

json_t *modelfile_parse(const char *text, Fault *fault)
{
    Reader r = {.at = text, .line = 1};
    json_t *settings = json_object();
    bool ok = true;
    for (skip_empty_lines(&r); *r.at && ok; skip_empty_lines(&r))
        ok = read_instruction(&r, settings, fault);
    buf_free(&r.word);
    buf_free(&r.value);
    if (ok)
        return settings;
    json_decref(settings);
    return NULL;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static void put_parameter(Buf *out, const char *prefix, const char *name, const json_t *value)
{
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
    buf_printf(out, "%s%s %s\n", prefix, name, text ? text : "");
    free(text);
}

void modelfile_put_parameters(Buf *out, const char *prefix, const json_t *parameters)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)parameters, name, value)
    {
        const size_t n = json_is_array(value) ? json_array_size(value) : 1;
        for (size_t i = 0; i < n; i++)
            put_parameter(out, prefix, name,
                          json_is_array(value) ? json_array_get(value, i) : value);
    }
}

static void put_text(Buf *out, const char *instruction, const char *text)
{
    if (text && *text)
        buf_printf(out, "%s \"\"\"%s\"\"\"\n", instruction, text);
}

void modelfile_put(Buf *out, const char *from, const json_t *settings, Str template)
{
    const json_t *adapters = json_object_get(settings, "adapters");
    buf_printf(out, "FROM %s\n", from);
    for (size_t i = 0; i < json_array_size(adapters); i++)
        buf_printf(out, "ADAPTER %s\n", json_string_value(json_array_get(adapters, i)));
    put_text(out, "SYSTEM", json_string_value(json_object_get(settings, "system")));
    modelfile_put_parameters(out, "PARAMETER ", json_object_get(settings, "parameters"));
    put_text(out, "TEMPLATE", template.bytes ? template.data : NULL);
    put_text(out, "LICENSE", json_string_value(json_object_get(settings, "license")));
}
