/* Tokens -> expressions, by Jinja's grammar: the order of precedence, weakest first, is inline if,
 * or, and, not, comparison, + -, ~, * / // %, **, sign, then postfix, filters and tests. */
#include "text/jinja_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static JinjaExpr *parse_unary(JinjaParser *p, bool with_filter);

bool jinja_syntax(JinjaParser *p, const char *format, ...)
{
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(p->err, ERROR_FORMAT, "template line %d: %s", p->at->line, what);
}

/* How a token is named in a message. */
static void describe(const JinjaToken *t, char *out, size_t bytes)
{
    static const char *const names[] = {
        [TOKEN_END] = "the end of the template",
        [TOKEN_DATA] = "text",
        [TOKEN_PRINT_BEGIN] = "{{",
        [TOKEN_PRINT_END] = "}}",
        [TOKEN_BLOCK_BEGIN] = "{%",
        [TOKEN_BLOCK_END] = "%}",
    };
    if (t->kind < TOKEN_NAME)
        snprintf(out, bytes, "%s", names[t->kind]);
    else
        snprintf(out, bytes, "'%.*s'", t->text.bytes < 40 ? (int)t->text.bytes : 40, t->text.data);
}

bool jinja_at_name(const JinjaParser *p, const char *name)
{
    return p->at->kind == TOKEN_NAME && str_equals(p->at->text, name);
}

bool jinja_at_operator(const JinjaParser *p, const char *op)
{
    return p->at->kind == TOKEN_OPERATOR && str_equals(p->at->text, op);
}

bool jinja_skip_name(JinjaParser *p, const char *name)
{
    bool hit = jinja_at_name(p, name);
    p->at += hit;
    return hit;
}

bool jinja_skip_operator(JinjaParser *p, const char *op)
{
    bool hit = jinja_at_operator(p, op);
    p->at += hit;
    return hit;
}

bool jinja_expect_operator(JinjaParser *p, const char *op)
{
    if (jinja_skip_operator(p, op))
        return true;
    char got[64];
    describe(p->at, got, sizeof got);
    return jinja_syntax(p, "expected '%s', got %s", op, got);
}

bool jinja_expect_kind(JinjaParser *p, JinjaTokenKind kind, const char *what)
{
    if (p->at->kind != kind) {
        char got[64];
        describe(p->at, got, sizeof got);
        return jinja_syntax(p, "expected %s, got %s", what, got);
    }
    p->at++;
    return true;
}

void *jinja_grow(Arena *arena, void *array, int n, size_t item_bytes)
{
    if (n & (n - 1))
        return array;
    void *grown = arena_alloc(arena, (size_t)(n ? n * 2 : 1) * item_bytes);
    if (n)
        memcpy(grown, array, (size_t)n * item_bytes);
    return grown;
}

static bool nest(JinjaParser *p)
{
    if (p->nesting >= JINJA_NESTING_MAX)
        return jinja_syntax(p, "nested more than %d deep", JINJA_NESTING_MAX);
    p->nesting++;
    return true;
}

static JinjaExpr *expr_new(JinjaParser *p, JinjaExprKind kind)
{
    JinjaExpr *e = ARENA_NEW(p->arena, JinjaExpr);
    e->kind = kind;
    e->line = p->at->line;
    e->depth = 1;
    return e;
}

/* Adds an operand; the depth of the tree stays bounded, so that evaluating it may recurse. */
static bool add_part(JinjaParser *p, JinjaExpr *e, JinjaExpr *part)
{
    e->parts = jinja_grow(p->arena, e->parts, e->n_parts, sizeof *e->parts);
    e->parts[e->n_parts++] = part;
    if (part && part->depth >= e->depth)
        e->depth = part->depth + 1;
    if (e->depth > 2 * JINJA_NESTING_MAX)
        return jinja_syntax(p, "an expression is too deep");
    return true;
}

static JinjaExpr *expr_with(JinjaParser *p, JinjaExprKind kind, JinjaExpr *first, JinjaExpr *second)
{
    JinjaExpr *e = expr_new(p, kind);
    e->line = first ? first->line : e->line;
    if (!add_part(p, e, first) || (second && !add_part(p, e, second)))
        return NULL;
    return e;
}

static void remember_name(JinjaParser *p, Str name)
{
    JinjaTemplate *t = p->template_;
    t->names = jinja_grow(p->arena, t->names, t->n_names, sizeof *t->names);
    t->names[t->n_names++] = name;
}

