/* See json_scan.h. */
#include "text/json_scan.h"

#include "base/utf8.h"

#include <string.h>

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static bool in_object(const JsonScan *s)
{
    int i = s->depth - 1;
    return i >= 0 && (s->is_object[i / 64] >> (i % 64) & 1);
}

static JsonScanState value_ended(const JsonScan *s)
{
    return s->depth > 0 ? SCAN_AFTER : SCAN_DONE;
}

static JsonScanState container_begins(JsonScan *s, bool is_object)
{
    if (s->depth == JSON_SCAN_DEPTH_MAX)
        return SCAN_BROKEN;
    uint64_t bit = (uint64_t)1 << (s->depth % 64);
    uint64_t *word = &s->is_object[s->depth / 64];
    *word = is_object ? *word | bit : *word & ~bit;
    s->depth++;
    return is_object ? SCAN_KEY_OR_END : SCAN_ITEM_OR_END;
}

static JsonScanState container_ends(JsonScan *s, char c)
{
    if (s->depth == 0 || c != (in_object(s) ? '}' : ']'))
        return SCAN_BROKEN;
    s->depth--;
    return value_ended(s);
}

static JsonScanState string_begins(JsonScan *s, bool is_key)
{
    s->string_is_key = is_key;
    return SCAN_STRING;
}

static JsonScanState value_begins(JsonScan *s, char c)
{
    if (is_blank(c))
        return s->state;
    switch (c) {
    case '{':
        return container_begins(s, true);
    case '[':
        return container_begins(s, false);
    case '"':
        return string_begins(s, false);
    case '-':
        return SCAN_MINUS;
    case '0':
        return SCAN_ZERO;
    case 't':
        s->literal = "rue";
        return SCAN_LITERAL;
    case 'f':
        s->literal = "alse";
        return SCAN_LITERAL;
    case 'n':
        s->literal = "ull";
        return SCAN_LITERAL;
    default:
        return is_digit(c) ? SCAN_DIGITS : SCAN_BROKEN;
    }
}

static JsonScanState after_value(JsonScan *s, char c)
{
    if (is_blank(c))
        return value_ended(s);
    if (c == ',' && s->depth > 0)
        return in_object(s) ? SCAN_KEY : SCAN_VALUE;
    return container_ends(s, c);
}

static JsonScanState in_string(JsonScan *s, char c)
{
    if (s->state == SCAN_ESCAPE) {
        s->n_hex = 0;
        return c == 'u' ? SCAN_HEX : c && strchr("\"\\/bfnrt", c) ? SCAN_STRING : SCAN_BROKEN;
    }
    if (s->state == SCAN_HEX) {
        if (hex_value(c) < 0)
            return SCAN_BROKEN;
        return ++s->n_hex == 4 ? SCAN_STRING : SCAN_HEX;
    }
    if (c == '"')
        return s->string_is_key ? SCAN_COLON : value_ended(s);
    if (c == '\\')
        return SCAN_ESCAPE;
    return (unsigned char)c < 0x20 ? SCAN_BROKEN : SCAN_STRING;
}

/* Where a number may end, the byte behind it is judged as one behind a value. */
static JsonScanState in_number(JsonScan *s, char c)
{
    bool is_e = c == 'e' || c == 'E';
    switch (s->state) {
    case SCAN_MINUS:
        return c == '0' ? SCAN_ZERO : is_digit(c) ? SCAN_DIGITS : SCAN_BROKEN;
    case SCAN_DIGITS:
        if (is_digit(c))
            return SCAN_DIGITS;
        /* fall through */
    case SCAN_ZERO:
        return c == '.' ? SCAN_POINT : is_e ? SCAN_E : after_value(s, c);
    case SCAN_POINT:
        return is_digit(c) ? SCAN_FRACTION : SCAN_BROKEN;
    case SCAN_FRACTION:
        return is_digit(c) ? SCAN_FRACTION : is_e ? SCAN_E : after_value(s, c);
    case SCAN_E:
        if (c == '+' || c == '-')
            return SCAN_E_SIGN;
        /* fall through */
    case SCAN_E_SIGN:
        return is_digit(c) ? SCAN_E_DIGITS : SCAN_BROKEN;
    default:
        return is_digit(c) ? SCAN_E_DIGITS : after_value(s, c);
    }
}

