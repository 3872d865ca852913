/* JSON in and out: variables come from jansson, tojson writes as Python's json.dumps does. */
#include "text/jinja_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool from_string(JinjaRun *run, Str s, bool is_trusted, JinjaValue *out)
{
    JinjaText *t = jinja_alloc(run, sizeof *t);
    if (!t)
        return false;
    t->s = s;
    if (!is_trusted && s.bytes > 0) {
        TextSpan *span = jinja_alloc(run, sizeof *span);
        if (!span)
            return false;
        *span = (TextSpan){0, s.bytes};
        t->untrusted = span;
        t->n_untrusted = 1;
    }
    *out = jinja_string(t);
    return true;
}

static bool place_is_trusted(JinjaRun *run, const JinjaPlace *place)
{
    return run->is_trusted && run->is_trusted(run->trust_context, place);
}

static bool from_array(JinjaRun *run, const json_t *json, const JinjaPlace *place, JinjaValue *out)
{
    JinjaList *list = jinja_list_new(run, json_array_size(json));
    if (!list)
        return false;
    for (int i = 0; i < list->n; i++) {
        const json_t *item = json_array_get(json, (size_t)i);
        JinjaPlace inner = {.parent = place, .index = (size_t)i, .value = item};
        if (!jinja_from_json(run, item, &inner, &list->items[i]))
            return false;
    }
    *out = jinja_list(list);
    return true;
}

static bool from_object(JinjaRun *run, const json_t *json, const JinjaPlace *place, JinjaValue *out)
{
    JinjaDict *dict = jinja_dict_new(run);
    if (!dict)
        return false;
    /* jansson's iterators take a non-const object but do not write to it. */
    json_t *object = (json_t *)(uintptr_t)json;
    bool keys_trusted = place_is_trusted(run, place);
    for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
        const char *name = json_object_iter_key(it);
        const json_t *item = json_object_iter_value(it);
        JinjaPlace inner = {.parent = place, .key = name, .value = item};
        JinjaValue key, value;
        if (!from_string(run, str_from(name), keys_trusted, &key) ||
            !jinja_from_json(run, item, &inner, &value) || !jinja_dict_set(run, dict, key, value))
            return false;
    }
    *out = (JinjaValue){.kind = JINJA_DICT, .dict = dict};
    return true;
}

bool jinja_from_json(JinjaRun *run, const json_t *json, const JinjaPlace *place, JinjaValue *out)
{
    if (!jinja_spend(run, 1) || !jinja_enter(run))
        return false;
    bool ok = true;
    switch (json_typeof(json)) {
    case JSON_OBJECT:
        ok = from_object(run, json, place, out);
        break;
    case JSON_ARRAY:
        ok = from_array(run, json, place, out);
        break;
    case JSON_STRING: {
        Str s = {json_string_value(json), json_string_length(json)};
        ok = from_string(run, s, place_is_trusted(run, place), out);
        break;
    }
    case JSON_INTEGER:
        *out = jinja_int(json_integer_value(json));
        break;
    case JSON_REAL:
        *out = jinja_float(json_real_value(json));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        *out = jinja_bool(json_is_true(json));
        break;
    case JSON_NULL:
        *out = jinja_none();
        break;
    }
    jinja_leave(run);
    return ok;
}

typedef struct JsonWriter {
    JinjaRun *run;
    JinjaBuilder *b;
    const JinjaJsonStyle *style;
    int level;
} JsonWriter;

static bool write_item(JsonWriter *w, JinjaValue v);

