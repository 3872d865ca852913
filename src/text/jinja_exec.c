/* Statements -> output, and the scopes and loops that they make. Entry point: jinja_exec.
 *
 * A scope is opened by each iteration of a loop, by macros, with, and captured blocks; an if has
 * none. Scopes live in the run's arena, so a macro can keep the one that it was defined in. */
#include "text/jinja_run.h"

const JinjaValue *jinja_scope_find(const JinjaScope *scope, Str name)
{
    for (; scope; scope = scope->parent)
        for (const JinjaVariable *v = scope->variables; v; v = v->next)
            if (str_equal(v->name, name))
                return &v->value;
    return NULL;
}

bool jinja_scope_set(JinjaRun *run, JinjaScope *scope, Str name, JinjaValue value)
{
    for (JinjaVariable *v = scope->variables; v; v = v->next) {
        if (str_equal(v->name, name)) {
            v->value = value;
            return true;
        }
    }
    JinjaVariable *v = jinja_alloc(run, sizeof *v);
    if (!v)
        return false;
    *v = (JinjaVariable){name, value, scope->variables};
    scope->variables = v;
    return true;
}

static bool assign_attribute(JinjaRun *run, const JinjaTarget *target, JinjaValue value)
{
    const JinjaValue *object = jinja_scope_find(run->scope, target->name);
    if (!object || object->kind != JINJA_NAMESPACE)
        return jinja_fail(run, "'%.*s' is not a namespace: its attributes cannot be set",
                          target->name.bytes < 80 ? (int)target->name.bytes : 80,
                          target->name.data);
    JinjaText *key = jinja_alloc(run, sizeof *key);
    if (!key)
        return false;
    key->s = target->attribute;
    return jinja_dict_set(run, object->dict, jinja_string(key), value);
}

bool jinja_assign(JinjaRun *run, JinjaScope *scope, const JinjaTarget *target, JinjaValue value)
{
    if (target->attribute.bytes > 0)
        return assign_attribute(run, target, value);
    if (target->n_parts == 0)
        return jinja_scope_set(run, scope, target->name, value);
    const JinjaList *items;
    if (value.kind == JINJA_UNDEFINED)
        return jinja_fail(run, "%s", value.why);
    if (!jinja_iterate(run, value, &items))
        return false;
    if (items->n != target->n_parts)
        return jinja_fail(run, "%d values cannot be unpacked into %d names", items->n,
                          target->n_parts);
    for (int i = 0; i < items->n; i++)
        if (!jinja_assign(run, scope, &target->parts[i], items->items[i]))
            return false;
    return true;
}

static JinjaScope *scope_new(JinjaRun *run, JinjaScope *parent)
{
    JinjaScope *scope = jinja_alloc(run, sizeof *scope);
    if (scope)
        scope->parent = parent;
    return scope;
}

/* Runs a body in a new scope, its output going to `out`. */
static bool exec_inner(JinjaRun *run, const JinjaBody *body, JinjaScope *scope, JinjaBuilder *out,
                       JinjaFlow *flow)
{
    JinjaScope *outer = run->scope;
    JinjaBuilder *outer_out = run->out;
    if (!scope)
        return false;
    run->scope = scope;
    run->out = out;
    bool ok = jinja_exec(run, body, flow);
    run->scope = outer;
    run->out = outer_out;
    return ok;
}

static bool capture(JinjaRun *run, const JinjaBody *body, JinjaScope *scope, JinjaValue *text)
{
    JinjaBuilder b = {.run = run};
    JinjaFlow flow = FLOW_NEXT;
    return exec_inner(run, body, scope, &b, &flow) && jinja_built_value(&b, text);
}

static bool exec_if(JinjaRun *run, const JinjaStatement *s, JinjaFlow *flow)
{
    for (int i = 0; i < s->n_values; i++) {
        JinjaValue condition;
        if (!jinja_eval(run, s->values[i], &condition))
            return false;
        if (jinja_truth(condition))
            return jinja_exec(run, &s->bodies[i], flow);
    }
    return jinja_exec(run, &s->otherwise, flow);
}

/* Makes passed[index] known if there is such an item. */
bool jinja_loop_reach(JinjaRun *run, JinjaLoop *loop, int index, bool *reached)
{
    const JinjaStatement *s = loop->statement;
    JinjaScope *outer = run->scope;
    while (loop->n_passed <= index && loop->scanned < loop->source->n) {
        JinjaValue item = loop->source->items[loop->scanned++], passes = jinja_bool(true);
        if (s->condition) {
            JinjaScope *scope = scope_new(run, loop->scope);
            if (!scope || !jinja_assign(run, scope, s->targets, item))
                return false;
            run->scope = scope;
            bool ok = jinja_eval(run, s->condition, &passes);
            run->scope = outer;
            if (!ok)
                return false;
        }
        if (jinja_truth(passes))
            loop->passed[loop->n_passed++] = item;
    }
    *reached = index < loop->n_passed;
    return true;
}