static JsonScanState next_state(JsonScan *s, char c)
{
    switch (s->state) {
    case SCAN_VALUE:
        return value_begins(s, c);
    case SCAN_ITEM_OR_END:
        return c == ']' ? container_ends(s, c) : value_begins(s, c);
    case SCAN_KEY_OR_END:
    case SCAN_KEY:
        if (is_blank(c))
            return s->state;
        if (c == '}' && s->state == SCAN_KEY_OR_END)
            return container_ends(s, c);
        return c == '"' ? string_begins(s, true) : SCAN_BROKEN;
    case SCAN_COLON:
        return is_blank(c) ? SCAN_COLON : c == ':' ? SCAN_VALUE : SCAN_BROKEN;
    case SCAN_AFTER:
        return after_value(s, c);
    case SCAN_STRING:
    case SCAN_ESCAPE:
    case SCAN_HEX:
        return in_string(s, c);
    case SCAN_LITERAL:
        if (c != *s->literal)
            return SCAN_BROKEN;
        return *++s->literal ? SCAN_LITERAL : value_ended(s);
    case SCAN_DONE:
        return is_blank(c) ? SCAN_DONE : SCAN_BROKEN;
    case SCAN_BROKEN:
        return SCAN_BROKEN;
    default:
        return in_number(s, c);
    }
}

JsonScanState json_scan_byte(JsonScan *s, char c) { return s->state = next_state(s, c); }

bool json_scan_is_whole(const JsonScan *s)
{
    bool number_may_end = s->state == SCAN_ZERO || s->state == SCAN_DIGITS ||
                          s->state == SCAN_FRACTION || s->state == SCAN_E_DIGITS;
    return s->state == SCAN_DONE || (s->depth == 0 && number_may_end);
}

bool json_scan_in_string(const JsonScan *s)
{
    return s->state == SCAN_STRING || s->state == SCAN_ESCAPE || s->state == SCAN_HEX;
}

static uint32_t four_digits(Str s, size_t at)
{
    uint32_t value = 0;
    for (size_t i = at; i < at + 4 && i < s.bytes; i++)
        value = value * 16 + (uint32_t)(hex_value(s.data[i]) & 15);
    return value;
}

/* The code point of the four digits at `at` (behind the u); *end is behind it and behind its
 * partner. */
static uint32_t escaped_cp(Str s, size_t at, size_t *end)
{
    uint32_t cp = four_digits(s, at);
    *end = at + 4;
    if (cp < 0xD800 || cp >= 0xE000)
        return cp;
    bool has_partner =
        cp < 0xDC00 && *end + 6 <= s.bytes && s.data[*end] == '\\' && s.data[*end + 1] == 'u';
    uint32_t low = has_partner ? four_digits(s, *end + 2) : 0;
    if (low < 0xDC00 || low >= 0xE000)
        return 0xFFFD;
    *end += 6;
    return 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
}

void json_unescape(Buf *out, Str quoted)
{
    static const char names[] = "bfnrt", values[] = "\b\f\n\r\t";
    Str s = str_slice(quoted, 1, quoted.bytes - 1);
    for (size_t i = 0; i < s.bytes;) {
        if (s.data[i] != '\\' || i + 1 >= s.bytes) {
            buf_putc(out, s.data[i++]);
            continue;
        }
        char c = s.data[i + 1];
        const char *hit = strchr(names, c);
        i += 2;
        if (c == 'u') {
            char bytes[4];
            buf_append(out, bytes, utf8_encode(escaped_cp(s, i, &i), bytes));
        } else {
            buf_putc(out, c && hit ? values[hit - names] : c);
        }
    }
}
