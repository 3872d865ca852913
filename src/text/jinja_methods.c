/* The methods of str, dict, list and loop. Those that would change their object are not here: the
 * immutable sandbox that templates are written for hides them. */
#include "text/jinja_run.h"

#include <string.h>
#include <utf8proc.h>

static bool optional_text(JinjaRun *run, const JinjaBuiltinCall *c, int i, const JinjaText **t)
{
    *t = NULL;
    return !c->has[i] || c->a[i].kind == JINJA_NONE || jinja_arg_text(run, c, i, t);
}

enum { SIDE_LEFT = 1, SIDE_RIGHT = 2 };

static bool str_strip(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *chars;
    if (!optional_text(run, c, 0, &chars))
        return false;
    int sides = c->builtin->flavour;
    const JinjaText *t =
        jinja_strip(run, c->self.text, chars, sides & SIDE_LEFT, sides & SIDE_RIGHT);
    *out = jinja_string(t);
    return t != NULL;
}

static bool str_split(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *separator;
    int64_t max;
    return optional_text(run, c, 0, &separator) && jinja_arg_int(run, c, 1, -1, &max) &&
           jinja_split(run, c->self.text, separator, max, c->builtin->flavour == SIDE_RIGHT, out);
}

static bool str_split_lines(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    return jinja_split_lines(run, c->self.text, jinja_arg_bool(c, 0), out);
}

/* The byte range of the characters start .. end-1 that some methods look at. */
static bool str_window(JinjaRun *run, const JinjaBuiltinCall *c, size_t *from, size_t *to,
                       bool *is_empty)
{
    int64_t start, end, n = (int64_t)jinja_n_chars(c->self.text);
    if (!jinja_arg_int(run, c, 1, 0, &start) || !jinja_arg_int(run, c, 2, n, &end))
        return false;
    start = start < 0 ? (start < -n ? 0 : start + n) : start;
    end = end < 0 ? (end < -n ? 0 : end + n) : end > n ? n : end;
    *is_empty = start > end;
    *from = *is_empty ? 0 : jinja_char_offset(c->self.text, (size_t)start);
    *to = *is_empty ? 0 : jinja_char_offset(c->self.text, (size_t)end);
    return jinja_spend(run, c->self.text->s.bytes / 256);
}

/* startswith and endswith: an affix or a tuple of them. */
static bool str_has_affix(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    size_t from, to;
    bool is_empty, hit = false;
    JinjaList one = {.items = (JinjaValue[]){c->a[0]}, .n = 1};
    const JinjaList *affixes = c->a[0].kind == JINJA_TUPLE ? c->a[0].list : &one;
    if (!str_window(run, c, &from, &to, &is_empty))
        return false;
    Str s = str_slice(c->self.text->s, from, to);
    for (int i = 0; i < affixes->n && !hit; i++) {
        JinjaValue affix = affixes->items[i];
        if (affix.kind != JINJA_STRING)
            return jinja_fail(run, "%s: needs a str, not %s", c->builtin->name,
                              jinja_type_name(affix));
        hit = !is_empty && (c->builtin->flavour == SIDE_LEFT ? str_starts(s, affix.text->s)
                                                             : str_ends(s, affix.text->s));
    }
    *out = jinja_bool(hit);
    return true;
}

static ptrdiff_t find_last(JinjaRun *run, Str s, Str needle)
{
    for (size_t at = s.bytes; at >= needle.bytes; at--) {
        if (str_equal(str_slice(s, at - needle.bytes, at), needle))
            return (ptrdiff_t)(at - needle.bytes);
        if (!jinja_spend(run, needle.bytes / 64))
            return -2;
        if (at == 0)
            break;
    }
    return -1;
}

enum { FIND = 0, FIND_LAST = 1, FIND_OR_FAIL = 2 };

