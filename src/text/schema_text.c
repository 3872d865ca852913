/* See schema_text.h. */
#include "text/schema_text.h"

#include "base/bug.h"
#include "base/mem.h"
#include "text/rx_parse.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Formats --------------------------------------------------------------------------------- */

#define TIME_OF_DAY "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d+)?"
#define TIME_OFFSET "(?:[Zz]|[+-](?:[01]\\d|2[0-3]):[0-5]\\d)"
#define TIME "(?:" TIME_OF_DAY TIME_OFFSET "|23:59:60(?:\\.\\d+)?(?:[Zz]|[+-]00:00))"
#define DATE                                                                                       \
    "(?:\\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|"                                    \
    "(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8]))|"                              \
    "(?:\\d\\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)"
#define LABEL "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define HOST_NAME "(?:" LABEL "(?:\\." LABEL ")*)"
#define OCTET "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define IPV4 "(?:(?:" OCTET "\\.){3}" OCTET ")"
#define H16 "[0-9A-Fa-f]{1,4}"
#define LS32 "(?:" H16 ":" H16 "|" IPV4 ")"
#define IPV6                                                                                       \
    "(?:(?:" H16 ":){6}" LS32 "|::(?:" H16 ":){5}" LS32 "|(?:" H16 ")?::(?:" H16 ":){4}" LS32      \
    "|(?:(?:" H16 ":){0,1}" H16 ")?::(?:" H16 ":){3}" LS32 "|(?:(?:" H16 ":){0,2}" H16             \
    ")?::(?:" H16 ":){2}" LS32 "|(?:(?:" H16 ":){0,3}" H16 ")?::" H16 ":" LS32 "|(?:(?:" H16       \
    ":){0,4}" H16 ")?::" LS32 "|(?:(?:" H16 ":){0,5}" H16 ")?::" H16 "|(?:(?:" H16 ":){0,6}" H16   \
    ")?::)"
#define ATEXT "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"
#define ATEXT_UNICODE "[A-Za-z0-9!#$%&'*+/=?^_`{|}~\\u0080-\\u{10FFFF}-]"
#define QUOTED "\"(?:[ !#-\\[\\]-~]|\\\\[ -~])*\""
/* RFC 3986, with the characters of RFC 3987 in the second set. */
#define PCHAR "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
#define PCHAR_UNICODE "(?:[A-Za-z0-9._~!$&'()*+,;=:@\\u00A0-\\u{10FFFF}-]|%[0-9A-Fa-f]{2})"
#define AUTHORITY(pchar, name)                                                                     \
    "(?:(?:" pchar ")*@)?(?:\\[(?:" IPV6 "|v[0-9A-Fa-f]+\\.[A-Za-z0-9._~!$&'()*+,;=:-]+)\\]|"      \
    "(?:" name "|%[0-9A-Fa-f]{2})*)(?::\\d*)?"
#define REG_NAME "[A-Za-z0-9._~!$&'()*+,;=-]"
#define REG_NAME_UNICODE "[A-Za-z0-9._~!$&'()*+,;=\\u00A0-\\u{10FFFF}-]"
#define BEHIND_PATH(pchar) "(?:\\?(?:" pchar "|[/?])*)?(?:#(?:" pchar "|[/?])*)?"
#define URI(pchar, name)                                                                           \
    "[A-Za-z][A-Za-z0-9+.-]*:(?://" AUTHORITY(pchar, name) "(?:/" pchar "*)*|/?(?:" pchar          \
                                                           "+(?:/" pchar                           \
                                                           "*)*)?)" BEHIND_PATH(pchar)
#define SEGMENT_NO_COLON "(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%[0-9A-Fa-f]{2})+"
#define SEGMENT_NO_COLON_UNICODE                                                                   \
    "(?:[A-Za-z0-9._~!$&'()*+,;=@\\u00A0-\\u{10FFFF}-]|%[0-9A-Fa-f]{2})+"
#define REFERENCE(pchar, name, no_colon)                                                           \
    "(?:" URI(pchar, name) "|(?://" AUTHORITY(pchar, name) "(?:/" pchar "*)*|/(?:" pchar           \
                                                           "+(?:/" pchar "*)*)?|" no_colon         \
                                                           "(?:/" pchar                            \
                                                           "*)*)?" BEHIND_PATH(pchar) ")"
#define VARSPEC "(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*"
#define VARSPECS VARSPEC "(?::[1-9]\\d{0,3}|\\*)?"