static JinjaExpr *parse_name(JinjaParser *p)
{
    static const struct {
        const char *word;
        JinjaValue value;
    } words[] = {
        {"true", {.kind = JINJA_BOOL, .boolean = true}},
        {"True", {.kind = JINJA_BOOL, .boolean = true}},
        {"false", {.kind = JINJA_BOOL, .boolean = false}},
        {"False", {.kind = JINJA_BOOL, .boolean = false}},
        {"none", {.kind = JINJA_NONE}},
        {"None", {.kind = JINJA_NONE}},
    };
    JinjaExpr *e = expr_new(p, EXPR_NAME);
    e->name = p->at->text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (str_equals(e->name, words[i].word)) {
            e->kind = EXPR_CONST;
            e->value = words[i].value;
        }
    }
    if (e->kind == EXPR_NAME)
        remember_name(p, e->name);
    p->at++;
    return e;
}

static JinjaExpr *parse_literal(JinjaParser *p)
{
    JinjaExpr *e = expr_new(p, EXPR_CONST);
    const JinjaToken *t = p->at++;
    if (t->kind == TOKEN_INT) {
        e->value = jinja_int(t->integer);
    } else if (t->kind == TOKEN_FLOAT) {
        e->value = jinja_float(t->number);
    } else {
        Str s = t->text;
        while (p->at->kind == TOKEN_STRING) { /* 'a' 'b' is 'ab' */
            Str more = (p->at++)->text;
            char *joined = arena_alloc(p->arena, s.bytes + more.bytes + 1);
            memcpy(joined, s.data, s.bytes);
            memcpy(joined + s.bytes, more.data, more.bytes);
            s = (Str){joined, s.bytes + more.bytes};
        }
        JinjaText *text = ARENA_NEW(p->arena, JinjaText);
        text->s = s;
        e->value = jinja_string(text);
    }
    return e;
}

/* [a, b] or {k: v}: the items up to the closing bracket. */
static JinjaExpr *parse_collection(JinjaParser *p, JinjaExprKind kind, const char *end)
{
    JinjaExpr *e = expr_new(p, kind);
    p->at++;
    while (!jinja_at_operator(p, end)) {
        if (e->n_parts > 0 && !jinja_expect_operator(p, ","))
            return NULL;
        if (jinja_at_operator(p, end))
            break;
        JinjaExpr *item = jinja_parse_expression(p);
        if (!item || !add_part(p, e, item))
            return NULL;
        if (kind != EXPR_DICT)
            continue;
        if (!jinja_expect_operator(p, ":"))
            return NULL;
        item = jinja_parse_expression(p);
        if (!item || !add_part(p, e, item))
            return NULL;
    }
    p->at++;
    return e;
}

static JinjaExpr *parse_primary(JinjaParser *p)
{
    switch (p->at->kind) {
    case TOKEN_NAME:
        return parse_name(p);
    case TOKEN_STRING:
    case TOKEN_INT:
    case TOKEN_FLOAT:
        return parse_literal(p);
    default:
        break;
    }
    if (jinja_at_operator(p, "["))
        return parse_collection(p, EXPR_LIST, "]");
    if (jinja_at_operator(p, "{"))
        return parse_collection(p, EXPR_DICT, "}");
    if (jinja_skip_operator(p, "(")) {
        if (jinja_at_operator(p, ")")) {
            JinjaExpr *empty = expr_new(p, EXPR_TUPLE);
            p->at++;
            return empty;
        }
        JinjaExpr *e = jinja_parse_tuple(p, true, NULL);
        return e && jinja_expect_operator(p, ")") ? e : NULL;
    }
    char got[64];
    describe(p->at, got, sizeof got);
    jinja_syntax(p, "expected an expression, got %s", got);
    return NULL;
}

/* One argument: positional, name=value, *list or **dict. */
static bool parse_argument(JinjaParser *p, JinjaCall *call)
{
    JinjaExpr **star = jinja_skip_operator(p, "**")  ? &call->star_star
                       : jinja_skip_operator(p, "*") ? &call->star
                                                     : NULL;
    if (star) {
        if (*star || call->star_star)
            return jinja_syntax(p, "an argument follows **");
        return (*star = jinja_parse_expression(p)) != NULL;
    }
    bool is_named = p->at->kind == TOKEN_NAME && p->at[1].kind == TOKEN_OPERATOR &&
                    str_equals(p->at[1].text, "=");
    if (call->star_star || (!is_named && (call->star || call->n_names > 0)))
        return jinja_syntax(p, "a positional argument follows a named one");
    if (is_named) {
        call->names = jinja_grow(p->arena, call->names, call->n_names, sizeof *call->names);
        call->names[call->n_names++] = p->at->text;
        p->at += 2;
    }
    JinjaExpr *value = jinja_parse_expression(p);
    if (!value)
        return false;
    call->values = jinja_grow(p->arena, call->values, call->n_values, sizeof *call->values);
    call->values[call->n_values++] = value;
    return true;
}

