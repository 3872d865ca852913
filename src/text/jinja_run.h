/* Evaluation: scopes, calls, loops, and the tables of filters, tests, methods and functions. */
#ifndef WEN_TEXT_JINJA_RUN_H
#define WEN_TEXT_JINJA_RUN_H

#include "text/jinja_text.h"
#include "text/jinja_tree.h"

typedef struct JinjaVariable JinjaVariable;
struct JinjaVariable {
    Str name;
    JinjaValue value;
    JinjaVariable *next;
};

struct JinjaScope {
    JinjaScope *parent;
    JinjaVariable *variables;
};

/* Evaluated arguments. */
struct JinjaArgs {
    JinjaValue *values;
    int n_values;
    Str *names;
    JinjaValue *named;
    int n_named;
};

/* What runs a filter, test, method or function. `self`: the filtered or tested value or the
 * method's object. `a`: the arguments in the order of `params`; a left-out one has has[i] false and
 * is undefined. `all` holds the same before binding, for those that take any arguments. */
typedef struct JinjaBuiltinCall {
    const JinjaBuiltin *builtin;
    JinjaValue self;
    const JinjaValue *a;
    const bool *has;
    const JinjaArgs *all;
} JinjaBuiltinCall;

typedef bool JinjaNative(JinjaRun *run, const JinjaBuiltinCall *call, JinjaValue *out);

enum { JINJA_PARAMS_MAX = 6 };

struct JinjaBuiltin {
    const char *name;
    JinjaNative *run;
    const char *params; /* "old new count?": ? marks what may be left out; "*": anything */
    int flavour;        /* tells apart names that share a function */
};

struct JinjaBound {
    const JinjaBuiltin *builtin;
    JinjaValue self;
};

struct JinjaMacro {
    const JinjaSignature *signature;
    JinjaScope *scope; /* where it was defined */
};

/* A running for loop. Items are filtered as they are needed, as Jinja does. */
struct JinjaLoop {
    const JinjaStatement *statement;
    JinjaScope *scope; /* around the loop */
    const JinjaList *source;
    JinjaValue *passed; /* those that passed the inline if */
    int n_passed, scanned, index;
    JinjaValue changed; /* what loop.changed saw last; a tuple */
    bool has_changed;
};

bool jinja_loop_reach(JinjaRun *run, JinjaLoop *loop, int index, bool *reached) MUST_USE;
bool jinja_loop_attribute(JinjaRun *run, JinjaLoop *loop, Str name, JinjaValue *out) MUST_USE;

bool jinja_eval(JinjaRun *run, const JinjaExpr *e, JinjaValue *out) MUST_USE;
typedef enum JinjaFlow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE } JinjaFlow;
bool jinja_exec(JinjaRun *run, const JinjaBody *body, JinjaFlow *flow) MUST_USE;
/* Evaluates a filter chain whose innermost input is `input`. */
bool jinja_eval_chain(JinjaRun *run, const JinjaExpr *e, JinjaValue input,
                      JinjaValue *out) MUST_USE;
/* a op b; `op` as in JinjaExpr. */
bool jinja_binary(JinjaRun *run, char op, JinjaValue a, JinjaValue b, JinjaValue *out) MUST_USE;
/* One comparison; `op` is a JinjaCompare. */
bool jinja_compare(JinjaRun *run, int op, JinjaValue a, JinjaValue b, bool *holds) MUST_USE;
bool jinja_eval_args(JinjaRun *run, const JinjaCall *call, JinjaArgs *args) MUST_USE;

bool jinja_call_value(JinjaRun *run, JinjaValue callee, const JinjaArgs *args,
                      JinjaValue *out) MUST_USE;
bool jinja_call_macro(JinjaRun *run, const JinjaMacro *macro, const JinjaArgs *args,
                      JinjaValue *out) MUST_USE;
/* Puts the arguments of a macro, or their defaults, into its scope. */
bool jinja_bind_macro(JinjaRun *run, const JinjaSignature *sig, const JinjaArgs *args,
                      JinjaScope *scope) MUST_USE;
bool jinja_call_builtin(JinjaRun *run, const JinjaBuiltin *builtin, JinjaValue self,
                        const JinjaArgs *args, JinjaValue *out) MUST_USE;

bool jinja_scope_set(JinjaRun *run, JinjaScope *scope, Str name, JinjaValue value) MUST_USE;
const JinjaValue *jinja_scope_find(const JinjaScope *scope, Str name);
bool jinja_assign(JinjaRun *run, JinjaScope *scope, const JinjaTarget *target,
                  JinjaValue value) MUST_USE;

/* NULL: there is none of that name. */
const JinjaBuiltin *jinja_filter(Str name);
const JinjaBuiltin *jinja_test(Str name);
const JinjaBuiltin *jinja_function(Str name);
const JinjaBuiltin *jinja_method(JinjaKind kind, Str name);
const JinjaBuiltin *jinja_builtin_find(const JinjaBuiltin *table, size_t n, Str name);

/* Argument readers: `i` as in JinjaBuiltinCall.a; they fail with the builtin's name. */
bool jinja_arg_text(JinjaRun *run, const JinjaBuiltinCall *c, int i, const JinjaText **t) MUST_USE;
bool jinja_arg_int(JinjaRun *run, const JinjaBuiltinCall *c, int i, int64_t default_value,
                   int64_t *value) MUST_USE;
static inline bool jinja_arg_bool(const JinjaBuiltinCall *c, int i)
{
    return c->has[i] && jinja_truth(c->a[i]);
}
/* The self value as str() gives it (filters on strings take anything). */
bool jinja_self_text(JinjaRun *run, const JinjaBuiltinCall *c, const JinjaText **t) MUST_USE;

#endif
