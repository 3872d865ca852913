/* Numbers as Python has them: signs of // and %, true division, the shortest float digits. */
#include "text/jinja_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The digits and decimal exponent of |d| with the least precision that reads back as d. */
static int shortest_digits(double d, char digits[20], int *exponent)
{
    char text[40];
    for (int precision = 0; precision < 17; precision++) {
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (strtod(text, NULL) == d || precision == 16)
            break;
    }
    int n = 0;
    char *c = text;
    for (; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9')
            digits[n++] = *c;
    *exponent = (int)strtol(c + 1, NULL, 10);
    return n;
}

size_t jinja_float_repr(double d, char out[40])
{
    if (isnan(d))
        return (size_t)snprintf(out, 40, "nan");
    if (isinf(d))
        return (size_t)snprintf(out, 40, "%s", d < 0 ? "-inf" : "inf");
    char digits[20];
    int exponent, n = shortest_digits(fabs(d), digits, &exponent);
    char *o = out;
    if (signbit(d))
        *o++ = '-';
    if (exponent < -4 || exponent >= 16) {
        *o++ = digits[0];
        if (n > 1)
            *o++ = '.';
        memcpy(o, digits + 1, (size_t)n - 1);
        o += n - 1;
        return (size_t)(o - out) +
               (size_t)snprintf(o, 8, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    }
    if (exponent < 0)
        o += snprintf(o, 8, "0.%.*s", -exponent - 1, "0000");
    for (int i = 0; i < n || (exponent >= 0 && i <= exponent + 1); i++) {
        if (exponent >= 0 && i == exponent + 1)
            *o++ = '.';
        *o++ = i < n ? digits[i] : '0';
    }
    *o = '\0';
    return (size_t)(o - out);
}

static bool no_int(JinjaRun *run) { return jinja_fail(run, "an integer is larger than 64 bits"); }

static bool int_power(JinjaRun *run, int64_t base, int64_t exponent, JinjaValue *out)
{
    int64_t result = 1;
    if (exponent < 0) {
        if (base == 0)
            return jinja_fail(run, "0 cannot be raised to a negative power");
        *out = jinja_float(pow((double)base, (double)exponent));
        return true;
    }
    while (exponent > 0) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result))
            return no_int(run);
        exponent >>= 1;
        if (exponent > 0 && __builtin_mul_overflow(base, base, &base))
            return no_int(run);
    }
    *out = jinja_int(result);
    return true;
}

/* Floor division: the remainder has the sign of the divisor. */
static bool int_divide(JinjaRun *run, char op, int64_t a, int64_t b, JinjaValue *out)
{
    if (b == -1) { /* the most negative number has no opposite */
        int64_t quotient;
        if (op == 'f' && __builtin_sub_overflow((int64_t)0, a, &quotient))
            return no_int(run);
        *out = jinja_int(op == 'f' ? quotient : 0);
        return true;
    }
    int64_t quotient = a / b, remainder = a % b;
    if (remainder != 0 && (remainder < 0) != (b < 0)) {
        remainder += b;
        quotient--;
    }
    *out = jinja_int(op == 'f' ? quotient : remainder);
    return true;
}

static bool int_arithmetic(JinjaRun *run, char op, int64_t a, int64_t b, JinjaValue *out)
{
    int64_t result = 0;
    bool overflow = false;
    switch (op) {
    case '+':
        overflow = __builtin_add_overflow(a, b, &result);
        break;
    case '-':
        overflow = __builtin_sub_overflow(a, b, &result);
        break;
    case '*':
        overflow = __builtin_mul_overflow(a, b, &result);
        break;
    case 'p':
        return int_power(run, a, b, out);
    case '/':
        *out = jinja_float((double)a / (double)b);
        return true;
    default:
        return int_divide(run, op, a, b, out);
    }
    *out = jinja_int(result);
    return !overflow || no_int(run);
}

static bool float_arithmetic(JinjaRun *run, char op, double a, double b, JinjaValue *out)
{
    double result;
    if (op == '+')
        result = a + b;
    else if (op == '-')
        result = a - b;
    else if (op == '*')
        result = a * b;
    else if (op == '/')
        result = a / b;
    else if (op == 'p') {
        if ((a == 0 && b < 0) || (a < 0 && isfinite(a) && isfinite(b) && b != floor(b)))
            return jinja_fail(run, "this power is not a real number");
        result = pow(a, b);
    } else {
        double remainder = fmod(a, b);
        double quotient = (a - remainder) / b;
        if (remainder != 0 && (remainder < 0) != (b < 0)) {
            remainder += b;
            quotient -= 1;
        }
        remainder = remainder != 0 ? remainder : copysign(0, b);
        double whole = floor(quotient);
        whole += quotient - whole > 0.5 ? 1 : 0;
        quotient = quotient != 0 ? whole : copysign(0, a / b);
        result = op == 'f' ? quotient : remainder;
    }
    *out = jinja_float(result);
    return true;
}

