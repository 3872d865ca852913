/* x.name, x[key] and slices. Jinja's rule: x.name asks for a method first and then for an item,
 * x['name'] the other way round, and what is not there is undefined. */
#include "text/jinja_run.h"

#include <string.h>

static bool missing(JinjaRun *run, JinjaValue object, JinjaValue key, JinjaValue *out)
{
    const char *type = jinja_type_name(object);
    const char *suffix = object.kind == JINJA_NONE ? "" : " object";
    const char *why;
    if (key.kind == JINJA_STRING) {
        Str name = str_slice(key.text->s, 0, 80);
        why = jinja_format(run, "'%s%s' has no attribute '%.*s'", type, suffix, STR_ARG(name));
    } else if (key.kind == JINJA_INT) {
        why = jinja_format(run, "%s%s has no element %lld", type, suffix, (long long)key.integer);
    } else {
        why = jinja_format(run, "%s%s has no such element", type, suffix);
    }
    *out = jinja_undefined(why);
    return why != NULL;
}

static bool bound_method(JinjaRun *run, JinjaValue object, Str name, JinjaValue *out, bool *found)
{
    const JinjaBuiltin *method = jinja_method(object.kind, name);
    *found = method != NULL;
    if (!method)
        return true;
    JinjaBound *bound = jinja_alloc(run, sizeof *bound);
    if (!bound)
        return false;
    *bound = (JinjaBound){method, object};
    *out = (JinjaValue){.kind = JINJA_BUILTIN, .bound = bound};
    return true;
}

/* What the immutable sandbox hides: methods that change their object. */
static bool is_mutator(JinjaKind kind, Str name)
{
    static const char *const of_dict[] = {"clear",  "pop",        "popitem",
                                          "update", "setdefault", "fromkeys"};
    static const char *const of_list[] = {"append", "clear",  "extend",  "insert",
                                          "pop",    "remove", "reverse", "sort"};
    const char *const *names = kind == JINJA_DICT ? of_dict : of_list;
    size_t n = kind == JINJA_DICT   ? sizeof of_dict / sizeof *of_dict
               : kind == JINJA_LIST ? sizeof of_list / sizeof *of_list
                                    : 0;
    for (size_t i = 0; i < n; i++)
        if (str_equals(name, names[i]))
            return true;
    return false;
}

static bool hidden(JinjaRun *run, JinjaValue object, Str name, JinjaValue *out)
{
    const char *why = jinja_format(run, "access to '%.*s' of a %s is not allowed in a template",
                                   STR_ARG(name), jinja_type_name(object));
    *out = jinja_undefined(why);
    return why != NULL;
}