static bool str_find_method(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    size_t from, to;
    bool is_empty;
    const JinjaText *needle;
    if (!jinja_arg_text(run, c, 0, &needle) || !str_window(run, c, &from, &to, &is_empty))
        return false;
    Str s = str_slice(c->self.text->s, from, to);
    ptrdiff_t hit = -1;
    if (!is_empty)
        hit = c->builtin->flavour & FIND_LAST ? find_last(run, s, needle->s)
                                              : jinja_find(s, needle->s, 0);
    if (hit == -2)
        return false;
    if (hit < 0 && (c->builtin->flavour & FIND_OR_FAIL))
        return jinja_fail(run, "%s: not found", c->builtin->name);
    JinjaText before = {.s = str_slice(c->self.text->s, 0, from + (hit < 0 ? 0 : (size_t)hit))};
    *out = jinja_int(hit < 0 ? -1 : (int64_t)jinja_n_chars(&before));
    return true;
}

static bool str_count(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    size_t from, to;
    bool is_empty;
    const JinjaText *needle;
    if (!jinja_arg_text(run, c, 0, &needle) || !str_window(run, c, &from, &to, &is_empty))
        return false;
    int64_t n = 0;
    JinjaText window = {.s = str_slice(c->self.text->s, from, to)};
    if (needle->s.bytes == 0) {
        n = is_empty ? 0 : (int64_t)jinja_n_chars(&window) + 1;
    } else {
        ptrdiff_t hit;
        for (size_t at = 0; (hit = jinja_find(window.s, needle->s, at)) >= 0; n++)
            at = (size_t)hit + needle->s.bytes;
    }
    *out = jinja_int(n);
    return true;
}

static bool str_replace(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *old, *new_text, *t;
    int64_t max;
    if (!jinja_arg_text(run, c, 0, &old) || !jinja_arg_text(run, c, 1, &new_text) ||
        !jinja_arg_int(run, c, 2, -1, &max))
        return false;
    t = jinja_replace(run, c->self.text, old, new_text, max);
    *out = jinja_string(t);
    return t != NULL;
}

static bool str_case(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t = jinja_change_case(run, c->self.text, (JinjaCase)c->builtin->flavour);
    *out = jinja_string(t);
    return t != NULL;
}

static bool str_join(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    return jinja_iterate(run, c->a[0], &items) && jinja_join(run, c->self.text, items, true, out);
}

static bool str_remove_affix(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *affix, *t = c->self.text;
    if (!jinja_arg_text(run, c, 0, &affix))
        return false;
    size_t n = affix->s.bytes, from = 0, to = t->s.bytes;
    if (c->builtin->flavour == SIDE_LEFT && str_starts(t->s, affix->s))
        from = n;
    if (c->builtin->flavour == SIDE_RIGHT && str_ends(t->s, affix->s))
        to -= n;
    return jinja_slice_value(run, t, from, to, out);
}

static bool str_partition(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *separator, *t = c->self.text;
    bool from_right = c->builtin->flavour == SIDE_RIGHT;
    if (!jinja_arg_text(run, c, 0, &separator))
        return false;
    if (separator->s.bytes == 0)
        return jinja_fail(run, "%s: empty separator", c->builtin->name);
    ptrdiff_t hit =
        from_right ? find_last(run, t->s, separator->s) : jinja_find(t->s, separator->s, 0);
    if (hit == -2)
        return false;
    size_t end = t->s.bytes;
    size_t from = hit >= 0 ? (size_t)hit : from_right ? 0 : end;
    size_t to = hit >= 0 ? from + separator->s.bytes : from;
    JinjaList *parts = jinja_list_new(run, 3);
    if (!parts || !jinja_slice_value(run, t, 0, from, &parts->items[0]) ||
        !jinja_slice_value(run, t, from, to, &parts->items[1]) ||
        !jinja_slice_value(run, t, to, end, &parts->items[2]))
        return false;
    *out = (JinjaValue){.kind = JINJA_TUPLE, .list = parts};
    return true;
}

enum { JUST_LEFT, JUST_RIGHT, JUST_ZERO };

