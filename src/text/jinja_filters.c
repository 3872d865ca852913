/* The filters on single values; those on sequences are in jinja_sequence_filters.c. */
#include "text/jinja_filters.h"

#include <math.h>
#include <string.h>

static bool filter_case(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t;
    if (!jinja_self_text(run, c, &t))
        return false;
    t = jinja_change_case(run, t, (JinjaCase)c->builtin->flavour);
    *out = jinja_string(t);
    return t != NULL;
}

static bool filter_string(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t;
    if (!jinja_self_text(run, c, &t))
        return false;
    *out = jinja_string(t);
    return true;
}

/* Nothing is escaped, so that nothing needs to be marked safe. */
static bool filter_safe(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    return filter_string(run, c, out);
}

static bool filter_trim(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t, *chars = NULL;
    if (!jinja_self_text(run, c, &t) ||
        (c->has[0] && c->a[0].kind != JINJA_NONE && !jinja_arg_text(run, c, 0, &chars)))
        return false;
    t = jinja_strip(run, t, chars, true, true);
    *out = jinja_string(t);
    return t != NULL;
}

static bool filter_replace(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t, *old, *new_text;
    int64_t max = -1;
    bool has_max = c->has[2] && c->a[2].kind != JINJA_NONE;
    if (!jinja_self_text(run, c, &t) || !jinja_str(run, c->a[0], &old) ||
        !jinja_str(run, c->a[1], &new_text) || (has_max && !jinja_arg_int(run, c, 2, -1, &max)))
        return false;
    t = jinja_replace(run, t, old, new_text, max);
    *out = jinja_string(t);
    return t != NULL;
}

static bool filter_default(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    bool use = c->self.kind == JINJA_UNDEFINED || (jinja_arg_bool(c, 1) && !jinja_truth(c->self));
    *out = c->self;
    if (use && c->has[0])
        *out = c->a[0];
    return !use || c->has[0] || jinja_text_value(run, STR(""), out);
}

static bool filter_length(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    int64_t n;
    if (!jinja_length(run, c->self, &n))
        return false;
    *out = jinja_int(n);
    return true;
}

static bool float_to_int(JinjaRun *run, double d, JinjaValue *out)
{
    if (!(d > -9.2e18 && d < 9.2e18))
        return jinja_fail(run, "int: the number is too large");
    *out = jinja_int((int64_t)d);
    return true;
}