bool schema_format(RxPool *p, Str name, Rx *out)
{
    static const struct {
        const char *name, *pattern;
    } formats[] = {
        {"date", DATE},
        {"time", TIME},
        {"date-time", DATE "[Tt]" TIME},
        {"duration", "P(?:\\d+W|(?=[\\dT])(?:\\d+Y)?(?:\\d+M)?(?:\\d+D)?"
                     "(?:T(?=\\d)(?:\\d+H)?(?:\\d+M)?(?:\\d+S)?)?)"},
        {"email", "(?:" ATEXT "+(?:\\." ATEXT "+)*|" QUOTED ")@(?:" HOST_NAME "|\\[" IPV4 "\\])"},
        {"idn-email", "(?:" ATEXT_UNICODE "+(?:\\." ATEXT_UNICODE "+)*|" QUOTED ")@[^@\\s]+"},
        {"hostname", "(?=.{1,253}$)" HOST_NAME},
        {"idn-hostname", "(?=.{1,253}$)[^\\s.]+(?:[.\\u3002\\uFF0E\\uFF61][^\\s.]+)*"},
        {"ipv4", IPV4},
        {"ipv6", IPV6},
        {"uuid", "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"},
        {"uri", URI(PCHAR, REG_NAME)},
        {"uri-reference", REFERENCE(PCHAR, REG_NAME, SEGMENT_NO_COLON)},
        {"iri", URI(PCHAR_UNICODE, REG_NAME_UNICODE)},
        {"iri-reference", REFERENCE(PCHAR_UNICODE, REG_NAME_UNICODE, SEGMENT_NO_COLON_UNICODE)},
        {"uri-template", "(?:[^\\s\"'%<>\\\\^`{|}]|%[0-9A-Fa-f]{2}|"
                         "\\{[+#./;?&=,!@|]?" VARSPECS "(?:," VARSPECS ")*\\})*"},
        {"json-pointer", "(?:/(?:[^~/]|~[01])*)*"},
        {"relative-json-pointer", "(?:0|[1-9]\\d*)(?:#|(?:/(?:[^~/]|~[01])*)*)"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        if (!str_equals(name, formats[i].name))
            continue;
        Error err = {0};
        bool ok = rx_parse(p, str_from(formats[i].pattern), RX_MATCH_WHOLE, SPELL_JSON, out, &err);
        ASSERT(ok);
        return ok;
    }
    return false;
}

/* ---- Numbers: syntax ------------------------------------------------------------------------- */

static Rx digits(RxPool *p, int from, int to) { return rx_byte_range(p, '0' + from, '0' + to); }

static Rx many_digits(RxPool *p, int min, int max)
{
    return rx_repeat(p, digits(p, 0, 9), min, max);
}

static Rx minus(RxPool *p) { return rx_literal(p, STR("-")); }

/* Digits before the point: no 0 in front of others. */
static Rx whole_part(RxPool *p)
{
    return rx_or(p, digits(p, 0, 0), rx_concat(p, digits(p, 1, 9), many_digits(p, 0, RX_MANY)));
}

static Rx fraction(RxPool *p)
{
    return rx_optional(p, rx_concat(p, rx_literal(p, STR(".")), many_digits(p, 1, RX_MANY)));
}

Rx schema_integer(RxPool *p) { return rx_concat(p, rx_optional(p, minus(p)), whole_part(p)); }

static Rx decimal(RxPool *p) { return rx_concat(p, schema_integer(p), fraction(p)); }

Rx schema_number(RxPool *p)
{
    ByteSet e = {0}, sign = {0};
    byte_set_add(&e, 'e', 'e');
    byte_set_add(&e, 'E', 'E');
    byte_set_add(&sign, '+', '+');
    byte_set_add(&sign, '-', '-');
    Rx exponent =
        rx_concat(p, rx_bytes(p, &e),
                  rx_concat(p, rx_optional(p, rx_bytes(p, &sign)), many_digits(p, 1, RX_MANY)));
    return rx_concat(p, decimal(p), rx_optional(p, exponent));
}

Rx schema_fractional(RxPool *p)
{
    Rx any = many_digits(p, 0, RX_MANY);
    Rx nonzero = rx_concat(p, any, rx_concat(p, digits(p, 1, 9), any));
    return rx_concat(p, schema_integer(p), rx_concat(p, rx_literal(p, STR(".")), nonzero));
}

/* ---- Numbers: values ------------------------------------------------------------------------- */

/* |value| in plain decimals: "12.5". */
static void put_plain(Buf *out, const json_t *number)
{
    char text[400];
    if (json_is_integer(number)) {
        snprintf(text, sizeof text, "%lld", (long long)json_integer_value(number));
    } else {
        double v = fabs(json_real_value(number));
        for (int precision = 15; precision <= 17; precision++) {
            snprintf(text, sizeof text, "%.*g", precision, v);
            if (strtod(text, NULL) == v)
                break;
        }
        if (strchr(text, 'e')) /* %f is exact: all digits are there */
            snprintf(text, sizeof text, v >= 1 ? "%.0f" : "%.60f", v);
    }
    buf_puts(out, text[0] == '-' ? text + 1 : text);
    bool has_point = strchr(text, '.') != NULL;
    while (has_point && out->data[out->bytes - 1] == '0')
        out->data[--out->bytes] = '\0';
    if (has_point && out->data[out->bytes - 1] == '.')
        out->data[--out->bytes] = '\0';
}

static bool is_negative(const json_t *number) { return json_number_value(number) < 0; }

void schema_put_number(Buf *out, const json_t *number)
{
    if (json_is_integer(number)) {
        buf_printf(out, "%lld", (long long)json_integer_value(number));
        return;
    }
    char text[64];
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, json_real_value(number));
        if (strtod(text, NULL) == json_real_value(number))
            break;
    }
    buf_puts(out, text);
    if (!strpbrk(text, ".e"))
        buf_puts(out, ".0");
}