/* The arguments in parentheses become those of `e`. n_values counts all, n_names the named ones. */
static bool parse_call_args(JinjaParser *p, JinjaExpr *e)
{
    e->call = ARENA_NEW(p->arena, JinjaCall);
    p->at++;
    for (bool first = true; !jinja_at_operator(p, ")"); first = false) {
        if (!first && !jinja_expect_operator(p, ","))
            return false;
        if (!first && jinja_at_operator(p, ")"))
            break;
        if (!parse_argument(p, e->call))
            return false;
    }
    p->at++;
    for (int i = 0; i < e->call->n_values; i++)
        if (e->call->values[i]->depth >= e->depth)
            e->depth = e->call->values[i]->depth + 1;
    if (e->depth > 2 * JINJA_NESTING_MAX)
        return jinja_syntax(p, "an expression is too deep");
    return true;
}

/* What stands between [ and ]: a slice, an index, or a tuple of indices. */
static JinjaExpr *parse_subscript(JinjaParser *p, JinjaExpr *object)
{
    p->at++;
    JinjaExpr *bounds[3] = {0};
    int n = 0;
    if (!jinja_at_operator(p, ":") && !(bounds[0] = jinja_parse_tuple(p, true, NULL)))
        return NULL;
    if (!jinja_at_operator(p, ":")) {
        JinjaExpr *e = expr_with(p, EXPR_ITEM, object, bounds[0]);
        return e && jinja_expect_operator(p, "]") ? e : NULL;
    }
    while (n < 2 && jinja_skip_operator(p, ":")) {
        n++;
        if (!jinja_at_operator(p, ":") && !jinja_at_operator(p, "]") &&
            !(bounds[n] = jinja_parse_expression(p)))
            return NULL;
    }
    JinjaExpr *e = expr_with(p, EXPR_SLICE, object, NULL);
    for (int i = 0; e && i < 3; i++)
        if (!add_part(p, e, bounds[i]))
            return NULL;
    return e && jinja_expect_operator(p, "]") ? e : NULL;
}

static JinjaExpr *parse_attribute(JinjaParser *p, JinjaExpr *object)
{
    p->at++;
    const JinjaToken *name = p->at;
    if (name->kind == TOKEN_INT) { /* x.0 is x[0] */
        JinjaExpr *index = parse_literal(p);
        return expr_with(p, EXPR_ITEM, object, index);
    }
    if (!jinja_expect_kind(p, TOKEN_NAME, "a name or number"))
        return NULL;
    JinjaExpr *e = expr_with(p, EXPR_ATTRIBUTE, object, NULL);
    if (e)
        e->name = name->text;
    return e;
}

static JinjaExpr *parse_call(JinjaParser *p, JinjaExpr *callee)
{
    JinjaExpr *e = expr_with(p, EXPR_CALL, callee, NULL);
    return e && parse_call_args(p, e) ? e : NULL;
}

static JinjaExpr *parse_postfix(JinjaParser *p, JinjaExpr *e)
{
    while (e) {
        if (jinja_at_operator(p, "."))
            e = parse_attribute(p, e);
        else if (jinja_at_operator(p, "["))
            e = parse_subscript(p, e);
        else if (jinja_at_operator(p, "("))
            e = parse_call(p, e);
        else
            break;
    }
    return e;
}

/* The name of a filter or test (dots are part of it) and its arguments in parentheses. */
static JinjaExpr *parse_named_call(JinjaParser *p, JinjaExprKind kind, JinjaExpr *input)
{
    JinjaExpr *e = expr_new(p, kind);
    if (!add_part(p, e, input))
        return NULL;
    e->name = p->at->text;
    if (!jinja_expect_kind(p, TOKEN_NAME, "a name"))
        return NULL;
    while (jinja_skip_operator(p, ".")) {
        Str last = p->at->text;
        if (!jinja_expect_kind(p, TOKEN_NAME, "a name"))
            return NULL;
        e->name.bytes = (size_t)(last.data + last.bytes - e->name.data);
    }
    e->builtin = kind == EXPR_FILTER ? jinja_filter(e->name) : jinja_test(e->name);
    e->call = ARENA_NEW(p->arena, JinjaCall);
    if (jinja_at_operator(p, "(") && !parse_call_args(p, e))
        return NULL;
    return e;
}

