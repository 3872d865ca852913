/* Expressions -> values. Entry point: jinja_eval. */
#include "text/jinja_run.h"

#include <string.h>

static bool eval_name(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    const JinjaValue *v = jinja_scope_find(run->scope, e->name);
    if (!v)
        v = jinja_dict_find(run->globals, e->name);
    if (v) {
        *out = *v;
        return true;
    }
    const JinjaBuiltin *function = jinja_function(e->name);
    if (function) {
        JinjaBound *bound = jinja_alloc(run, sizeof *bound);
        if (!bound)
            return false;
        *bound = (JinjaBound){function, jinja_none()};
        *out = (JinjaValue){.kind = JINJA_BUILTIN, .bound = bound};
        return true;
    }
    const char *why = jinja_format(run, "'%.*s' is undefined",
                                   e->name.bytes < 80 ? (int)e->name.bytes : 80, e->name.data);
    *out = jinja_undefined(why);
    return why != NULL;
}

static bool eval_list(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaList *list = jinja_list_new(run, (size_t)e->n_parts);
    if (!list)
        return false;
    for (int i = 0; i < e->n_parts; i++)
        if (!jinja_eval(run, e->parts[i], &list->items[i]))
            return false;
    *out = jinja_list(list);
    out->kind = e->kind == EXPR_TUPLE ? JINJA_TUPLE : JINJA_LIST;
    return true;
}

static bool eval_dict(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaDict *dict = jinja_dict_new(run);
    if (!dict)
        return false;
    for (int i = 0; i < e->n_parts; i += 2) {
        JinjaValue key, value;
        if (!jinja_eval(run, e->parts[i], &key) || !jinja_eval(run, e->parts[i + 1], &value) ||
            !jinja_dict_set(run, dict, key, value))
            return false;
    }
    *out = (JinjaValue){.kind = JINJA_DICT, .dict = dict};
    return true;
}

static bool eval_slice(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue object, bounds[3] = {jinja_none(), jinja_none(), jinja_none()};
    if (!jinja_eval(run, e->parts[0], &object))
        return false;
    for (int i = 0; i < 3; i++)
        if (e->parts[i + 1] && !jinja_eval(run, e->parts[i + 1], &bounds[i]))
            return false;
    run->line = e->line;
    return jinja_slice(run, object, bounds, out);
}

bool jinja_eval_args(JinjaRun *run, const JinjaCall *call, JinjaArgs *args)
{
    *args = (JinjaArgs){0};
    int n_positional = call->n_values - call->n_names, n_star = 0, n_star_star = 0;
    JinjaValue star, star_star;
    const JinjaList *more = NULL;
    if (call->star) {
        if (!jinja_eval(run, call->star, &star) || !jinja_iterate(run, star, &more))
            return false;
        n_star = more->n;
    }
    if (call->star_star) {
        if (!jinja_eval(run, call->star_star, &star_star))
            return false;
        if (star_star.kind != JINJA_DICT)
            return jinja_fail(run, "** needs a dict, not %s", jinja_type_name(star_star));
        n_star_star = star_star.dict->n;
    }
    args->n_values = n_positional + n_star;
    args->n_named = call->n_names + n_star_star;
    args->values = jinja_alloc(run, sizeof *args->values * (size_t)args->n_values);
    args->named = jinja_alloc(run, sizeof *args->named * (size_t)args->n_named);
    args->names = jinja_alloc(run, sizeof *args->names * (size_t)args->n_named);
    if (!args->values || !args->named || !args->names)
        return false;
    for (int i = 0; i < call->n_values; i++) {
        JinjaValue *to = i < n_positional ? &args->values[i] : &args->named[i - n_positional];
        if (!jinja_eval(run, call->values[i], to))
            return false;
    }
    if (call->n_names)
        memcpy(args->names, call->names, sizeof *args->names * (size_t)call->n_names);
    for (int i = 0; i < n_star; i++)
        args->values[n_positional + i] = more->items[i];
    for (int i = 0; i < n_star_star; i++) {
        JinjaPair pair = star_star.dict->pairs[i];
        if (pair.key.kind != JINJA_STRING)
            return jinja_fail(run, "** needs str keys");
        args->names[call->n_names + i] = pair.key.text->s;
        args->named[call->n_names + i] = pair.value;
    }
    return true;
}

static bool eval_call(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue callee;
    JinjaArgs args;
    if (!jinja_eval(run, e->parts[0], &callee) || !jinja_eval_args(run, e->call, &args))
        return false;
    run->line = e->line;
    return jinja_call_value(run, callee, &args, out);
}

