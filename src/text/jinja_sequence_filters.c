/* The filters on sequences: choosing, mapping, sorting, joining. */
#include "text/jinja_filters.h"

#include <string.h>

static bool filter_list(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    *out = jinja_list(items);
    return true;
}

static bool filter_first(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    *out = items->n > 0 ? items->items[0] : jinja_undefined("the sequence has no first item");
    return true;
}

static bool filter_last(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    *out = items->n > 0 ? items->items[items->n - 1]
                        : jinja_undefined("the sequence has no last item");
    return true;
}

static bool filter_reverse(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    if (c->self.kind == JINJA_STRING) {
        const JinjaValue backwards[3] = {jinja_none(), jinja_none(), jinja_int(-1)};
        return jinja_slice(run, c->self, backwards, out);
    }
    const JinjaList *items;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    JinjaList *list = jinja_list_new(run, (size_t)items->n);
    if (!list)
        return false;
    for (int i = 0; i < list->n; i++)
        list->items[i] = items->items[items->n - 1 - i];
    *out = jinja_list(list);
    return true;
}

static bool filter_items(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    if (c->self.kind != JINJA_DICT && c->self.kind != JINJA_UNDEFINED)
        return jinja_fail(run, "items: needs a mapping, not %s", jinja_type_name(c->self));
    int n = c->self.kind == JINJA_DICT ? c->self.dict->n : 0;
    JinjaList *list = jinja_list_new(run, (size_t)n);
    if (!list)
        return false;
    for (int i = 0; i < n; i++) {
        JinjaPair pair = c->self.dict->pairs[i];
        if (!jinja_pair_tuple(run, pair.key, pair.value, &list->items[i]))
            return false;
    }
    *out = jinja_list(list);
    return jinja_spend(run, (size_t)n);
}

/* Follows "a.b.0" (or an integer) from an item, as Jinja's attribute arguments do. */
static bool follow(JinjaRun *run, JinjaValue item, JinjaValue path, JinjaValue *out)
{
    *out = item;
    if (path.kind != JINJA_STRING)
        return path.kind == JINJA_NONE || jinja_item(run, item, path, out);
    Str s = path.text->s;
    for (size_t at = 0; at <= s.bytes;) {
        ptrdiff_t dot = str_find(s, STR("."), at);
        size_t end = dot < 0 ? s.bytes : (size_t)dot;
        JinjaText part = {.s = str_slice(s, at, end)};
        JinjaValue key = jinja_string(&part);
        int64_t i;
        bool is_digits = part.s.bytes > 0 && part.s.data[0] >= '0' && part.s.data[0] <= '9';
        if (is_digits && jinja_parse_int(part.s, 10, &i))
            key = jinja_int(i);
        if (!jinja_item(run, *out, key, out))
            return false;
        at = end + 1;
    }
    return true;
}

/* Strings compare without case unless asked otherwise. */
static bool fold(JinjaRun *run, bool case_sensitive, JinjaValue *v)
{
    if (case_sensitive || v->kind != JINJA_STRING)
        return true;
    const JinjaText *t = jinja_change_case(run, v->text, CASE_LOWER);
    *v = jinja_string(t);
    return t != NULL;
}

static bool filter_join(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    const JinjaText *separator = NULL;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    separator = c->has[0] ? NULL : jinja_text(run, STR(""));
    if (c->has[0] ? !jinja_str(run, c->a[0], &separator) : !separator)
        return false;
    if (c->has[1] && c->a[1].kind != JINJA_NONE) {
        JinjaList *parts = jinja_list_new(run, (size_t)items->n);
        if (!parts)
            return false;
        for (int i = 0; i < parts->n; i++)
            if (!follow(run, items->items[i], c->a[1], &parts->items[i]))
                return false;
        items = parts;
    }
    return jinja_join(run, separator, items, false, out);
}

