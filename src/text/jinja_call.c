/* Calling things: macros with their defaults, builtins with their parameter lists. */
#include "text/jinja_run.h"

#include <string.h>

const JinjaBuiltin *jinja_builtin_find(const JinjaBuiltin *table, size_t n, Str name)
{
    for (size_t i = 0; i < n; i++)
        if (str_equals(name, table[i].name))
            return &table[i];
    return NULL;
}

bool jinja_call_value(JinjaRun *run, JinjaValue callee, const JinjaArgs *args, JinjaValue *out)
{
    if (!jinja_enter(run))
        return false;
    bool ok;
    if (callee.kind == JINJA_MACRO)
        ok = jinja_call_macro(run, callee.macro, args, out);
    else if (callee.kind == JINJA_BUILTIN)
        ok = jinja_call_builtin(run, callee.bound->builtin, callee.bound->self, args, out);
    else if (callee.kind == JINJA_UNDEFINED)
        ok = jinja_fail(run, "%s", callee.why);
    else
        ok = jinja_fail(run, "%s cannot be called", jinja_type_name(callee));
    jinja_leave(run);
    return ok;
}

/* The place of a parameter's name in "old new count?", or -1. */
static int param_index(const char *params, Str name)
{
    int i = 0;
    for (const char *p = params; *p; i++) {
        size_t n = strcspn(p, " ?");
        if (str_equal((Str){p, n}, name))
            return i;
        p += n;
        p += strspn(p, " ?");
    }
    return -1;
}

/* Checks that all parameters that must be there are; also counts them. */
static bool check_params(JinjaRun *run, const JinjaBuiltin *builtin, const bool *has, int *n_params)
{
    int i = 0;
    for (const char *p = builtin->params; *p; i++) {
        size_t n = strcspn(p, " ?");
        if (p[n] != '?' && !has[i])
            return jinja_fail(run, "%s: argument '%.*s' is missing", builtin->name, (int)n, p);
        p += n;
        p += strspn(p, " ?");
    }
    *n_params = i;
    return true;
}

static bool bind_and_run(JinjaRun *run, const JinjaBuiltin *builtin, JinjaValue self,
                         const JinjaArgs *args, JinjaValue *out)
{
    JinjaValue a[JINJA_PARAMS_MAX];
    bool has[JINJA_PARAMS_MAX] = {0};
    JinjaBuiltinCall call = {.builtin = builtin, .self = self, .a = a, .has = has, .all = args};
    if (strcmp(builtin->params, "*") == 0)
        return builtin->run(run, &call, out);
    for (int i = 0; i < JINJA_PARAMS_MAX; i++)
        a[i] = jinja_undefined("an argument was left out");
    for (int i = 0; i < args->n_values && i < JINJA_PARAMS_MAX; i++) {
        a[i] = args->values[i];
        has[i] = true;
    }
    for (int i = 0; i < args->n_named; i++) {
        Str name = args->names[i];
        int index = param_index(builtin->params, name);
        int shown = name.bytes < 80 ? (int)name.bytes : 80;
        if (index < 0)
            return jinja_fail(run, "%s: there is no argument '%.*s'", builtin->name, shown,
                              name.data);
        if (has[index])
            return jinja_fail(run, "%s: argument '%.*s' is given twice", builtin->name, shown,
                              name.data);
        a[index] = args->named[i];
        has[index] = true;
    }
    int n_params = 0;
    if (!check_params(run, builtin, has, &n_params))
        return false;
    if (args->n_values > n_params)
        return jinja_fail(run, "%s: %d arguments, at most %d", builtin->name, args->n_values,
                          n_params);
    return builtin->run(run, &call, out);
}

bool jinja_call_builtin(JinjaRun *run, const JinjaBuiltin *builtin, JinjaValue self,
                        const JinjaArgs *args, JinjaValue *out)
{
    if (!jinja_enter(run))
        return false;
    bool ok = bind_and_run(run, builtin, self, args, out);
    jinja_leave(run);
    return ok;
}

bool jinja_arg_text(JinjaRun *run, const JinjaBuiltinCall *c, int i, const JinjaText **t)
{
    if (c->a[i].kind != JINJA_STRING)
        return jinja_fail(run, "%s: argument %d must be a str, not %s", c->builtin->name, i + 1,
                          jinja_type_name(c->a[i]));
    *t = c->a[i].text;
    return true;
}

