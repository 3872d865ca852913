/* The tests of `x is NAME`. */
#include "text/jinja_run.h"

#include <string.h>

static bool test_kind(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    (void)run;
    JinjaValue v = c->self;
    const char *name = c->builtin->name;
    bool holds = false;
    if (strcmp(name, "defined") == 0)
        holds = v.kind != JINJA_UNDEFINED;
    else if (strcmp(name, "boolean") == 0)
        holds = v.kind == JINJA_BOOL;
    else if (strcmp(name, "true") == 0)
        holds = v.kind == JINJA_BOOL && v.boolean;
    else if (strcmp(name, "false") == 0)
        holds = v.kind == JINJA_BOOL && !v.boolean;
    else if (strcmp(name, "number") == 0)
        holds = jinja_is_number(v);
    else if (strcmp(name, "iterable") == 0)
        holds = jinja_is_iterable(v);
    else if (strcmp(name, "sequence") == 0)
        holds = jinja_is_iterable(v);
    else if (strcmp(name, "callable") == 0)
        holds = v.kind == JINJA_MACRO || v.kind == JINJA_BUILTIN || v.kind == JINJA_UNDEFINED;
    else
        holds = (int)v.kind == c->builtin->flavour;
    *out = jinja_bool(holds);
    return true;
}

static bool test_remainder(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    JinjaValue divisor = c->has[0] ? c->a[0] : jinja_int(2), rest;
    if (c->self.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", c->self.why);
    if (!jinja_is_number(c->self) || !jinja_is_number(divisor))
        return jinja_fail(run, "%s: needs numbers, not %s", c->builtin->name,
                          jinja_type_name(c->self));
    if (!jinja_arithmetic(run, '%', c->self, divisor, &rest))
        return false;
    *out = jinja_bool(jinja_as_double(rest) == c->builtin->flavour);
    return true;
}

static bool test_compare(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    bool holds;
    if (!jinja_compare(run, c->builtin->flavour, c->self, c->a[0], &holds))
        return false;
    *out = jinja_bool(holds);
    return true;
}

static bool test_case(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    const JinjaText *t;
    if (!jinja_self_text(run, c, &t))
        return false;
    *out = jinja_bool(jinja_text_is_case(t, c->builtin->flavour == CASE_UPPER));
    return jinja_spend(run, t->s.bytes / 64);
}

/* Identity: for what is immutable it is equality within a type. */
static bool test_same(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    bool same = c->self.kind == c->a[0].kind;
    if (same && (jinja_is_array(c->self) || c->self.kind == JINJA_DICT))
        same = (const void *)c->self.list == (const void *)c->a[0].list;
    else if (same && !jinja_equal(run, c->self, c->a[0], &same))
        return false;
    *out = jinja_bool(same);
    return true;
}

static bool test_exists(JinjaRun *run, const JinjaBuiltinCall *c, JinjaValue *out)
{
    (void)run;
    bool is_text = c->self.kind == JINJA_STRING;
    Str name = is_text ? c->self.text->s : STR("");
    bool is_filter = strcmp(c->builtin->name, "filter") == 0;
    *out = jinja_bool(is_text && (is_filter ? jinja_filter(name) : jinja_test(name)) != NULL);
    return true;
}

const JinjaBuiltin *jinja_test(Str name)
{
    static const JinjaBuiltin table[] = {
        {"defined", test_kind, "", 0},
        {"undefined", test_kind, "", JINJA_UNDEFINED},
        {"none", test_kind, "", JINJA_NONE},
        {"boolean", test_kind, "", 0},
        {"true", test_kind, "", 0},
        {"false", test_kind, "", 0},
        {"integer", test_kind, "", JINJA_INT},
        {"float", test_kind, "", JINJA_FLOAT},
        {"number", test_kind, "", 0},
        {"string", test_kind, "", JINJA_STRING},
        {"mapping", test_kind, "", JINJA_DICT},
        {"iterable", test_kind, "", 0},
        {"sequence", test_kind, "", 0},
        {"callable", test_kind, "", 0},
        {"odd", test_remainder, "", 1},
        {"even", test_remainder, "", 0},
        {"divisibleby", test_remainder, "num", 0},
        {"eq", test_compare, "other", CMP_EQ},
        {"equalto", test_compare, "other", CMP_EQ},
        {"==", test_compare, "other", CMP_EQ},
        {"ne", test_compare, "other", CMP_NE},
        {"!=", test_compare, "other", CMP_NE},
        {"lt", test_compare, "other", CMP_LT},
        {"lessthan", test_compare, "other", CMP_LT},
        {"<", test_compare, "other", CMP_LT},
        {"le", test_compare, "other", CMP_LE},
        {"<=", test_compare, "other", CMP_LE},
        {"gt", test_compare, "other", CMP_GT},
        {"greaterthan", test_compare, "other", CMP_GT},
        {">", test_compare, "other", CMP_GT},
        {"ge", test_compare, "other", CMP_GE},
        {">=", test_compare, "other", CMP_GE},
        {"in", test_compare, "seq", CMP_IN},
        {"sameas", test_same, "other", 0},
        {"lower", test_case, "", CASE_LOWER},
        {"upper", test_case, "", CASE_UPPER},
        {"filter", test_exists, "", 0},
        {"test", test_exists, "", 0},
    };
    return jinja_builtin_find(table, sizeof table / sizeof *table, name);
}