/* Merge sort of item numbers by their keys: stable, and able to fail when keys have no order. */
static bool merge(JinjaRun *run, const JinjaValue *keys, bool reverse, const int *from, int *to,
                  int n, int width)
{
    for (int low = 0; low < n; low += 2 * width) {
        int middle = low + width < n ? low + width : n,
            high = middle + width < n ? middle + width : n;
        for (int i = low, j = middle, k = low; k < high; k++) {
            bool take_right = i >= middle;
            if (i < middle && j < high) {
                JinjaValue left = keys[from[i]], right = keys[from[j]];
                if (!(reverse ? jinja_less(run, left, right, &take_right)
                              : jinja_less(run, right, left, &take_right)))
                    return false;
            }
            to[k] = take_right ? from[j++] : from[i++];
        }
    }
    return true;
}

static bool sort_by(JinjaRun *run, const JinjaList *items, const JinjaValue *keys, bool reverse,
                    JinjaValue *out)
{
    int n = items->n;
    int *order = jinja_alloc(run, sizeof *order * (size_t)n);
    int *spare = jinja_alloc(run, sizeof *spare * (size_t)n);
    JinjaList *sorted = jinja_list_new(run, (size_t)n);
    if (!order || !spare || !sorted)
        return false;
    for (int i = 0; i < n; i++)
        order[i] = i;
    for (int width = 1; width < n; width *= 2) {
        if (!merge(run, keys, reverse, order, spare, n, width))
            return false;
        int *swap = order;
        order = spare;
        spare = swap;
    }
    for (int i = 0; i < n; i++)
        sorted->items[i] = items->items[order[i]];
    *out = jinja_list(sorted);
    return true;
}

/* The keys of all items by an attribute path, folded. */
static JinjaValue *attribute_keys(JinjaRun *run, const JinjaList *items, JinjaValue path,
                                  bool case_sensitive)
{
    JinjaValue *keys = jinja_alloc(run, sizeof *keys * (size_t)items->n);
    if (!keys)
        return NULL;
    for (int i = 0; i < items->n; i++)
        if (!follow(run, items->items[i], path, &keys[i]) || !fold(run, case_sensitive, &keys[i]))
            return NULL;
    return keys;
}

/* sort(attribute="age,name"): one sort for each path, the last path first, as sorts are stable. */
static bool filter_sort(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    bool reverse = jinja_arg_bool(c, 0), case_sensitive = jinja_arg_bool(c, 1);
    JinjaValue path = c->has[2] ? c->a[2] : jinja_none();
    if (!jinja_iterate(run, c->self, &items))
        return false;
    JinjaValue paths = jinja_undefined("");
    JinjaText comma = {.s = STR(",")};
    if (path.kind == JINJA_STRING && !jinja_split(run, path.text, &comma, -1, false, &paths))
        return false;
    int n_paths = path.kind == JINJA_STRING ? paths.list->n : 1;
    *out = jinja_list(items);
    for (int i = n_paths - 1; i >= 0; i--) {
        JinjaValue one = path.kind == JINJA_STRING ? paths.list->items[i] : path;
        JinjaValue *keys = attribute_keys(run, out->list, one, case_sensitive);
        if (!keys || !sort_by(run, out->list, keys, reverse, out))
            return false;
    }
    return true;
}

static bool filter_dictsort(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    bool case_sensitive = jinja_arg_bool(c, 0), reverse = jinja_arg_bool(c, 2);
    const JinjaText *by = NULL;
    if (c->self.kind != JINJA_DICT)
        return jinja_fail(run, "dictsort: needs a dict, not %s", jinja_type_name(c->self));
    if (c->has[1] && !jinja_arg_text(run, c, 1, &by))
        return false;
    bool by_value = by && str_equals(by->s, "value");
    if (by && !by_value && !str_equals(by->s, "key"))
        return jinja_fail(run, "dictsort: by must be key or value");
    JinjaValue items;
    if (!filter_items(run, c, &items))
        return false;
    JinjaValue *keys = attribute_keys(run, items.list, jinja_int(by_value), case_sensitive);
    return keys && sort_by(run, items.list, keys, reverse, out);
}

