/* See json_reader.h. The reader is a state machine over one byte string: `state` says what may come
 * next, is_object[] which brackets are open. */
#include "base/json_reader.h"

#include "base/utf8.h"

#include <string.h>

enum {
    STATE_VALUE,
    STATE_VALUE_OR_END,
    STATE_KEY,
    STATE_KEY_OR_END,
    STATE_COMMA_OR_END,
    STATE_END,
    STATE_BROKEN
};

void json_reader_open(JsonReader *r, Str text) { json_reader_open_at(r, text, 0); }

void json_reader_open_at(JsonReader *r, Str text, size_t at)
{
    *r = (JsonReader){.text = text, .at = at, .state = STATE_VALUE};
}

void json_reader_close(JsonReader *r)
{
    buf_free(&r->unescaped);
    *r = (JsonReader){.state = STATE_BROKEN};
}

static bool is_plain_string_byte(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

static JsonEvent broken(JsonReader *r)
{
    r->state = STATE_BROKEN;
    return JSON_EVENT_ERROR;
}

static JsonEvent unexpected(JsonReader *r, const char *expected, Error *err)
{
    if (r->at >= r->text.bytes)
        error_set(err, ERROR_FORMAT, "byte %zu: the JSON ends here; expected %s", r->at, expected);
    else
        error_set(err, ERROR_FORMAT, "byte %zu: not JSON: expected %s", r->at, expected);
    return broken(r);
}

static void skip_space(JsonReader *r)
{
    const char *s = r->text.data;
    size_t i = r->at, n = r->text.bytes;
    while (i < n && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t'))
        i++;
    r->at = i;
}

/* Reads 4 hexadecimal digits at `at`. */
static bool read_hex4(const JsonReader *r, size_t at, uint32_t *value)
{
    if (r->text.bytes < at || r->text.bytes - at < 4)
        return false;
    uint32_t v = 0;
    for (size_t i = at; i < at + 4; i++) {
        char c = r->text.data[i];
        uint32_t digit;
        if (c >= '0' && c <= '9')
            digit = (uint32_t)(c - '0');
        else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
            digit = (uint32_t)((c | 0x20) - 'a') + 10;
        else
            return false;
        v = v << 4 | digit;
    }
    *value = v;
    return true;
}

/* r->at is at a backslash. Appends what it stands for and moves behind it. */
static bool read_escape(JsonReader *r, Error *err)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    size_t start = r->at;
    char c = start + 1 < r->text.bytes ? r->text.data[start + 1] : '\0';
    const char *named = c ? strchr(names, c) : NULL;
    if (named) {
        buf_putc(&r->unescaped, values[named - names]);
        r->at = start + 2;
        return true;
    }
    uint32_t cp, low;
    if (c != 'u' || !read_hex4(r, start + 2, &cp))
        return error_set(err, ERROR_FORMAT, "byte %zu: not a JSON escape", start);
    r->at = start + 6;
    if (cp >= 0xD800 && cp < 0xDC00) {
        if (r->text.bytes - r->at < 6 || memcmp(r->text.data + r->at, "\\u", 2) != 0 ||
            !read_hex4(r, r->at + 2, &low) || low < 0xDC00 || low > 0xDFFF)
            return error_set(err, ERROR_FORMAT, "byte %zu: half a surrogate pair", start);
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
        r->at += 6;
    } else if (cp >= 0xDC00 && cp < 0xE000) {
        return error_set(err, ERROR_FORMAT, "byte %zu: half a surrogate pair", start);
    }
    char bytes[4];
    buf_append(&r->unescaped, bytes, utf8_encode(cp, bytes));
    return true;
}

/* r->at is behind the opening quote. Leaves the text in r->string and r->at behind the closing one.
 * Without escapes the text is a slice of the input. */
static bool read_string(JsonReader *r, Error *err)
{
    const char *s = r->text.data;
    size_t n = r->text.bytes, from = r->at;
    bool is_slice = true;
    for (;;) {
        while (r->at < n && is_plain_string_byte((unsigned char)s[r->at]))
            r->at++;
        if (r->at >= n)
            return error_set(err, ERROR_FORMAT, "byte %zu: the JSON ends inside a string", n);
        unsigned char c = (unsigned char)s[r->at];
        if (c == '"')
            break;
        if (c >= 0x80) {
            uint32_t cp;
            size_t bytes = utf8_decode(str_slice(r->text, r->at, n), &cp);
            if (bytes == 0)
                return error_set(err, ERROR_FORMAT, "byte %zu: not UTF-8", r->at);
            r->at += bytes;
            continue;
        }
        if (c != '\\')
            return error_set(err, ERROR_FORMAT, "byte %zu: control character in a string", r->at);
        if (is_slice)
            buf_clear(&r->unescaped);
        is_slice = false;
        buf_append(&r->unescaped, s + from, r->at - from);
        if (!read_escape(r, err))
            return false;
        from = r->at;
    }
    if (is_slice) {
        r->string = str_slice(r->text, from, r->at);
    } else {
        buf_append(&r->unescaped, s + from, r->at - from);
        r->string = buf_str(&r->unescaped);
        if (r->unescaped.overflowed)
            return error_set(err, ERROR_LIMIT, "byte %zu: string too long", from);
    }
    r->at++;
    return true;
}

static size_t skip_digits(Str s, size_t i)
{
    while (i < s.bytes && s.data[i] >= '0' && s.data[i] <= '9')
        i++;
    return i;
}

/* -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static bool read_number(JsonReader *r, Error *err)
{
    Str s = r->text;
    size_t start = r->at, i = start;
    if (s.data[i] == '-')
        i++;
    size_t digits = i;
    i = skip_digits(s, i);
    bool ok = i > digits && (s.data[digits] != '0' || i == digits + 1);
    if (ok && i < s.bytes && s.data[i] == '.') {
        size_t fraction = i + 1;
        i = skip_digits(s, fraction);
        ok = i > fraction;
    }
    if (ok && i < s.bytes && (s.data[i] | 0x20) == 'e') {
        size_t exponent = i + 1;
        if (exponent < s.bytes && (s.data[exponent] == '+' || s.data[exponent] == '-'))
            exponent++;
        i = skip_digits(s, exponent);
        ok = i > exponent;
    }
    if (!ok)
        return error_set(err, ERROR_FORMAT, "byte %zu: not a JSON number", start);
    r->string = str_slice(s, start, i);
    r->at = i;
    return true;
}

static JsonEvent after_value(JsonReader *r, JsonEvent event)
{
    r->state = r->depth > 0 ? STATE_COMMA_OR_END : STATE_END;
    return event;
}

static JsonEvent open_bracket(JsonReader *r, bool is_object, Error *err)
{
    if (r->depth == JSON_READER_DEPTH_MAX) {
        error_set(err, ERROR_LIMIT, "byte %zu: JSON nested more than %d deep", r->at,
                  JSON_READER_DEPTH_MAX);
        return broken(r);
    }
    r->is_object[r->depth++] = is_object;
    r->at++;
    r->state = is_object ? STATE_KEY_OR_END : STATE_VALUE_OR_END;
    return is_object ? JSON_EVENT_OBJECT : JSON_EVENT_ARRAY;
}

static JsonEvent close_bracket(JsonReader *r)
{
    bool is_object = r->is_object[--r->depth];
    r->at++;
    return after_value(r, is_object ? JSON_EVENT_OBJECT_END : JSON_EVENT_ARRAY_END);
}

static JsonEvent read_word(JsonReader *r, Str word, JsonEvent event, Error *err)
{
    if (!str_starts(str_slice(r->text, r->at, r->text.bytes), word))
        return unexpected(r, "a value", err);
    r->at += word.bytes;
    return after_value(r, event);
}

static JsonEvent read_value(JsonReader *r, Error *err)
{
    switch (r->at < r->text.bytes ? r->text.data[r->at] : '\0') {
    case '{':
        return open_bracket(r, true, err);
    case '[':
        return open_bracket(r, false, err);
    case '"':
        r->at++;
        return read_string(r, err) ? after_value(r, JSON_EVENT_STRING) : broken(r);
    case 't':
        return read_word(r, STR("true"), JSON_EVENT_TRUE, err);
    case 'f':
        return read_word(r, STR("false"), JSON_EVENT_FALSE, err);
    case 'n':
        return read_word(r, STR("null"), JSON_EVENT_NULL, err);
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return read_number(r, err) ? after_value(r, JSON_EVENT_NUMBER) : broken(r);
    default:
        return unexpected(r, "a value", err);
    }
}

static JsonEvent read_key(JsonReader *r, Error *err)
{
    if (r->at >= r->text.bytes || r->text.data[r->at] != '"')
        return unexpected(r, "a key in quotes", err);
    r->at++;
    if (!read_string(r, err))
        return broken(r);
    skip_space(r);
    if (r->at >= r->text.bytes || r->text.data[r->at] != ':')
        return unexpected(r, "':'", err);
    r->at++;
    r->state = STATE_VALUE;
    return JSON_EVENT_KEY;
}

JsonEvent json_reader_next(JsonReader *r, Error *err)
{
    if (r->state == STATE_BROKEN) {
        error_set(err, ERROR_FORMAT, "byte %zu: this JSON was given up", r->at);
        return JSON_EVENT_ERROR;
    }
    skip_space(r);
    char c = r->at < r->text.bytes ? r->text.data[r->at] : '\0';
    char closing = r->depth > 0 && r->is_object[r->depth - 1] ? '}' : ']';
    r->event_at = r->at;
    switch (r->state) {
    case STATE_COMMA_OR_END:
        if (c == closing)
            return close_bracket(r);
        if (c != ',')
            return unexpected(r, closing == '}' ? "',' or '}'" : "',' or ']'", err);
        r->at++;
        skip_space(r);
        r->event_at = r->at;
        return closing == '}' ? read_key(r, err) : read_value(r, err);
    case STATE_KEY_OR_END:
        return c == closing ? close_bracket(r) : read_key(r, err);
    case STATE_VALUE_OR_END:
        return c == closing ? close_bracket(r) : read_value(r, err);
    case STATE_END:
        return r->at >= r->text.bytes ? JSON_EVENT_END : unexpected(r, "the end", err);
    default:
        return read_value(r, err);
    }
}

bool json_reader_skip(JsonReader *r, JsonEvent first, Error *err)
{
    if (first != JSON_EVENT_OBJECT && first != JSON_EVENT_ARRAY)
        return first != JSON_EVENT_ERROR;
    int outside = r->depth - 1;
    while (r->depth > outside)
        if (json_reader_next(r, err) == JSON_EVENT_ERROR)
            return false;
    return true;
}

bool json_reader_skip_value(JsonReader *r, Error *err)
{
    return json_reader_skip(r, json_reader_next(r, err), err);
}

bool json_reader_expect(JsonReader *r, JsonEvent event, Error *err)
{
    JsonEvent got = json_reader_next(r, err);
    if (got == event)
        return true;
    return got != JSON_EVENT_ERROR &&
           error_set(err, ERROR_FORMAT, "byte %zu: expected %s, not %s", r->event_at,
                     json_event_name(event), json_event_name(got));
}

bool json_reader_number_as_int(const JsonReader *r, int64_t min, int64_t max, int64_t *value,
                               Error *err)
{
    Str s = r->string;
    bool is_negative = s.data[0] == '-';
    int64_t v = 0;
    bool ok = true;
    for (size_t i = is_negative; i < s.bytes && ok; i++) {
        int digit = s.data[i] - '0';
        ok = digit >= 0 && digit <= 9 && !__builtin_mul_overflow(v, 10, &v) &&
             !__builtin_sub_overflow(v, digit, &v); /* negative, so that INT64_MIN fits */
    }
    if (ok && !is_negative)
        ok = !__builtin_sub_overflow((int64_t)0, v, &v);
    if (!ok || v < min || v > max)
        return error_set(err, ERROR_FORMAT,
                         "byte %zu: %.*s is not a whole number from %lld to %lld", r->event_at,
                         s.bytes > 40 ? 40 : (int)s.bytes, s.data, (long long)min, (long long)max);
    *value = v;
    return true;
}

bool json_reader_int(JsonReader *r, int64_t min, int64_t max, int64_t *value, Error *err)
{
    return json_reader_expect(r, JSON_EVENT_NUMBER, err) &&
           json_reader_number_as_int(r, min, max, value, err);
}

const char *json_event_name(JsonEvent event)
{
    static const char *const names[] = {
        "an error",
        "an object",
        "the end of the object",
        "an array",
        "the end of the array",
        "a key",
        "a string",
        "a number",
        "true",
        "false",
        "null",
        "the end",
    };
    return names[event];
}