static void write_json_char(JsonWriter *w, const JinjaCursor *c, Str as_is)
{
    static const char names[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    char escape[16];
    int n = 0;
    const char *simple = c->cp && c->cp < 128 ? strchr(names, (int)c->cp) : NULL;
    if (simple)
        n = snprintf(escape, sizeof escape, "\\%c", letters[simple - names]);
    else if (c->cp < 0x20 || (w->style->ascii_only && c->cp > 0x7E && c->cp < 0x10000))
        n = snprintf(escape, sizeof escape, "\\u%04x", c->cp);
    else if (w->style->ascii_only && c->cp >= 0x10000)
        n = snprintf(escape, sizeof escape, "\\u%04x\\u%04x", 0xD800 + ((c->cp - 0x10000) >> 10),
                     0xDC00 + (c->cp & 0x3FF));
    jinja_put(w->b, n > 0 ? (Str){escape, (size_t)n} : as_is, c->untrusted);
}

static void write_json_string(JsonWriter *w, const JinjaText *t)
{
    jinja_put(w->b, STR("\""), false);
    JinjaCursor c = {.text = t};
    for (size_t from = 0; jinja_next_char(&c) && !w->b->failed; from = c.at)
        write_json_char(w, &c, str_slice(t->s, from, c.at));
    jinja_put(w->b, STR("\""), false);
}

static void write_number(JsonWriter *w, JinjaValue v)
{
    char digits[40];
    size_t n;
    if (v.kind == JINJA_INT)
        n = (size_t)snprintf(digits, sizeof digits, "%lld", (long long)v.integer);
    else if (isnan(v.number))
        n = (size_t)snprintf(digits, sizeof digits, "NaN");
    else if (isinf(v.number))
        n = (size_t)snprintf(digits, sizeof digits, "%sInfinity", v.number < 0 ? "-" : "");
    else
        n = jinja_float_repr(v.number, digits);
    jinja_put(w->b, (Str){digits, n}, false);
}

static void write_newline(JsonWriter *w)
{
    if (!w->style->indent)
        return;
    jinja_put(w->b, STR("\n"), false);
    for (int i = 0; i < w->level && !w->b->failed; i++)
        jinja_add(w->b, w->style->indent);
}

static bool write_array(JsonWriter *w, const JinjaList *list)
{
    jinja_put(w->b, STR("["), false);
    w->level++;
    for (int i = 0; i < list->n; i++) {
        if (i > 0)
            jinja_add(w->b, w->style->item_separator);
        write_newline(w);
        if (!write_item(w, list->items[i]))
            return false;
    }
    w->level--;
    if (list->n > 0)
        write_newline(w);
    jinja_put(w->b, STR("]"), false);
    return true;
}

static bool write_key(JsonWriter *w, JinjaValue key)
{
    bool is_plain = key.kind == JINJA_NONE || key.kind == JINJA_BOOL || key.kind == JINJA_INT ||
                    key.kind == JINJA_FLOAT;
    if (key.kind != JINJA_STRING && !is_plain)
        return jinja_fail(w->run, "tojson: a key cannot be %s", jinja_type_name(key));
    if (is_plain)
        jinja_put(w->b, STR("\""), false);
    if (!write_item(w, key))
        return false;
    if (is_plain)
        jinja_put(w->b, STR("\""), false);
    return true;
}

static int by_key(const void *a, const void *b)
{
    Str x = ((const JinjaPair *)a)->key.text->s, y = ((const JinjaPair *)b)->key.text->s;
    size_t n = x.bytes < y.bytes ? x.bytes : y.bytes;
    int order = n ? memcmp(x.data, y.data, n) : 0;
    return order ? order : (x.bytes > y.bytes) - (x.bytes < y.bytes);
}

static JinjaPair *sorted_pairs(JsonWriter *w, const JinjaDict *dict)
{
    JinjaPair *pairs = jinja_alloc(w->run, sizeof *pairs * (size_t)dict->n);
    if (!pairs)
        return NULL;
    for (int i = 0; i < dict->n; i++) {
        pairs[i] = dict->pairs[i];
        if (pairs[i].key.kind != JINJA_STRING) {
            jinja_fail(w->run, "tojson: only str keys can be sorted");
            return NULL;
        }
    }
    qsort(pairs, (size_t)dict->n, sizeof *pairs, by_key);
    return pairs;
}

static bool write_object(JsonWriter *w, const JinjaDict *dict)
{
    const JinjaPair *pairs = w->style->sort_keys ? sorted_pairs(w, dict) : dict->pairs;
    if (w->style->sort_keys && !pairs)
        return false;
    jinja_put(w->b, STR("{"), false);
    w->level++;
    for (int i = 0; i < dict->n; i++) {
        if (i > 0)
            jinja_add(w->b, w->style->item_separator);
        write_newline(w);
        if (!write_key(w, pairs[i].key))
            return false;
        jinja_add(w->b, w->style->key_separator);
        if (!write_item(w, pairs[i].value))
            return false;
    }
    w->level--;
    if (dict->n > 0)
        write_newline(w);
    jinja_put(w->b, STR("}"), false);
    return true;
}

static bool write_item(JsonWriter *w, JinjaValue v)
{
    if (!jinja_spend(w->run, 1) || !jinja_enter(w->run))
        return false;
    bool ok = true;
    switch (v.kind) {
    case JINJA_NONE:
        jinja_put(w->b, STR("null"), false);
        break;
    case JINJA_BOOL:
        jinja_put(w->b, v.boolean ? STR("true") : STR("false"), false);
        break;
    case JINJA_INT:
    case JINJA_FLOAT:
        write_number(w, v);
        break;
    case JINJA_STRING:
        write_json_string(w, v.text);
        break;
    case JINJA_LIST:
    case JINJA_TUPLE:
        ok = write_array(w, v.list);
        break;
    case JINJA_DICT:
        ok = write_object(w, v.dict);
        break;
    default:
        ok = jinja_fail(w->run, "tojson: %s is not JSON", jinja_type_name(v));
    }
    jinja_leave(w->run);
    return ok && !w->b->failed;
}

bool jinja_write_json(JinjaRun *run, JinjaBuilder *b, JinjaValue v, const JinjaJsonStyle *style)
{
    JsonWriter w = {run, b, style, 0};
    return write_item(&w, v);
}