static bool exec_for(JinjaRun *run, const JinjaStatement *s, JinjaFlow *flow)
{
    JinjaValue iterable;
    JinjaLoop *loop = jinja_alloc(run, sizeof *loop);
    if (!loop || !jinja_eval(run, s->expr, &iterable))
        return false;
    *loop = (JinjaLoop){.statement = s, .scope = run->scope};
    if (!jinja_iterate(run, iterable, &loop->source))
        return false;
    loop->passed = jinja_alloc(run, sizeof *loop->passed * (size_t)loop->source->n);
    if (!loop->passed)
        return false;
    for (;; loop->index++) {
        bool reached;
        if (!jinja_loop_reach(run, loop, loop->index, &reached))
            return false;
        if (!reached)
            break;
        JinjaScope *scope = scope_new(run, run->scope);
        JinjaValue self = {.kind = JINJA_LOOP, .loop = loop};
        JinjaFlow inner = FLOW_NEXT;
        run->line = s->line;
        if (!scope || !jinja_assign(run, scope, s->targets, loop->passed[loop->index]) ||
            !jinja_scope_set(run, scope, STR("loop"), self) ||
            !exec_inner(run, &s->body, scope, run->out, &inner))
            return false;
        if (inner == FLOW_BREAK)
            break;
    }
    return loop->n_passed > 0 || jinja_exec(run, &s->otherwise, flow);
}

static bool loop_length(JinjaRun *run, JinjaLoop *loop, int *n)
{
    bool reached;
    if (!jinja_loop_reach(run, loop, loop->source->n, &reached))
        return false;
    *n = loop->n_passed;
    return true;
}

static bool loop_neighbour(JinjaRun *run, JinjaLoop *loop, int index, JinjaValue *out)
{
    bool reached = false;
    if (index >= 0 && !jinja_loop_reach(run, loop, index, &reached))
        return false;
    *out = reached
               ? loop->passed[index]
               : jinja_undefined(index < 0 ? "there is no previous item" : "there is no next item");
    return true;
}

bool jinja_loop_attribute(JinjaRun *run, JinjaLoop *loop, Str name, JinjaValue *out)
{
    int n, i = loop->index;
    bool reached;
    if (str_equals(name, "index"))
        *out = jinja_int(i + 1);
    else if (str_equals(name, "index0"))
        *out = jinja_int(i);
    else if (str_equals(name, "first"))
        *out = jinja_bool(i == 0);
    else if (str_equals(name, "depth"))
        *out = jinja_int(1);
    else if (str_equals(name, "depth0"))
        *out = jinja_int(0);
    else if (str_equals(name, "previtem"))
        return loop_neighbour(run, loop, i - 1, out);
    else if (str_equals(name, "nextitem"))
        return loop_neighbour(run, loop, i + 1, out);
    else if (str_equals(name, "last")) {
        if (!jinja_loop_reach(run, loop, i + 1, &reached))
            return false;
        *out = jinja_bool(!reached);
    } else if (str_equals(name, "length") || str_equals(name, "revindex") ||
               str_equals(name, "revindex0")) {
        if (!loop_length(run, loop, &n))
            return false;
        *out = jinja_int(str_equals(name, "length")     ? n
                         : str_equals(name, "revindex") ? n - i
                                                        : n - i - 1);
    } else {
        JinjaValue self = {.kind = JINJA_LOOP, .loop = loop};
        const JinjaBuiltin *method = jinja_method(JINJA_LOOP, name);
        JinjaBound *bound = method ? jinja_alloc(run, sizeof *bound) : NULL;
        if (method && !bound)
            return false;
        *out = jinja_undefined("loop has no such attribute");
        if (bound) {
            *bound = (JinjaBound){method, self};
            *out = (JinjaValue){.kind = JINJA_BUILTIN, .bound = bound};
        }
    }
    return true;
}

static bool exec_set(JinjaRun *run, const JinjaStatement *s)
{
    JinjaValue value;
    if (s->kind == STATEMENT_SET) {
        if (!jinja_eval(run, s->expr, &value))
            return false;
    } else if (!capture(run, &s->body, scope_new(run, run->scope), &value) ||
               (s->expr && !jinja_eval_chain(run, s->expr, value, &value))) {
        return false;
    }
    run->line = s->line;
    return jinja_assign(run, run->scope, s->targets, value);
}