static bool filter_int(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    int64_t base = 10, i;
    double d;
    if (c->self.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", c->self.why);
    if (c->self.kind == JINJA_STRING && !jinja_arg_int(run, c, 1, 10, &base))
        return false;
    if (base != 0 && (base < 2 || base > 36))
        return jinja_fail(run, "int: base %lld", (long long)base);
    *out = c->has[0] ? c->a[0] : jinja_int(0);
    if (jinja_is_int(c->self))
        *out = jinja_int(jinja_as_int(c->self));
    else if (c->self.kind == JINJA_FLOAT && !isnan(c->self.number))
        return float_to_int(run, c->self.number, out);
    else if (c->self.kind == JINJA_STRING && jinja_parse_int(c->self.text->s, (int)base, &i))
        *out = jinja_int(i);
    else if (c->self.kind == JINJA_STRING && jinja_parse_float(c->self.text->s, &d) && !isnan(d))
        return float_to_int(run, d, out);
    return true;
}

static bool filter_float(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    double d;
    if (c->self.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", c->self.why);
    *out = c->has[0] ? c->a[0] : jinja_float(0);
    if (jinja_is_number(c->self))
        *out = jinja_float(jinja_as_double(c->self));
    else if (c->self.kind == JINJA_STRING && jinja_parse_float(c->self.text->s, &d))
        *out = jinja_float(d);
    return true;
}

static bool filter_abs(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    if (!jinja_is_number(c->self))
        return jinja_fail(run, "abs: needs a number, not %s", jinja_type_name(c->self));
    if (c->self.kind == JINJA_FLOAT) {
        *out = jinja_float(fabs(c->self.number));
        return true;
    }
    int64_t i = jinja_as_int(c->self);
    *out = jinja_int(i);
    return i >= 0 || jinja_arithmetic(run, '-', jinja_int(0), c->self, out);
}

static bool round_towards(JinjaRun *run, const JinjaBuiltinCall *c, int64_t precision, bool up,
                          JinjaValue *out)
{
    double unit = pow(10, (double)precision), scaled = jinja_as_double(c->self) * unit;
    if (!isfinite(scaled))
        return jinja_fail(run, "round: the number is too large");
    *out = jinja_float((up ? ceil(scaled) : floor(scaled)) / unit);
    return true;
}

static bool filter_round(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    int64_t precision;
    const JinjaText *method = NULL;
    if (!jinja_is_number(c->self))
        return jinja_fail(run, "round: needs a number, not %s", jinja_type_name(c->self));
    if (!jinja_arg_int(run, c, 0, 0, &precision) ||
        (c->has[1] && !jinja_arg_text(run, c, 1, &method)))
        return false;
    if (precision > 300 || precision < -300)
        return jinja_fail(run, "round: precision %lld", (long long)precision);
    if (method && str_equals(method->s, "ceil"))
        return round_towards(run, c, precision, true, out);
    if (method && str_equals(method->s, "floor"))
        return round_towards(run, c, precision, false, out);
    if (method && !str_equals(method->s, "common"))
        return jinja_fail(run, "round: the method must be common, ceil or floor");
    if (jinja_is_int(c->self) && precision >= 0) {
        *out = jinja_int(jinja_as_int(c->self));
        return true;
    }
    double rounded = jinja_round(jinja_as_double(c->self), (int)precision);
    *out = jinja_float(rounded);
    return !jinja_is_int(c->self) || float_to_int(run, rounded, out);
}

/* The lines of the text behind the first get `width` in front, empty ones only with `blank`. */
static bool filter_indent(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t, *width = NULL;
    int64_t n = 4;
    JinjaValue lines;
    if (c->self.kind != JINJA_STRING)
        return jinja_fail(run, "indent: needs a str, not %s", jinja_type_name(c->self));
    if (c->has[0] && c->a[0].kind == JINJA_STRING)
        width = c->a[0].text;
    else if (!jinja_arg_int(run, c, 0, 4, &n))
        return false;
    bool first = jinja_arg_bool(c, 1), blank = jinja_arg_bool(c, 2);
    JinjaBuilder spaces = {.run = run}, b = {.run = run};
    if (n > INT32_MAX / 4)
        return jinja_fail_limit(run, "an indent");
    for (int64_t i = 0; i < n && !spaces.failed; i++)
        jinja_put(&spaces, STR(" "), false);
    width = width ? width : jinja_built(&spaces);
    /* As in Jinja, a newline at the end makes the last line count even when it is empty. */
    jinja_add(&b, c->self.text);
    jinja_put(&b, STR("\n"), false);
    t = width ? jinja_built(&b) : NULL;
    if (!t || !jinja_split_lines(run, t, false, &lines))
        return false;
    b = (JinjaBuilder){.run = run};
    for (int i = 0; i < lines.list->n && !b.failed; i++) {
        const JinjaText *line = lines.list->items[i].text;
        if (i > 0)
            jinja_put(&b, STR("\n"), false);
        if (i == 0 ? first : line->s.bytes > 0 || blank)
            jinja_add(&b, width);
        jinja_add(&b, line);
    }
    return jinja_built_value(&b, out);
}

static bool filter_format(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t;
    if (!jinja_self_text(run, c, &t))
        return false;
    if (c->all->n_named > 0 && c->all->n_values > 0)
        return jinja_fail(run, "format: positional and named arguments together");
    JinjaValue values;
    if (c->all->n_named == 0) {
        JinjaList *list = jinja_list_new(run, (size_t)c->all->n_values);
        if (!list)
            return false;
        for (int i = 0; i < list->n; i++)
            list->items[i] = c->all->values[i];
        values = (JinjaValue){.kind = JINJA_TUPLE, .list = list};
        return jinja_format_percent(run, t, values, out);
    }
    JinjaDict *dict = jinja_dict_new(run);
    for (int i = 0; i < c->all->n_named && dict; i++) {
        JinjaValue key;
        if (!jinja_text_value(run, c->all->names[i], &key) ||
            !jinja_dict_set(run, dict, key, c->all->named[i]))
            return false;
    }
    values = (JinjaValue){.kind = JINJA_DICT, .dict = dict};
    return dict && jinja_format_percent(run, t, values, out);
}

/* tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false), as Transformers has
 * it: json.dumps and no HTML escaping. */
static bool json_style(JinjaRun *run, const JinjaBuiltinCall *c, JinjaJsonStyle *style)
{
    static const JinjaText comma = {.s = {", ", 2}}, bare_comma = {.s = {",", 1}},
                           colon = {.s = {": ", 2}};
    *style = (JinjaJsonStyle){.ascii_only = jinja_arg_bool(c, 0),
                              .sort_keys = jinja_arg_bool(c, 3),
                              .item_separator = &comma,
                              .key_separator = &colon};
    if (c->has[1] && c->a[1].kind == JINJA_STRING) {
        style->indent = c->a[1].text;
    } else if (c->has[1] && c->a[1].kind != JINJA_NONE) {
        int64_t n;
        if (!jinja_arg_int(run, c, 1, 0, &n))
            return false;
        if (n > 1000)
            return jinja_fail_limit(run, "an indent");
        JinjaBuilder spaces = {.run = run};
        for (; n > 0; n--)
            jinja_put(&spaces, STR(" "), false);
        if (!(style->indent = jinja_built(&spaces)))
            return false;
    }
    if (style->indent)
        style->item_separator = &bare_comma;
    if (!c->has[2] || c->a[2].kind == JINJA_NONE)
        return true;
    JinjaValue pair = c->a[2];
    if (!jinja_is_array(pair) || pair.list->n != 2 || pair.list->items[0].kind != JINJA_STRING ||
        pair.list->items[1].kind != JINJA_STRING)
        return jinja_fail(run, "tojson: separators must be two strings");
    style->item_separator = pair.list->items[0].text;
    style->key_separator = pair.list->items[1].text;
    return true;
}

static bool filter_tojson(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    JinjaJsonStyle style;
    JinjaBuilder b = {.run = run};
    return json_style(run, c, &style) && jinja_write_json(run, &b, c->self, &style) &&
           jinja_built_value(&b, out);
}

const JinjaBuiltin *jinja_filter(Str name)
{
    static const JinjaBuiltin table[] = {
        {"abs", filter_abs, "", 0},
        {"capitalize", filter_case, "", CASE_CAPITALIZE},
        {"count", filter_length, "", 0},
        {"d", filter_default, "default_value? boolean?", 0},
        {"default", filter_default, "default_value? boolean?", 0},
        {"float", filter_float, "default?", 0},
        {"format", filter_format, "*", 0},
        {"indent", filter_indent, "width? first? blank?", 0},
        {"int", filter_int, "default? base?", 0},
        {"length", filter_length, "", 0},
        {"lower", filter_case, "", CASE_LOWER},
        {"replace", filter_replace, "old new count?", 0},
        {"round", filter_round, "precision? method?", 0},
        {"safe", filter_safe, "", 0},
        {"string", filter_string, "", 0},
        {"title", filter_case, "", CASE_WORDS},
        {"tojson", filter_tojson, "ensure_ascii? indent? separators? sort_keys?", 0},
        {"trim", filter_trim, "chars?", 0},
        {"upper", filter_case, "", CASE_UPPER},
    };
    const JinjaBuiltin *found = jinja_builtin_find(table, sizeof table / sizeof *table, name);
    return found ? found : jinja_sequence_filter(name);
}