static bool filter_unique(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    JinjaDict *seen = jinja_dict_new(run);
    if (!seen || !jinja_iterate(run, c->self, &items))
        return false;
    JinjaList *list = jinja_list_new(run, (size_t)items->n);
    JinjaValue *keys =
        attribute_keys(run, items, c->has[1] ? c->a[1] : jinja_none(), jinja_arg_bool(c, 0));
    if (!list || !keys)
        return false;
    list->n = 0;
    for (int i = 0; i < items->n; i++) {
        int before = seen->n;
        if (!jinja_dict_set(run, seen, keys[i], jinja_none()))
            return false;
        if (seen->n > before)
            list->items[list->n++] = items->items[i];
    }
    *out = jinja_list(list);
    return jinja_spend(run, (size_t)items->n);
}

enum { EXTREME_MIN, EXTREME_MAX };

static bool filter_extreme(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    *out = jinja_undefined("the sequence is empty");
    JinjaValue *keys =
        attribute_keys(run, items, c->has[1] ? c->a[1] : jinja_none(), jinja_arg_bool(c, 0));
    if (!keys)
        return false;
    int best = 0;
    for (int i = 1; i < items->n; i++) {
        bool better;
        if (!(c->builtin->flavour == EXTREME_MIN ? jinja_less(run, keys[i], keys[best], &better)
                                                 : jinja_less(run, keys[best], keys[i], &better)))
            return false;
        best = better ? i : best;
    }
    if (items->n > 0)
        *out = items->items[best];
    return true;
}

static bool filter_sum(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    if (!jinja_iterate(run, c->self, &items))
        return false;
    *out = c->has[1] ? c->a[1] : jinja_int(0);
    if (out->kind == JINJA_STRING)
        return jinja_fail(run, "sum: strings are joined, not summed");
    for (int i = 0; i < items->n; i++) {
        JinjaValue item;
        if (!follow(run, items->items[i], c->has[0] ? c->a[0] : jinja_none(), &item) ||
            !jinja_binary(run, '+', *out, item, out))
            return false;
    }
    return true;
}

/* The arguments behind the first `n` positional ones. */
static JinjaArgs rest_of(const JinjaArgs *args, int n)
{
    JinjaArgs rest = *args;
    rest.values += n;
    rest.n_values -= n;
    return rest;
}

static const JinjaValue *named_argument(const JinjaArgs *args, const char *name)
{
    for (int i = 0; i < args->n_named; i++)
        if (str_equals(args->names[i], name))
            return &args->named[i];
    return NULL;
}

static bool named_builtin(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue name,
                          const JinjaBuiltin *(*find)(Str), const JinjaBuiltin **found)
{
    *found = name.kind == JINJA_STRING ? find(name.text->s) : NULL;
    if (*found)
        return true;
    Str shown = name.kind == JINJA_STRING ? str_slice(name.text->s, 0, 80) : STR("?");
    return jinja_fail(run, "%s: there is no filter or test '%.*s'", c->builtin->name,
                      STR_ARG(shown));
}

/* Jinja's map and select take anything false, such as none, for an empty sequence. */
static bool iterate_if_true(JinjaRun *run, JinjaValue v, const JinjaList **items)
{
    return jinja_iterate(run, jinja_truth(v) ? v : jinja_undefined(""), items);
}

