/* The global functions of templates. */
#include "text/jinja_run.h"

#include <stdio.h>
#include <time.h>

static bool function_raise(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    (void)out;
    const JinjaText *t;
    if (!jinja_str(run, c->a[0], &t))
        return false;
    size_t n = t->s.bytes < 400 ? t->s.bytes : 400;
    while (n < t->s.bytes && ((unsigned char)t->s.data[n] & 0xC0u) == 0x80u)
        n--;
    return error_set(run->err, ERROR_ARGUMENT, "%.*s%s", (int)n, t->s.data,
                     n < t->s.bytes ? "..." : "");
}

/* Python's range, as a list; Jinja's sandbox has the same limit. */
static bool function_range(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    int64_t first, second, step;
    if (!jinja_arg_int(run, c, 0, 0, &first) || !jinja_arg_int(run, c, 1, 0, &second) ||
        !jinja_arg_int(run, c, 2, 1, &step))
        return false;
    int64_t start = c->has[1] ? first : 0, stop = c->has[1] ? second : first;
    if (step == 0)
        return jinja_fail(run, "range: the step is zero");
    double span = ((double)stop - (double)start) / (double)step;
    if (span > 100000)
        return jinja_fail(run, "range: more than 100000 numbers");
    JinjaList *list = jinja_list_new(run, (size_t)(span > 0 ? span + 1 : 0));
    if (!list)
        return false;
    int n = 0;
    for (int64_t i = start; step > 0 ? i < stop : i > stop; n++) {
        list->items[n] = jinja_int(i);
        if (__builtin_add_overflow(i, step, &i)) {
            n++;
            break;
        }
    }
    list->n = n;
    *out = jinja_list(list);
    return jinja_spend(run, (size_t)n / 4);
}

/* Members from one dict argument and from keywords: dict(...) and namespace(...). */
static bool function_dict(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    JinjaDict *dict = jinja_dict_new(run);
    if (!dict)
        return false;
    for (int i = 0; i < c->all->n_values; i++) {
        JinjaValue from = c->all->values[i];
        if (i > 0 || from.kind != JINJA_DICT)
            return jinja_fail(run, "%s: only a dict and keywords", c->builtin->name);
        for (int k = 0; k < from.dict->n; k++)
            if (!jinja_dict_set(run, dict, from.dict->pairs[k].key, from.dict->pairs[k].value))
                return false;
    }
    for (int i = 0; i < c->all->n_named; i++) {
        JinjaValue key;
        if (!jinja_text_value(run, c->all->names[i], &key) ||
            !jinja_dict_set(run, dict, key, c->all->named[i]))
            return false;
    }
    *out = (JinjaValue){.kind = c->builtin->flavour ? JINJA_NAMESPACE : JINJA_DICT, .dict = dict};
    return true;
}

/* The local time now. What comes out is trusted only if the format is. */
static bool function_strftime(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *format;
    char zero_ended[256], text[1024];
    if (!jinja_arg_text(run, c, 0, &format))
        return false;
    if (format->s.bytes >= sizeof zero_ended - 1)
        return jinja_fail(run, "strftime_now: the format is too long");
    /* The space keeps an empty result apart from one that did not fit. */
    snprintf(zero_ended, sizeof zero_ended, "%.*s ", STR_ARG(format->s));
    time_t now = time(NULL);
    struct tm local;
    if (!localtime_r(&now, &local))
        return jinja_fail(run, "strftime_now: no local time");
        /* The template gives the format: that is what this function is for. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof text, zero_ended, &local);
#pragma GCC diagnostic pop
    if (n == 0)
        return jinja_fail(run, "strftime_now: the result is too long");
    JinjaBuilder b = {.run = run};
    jinja_put(&b, (Str){text, n - 1}, format->n_untrusted > 0);
    return jinja_built_value(&b, out);
}

const JinjaBuiltin *jinja_function(Str name)
{
    static const JinjaBuiltin table[] = {
        {"raise_exception", function_raise, "message", 0},
        {"range", function_range, "start stop? step?", 0},
        {"namespace", function_dict, "*", 1},
        {"dict", function_dict, "*", 0},
        {"strftime_now", function_strftime, "format", 0},
    };
    return jinja_builtin_find(table, sizeof table / sizeof *table, name);
}