bool jinja_arithmetic(JinjaRun *run, char op, JinjaValue a, JinjaValue b, JinjaValue *out)
{
    bool divides = op == '/' || op == 'f' || op == '%';
    if (divides && jinja_as_double(b) == 0)
        return jinja_fail(run, "division by zero");
    if (jinja_is_int(a) && jinja_is_int(b))
        return int_arithmetic(run, op, jinja_as_int(a), jinja_as_int(b), out);
    return float_arithmetic(run, op, jinja_as_double(a), jinja_as_double(b), out);
}

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static Str trim_ascii(Str s)
{
    while (s.bytes && (s.data[0] == ' ' || (s.data[0] >= '\t' && s.data[0] <= '\r')))
        s = str_slice(s, 1, s.bytes);
    while (s.bytes && (s.data[s.bytes - 1] == ' ' ||
                       (s.data[s.bytes - 1] >= '\t' && s.data[s.bytes - 1] <= '\r')))
        s.bytes--;
    return s;
}

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    char lower = c | 0x20;
    return lower >= 'a' && lower <= 'z' ? lower - 'a' + 10 : 99;
}

/* Skips 0x, 0o or 0b where the base allows it. Returns the base, 0 becoming what the prefix says.
 */
static int number_prefix(Str *s, int base)
{
    if (s->bytes < 2 || s->data[0] != '0')
        return base ? base : 10;
    char c = s->data[1] | 0x20;
    int prefixed = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
    if (prefixed && (base == 0 || base == prefixed)) {
        *s = str_slice(*s, 2, s->bytes);
        if (s->bytes && s->data[0] == '_')
            *s = str_slice(*s, 1, s->bytes);
        return prefixed;
    }
    return base ? base : 10;
}

bool jinja_parse_int(Str s, int base, int64_t *value)
{
    s = trim_ascii(s);
    bool negative = s.bytes && s.data[0] == '-';
    if (s.bytes && (s.data[0] == '-' || s.data[0] == '+'))
        s = str_slice(s, 1, s.bytes);
    base = number_prefix(&s, base);
    int64_t result = 0;
    bool after_digit = false;
    for (size_t i = 0; i < s.bytes; i++) {
        if (s.data[i] == '_' && after_digit) {
            after_digit = false;
            continue;
        }
        int digit = digit_value(s.data[i]);
        if (digit >= base || __builtin_mul_overflow(result, (int64_t)base, &result) ||
            __builtin_sub_overflow(result, (int64_t)digit, &result))
            return false;
        after_digit = true;
    }
    if (!after_digit || (!negative && result == INT64_MIN))
        return false;
    *value = negative ? result : -result;
    return true;
}

/* Copies digits (single underscores between them are dropped); returns how many. */
static size_t copy_digits(Str s, size_t *at, Buf *out)
{
    size_t n = 0;
    while (*at < s.bytes) {
        bool joins = s.data[*at] == '_' && n > 0 && *at + 1 < s.bytes && is_digit(s.data[*at + 1]);
        if (!is_digit(s.data[*at]) && !joins)
            break;
        if (!joins) {
            buf_putc(out, s.data[*at]);
            n++;
        }
        (*at)++;
    }
    return n;
}

static bool copy_float(Str s, Buf *out)
{
    size_t at = 0, n = copy_digits(s, &at, out);
    if (at < s.bytes && s.data[at] == '.') {
        buf_putc(out, '.');
        at++;
        n += copy_digits(s, &at, out);
    }
    if (n == 0)
        return false;
    if (at < s.bytes && (s.data[at] | 0x20) == 'e') {
        buf_putc(out, 'e');
        at++;
        if (at < s.bytes && (s.data[at] == '+' || s.data[at] == '-'))
            buf_putc(out, s.data[at++]);
        if (copy_digits(s, &at, out) == 0)
            return false;
    }
    return at == s.bytes;
}

bool jinja_parse_float(Str s, double *value)
{
    s = trim_ascii(s);
    bool negative = s.bytes && s.data[0] == '-';
    if (s.bytes && (s.data[0] == '-' || s.data[0] == '+'))
        s = str_slice(s, 1, s.bytes);
    char word[16] = {0};
    if (s.bytes < sizeof word)
        for (size_t i = 0; i < s.bytes; i++)
            word[i] = s.data[i] | 0x20;
    bool ok = true;
    if (strcmp(word, "nan") == 0) {
        *value = (double)NAN;
    } else if (strcmp(word, "inf") == 0 || strcmp(word, "infinity") == 0) {
        *value = (double)INFINITY;
    } else {
        Buf digits = {0};
        ok = copy_float(s, &digits);
        if (ok)
            *value = strtod(digits.data, NULL);
        buf_free(&digits);
    }
    if (ok && negative)
        *value = -*value;
    return ok;
}

double jinja_round(double d, int digits)
{
    if (!isfinite(d) || digits > 330)
        return d;
    if (digits < 0) {
        double unit = pow(10, -digits);
        double result = nearbyint(d / unit) * unit;
        return isfinite(result) ? result : d;
    }
    char text[800];
    snprintf(text, sizeof text, "%.*f", digits, d);
    return strtod(text, NULL);
}