/* map(attribute="a.b", default=x) or map("filter", arguments ...). */
static bool filter_map(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    const JinjaValue *path = named_argument(c->all, "attribute");
    const JinjaValue *default_value = named_argument(c->all, "default");
    const JinjaBuiltin *filter = NULL;
    if (!iterate_if_true(run, c->self, &items))
        return false;
    if (items->n == 0) {
        *out = jinja_list(items);
        return true;
    }
    if (c->all->n_values == 0 && !path)
        return jinja_fail(run, "map: needs a filter or an attribute");
    if (c->all->n_values > 0 && !named_builtin(run, c, c->all->values[0], jinja_filter, &filter))
        return false;
    JinjaList *list = jinja_list_new(run, (size_t)items->n);
    if (!list)
        return false;
    for (int i = 0; i < items->n; i++) {
        JinjaValue *to = &list->items[i];
        if (filter) {
            JinjaArgs args = rest_of(c->all, 1);
            if (!jinja_call_builtin(run, filter, items->items[i], &args, to))
                return false;
            continue;
        }
        if (!follow(run, items->items[i], *path, to))
            return false;
        if (to->kind == JINJA_UNDEFINED && default_value)
            *to = *default_value;
    }
    *out = jinja_list(list);
    return jinja_spend(run, (size_t)items->n);
}

enum { SELECT = 0, REJECT = 1, BY_ATTRIBUTE = 2 };

/* select("test", ...), selectattr("attribute", "test", ...) and their opposites; without a test,
 * truth decides. */
static bool filter_select(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaList *items;
    const JinjaBuiltin *test = NULL;
    int n_path = c->builtin->flavour & BY_ATTRIBUTE ? 1 : 0;
    bool keep = !(c->builtin->flavour & REJECT);
    if (!iterate_if_true(run, c->self, &items))
        return false;
    if (items->n == 0) {
        *out = jinja_list(items);
        return true;
    }
    if (c->all->n_values < n_path)
        return jinja_fail(run, "%s: needs an attribute", c->builtin->name);
    bool has_test = c->all->n_values > n_path;
    if (has_test && !named_builtin(run, c, c->all->values[n_path], jinja_test, &test))
        return false;
    JinjaValue path = n_path ? c->all->values[0] : jinja_none();
    JinjaArgs args = has_test ? rest_of(c->all, n_path + 1) : (JinjaArgs){0};
    JinjaList *list = jinja_list_new(run, (size_t)items->n);
    if (!list)
        return false;
    list->n = 0;
    for (int i = 0; i < items->n; i++) {
        JinjaValue v, holds;
        if (!follow(run, items->items[i], path, &v))
            return false;
        holds = v;
        if (test && !jinja_call_builtin(run, test, v, &args, &holds))
            return false;
        if (jinja_truth(holds) == keep)
            list->items[list->n++] = items->items[i];
    }
    *out = jinja_list(list);
    return jinja_spend(run, (size_t)items->n);
}

const JinjaBuiltin *jinja_sequence_filter(Str name)
{
    static const JinjaBuiltin table[] = {
        {"dictsort", filter_dictsort, "case_sensitive? by? reverse?", 0},
        {"first", filter_first, "", 0},
        {"items", filter_items, "", 0},
        {"join", filter_join, "d? attribute?", 0},
        {"last", filter_last, "", 0},
        {"list", filter_list, "", 0},
        {"map", filter_map, "*", 0},
        {"max", filter_extreme, "case_sensitive? attribute?", EXTREME_MAX},
        {"min", filter_extreme, "case_sensitive? attribute?", EXTREME_MIN},
        {"reject", filter_select, "*", REJECT},
        {"rejectattr", filter_select, "*", REJECT | BY_ATTRIBUTE},
        {"reverse", filter_reverse, "", 0},
        {"select", filter_select, "*", SELECT},
        {"selectattr", filter_select, "*", SELECT | BY_ATTRIBUTE},
        {"sort", filter_sort, "reverse? case_sensitive? attribute?", 0},
        {"sum", filter_sum, "attribute? start?", 0},
        {"unique", filter_unique, "case_sensitive? attribute?", 0},
    };
    return jinja_builtin_find(table, sizeof table / sizeof *table, name);
}