Rx schema_number_literal(RxPool *p, const json_t *number)
{
    Buf text = {0};
    schema_put_number(&text, number);
    Rx literal = rx_literal(p, buf_str(&text));
    if (str_ends(buf_str(&text), STR(".0")))
        literal = rx_or(p, literal, rx_literal(p, str_slice(buf_str(&text), 0, text.bytes - 2)));
    buf_free(&text);
    return literal;
}

Rx schema_other_number(RxPool *p, const json_t *number)
{
    Buf text = {0};
    if (is_negative(number))
        buf_putc(&text, '-');
    put_plain(&text, number);
    Rx zeros = rx_repeat(p, digits(p, 0, 0), 0, RX_MANY), same = rx_literal(p, buf_str(&text));
    if (str_find(buf_str(&text), STR("."), 0) >= 0)
        same = rx_concat(p, same, zeros);
    else
        same = rx_concat(p, same,
                         rx_optional(p, rx_concat(p, rx_literal(p, STR(".")),
                                                  rx_concat(p, digits(p, 0, 0), zeros))));
    buf_free(&text);
    return rx_and(p, decimal(p), rx_not(p, same));
}

int schema_compare_numbers(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

/* ---- Ranges ---------------------------------------------------------------------------------- */

typedef struct Side {
    bool at_least, is_strict; /* else at most */
    Str whole, fraction;      /* of the bound; the fraction without zeros at its end */
} Side;

/* What may stand behind a whole part that equals the bound's: digits of the fraction from i on. */
static Rx fraction_digits(RxPool *p, const Side *s, size_t i)
{
    Rx any = many_digits(p, 0, RX_MANY), zeros = rx_repeat(p, digits(p, 0, 0), 0, RX_MANY);
    if (i == s->fraction.bytes) {
        Rx nonzero = rx_concat(p, zeros, rx_concat(p, digits(p, 1, 9), any));
        if (s->at_least)
            return s->is_strict ? nonzero : any;
        return s->is_strict ? RX_VOID : zeros;
    }
    int d = s->fraction.data[i] - '0';
    Rx same = rx_concat(p, digits(p, d, d), fraction_digits(p, s, i + 1));
    Rx other = RX_VOID;
    if (s->at_least && d < 9)
        other = rx_concat(p, digits(p, d + 1, 9), any);
    if (!s->at_least && d > 0)
        other = rx_concat(p, digits(p, 0, d - 1), any);
    /* Fewer digits than the bound are less than it. */
    return rx_or(p, rx_or(p, same, other), s->at_least ? RX_VOID : RX_EMPTY);
}

static Rx bounded_fraction(RxPool *p, const Side *s)
{
    bool may_be_absent =
        s->fraction.bytes == 0 ? !s->is_strict : !s->at_least; /* the whole part alone */
    Rx behind_point = rx_and(p, fraction_digits(p, s, 0), many_digits(p, 1, RX_MANY));
    Rx with_point = rx_concat(p, rx_literal(p, STR(".")), behind_point);
    return may_be_absent ? rx_optional(p, with_point) : with_point;
}

/* Whole parts of the bound's length, and what follows them, digits from i on. */
static Rx same_length(RxPool *p, const Side *s, size_t i)
{
    if (i == s->whole.bytes)
        return bounded_fraction(p, s);
    int d = s->whole.data[i] - '0', least = i == 0 && s->whole.bytes > 1;
    int n_rest = (int)(s->whole.bytes - i - 1);
    Rx rest = rx_concat(p, many_digits(p, n_rest, n_rest), fraction(p)), other = RX_VOID;
    Rx same = rx_concat(p, digits(p, d, d), same_length(p, s, i + 1));
    if (s->at_least && d < 9)
        other = rx_concat(p, digits(p, d + 1, 9), rest);
    if (!s->at_least && d > least)
        other = rx_concat(p, digits(p, least, d - 1), rest);
    return rx_or(p, same, other);
}

/* Numbers without sign on one side of a bound without sign. */
static Rx one_side(RxPool *p, const Side *s)
{
    int n = (int)s->whole.bytes;
    Rx other = RX_VOID;
    if (s->at_least)
        other = rx_concat(p, digits(p, 1, 9), many_digits(p, n, RX_MANY));
    else if (n > 1)
        other = rx_or(p, digits(p, 0, 0), rx_concat(p, digits(p, 1, 9), many_digits(p, 0, n - 2)));
    return rx_or(p, same_length(p, s, 0), rx_concat(p, other, fraction(p)));
}

static Rx half_line(RxPool *p, NumberBound bound, bool at_least)
{
    Buf text = {0};
    put_plain(&text, bound.value);
    bool below_zero = is_negative(bound.value);
    ptrdiff_t point = str_find(buf_str(&text), STR("."), 0);
    size_t n_whole = point < 0 ? text.bytes : (size_t)point;
    Side side = {.at_least = at_least != below_zero,
                 .is_strict = bound.is_strict,
                 .whole = str_slice(buf_str(&text), 0, n_whole)};
    if (point >= 0)
        side.fraction = str_slice(buf_str(&text), n_whole + 1, text.bytes);
    Rx half = one_side(p, &side), all = rx_concat(p, whole_part(p), fraction(p));
    buf_free(&text);
    if (below_zero)
        half = rx_concat(p, minus(p), half);
    if (at_least && below_zero)
        return rx_or(p, half, all);
    if (!at_least && !below_zero)
        return rx_or(p, half, rx_concat(p, minus(p), all));
    return half;
}

Rx schema_range(RxPool *p, NumberBound low, NumberBound high)
{
    Rx range = decimal(p);
    if (low.is_set)
        range = rx_and(p, range, half_line(p, low, true));
    if (high.is_set)
        range = rx_and(p, range, half_line(p, high, false));
    return range;
}

/* ---- Multiples ------------------------------------------------------------------------------- */

enum { MULTIPLE_DIGITS_MAX = 15 };

/* value = unit / 10^scale, exactly as it is spelled. */
static bool read_unit(const json_t *value, uint64_t *unit, int *scale)
{
    Buf text = {0};
    put_plain(&text, value);
    ptrdiff_t point = str_find(buf_str(&text), STR("."), 0);
    *scale = point < 0 ? 0 : (int)text.bytes - (int)point - 1;
    *unit = 0;
    bool ok = text.bytes <= MULTIPLE_DIGITS_MAX + 1 && *scale <= MULTIPLE_DIGITS_MAX;
    for (size_t i = 0; ok && i < text.bytes; i++)
        if (text.data[i] != '.')
            *unit = *unit * 10 + (uint64_t)(text.data[i] - '0');
    buf_free(&text);
    return ok && *unit > 0;
}

Rx schema_multiple(RxPool *p, const json_t *unit, bool is_negated)
{
    uint64_t whole;
    int scale;
    if (!read_unit(unit, &whole, &scale))
        return RX_VOID;
    Rx multiple = rx_concat(p, rx_optional(p, minus(p)), rx_multiple(p, whole, scale));
    return rx_and(p, decimal(p), is_negated ? rx_not(p, multiple) : multiple);
}

bool schema_is_multiple(const json_t *number, const json_t *unit)
{
    uint64_t whole;
    int scale;
    if (json_is_integer(number) && read_unit(unit, &whole, &scale) && scale == 0)
        return (uint64_t)llabs(json_integer_value(number)) % whole == 0;
    double ratio = json_number_value(number) / json_number_value(unit);
    return fabs(ratio - nearbyint(ratio)) < 1e-9 * fmax(1, fabs(ratio));
}