static bool starts_primary(const JinjaParser *p)
{
    if (p->at->kind == TOKEN_NAME)
        return !jinja_at_name(p, "else") && !jinja_at_name(p, "or") && !jinja_at_name(p, "and");
    return p->at->kind == TOKEN_STRING || p->at->kind == TOKEN_INT || p->at->kind == TOKEN_FLOAT ||
           jinja_at_operator(p, "[") || jinja_at_operator(p, "{");
}

/* x is [not] name, name(args) or name arg. */
static JinjaExpr *parse_test(JinjaParser *p, JinjaExpr *input)
{
    p->at++;
    bool is_negated = jinja_skip_name(p, "not");
    JinjaExpr *e = parse_named_call(p, EXPR_TEST, input);
    if (!e)
        return NULL;
    bool had_parentheses = p->at[-1].kind == TOKEN_OPERATOR && str_equals(p->at[-1].text, ")");
    if (!had_parentheses && starts_primary(p)) {
        if (jinja_at_name(p, "is")) {
            jinja_syntax(p, "tests cannot be chained with 'is'");
            return NULL;
        }
        JinjaExpr *arg = parse_primary(p);
        arg = arg ? parse_postfix(p, arg) : NULL;
        if (!arg)
            return NULL;
        e->call->values = ARENA_NEW(p->arena, JinjaExpr *);
        e->call->values[0] = arg;
        e->call->n_values = 1;
        if (arg->depth >= e->depth)
            e->depth = arg->depth + 1;
    }
    return is_negated ? expr_with(p, EXPR_NOT, e, NULL) : e;
}

static JinjaExpr *parse_filters(JinjaParser *p, JinjaExpr *e)
{
    while (e) {
        if (jinja_skip_operator(p, "|"))
            e = parse_named_call(p, EXPR_FILTER, e);
        else if (jinja_at_name(p, "is"))
            e = parse_test(p, e);
        else if (jinja_at_operator(p, "("))
            e = parse_call(p, e);
        else
            break;
    }
    return e;
}

JinjaExpr *jinja_parse_filter_chain(JinjaParser *p)
{
    JinjaExpr *e = parse_named_call(p, EXPR_FILTER, NULL);
    while (e && jinja_skip_operator(p, "|"))
        e = parse_named_call(p, EXPR_FILTER, e);
    return e;
}

static JinjaExpr *parse_unary(JinjaParser *p, bool with_filter)
{
    JinjaExpr *e;
    if (jinja_at_operator(p, "-") || jinja_at_operator(p, "+")) {
        JinjaExprKind kind = jinja_at_operator(p, "-") ? EXPR_NEGATE : EXPR_PLUS;
        p->at++;
        if (!nest(p))
            return NULL;
        e = parse_unary(p, false);
        p->nesting--;
        e = e ? expr_with(p, kind, e, NULL) : NULL;
    } else {
        e = parse_primary(p);
    }
    e = e ? parse_postfix(p, e) : NULL;
    return e && with_filter ? parse_filters(p, e) : e;
}

/* A level of left-associative binary operators. */
typedef struct BinaryLevel {
    const char *ops[4];
    const char *codes; /* JinjaExpr.op for each */
} BinaryLevel;

static JinjaExpr *parse_binary(JinjaParser *p, const BinaryLevel *level,
                               JinjaExpr *(*operand)(JinjaParser *))
{
    JinjaExpr *left = operand(p);
    while (left) {
        int hit = -1;
        for (int i = 0; i < 4 && level->ops[i]; i++)
            if (jinja_at_operator(p, level->ops[i]))
                hit = i;
        if (hit < 0)
            break;
        p->at++;
        JinjaExpr *right = operand(p);
        left = right ? expr_with(p, EXPR_BINARY, left, right) : NULL;
        if (left)
            left->op = level->codes[hit];
    }
    return left;
}

static JinjaExpr *parse_sign(JinjaParser *p) { return parse_unary(p, true); }

static JinjaExpr *parse_power(JinjaParser *p)
{
    static const BinaryLevel level = {{"**"}, "p"};
    return parse_binary(p, &level, parse_sign);
}

static JinjaExpr *parse_product(JinjaParser *p)
{
    static const BinaryLevel level = {{"*", "/", "//", "%"}, "*/f%"};
    return parse_binary(p, &level, parse_power);
}

static JinjaExpr *parse_concat(JinjaParser *p)
{
    JinjaExpr *first = parse_product(p);
    if (!first || !jinja_at_operator(p, "~"))
        return first;
    JinjaExpr *e = expr_with(p, EXPR_CONCAT, first, NULL);
    while (e && jinja_skip_operator(p, "~")) {
        JinjaExpr *part = parse_product(p);
        if (!part || !add_part(p, e, part))
            return NULL;
    }
    return e;
}

