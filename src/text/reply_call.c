/* See reply_call.h. */
#include "text/reply_call.h"

#include <string.h>

enum { FORM_UNKNOWN, FORM_JSON, FORM_XML };
/* What a JSON value at the top level of the block is for. */
enum { TARGET_NONE, TARGET_KEY, TARGET_NAME, TARGET_OBJECT, TARGET_STRING, TARGET_NULL };
/* Where in the other form. */
enum { PHASE_FUNCTION, PHASE_BODY, PHASE_VALUE, PHASE_END };

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

void call_begin(CallParser *c)
{
    buf_clear(&c->raw);
    buf_clear(&c->name);
    buf_clear(&c->arguments);
    buf_clear(&c->piece);
    *c = (CallParser){.raw = c->raw, .name = c->name, .arguments = c->arguments, .piece = c->piece};
}

void call_close(CallParser *c)
{
    buf_free(&c->raw);
    buf_free(&c->name);
    buf_free(&c->arguments);
    buf_free(&c->piece);
}

bool call_is_in_value(const CallParser *c)
{
    if (c->status != CALL_OPEN)
        return false;
    return c->form == FORM_JSON ? json_scan_in_string(&c->scan)
                                : c->form == FORM_XML && c->phase == PHASE_VALUE;
}

/* ---- {"name": ..., "arguments": ...} ---- */

/* The key in `piece` has been read, its value begins with `first`. False: no call looks like this.
 */
static bool choose_target(CallParser *c, char first)
{
    Str key = buf_str(&c->piece);
    c->target = TARGET_NONE;
    if (str_equals(key, "\"name\"")) {
        c->target = TARGET_NAME;
        buf_clear(&c->piece);
        return first == '"' && !c->has_name;
    }
    if (!str_equals(key, "\"arguments\"") && !str_equals(key, "\"parameters\""))
        return true;
    c->target = first == '{' ? TARGET_OBJECT : first == '"' ? TARGET_STRING : TARGET_NULL;
    buf_clear(&c->piece);
    bool is_first = !c->has_arguments;
    c->has_arguments = true;
    return is_first && (first == '{' || first == '"' || first == 'n');
}

static bool is_json_value(Str s)
{
    JsonScan scan = {0};
    for (size_t i = 0; i < s.bytes; i++)
        if (json_scan_byte(&scan, s.data[i]) == SCAN_BROKEN)
            return false;
    return json_scan_is_whole(&scan);
}

/* Arguments that were written as a string: it must hold an object, or nothing. */
static bool put_string_arguments(CallParser *c)
{
    json_unescape(&c->arguments, buf_str(&c->piece));
    Str s = buf_str(&c->arguments);
    size_t i = 0;
    while (i < s.bytes && is_blank(s.data[i]))
        i++;
    if (i == s.bytes) {
        buf_clear(&c->arguments);
        buf_puts(&c->arguments, "{}");
        return true;
    }
    return s.data[i] == '{' && is_json_value(s);
}

static bool finish_target(CallParser *c)
{
    int target = c->target;
    c->target = TARGET_NONE;
    if (target == TARGET_NAME) {
        json_unescape(&c->name, buf_str(&c->piece));
        c->has_name = c->name.bytes > 0;
        return c->has_name;
    }
    if (target == TARGET_STRING)
        return put_string_arguments(c);
    if (target == TARGET_NULL)
        buf_puts(&c->arguments, "{}");
    return true;
}

static bool json_byte(CallParser *c, char byte)
{
    JsonScanState before = c->scan.state;
    int depth = c->scan.depth;
    JsonScanState now = json_scan_byte(&c->scan, byte);
    if (now == SCAN_BROKEN)
        return false;
    if (now == SCAN_DONE) {
        c->status = CALL_COMPLETE;
        return c->has_name;
    }
    if (depth == 1 && now == SCAN_STRING && (before == SCAN_KEY || before == SCAN_KEY_OR_END)) {
        c->target = TARGET_KEY;
        buf_clear(&c->piece);
    }
    if (depth == 1 && before == SCAN_VALUE && !is_blank(byte) && !choose_target(c, byte))
        return false;
    if (c->target == TARGET_OBJECT)
        buf_putc(&c->arguments, byte);
    else if (c->target != TARGET_NONE)
        buf_putc(&c->piece, byte);
    bool value_ended = c->scan.depth == 1 && now == SCAN_AFTER;
    if (c->target == TARGET_KEY && now == SCAN_COLON)
        c->target = TARGET_NONE;
    return c->target == TARGET_NONE || !value_ended || finish_target(c);
}