static bool eval_filter_or_test(JinjaRun *run, const JinjaExpr *e, JinjaValue input,
                                JinjaValue *out)
{
    JinjaArgs args;
    if (!e->builtin) {
        run->line = e->line;
        return jinja_fail(run, "there is no %s '%.*s'", e->kind == EXPR_FILTER ? "filter" : "test",
                          e->name.bytes < 80 ? (int)e->name.bytes : 80, e->name.data);
    }
    if (!jinja_eval_args(run, e->call, &args))
        return false;
    run->line = e->line;
    return jinja_call_builtin(run, e->builtin, input, &args, out);
}

bool jinja_eval_chain(JinjaRun *run, const JinjaExpr *e, JinjaValue input, JinjaValue *out)
{
    JinjaValue inner = input;
    if (!jinja_enter(run))
        return false;
    bool ok = (!e->parts[0] || jinja_eval_chain(run, e->parts[0], input, &inner)) &&
              eval_filter_or_test(run, e, inner, out);
    jinja_leave(run);
    return ok;
}

static bool unsupported(JinjaRun *run, char op_code, JinjaValue a, JinjaValue b)
{
    if (a.kind == JINJA_UNDEFINED || b.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", a.kind == JINJA_UNDEFINED ? a.why : b.why);
    const char *op = op_code == 'f' ? "//" : op_code == 'p' ? "**" : (char[]){op_code, 0};
    return jinja_fail(run, "cannot compute %s %s %s", jinja_type_name(a), op, jinja_type_name(b));
}

static bool add_sequences(JinjaRun *run, JinjaValue a, JinjaValue b, JinjaValue *out)
{
    if (a.kind == JINJA_STRING) {
        JinjaBuilder text = {.run = run};
        jinja_add(&text, a.text);
        jinja_add(&text, b.text);
        return jinja_built_value(&text, out);
    }
    JinjaList *list = jinja_list_new(run, (size_t)a.list->n + (size_t)b.list->n);
    if (!list)
        return false;
    for (int i = 0; i < list->n; i++)
        list->items[i] = i < a.list->n ? a.list->items[i] : b.list->items[i - a.list->n];
    *out = (JinjaValue){.kind = a.kind, .list = list};
    return true;
}

static bool repeat(JinjaRun *run, JinjaValue v, int64_t times, JinjaValue *out)
{
    times = times > 0 ? times : 0;
    size_t unit = v.kind == JINJA_STRING ? v.text->s.bytes : (size_t)v.list->n;
    size_t total;
    if (!mem_product(unit, (size_t)times, INT32_MAX / 4, &total))
        return jinja_fail_limit(run, "the length of a repetition");
    if (v.kind == JINJA_STRING) {
        JinjaBuilder text = {.run = run};
        for (size_t n = 0; n < total && !text.failed; n += unit)
            jinja_add(&text, v.text);
        return jinja_spend(run, total / 2) && jinja_built_value(&text, out);
    }
    JinjaList *list = jinja_list_new(run, total);
    if (!list)
        return false;
    for (size_t i = 0; i < total; i++)
        list->items[i] = v.list->items[i % unit];
    *out = (JinjaValue){.kind = v.kind, .list = list};
    return jinja_spend(run, total / 16);
}

static bool is_sequence(JinjaValue v) { return v.kind == JINJA_STRING || jinja_is_array(v); }

bool jinja_binary(JinjaRun *run, char op, JinjaValue a, JinjaValue b, JinjaValue *out)
{
    if (jinja_is_number(a) && jinja_is_number(b))
        return jinja_arithmetic(run, op, a, b, out);
    if (op == '+' && a.kind == b.kind && is_sequence(a))
        return add_sequences(run, a, b, out);
    if (op == '*' && is_sequence(a) && jinja_is_int(b))
        return repeat(run, a, jinja_as_int(b), out);
    if (op == '*' && jinja_is_int(a) && is_sequence(b))
        return repeat(run, b, jinja_as_int(a), out);
    if (op == '%' && a.kind == JINJA_STRING)
        return jinja_format_percent(run, a.text, b, out);
    return unsupported(run, op, a, b);
}

static bool eval_binary(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue a, b;
    if (!jinja_eval(run, e->parts[0], &a) || !jinja_eval(run, e->parts[1], &b))
        return false;
    run->line = e->line;
    return jinja_binary(run, e->op, a, b, out);
}

static bool eval_sign(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue v;
    if (!jinja_eval(run, e->parts[0], &v))
        return false;
    run->line = e->line;
    if (v.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", v.why);
    if (!jinja_is_number(v))
        return jinja_fail(run, "%s has no sign", jinja_type_name(v));
    if (v.kind == JINJA_FLOAT) {
        *out = jinja_float(e->kind == EXPR_NEGATE ? -v.number : v.number);
        return true;
    }
    JinjaValue zero = jinja_int(0);
    return jinja_arithmetic(run, e->kind == EXPR_NEGATE ? '-' : '+', zero, v, out);
}

static bool eval_concat(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaBuilder b = {.run = run};
    for (int i = 0; i < e->n_parts; i++) {
        JinjaValue part;
        if (!jinja_eval(run, e->parts[i], &part) || !jinja_write(run, &b, part, false))
            return false;
    }
    return jinja_built_value(&b, out);
}

bool jinja_compare(JinjaRun *run, int op, JinjaValue a, JinjaValue b, bool *holds)
{
    *holds = false;
    bool ok, is_negated = op == CMP_NE || op == CMP_NOT_IN;
    switch (op) {
    case CMP_EQ:
    case CMP_NE:
        ok = jinja_equal(run, a, b, holds);
        break;
    case CMP_IN:
    case CMP_NOT_IN:
        ok = jinja_contains(run, b, a, holds);
        break;
    case CMP_LT:
        return jinja_less(run, a, b, holds);
    case CMP_GT:
        return jinja_less(run, b, a, holds);
    default: { /* <= and >=: NaN makes "not less" wrong */
        bool equal;
        if (!(op == CMP_LE ? jinja_less(run, a, b, holds) : jinja_less(run, b, a, holds)) ||
            !jinja_equal(run, a, b, &equal))
            return false;
        *holds = *holds || equal;
        return true;
    }
    }
    *holds = ok && *holds != is_negated;
    return ok;
}

static bool eval_compare(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue left, right;
    bool holds = true;
    if (!jinja_eval(run, e->parts[0], &left))
        return false;
    for (int i = 1; i < e->n_parts && holds; i++, left = right) {
        if (!jinja_eval(run, e->parts[i], &right))
            return false;
        run->line = e->line;
        if (!jinja_compare(run, e->ops[i - 1], left, right, &holds))
            return false;
    }
    *out = jinja_bool(holds);
    return true;
}

static bool eval_logic(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    for (int i = 0; i < e->n_parts; i++) {
        if (!jinja_eval(run, e->parts[i], out))
            return false;
        if (jinja_truth(*out) == (e->kind == EXPR_OR))
            break;
    }
    return true;
}

static bool eval_if(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue condition;
    if (!jinja_eval(run, e->parts[0], &condition))
        return false;
    if (jinja_truth(condition))
        return jinja_eval(run, e->parts[1], out);
    if (e->parts[2])
        return jinja_eval(run, e->parts[2], out);
    *out = jinja_undefined("the inline if was false and has no else");
    return true;
}

static bool eval_access(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue object, key;
    if (!jinja_eval(run, e->parts[0], &object) ||
        (e->kind == EXPR_ITEM && !jinja_eval(run, e->parts[1], &key)))
        return false;
    run->line = e->line;
    return e->kind == EXPR_ITEM ? jinja_item(run, object, key, out)
                                : jinja_attribute(run, object, e->name, out);
}

static bool eval_kind(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    JinjaValue input;
    switch (e->kind) {
    case EXPR_CONST:
        *out = e->value;
        return true;
    case EXPR_NAME:
        return eval_name(run, e, out);
    case EXPR_LIST:
    case EXPR_TUPLE:
        return eval_list(run, e, out);
    case EXPR_DICT:
        return eval_dict(run, e, out);
    case EXPR_ATTRIBUTE:
    case EXPR_ITEM:
        return eval_access(run, e, out);
    case EXPR_SLICE:
        return eval_slice(run, e, out);
    case EXPR_CALL:
        return eval_call(run, e, out);
    case EXPR_FILTER:
    case EXPR_TEST:
        return jinja_eval(run, e->parts[0], &input) && eval_filter_or_test(run, e, input, out);
    case EXPR_NOT:
        if (!jinja_eval(run, e->parts[0], &input))
            return false;
        *out = jinja_bool(!jinja_truth(input));
        return true;
    case EXPR_NEGATE:
    case EXPR_PLUS:
        return eval_sign(run, e, out);
    case EXPR_BINARY:
        return eval_binary(run, e, out);
    case EXPR_CONCAT:
        return eval_concat(run, e, out);
    case EXPR_COMPARE:
        return eval_compare(run, e, out);
    case EXPR_AND:
    case EXPR_OR:
        return eval_logic(run, e, out);
    case EXPR_IF:
        return eval_if(run, e, out);
    }
    return false;
}

bool jinja_eval(JinjaRun *run, const JinjaExpr *e, JinjaValue *out)
{
    run->line = e->line;
    if (!jinja_spend(run, 1) || !jinja_enter(run))
        return false;
    bool ok = eval_kind(run, e, out);
    jinja_leave(run);
    return ok;
}