bool jinja_arg_int(JinjaRun *run, const JinjaBuiltinCall *c, int i, int64_t default_value,
                   int64_t *value)
{
    *value = default_value;
    if (!c->has[i])
        return true;
    if (!jinja_is_int(c->a[i]))
        return jinja_fail(run, "%s: argument %d must be an int, not %s", c->builtin->name, i + 1,
                          jinja_type_name(c->a[i]));
    *value = jinja_as_int(c->a[i]);
    return true;
}

bool jinja_self_text(JinjaRun *run, const JinjaBuiltinCall *c, const JinjaText **t)
{
    return jinja_str(run, c->self, t);
}

/* The value for parameter `i` from the arguments, NULL when it is not among them. */
static const JinjaValue *macro_argument(const JinjaSignature *sig, const JinjaArgs *args, int i)
{
    if (i < args->n_values)
        return &args->values[i];
    for (int k = 0; k < args->n_named; k++)
        if (str_equal(args->names[k], sig->params[i].name))
            return &args->named[k];
    return NULL;
}

static bool is_param(const JinjaSignature *sig, Str name, int from)
{
    for (int i = from; i < sig->n_params; i++)
        if (str_equal(sig->params[i].name, name))
            return true;
    return false;
}

static bool bind_varargs(JinjaRun *run, const JinjaSignature *sig, const JinjaArgs *args,
                         JinjaScope *scope)
{
    int n_more = args->n_values > sig->n_params ? args->n_values - sig->n_params : 0;
    if (!sig->takes_varargs) {
        return n_more == 0 || jinja_fail(run, "macro '%.*s' takes at most %d arguments",
                                         STR_ARG(sig->name), sig->n_params);
    }
    JinjaList *rest = jinja_list_new(run, (size_t)n_more);
    if (!rest)
        return false;
    for (int i = 0; i < n_more; i++)
        rest->items[i] = args->values[sig->n_params + i];
    JinjaValue tuple = {.kind = JINJA_TUPLE, .list = rest};
    return jinja_scope_set(run, scope, STR("varargs"), tuple);
}

/* Named arguments that are no parameters: the caller, or members of kwargs. */
static bool bind_kwargs(JinjaRun *run, const JinjaSignature *sig, const JinjaArgs *args,
                        JinjaScope *scope)
{
    JinjaDict *rest = jinja_dict_new(run);
    JinjaValue caller = jinja_undefined("no caller is defined");
    if (!rest)
        return false;
    for (int i = 0; i < args->n_named; i++) {
        Str name = args->names[i];
        int n_positional = args->n_values < sig->n_params ? args->n_values : sig->n_params;
        if (is_param(sig, name, n_positional))
            continue;
        if (sig->takes_caller && str_equals(name, "caller")) {
            caller = args->named[i];
            continue;
        }
        if (!sig->takes_kwargs)
            return jinja_fail(run, "macro '%.*s' takes no argument '%.*s'", STR_ARG(sig->name),
                              name.bytes < 80 ? (int)name.bytes : 80, name.data);
        JinjaText *key = jinja_alloc(run, sizeof *key);
        if (!key)
            return false;
        key->s = name;
        if (!jinja_dict_set(run, rest, jinja_string(key), args->named[i]))
            return false;
    }
    JinjaValue dict = {.kind = JINJA_DICT, .dict = rest};
    return (!sig->takes_caller || jinja_scope_set(run, scope, STR("caller"), caller)) &&
           (!sig->takes_kwargs || jinja_scope_set(run, scope, STR("kwargs"), dict));
}

bool jinja_bind_macro(JinjaRun *run, const JinjaSignature *sig, const JinjaArgs *args,
                      JinjaScope *scope)
{
    JinjaScope *outer = run->scope;
    if (!bind_varargs(run, sig, args, scope) || !bind_kwargs(run, sig, args, scope))
        return false;
    for (int i = 0; i < sig->n_params; i++) {
        const JinjaValue *given = macro_argument(sig, args, i);
        JinjaValue value;
        if (given) {
            value = *given;
        } else if (sig->defaults[i]) {
            run->scope = scope; /* a default may use the parameters before it */
            bool ok = jinja_eval(run, sig->defaults[i], &value);
            run->scope = outer;
            if (!ok)
                return false;
        } else {
            Str name = sig->params[i].name;
            value = jinja_undefined(
                jinja_format(run, "parameter '%.*s' was not provided", STR_ARG(name)));
            if (!value.why)
                return false;
        }
        if (!jinja_scope_set(run, scope, sig->params[i].name, value))
            return false;
    }
    return true;
}