/* ---- <function=name> ... ---- */

static bool may_become(Str s, const char *text)
{
    size_t n = strlen(text);
    return memcmp(s.data, text, s.bytes < n ? s.bytes : n) == 0;
}

/* The NAME of a finished <word=NAME>; false when it cannot be one. */
static bool tag_name(Str tag, const char *opening, Str *name)
{
    *name = str_slice(tag, strlen(opening), tag.bytes - 1);
    for (size_t i = 0; i < name->bytes; i++)
        if (name->data[i] == '<' || (unsigned char)name->data[i] < 0x20)
            return false;
    return name->bytes > 0;
}

static void put_parameter_value(CallParser *c, Str value)
{
    /* The template puts a line around the value. */
    if (value.bytes && value.data[0] == '\n')
        value = str_slice(value, 1, value.bytes);
    if (value.bytes && value.data[value.bytes - 1] == '\n')
        value.bytes--;
    bool is_quoted = value.bytes && value.data[0] == '"';
    if (!is_quoted && is_json_value(value))
        buf_add(&c->arguments, value);
    else
        buf_put_json(&c->arguments, value);
}

static bool function_byte(CallParser *c, char byte)
{
    Str name;
    if (!may_become(buf_str(&c->piece), "<function="))
        return false;
    if (byte != '>')
        return c->piece.bytes < 256;
    if (!tag_name(buf_str(&c->piece), "<function=", &name))
        return false;
    buf_add(&c->name, name);
    c->has_name = true;
    c->phase = PHASE_BODY;
    buf_clear(&c->piece);
    return true;
}

static bool body_byte(CallParser *c, char byte)
{
    Str tag = buf_str(&c->piece), key;
    if (tag.bytes == 1 && is_blank(byte)) {
        buf_clear(&c->piece);
        return true;
    }
    if (str_equals(tag, "</function>")) {
        buf_puts(&c->arguments, c->n_parameters ? "}" : "{}");
        c->has_arguments = true;
        c->status = CALL_COMPLETE;
        c->phase = PHASE_END;
        return true;
    }
    if (may_become(tag, "</function>") && tag.bytes < sizeof "</function>" - 1)
        return true;
    if (!may_become(tag, "<parameter="))
        return false;
    if (byte != '>')
        return tag.bytes < 256;
    if (!tag_name(tag, "<parameter=", &key))
        return false;
    buf_puts(&c->arguments, c->n_parameters++ ? ", " : "{");
    buf_put_json(&c->arguments, key);
    buf_puts(&c->arguments, ": ");
    c->phase = PHASE_VALUE;
    buf_clear(&c->piece);
    return true;
}

static bool xml_byte(CallParser *c, char byte)
{
    if (c->phase == PHASE_END)
        return is_blank(byte);
    buf_putc(&c->piece, byte);
    if (c->phase == PHASE_FUNCTION)
        return function_byte(c, byte);
    if (c->phase == PHASE_BODY)
        return body_byte(c, byte);
    Str value = buf_str(&c->piece);
    if (byte == '>' && str_ends(value, STR("</parameter>"))) {
        put_parameter_value(c, str_slice(value, 0, value.bytes - strlen("</parameter>")));
        buf_clear(&c->piece);
        c->phase = PHASE_BODY;
    }
    return true;
}

CallStatus call_feed(CallParser *c, Str text)
{
    buf_add(&c->raw, text);
    for (size_t i = 0; i < text.bytes && c->status != CALL_BROKEN; i++) {
        char byte = text.data[i];
        if (c->form == FORM_UNKNOWN) {
            if (is_blank(byte))
                continue;
            c->form = byte == '{' ? FORM_JSON : FORM_XML;
        }
        bool ok = c->form == FORM_JSON ? json_byte(c, byte) : xml_byte(c, byte);
        if (!ok)
            c->status = CALL_BROKEN;
    }
    return c->status;
}