bool jinja_attribute(JinjaRun *run, JinjaValue object, Str name, JinjaValue *out)
{
    if (object.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", object.why);
    if (object.kind == JINJA_LOOP)
        return jinja_loop_attribute(run, object.loop, name, out);
    bool found;
    if (!bound_method(run, object, name, out, &found))
        return false;
    if (found)
        return true;
    if (is_mutator(object.kind, name))
        return hidden(run, object, name, out);
    if (object.kind == JINJA_DICT || object.kind == JINJA_NAMESPACE) {
        const JinjaValue *item = jinja_dict_find(object.dict, name);
        if (item) {
            *out = *item;
            return true;
        }
    }
    if (object.kind == JINJA_MACRO && str_equals(name, "name"))
        return jinja_text_value(run, object.macro->signature->name, out);
    JinjaText text = {.s = name};
    return missing(run, object, jinja_string(&text), out);
}

static bool list_item(const JinjaList *list, int64_t i, JinjaValue *out)
{
    if (i < 0)
        i += list->n;
    if (i < 0 || i >= list->n)
        return false;
    *out = list->items[i];
    return true;
}

static bool string_item(JinjaRun *run, const JinjaText *t, int64_t i, JinjaValue *out, bool *found)
{
    int64_t n = (int64_t)jinja_n_chars(t);
    if (i < 0)
        i += n;
    *found = i >= 0 && i < n;
    if (!*found)
        return jinja_spend(run, t->s.bytes / 256);
    size_t from = jinja_char_offset(t, (size_t)i);
    JinjaCursor c = {.text = t, .at = from};
    return jinja_spend(run, t->s.bytes / 256) && jinja_next_char(&c) &&
           jinja_slice_value(run, t, from, c.at, out);
}

bool jinja_item(JinjaRun *run, JinjaValue object, JinjaValue key, JinjaValue *out)
{
    bool found = false;
    if (object.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", object.why);
    if (object.kind == JINJA_DICT) {
        const JinjaValue *item = jinja_dict_get(object.dict, key);
        if (item) {
            *out = *item;
            return true;
        }
    } else if (jinja_is_array(object) && jinja_is_int(key)) {
        found = list_item(object.list, jinja_as_int(key), out);
    } else if (object.kind == JINJA_STRING && jinja_is_int(key)) {
        if (!string_item(run, object.text, jinja_as_int(key), out, &found))
            return false;
    }
    if (found)
        return true;
    return key.kind == JINJA_STRING ? jinja_attribute(run, object, key.text->s, out)
                                    : missing(run, object, key, out);
}

/* A bound of a slice as Python clips it: `low` and `high` are the least and greatest value. */
static int64_t clip(JinjaValue bound, int64_t n, int64_t low, int64_t high, int64_t absent)
{
    if (bound.kind == JINJA_NONE)
        return absent;
    int64_t i = jinja_as_int(bound);
    if (i < 0)
        i = i < -n ? low : i + n;
    return i < low ? low : i > high ? high : i;
}

static bool slice_string(JinjaRun *run, const JinjaText *t, int64_t start, int64_t step, int64_t n,
                         JinjaValue *out)
{
    if (step == 1) {
        size_t from = jinja_char_offset(t, (size_t)start);
        return jinja_slice_value(run, t, from, jinja_char_offset(t, (size_t)(start + n)), out);
    }
    int64_t n_chars = (int64_t)jinja_n_chars(t);
    size_t *offsets = jinja_alloc(run, sizeof *offsets * (size_t)(n_chars + 1));
    if (!offsets)
        return false;
    JinjaCursor c = {.text = t};
    for (int64_t i = 0; jinja_next_char(&c); i++)
        offsets[i + 1] = c.at;
    JinjaBuilder b = {.run = run};
    for (int64_t k = 0, i = start; k < n; k++, i += step)
        jinja_add_slice(&b, t, offsets[i], offsets[i + 1]);
    return jinja_built_value(&b, out);
}

bool jinja_slice(JinjaRun *run, JinjaValue object, const JinjaValue bounds[3], JinjaValue *out)
{
    if (object.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", object.why);
    if (object.kind != JINJA_STRING && !jinja_is_array(object))
        return jinja_fail(run, "%s cannot be sliced", jinja_type_name(object));
    for (int i = 0; i < 3; i++)
        if (bounds[i].kind != JINJA_NONE && !jinja_is_int(bounds[i]))
            return jinja_fail(run, "a slice's bounds must be integers, not %s",
                              jinja_type_name(bounds[i]));
    int64_t length, step = bounds[2].kind == JINJA_NONE ? 1 : jinja_as_int(bounds[2]);
    if (!jinja_length(run, object, &length))
        return false;
    if (step == 0)
        return jinja_fail(run, "a slice's step is zero");
    if (step > length + 1 || step < -length - 1) /* the same as this, and nothing overflows */
        step = step > 0 ? length + 1 : -length - 1;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
    int64_t start = clip(bounds[0], length, low, high, step > 0 ? low : high);
    int64_t stop = clip(bounds[1], length, low, high, step > 0 ? high : low);
    int64_t n = step > 0 ? (stop - start + step - 1) / step : (start - stop - step - 1) / -step;
    n = n > 0 ? n : 0;
    if (!jinja_spend(run, (size_t)n / 16))
        return false;
    if (object.kind == JINJA_STRING)
        return slice_string(run, object.text, start, step, n, out);
    JinjaList *list = jinja_list_new(run, (size_t)n);
    if (!list)
        return false;
    for (int64_t k = 0, i = start; k < n; k++, i += step)
        list->items[k] = object.list->items[i];
    *out = (JinjaValue){.kind = object.kind, .list = list};
    return true;
}