static JinjaExpr *parse_sum(JinjaParser *p)
{
    static const BinaryLevel level = {{"+", "-"}, "+-"};
    return parse_binary(p, &level, parse_concat);
}

static int comparison(JinjaParser *p)
{
    static const char *const ops[] = {[CMP_EQ] = "==", [CMP_NE] = "!=", [CMP_LT] = "<",
                                      [CMP_LE] = "<=", [CMP_GT] = ">",  [CMP_GE] = ">="};
    for (int i = CMP_EQ; i <= CMP_GE; i++)
        if (jinja_skip_operator(p, ops[i]))
            return i;
    if (jinja_skip_name(p, "in"))
        return CMP_IN;
    if (jinja_at_name(p, "not") && p->at[1].kind == TOKEN_NAME && str_equals(p->at[1].text, "in")) {
        p->at += 2;
        return CMP_NOT_IN;
    }
    return -1;
}

static JinjaExpr *parse_compare(JinjaParser *p)
{
    JinjaExpr *first = parse_sum(p);
    JinjaExpr *e = NULL;
    int op;
    while (first && (op = comparison(p)) >= 0) {
        e = e ? e : expr_with(p, EXPR_COMPARE, first, NULL);
        JinjaExpr *right = e ? parse_sum(p) : NULL;
        if (!right)
            return NULL;
        e->ops = jinja_grow(p->arena, e->ops, e->n_parts - 1, sizeof *e->ops);
        e->ops[e->n_parts - 1] = (uint8_t)op;
        if (!add_part(p, e, right))
            return NULL;
    }
    return e ? e : first;
}

static JinjaExpr *parse_not(JinjaParser *p)
{
    if (!jinja_skip_name(p, "not"))
        return parse_compare(p);
    if (!nest(p))
        return NULL;
    JinjaExpr *e = parse_not(p);
    p->nesting--;
    return e ? expr_with(p, EXPR_NOT, e, NULL) : NULL;
}

static JinjaExpr *parse_logic(JinjaParser *p, const char *word, JinjaExprKind kind,
                              JinjaExpr *(*operand)(JinjaParser *))
{
    JinjaExpr *first = operand(p);
    if (!first || !jinja_at_name(p, word))
        return first;
    JinjaExpr *e = expr_with(p, kind, first, NULL);
    while (e && jinja_skip_name(p, word)) {
        JinjaExpr *part = operand(p);
        if (!part || !add_part(p, e, part))
            return NULL;
    }
    return e;
}

static JinjaExpr *parse_and(JinjaParser *p) { return parse_logic(p, "and", EXPR_AND, parse_not); }

static JinjaExpr *parse_or(JinjaParser *p) { return parse_logic(p, "or", EXPR_OR, parse_and); }

static JinjaExpr *parse_inline_if(JinjaParser *p)
{
    JinjaExpr *e = parse_or(p);
    while (e && jinja_skip_name(p, "if")) {
        JinjaExpr *condition = parse_or(p);
        JinjaExpr *chosen = condition ? expr_with(p, EXPR_IF, condition, e) : NULL;
        if (!chosen)
            return NULL;
        JinjaExpr *otherwise = NULL;
        if (jinja_skip_name(p, "else")) {
            if (!nest(p))
                return NULL;
            otherwise = parse_inline_if(p);
            p->nesting--;
            if (!otherwise)
                return NULL;
        }
        if (!add_part(p, chosen, otherwise))
            return NULL;
        e = chosen;
    }
    return e;
}

JinjaExpr *jinja_parse_expression(JinjaParser *p)
{
    if (!nest(p))
        return NULL;
    JinjaExpr *e = parse_inline_if(p);
    p->nesting--;
    return e;
}

JinjaExpr *jinja_parse_tuple(JinjaParser *p, bool with_if, const char *stop)
{
    if (!nest(p))
        return NULL;
    JinjaExpr *tuple = NULL, *e = NULL;
    for (;;) {
        bool at_end = p->at->kind == TOKEN_PRINT_END || p->at->kind == TOKEN_BLOCK_END ||
                      jinja_at_operator(p, ")") || (stop && jinja_at_name(p, stop));
        if (tuple && at_end)
            break;
        e = with_if ? parse_inline_if(p) : parse_or(p);
        if (!e || (tuple && !add_part(p, tuple, e)))
            return NULL;
        if (!jinja_at_operator(p, ","))
            break;
        if (!tuple && !(tuple = expr_with(p, EXPR_TUPLE, e, NULL)))
            return NULL;
        p->at++;
    }
    p->nesting--;
    return tuple ? tuple : e;
}