static bool str_just(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t = c->self.text;
    int64_t width, n = (int64_t)jinja_n_chars(t);
    if (!jinja_arg_int(run, c, 0, 0, &width))
        return false;
    if (width > INT32_MAX / 4)
        return jinja_fail_limit(run, "a string's width");
    int how = c->builtin->flavour;
    Str fill = how == JUST_ZERO ? STR("0") : STR(" ");
    size_t sign = how == JUST_ZERO && t->s.bytes && strchr("+-", t->s.data[0]) ? 1 : 0;
    JinjaBuilder b = {.run = run};
    jinja_add_slice(&b, t, 0, how == JUST_LEFT ? t->s.bytes : sign);
    for (; n < width && !b.failed; n++)
        jinja_put(&b, fill, false);
    if (how != JUST_LEFT)
        jinja_add_slice(&b, t, sign, t->s.bytes);
    return jinja_built_value(&b, out);
}

static bool str_format(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    return jinja_format_braces(run, c->self.text, c->all, out);
}

static bool is_class(uint32_t cp, char class)
{
    utf8proc_category_t k = utf8proc_category((utf8proc_int32_t)cp);
    bool is_letter = k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
    bool is_digit = k == UTF8PROC_CATEGORY_ND;
    switch (class) {
    case 's':
        return jinja_is_space(cp);
    case 'a':
        return is_letter;
    case 'd':
        return is_digit;
    default:
        return is_letter || is_digit;
    }
}

/* isdigit and its like: every character is one, and there is a character. */
static bool str_is_class(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    JinjaCursor cursor = {.text = c->self.text};
    bool holds = c->self.text->s.bytes > 0;
    while (holds && jinja_next_char(&cursor))
        holds = is_class(cursor.cp, (char)c->builtin->flavour);
    *out = jinja_bool(holds);
    return jinja_spend(run, c->self.text->s.bytes / 64);
}

static bool str_is_case(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    *out = jinja_bool(jinja_text_is_case(c->self.text, c->builtin->flavour == CASE_UPPER));
    return jinja_spend(run, c->self.text->s.bytes / 64);
}

static const JinjaBuiltin str_methods[] = {
    {"strip", str_strip, "chars?", SIDE_LEFT | SIDE_RIGHT},
    {"lstrip", str_strip, "chars?", SIDE_LEFT},
    {"rstrip", str_strip, "chars?", SIDE_RIGHT},
    {"split", str_split, "sep? maxsplit?", SIDE_LEFT},
    {"rsplit", str_split, "sep? maxsplit?", SIDE_RIGHT},
    {"splitlines", str_split_lines, "keepends?", 0},
    {"startswith", str_has_affix, "prefix start? end?", SIDE_LEFT},
    {"endswith", str_has_affix, "suffix start? end?", SIDE_RIGHT},
    {"find", str_find_method, "sub start? end?", FIND},
    {"rfind", str_find_method, "sub start? end?", FIND_LAST},
    {"index", str_find_method, "sub start? end?", FIND_OR_FAIL},
    {"rindex", str_find_method, "sub start? end?", FIND_LAST | FIND_OR_FAIL},
    {"count", str_count, "sub start? end?", 0},
    {"replace", str_replace, "old new count?", 0},
    {"upper", str_case, "", CASE_UPPER},
    {"lower", str_case, "", CASE_LOWER},
    {"title", str_case, "", CASE_TITLE},
    {"capitalize", str_case, "", CASE_CAPITALIZE},
    {"join", str_join, "iterable", 0},
    {"removeprefix", str_remove_affix, "prefix", SIDE_LEFT},
    {"removesuffix", str_remove_affix, "suffix", SIDE_RIGHT},
    {"partition", str_partition, "sep", SIDE_LEFT},
    {"rpartition", str_partition, "sep", SIDE_RIGHT},
    {"ljust", str_just, "width", JUST_LEFT},
    {"rjust", str_just, "width", JUST_RIGHT},
    {"zfill", str_just, "width", JUST_ZERO},
    {"format", str_format, "*", 0},
    {"isspace", str_is_class, "", 's'},
    {"isalpha", str_is_class, "", 'a'},
    {"isdigit", str_is_class, "", 'd'},
    {"isalnum", str_is_class, "", 'n'},
    {"isupper", str_is_case, "", CASE_UPPER},
    {"islower", str_is_case, "", CASE_LOWER},
};