static bool make_macro(JinjaRun *run, const JinjaStatement *s, JinjaValue *out)
{
    JinjaMacro *macro = jinja_alloc(run, sizeof *macro);
    if (!macro)
        return false;
    *macro = (JinjaMacro){s->signature, run->scope};
    *out = (JinjaValue){.kind = JINJA_MACRO, .macro = macro};
    return true;
}

static bool exec_macro(JinjaRun *run, const JinjaStatement *s)
{
    JinjaValue macro;
    return make_macro(run, s, &macro) &&
           jinja_scope_set(run, run->scope, s->signature->name, macro);
}

/* {% call f(x) %}: f gets the block as the macro `caller`. */
static bool exec_call(JinjaRun *run, const JinjaStatement *s)
{
    JinjaValue callee, caller, result;
    JinjaArgs args;
    const JinjaExpr *call = s->expr;
    if (!jinja_eval(run, call->parts[0], &callee) || !jinja_eval_args(run, call->call, &args) ||
        !make_macro(run, s, &caller))
        return false;
    JinjaArgs with = args;
    with.n_named = args.n_named + 1;
    with.names = jinja_alloc(run, sizeof *with.names * (size_t)with.n_named);
    with.named = jinja_alloc(run, sizeof *with.named * (size_t)with.n_named);
    if (!with.names || !with.named)
        return false;
    for (int i = 0; i < args.n_named; i++) {
        with.names[i] = args.names[i];
        with.named[i] = args.named[i];
    }
    with.names[args.n_named] = STR("caller");
    with.named[args.n_named] = caller;
    run->line = s->line;
    return jinja_call_value(run, callee, &with, &result) &&
           jinja_write(run, run->out, result, false);
}

static bool exec_filter(JinjaRun *run, const JinjaStatement *s)
{
    JinjaValue text, result;
    return capture(run, &s->body, scope_new(run, run->scope), &text) &&
           jinja_eval_chain(run, s->expr, text, &result) &&
           jinja_write(run, run->out, result, false);
}

static bool exec_with(JinjaRun *run, const JinjaStatement *s, JinjaFlow *flow)
{
    JinjaScope *scope = scope_new(run, run->scope);
    for (int i = 0; i < s->n_values && scope; i++) {
        JinjaValue value;
        if (!jinja_eval(run, s->values[i], &value) ||
            !jinja_assign(run, scope, &s->targets[i], value))
            return false;
    }
    return exec_inner(run, &s->body, scope, run->out, flow);
}

static bool exec_statement(JinjaRun *run, const JinjaStatement *s, JinjaFlow *flow)
{
    JinjaValue v;
    run->line = s->line;
    switch (s->kind) {
    case STATEMENT_TEXT:
        jinja_add(run->out, s->text);
        return !run->out->failed;
    case STATEMENT_PRINT:
        return jinja_eval(run, s->expr, &v) && jinja_write(run, run->out, v, false);
    case STATEMENT_IF:
        return exec_if(run, s, flow);
    case STATEMENT_FOR:
        return exec_for(run, s, flow);
    case STATEMENT_SET:
    case STATEMENT_SET_BLOCK:
        return exec_set(run, s);
    case STATEMENT_MACRO:
        return exec_macro(run, s);
    case STATEMENT_CALL:
        return exec_call(run, s);
    case STATEMENT_FILTER:
        return exec_filter(run, s);
    case STATEMENT_WITH:
        return exec_with(run, s, flow);
    case STATEMENT_SCOPE:
        return exec_inner(run, &s->body, scope_new(run, run->scope), run->out, flow);
    case STATEMENT_BREAK:
        *flow = FLOW_BREAK;
        return true;
    case STATEMENT_CONTINUE:
        *flow = FLOW_CONTINUE;
        return true;
    }
    return false;
}

bool jinja_exec(JinjaRun *run, const JinjaBody *body, JinjaFlow *flow)
{
    if (!jinja_enter(run))
        return false;
    bool ok = true;
    for (int i = 0; i < body->n && ok && *flow == FLOW_NEXT; i++)
        ok = jinja_spend(run, 1) && exec_statement(run, body->items[i], flow);
    jinja_leave(run);
    return ok;
}

bool jinja_call_macro(JinjaRun *run, const JinjaMacro *macro, const JinjaArgs *args,
                      JinjaValue *out)
{
    const JinjaSignature *sig = macro->signature;
    JinjaScope *scope = scope_new(run, macro->scope);
    return scope && jinja_bind_macro(run, sig, args, scope) && capture(run, &sig->body, scope, out);
}
