/* "..." % values and "...".format(values). What is inserted keeps its provenance; the text around
 * it has that of the format string. */
#include "text/jinja_run.h"

#include <stdio.h>
#include <string.h>

typedef struct Formatter {
    JinjaRun *run;
    JinjaBuilder b;
    const JinjaText *format;
    JinjaValue value;      /* what stands behind the % */
    const JinjaArgs *args; /* or the arguments of .format */
    int n_used;
    bool numbered; /* .format: fields were given by number */
} Formatter;

/* One conversion: %(name)-05.2f */
typedef struct Field {
    bool left, zero, plus, space, alternate;
    int width, precision; /* precision -1: none */
    char type;
    JinjaValue value;
} Field;

enum { FIELD_WIDTH_MAX = 10000 };

static bool next_value(Formatter *f, JinjaValue *value)
{
    if (f->value.kind != JINJA_TUPLE) {
        if (f->n_used++ > 0)
            return jinja_fail(f->run, "not enough values for a format string");
        *value = f->value;
        return true;
    }
    if (f->n_used >= f->value.list->n)
        return jinja_fail(f->run, "not enough values for a format string");
    *value = f->value.list->items[f->n_used++];
    return true;
}

static char char_at(const Formatter *f, size_t at)
{
    return at < f->format->s.bytes ? f->format->s.data[at] : '\0';
}

/* Digits or "*"; -1 when there is neither. */
static bool read_count(Formatter *f, size_t *at, int *count)
{
    *count = -1;
    if (char_at(f, *at) == '*') {
        JinjaValue v;
        (*at)++;
        if (!next_value(f, &v))
            return false;
        if (!jinja_is_int(v) || jinja_as_int(v) < 0 || jinja_as_int(v) > FIELD_WIDTH_MAX)
            return jinja_fail(f->run, "a format's * needs a small integer");
        *count = (int)jinja_as_int(v);
        return true;
    }
    while (char_at(f, *at) >= '0' && char_at(f, *at) <= '9') {
        *count = (*count < 0 ? 0 : *count) * 10 + (char_at(f, *at) - '0');
        if (*count > FIELD_WIDTH_MAX)
            return jinja_fail(f->run, "a format's width or precision is too large");
        (*at)++;
    }
    return true;
}

static bool read_field(Formatter *f, size_t *at, Field *field)
{
    const JinjaValue *named = NULL;
    *field = (Field){0};
    if (char_at(f, *at) == '(') {
        ptrdiff_t close = jinja_find(f->format->s, STR(")"), *at);
        if (close < 0 || f->value.kind != JINJA_DICT)
            return jinja_fail(f->run, "a format with names needs a dict");
        Str name = str_slice(f->format->s, *at + 1, (size_t)close);
        named = jinja_dict_find(f->value.dict, name);
        if (!named)
            return jinja_fail(f->run, "no value for the format's '%.*s'",
                              name.bytes < 80 ? (int)name.bytes : 80, name.data);
        *at = (size_t)close + 1;
    }
    for (;; (*at)++) {
        char c = char_at(f, *at);
        field->left |= c == '-';
        field->zero |= c == '0';
        field->plus |= c == '+';
        field->space |= c == ' ';
        field->alternate |= c == '#';
        if (!c || !strchr("-0+ #", c))
            break;
    }
    if (!read_count(f, at, &field->width))
        return false;
    field->precision = -1;
    if (char_at(f, *at) == '.') {
        (*at)++;
        if (!read_count(f, at, &field->precision))
            return false;
        field->precision = field->precision < 0 ? 0 : field->precision;
    }
    field->type = char_at(f, (*at)++);
    if (field->type == '%')
        return true;
    if (!named)
        return next_value(f, &field->value);
    field->value = *named;
    return true;
}

static void pad(Formatter *f, const JinjaText *t, const Field *field)
{
    int64_t n = field->width - (int64_t)jinja_n_chars(t);
    if (field->left)
        jinja_add(&f->b, t);
    for (; n > 0; n--)
        jinja_put(&f->b, STR(" "), false);
    if (!field->left)
        jinja_add(&f->b, t);
}

static bool put_text(Formatter *f, const Field *field)
{
    JinjaBuilder inner = {.run = f->run};
    if (!jinja_write(f->run, &inner, field->value, field->type == 'r'))
        return false;
    const JinjaText *t = jinja_built(&inner);
    if (t && field->precision >= 0)
        t = jinja_slice_bytes(f->run, t, 0, jinja_char_offset(t, (size_t)field->precision));
    if (!t)
        return false;
    pad(f, t, field);
    return true;
}

