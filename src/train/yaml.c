/* See yaml.h. libyaml reads events; a stack of open collections makes values of them. */
#include "train/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { YAML_DEPTH_MAX = 16, YAML_NUMBER_BYTES = 64 };

typedef struct Open {
    json_t *value; /* an array or an object; borrowed from its parent, the first one owned */
    char *key;     /* of an object: waiting for its value */
} Open;

typedef struct Reader {
    yaml_parser_t parser;
    Open open[YAML_DEPTH_MAX];
    int depth;
    json_t *root;
    const char *name;
    Error *err;
} Reader;

static bool fail_at(Reader *r, yaml_mark_t mark, const char *what)
{
    return error_set(r->err, ERROR_FORMAT, "%s:%zu:%zu: %s", r->name, mark.line + 1,
                     mark.column + 1, what);
}

json_t *yaml_scalar(Str text)
{
    if (text.bytes == 0 || str_equals(text, "null") || str_equals(text, "~"))
        return json_null();
    if (str_equals(text, "true"))
        return json_true();
    if (str_equals(text, "false"))
        return json_false();
    char number[YAML_NUMBER_BYTES], *end;
    if (text.bytes < sizeof number && strchr("+-.0123456789", text.data[0])) {
        memcpy(number, text.data, text.bytes);
        number[text.bytes] = 0;
        errno = 0;
        long long integer = strtoll(number, &end, 10);
        if (*end == 0 && errno == 0)
            return json_integer(integer);
        double real = strtod(number, &end);
        if (*end == 0 && real - real == 0)
            return json_real(real);
    }
    return json_stringn(text.data, text.bytes);
}

/* Puts a value where the innermost open collection expects one. Takes the reference. */
static bool place(Reader *r, json_t *value, yaml_mark_t mark)
{
    if (!value)
        return fail_at(r, mark, "this is not UTF-8 text");
    if (r->depth == 0) {
        r->root = value;
        return true;
    }
    Open *open = &r->open[r->depth - 1];
    if (json_is_array(open->value)) {
        json_array_append_new(open->value, value);
        return true;
    }
    json_object_set_new(open->value, open->key, value);
    free(open->key);
    open->key = NULL;
    return true;
}

static bool on_scalar(Reader *r, const yaml_event_t *event)
{
    const Str text = {(const char *)event->data.scalar.value, event->data.scalar.length};
    Open *open = r->depth > 0 ? &r->open[r->depth - 1] : NULL;
    if (event->data.scalar.anchor ||
        (event->data.scalar.tag && !event->data.scalar.quoted_implicit))
        return fail_at(r, event->start_mark, "anchors and tags are not read here");
    if (open && json_is_object(open->value) && !open->key) {
        if (memchr(text.data, 0, text.bytes))
            return fail_at(r, event->start_mark, "a key with a zero byte");
        char *key = strndup(text.data, text.bytes);
        if (json_object_get(open->value, key)) {
            error_set(r->err, ERROR_FORMAT, "%s:%zu: \"%s\" is given twice", r->name,
                      event->start_mark.line + 1, key);
            free(key);
            return false;
        }
        open->key = key;
        return true;
    }
    const bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    return place(r, is_plain ? yaml_scalar(text) : json_stringn(text.data, text.bytes),
                 event->start_mark);
}

static bool on_open(Reader *r, const yaml_event_t *event, json_t *value)
{
    const Open *open = r->depth > 0 ? &r->open[r->depth - 1] : NULL;
    const bool is_key = open && json_is_object(open->value) && !open->key;
    if (is_key || r->depth == YAML_DEPTH_MAX) {
        json_decref(value);
        return fail_at(r, event->start_mark, is_key ? "a key has to be a word" : "too many levels");
    }
    if (!place(r, value, event->start_mark))
        return false;
    r->open[r->depth++] = (Open){value, NULL};
    return true;
}

static bool on_event(Reader *r, const yaml_event_t *event, bool *is_done)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(r, event);
    case YAML_MAPPING_START_EVENT:
        return on_open(r, event, json_object());
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, event, json_array());
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return true;
    case YAML_ALIAS_EVENT:
        return fail_at(r, event->start_mark, "anchors and tags are not read here");
    case YAML_DOCUMENT_START_EVENT:
        return r->root ? fail_at(r, event->start_mark, "a second document") : true;
    case YAML_STREAM_END_EVENT:
        *is_done = true;
        return true;
    default:
        return true;
    }
}

json_t *yaml_read(Str text, const char *name, Error *err)
{
    Reader r = {.name = name, .err = err};
    bool ok = true, is_done = false;
    if (!yaml_parser_initialize(&r.parser)) {
        error_set(err, ERROR_MEMORY, "%s: no memory to read it", name);
        return NULL;
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text.data, text.bytes);
    while (ok && !is_done) {
        yaml_event_t event;
        if (!yaml_parser_parse(&r.parser, &event)) {
            ok =
                fail_at(&r, r.parser.problem_mark, r.parser.problem ? r.parser.problem : "no YAML");
            break;
        }
        ok = on_event(&r, &event, &is_done);
        yaml_event_delete(&event);
    }
    for (int i = 0; i < r.depth; i++)
        free(r.open[i].key);
    yaml_parser_delete(&r.parser);
    if (ok && r.root)
        return r.root;
    if (ok)
        error_set(err, ERROR_FORMAT, "%s: it is empty", name);
    json_decref(r.root);
    return NULL;
}

/* ---- Writing: strings are always quoted, as JSON strings are valid YAML
 * ------------------------------ */

static void write_value(const json_t *value, int depth, Buf *out);

static void indent(int depth, Buf *out)
{
    for (int i = 0; i < depth; i++)
        buf_puts(out, "  ");
}

static bool is_collection(const json_t *value)
{
    return (json_is_object(value) && json_object_size(value) > 0) ||
           (json_is_array(value) && json_array_size(value) > 0);
}

static void write_item(const json_t *value, int depth, Buf *out)
{
    if (is_collection(value)) {
        buf_putc(out, '\n');
        write_value(value, depth + 1, out);
        return;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));
    buf_printf(out, " %s\n", text);
    free(text);
}

static void write_value(const json_t *value, int depth, Buf *out)
{
    const char *key;
    json_t *item;
    size_t i;
    if (depth >= YAML_DEPTH_MAX)
        return; /* yaml_read makes nothing deeper */
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, key, item)
        {
            indent(depth, out);
            buf_printf(out, "%s:", key);
            write_item(item, depth, out);
        }
        return;
    }
    json_array_foreach(value, i, item)
    {
        indent(depth, out);
        buf_puts(out, "-");
        write_item(item, depth, out);
    }
}

void yaml_write(const json_t *value, Buf *out) { write_value(value, 0, out); }