static bool dict_get(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    if (!jinja_is_hashable(c->a[0]))
        return jinja_fail(run, "get: %s cannot be a key", jinja_type_name(c->a[0]));
    const JinjaValue *v = jinja_dict_get(c->self.dict, c->a[0]);
    *out = v ? *v : c->has[1] ? c->a[1] : jinja_none();
    return true;
}

enum { DICT_KEYS, DICT_VALUES, DICT_ITEMS };

static bool dict_view(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaDict *dict = c->self.dict;
    JinjaList *list = jinja_list_new(run, (size_t)dict->n);
    if (!list || !jinja_spend(run, (size_t)dict->n))
        return false;
    for (int i = 0; i < dict->n; i++) {
        JinjaPair pair = dict->pairs[i];
        list->items[i] = c->builtin->flavour == DICT_KEYS ? pair.key : pair.value;
        if (c->builtin->flavour == DICT_ITEMS &&
            !jinja_pair_tuple(run, pair.key, pair.value, &list->items[i]))
            return false;
    }
    *out = jinja_list(list);
    return true;
}

static bool dict_copy(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    (void)run;
    *out = c->self; /* nothing can change it */
    return true;
}

static const JinjaBuiltin dict_methods[] = {
    {"get", dict_get, "key default?", 0},
    {"keys", dict_view, "", DICT_KEYS},
    {"values", dict_view, "", DICT_VALUES},
    {"items", dict_view, "", DICT_ITEMS},
    {"copy", dict_copy, "", 0},
};

enum { LIST_COUNT, LIST_INDEX };

static bool list_search(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    int64_t n = 0;
    for (int i = 0; i < c->self.list->n; i++) {
        bool equal;
        if (!jinja_equal(run, c->self.list->items[i], c->a[0], &equal))
            return false;
        if (equal && c->builtin->flavour == LIST_INDEX) {
            *out = jinja_int(i);
            return true;
        }
        n += equal;
    }
    *out = jinja_int(n);
    return c->builtin->flavour == LIST_COUNT || jinja_fail(run, "index: not in the list");
}

static const JinjaBuiltin list_methods[] = {
    {"count", list_search, "value", LIST_COUNT},
    {"index", list_search, "value", LIST_INDEX},
};

static bool loop_cycle(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    if (c->all->n_values == 0)
        return jinja_fail(run, "loop.cycle: no values");
    *out = c->all->values[c->self.loop->index % c->all->n_values];
    return true;
}

static bool loop_changed(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    JinjaLoop *loop = c->self.loop;
    JinjaList *list = jinja_list_new(run, (size_t)c->all->n_values);
    bool same = false;
    if (!list)
        return false;
    for (int i = 0; i < list->n; i++)
        list->items[i] = c->all->values[i];
    JinjaValue now = {.kind = JINJA_TUPLE, .list = list};
    if (loop->has_changed && !jinja_equal(run, loop->changed, now, &same))
        return false;
    loop->changed = now;
    loop->has_changed = true;
    *out = jinja_bool(!same);
    return true;
}

static const JinjaBuiltin loop_methods[] = {
    {"cycle", loop_cycle, "*", 0},
    {"changed", loop_changed, "*", 0},
};

const JinjaBuiltin *jinja_method(JinjaKind kind, Str name)
{
    switch (kind) {
    case JINJA_STRING:
        return jinja_builtin_find(str_methods, sizeof str_methods / sizeof *str_methods, name);
    case JINJA_DICT:
        return jinja_builtin_find(dict_methods, sizeof dict_methods / sizeof *dict_methods, name);
    case JINJA_LIST:
    case JINJA_TUPLE:
        return jinja_builtin_find(list_methods, sizeof list_methods / sizeof *list_methods, name);
    case JINJA_LOOP:
        return jinja_builtin_find(loop_methods, sizeof loop_methods / sizeof *loop_methods, name);
    default:
        return NULL;
    }
}