/* Numbers go through C's printf, whose rules Python took over. */
static bool put_number(Formatter *f, const Field *field)
{
    bool is_real = strchr("fFeEgG", field->type) != NULL;
    JinjaValue v = field->value;
    if (!jinja_is_number(v) || (!is_real && v.kind == JINJA_FLOAT && strchr("xXo", field->type)))
        return jinja_fail(f->run, "format %%%c needs a number, not %s", field->type,
                          jinja_type_name(v));
    if (!is_real && v.kind == JINJA_FLOAT && !(v.number > -9.2e18 && v.number < 9.2e18))
        return jinja_fail(f->run, "format %%%c: the number is too large", field->type);
    char spec[64];
    int n =
        snprintf(spec, sizeof spec, "%%%s%s%s%s%s*", field->left ? "-" : "", field->zero ? "0" : "",
                 field->plus ? "+" : "", field->space ? " " : "", field->alternate ? "#" : "");
    if (field->precision >= 0)
        n += snprintf(spec + n, sizeof spec - (size_t)n, ".%d", field->precision);
    char type = field->type == 'i' || field->type == 'u' ? 'd' : field->type;
    snprintf(spec + n, sizeof spec - (size_t)n, "%s%c", is_real ? "" : "ll", type);
    int width = field->width < 0 ? 0 : field->width;
    Buf text = {0};
    /* The only printf whose format is built: from the flags above and one known letter. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    if (is_real)
        buf_printf(&text, spec, width, jinja_as_double(v));
    else
        buf_printf(&text, spec, width,
                   (long long)(v.kind == JINJA_FLOAT ? (int64_t)v.number : jinja_as_int(v)));
#pragma GCC diagnostic pop
    jinja_put(&f->b, buf_str(&text), false);
    buf_free(&text);
    return true;
}

static bool put_field(Formatter *f, const Field *field)
{
    switch (field->type) {
    case '%':
        jinja_put(&f->b, STR("%"), false);
        return true;
    case 's':
    case 'r':
        return put_text(f, field);
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
    case 'f':
    case 'F':
    case 'e':
    case 'E':
    case 'g':
    case 'G':
        return put_number(f, field);
    default:
        return jinja_fail(f->run, "format %%%c is not supported", field->type ? field->type : '?');
    }
}

bool jinja_format_percent(JinjaRun *run, const JinjaText *format, JinjaValue value, JinjaValue *out)
{
    Formatter f = {.run = run, .b = {.run = run}, .format = format, .value = value};
    size_t at = 0;
    for (;;) {
        ptrdiff_t hit = jinja_find(format->s, STR("%"), at);
        jinja_add_slice(&f.b, format, at, hit < 0 ? format->s.bytes : (size_t)hit);
        if (hit < 0)
            break;
        Field field;
        at = (size_t)hit + 1;
        if (!jinja_spend(run, 1) || !read_field(&f, &at, &field) || !put_field(&f, &field) ||
            f.b.failed)
            return false;
    }
    bool takes_all = value.kind == JINJA_DICT || value.kind == JINJA_LIST ||
                     (value.kind == JINJA_TUPLE && f.n_used == value.list->n) ||
                     (value.kind != JINJA_TUPLE && f.n_used == 1);
    if (!takes_all)
        return jinja_fail(run, "not all values were used by the format string");
    return jinja_built_value(&f.b, out);
}

/* The value of a field's name: "", a number or a word. */
static bool brace_value(Formatter *f, Str name, JinjaValue *value)
{
    int64_t i;
    bool is_number = jinja_parse_int(name, 10, &i);
    if (name.bytes == 0 || is_number) {
        if (name.bytes == 0 ? f->numbered : f->n_used > 0)
            return jinja_fail(f->run, "format: numbered and unnumbered fields are mixed");
        f->numbered = name.bytes > 0;
        i = name.bytes == 0 ? f->n_used++ : i;
        if (i < 0 || i >= f->args->n_values)
            return jinja_fail(f->run, "format: no argument %lld", (long long)i);
        *value = f->args->values[i];
        return true;
    }
    for (int k = 0; k < f->args->n_named; k++) {
        if (str_equal(f->args->names[k], name)) {
            *value = f->args->named[k];
            return true;
        }
    }
    return jinja_fail(f->run, "format: no plain argument '%.*s'",
                      name.bytes < 80 ? (int)name.bytes : 80, name.data);
}

bool jinja_format_braces(JinjaRun *run, const JinjaText *format, const JinjaArgs *args,
                         JinjaValue *out)
{
    Formatter f = {.run = run, .b = {.run = run}, .format = format, .args = args};
    Str s = format->s;
    for (size_t at = 0; at < s.bytes;) {
        char c = s.data[at];
        if (c != '{' && c != '}') {
            size_t from = at;
            while (at < s.bytes && s.data[at] != '{' && s.data[at] != '}')
                at++;
            jinja_add_slice(&f.b, format, from, at);
            continue;
        }
        if (char_at(&f, at + 1) == c) {
            jinja_add_slice(&f.b, format, at, at + 1);
            at += 2;
            continue;
        }
        ptrdiff_t close = c == '{' ? jinja_find(s, STR("}"), at) : -1;
        if (close < 0)
            return jinja_fail(run, "format: a single '%c' in the format string", c);
        JinjaValue value;
        if (!jinja_spend(run, 1) || !brace_value(&f, str_slice(s, at + 1, (size_t)close), &value) ||
            !jinja_write(run, &f.b, value, false))
            return false;
        at = (size_t)close + 1;
    }
    return jinja_built_value(&f.b, out);
}
