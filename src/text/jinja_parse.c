/* Tokens -> statements, and the public entry point jinja_parse. */
#include "base/utf8.h"
#include "text/jinja_tree.h"

#include <string.h>

enum { SOURCE_BYTES_MAX = 1 << 20 };

static bool parse_statement(JinjaParser *p, JinjaStatement *s);

static JinjaStatement *add_statement(JinjaParser *p, JinjaBody *body, JinjaStatementKind kind)
{
    JinjaStatement *s = ARENA_NEW(p->arena, JinjaStatement);
    s->kind = kind;
    s->line = p->at->line;
    body->items = jinja_grow(p->arena, body->items, body->n, sizeof *body->items);
    body->items[body->n++] = s;
    return s;
}

static bool expect_block_end(JinjaParser *p) { return jinja_expect_kind(p, TOKEN_BLOCK_END, "%}"); }

/* The body behind a statement's head, up to one of the names in `ends` (which is left current). */
static bool parse_block(JinjaParser *p, JinjaBody *body, const char *const *ends, int n_ends)
{
    jinja_skip_operator(p, ":");
    return expect_block_end(p) && jinja_parse_body(p, body, ends, n_ends);
}

/* A body with one possible end, which is passed. */
static bool parse_only_block(JinjaParser *p, JinjaBody *body, const char *end)
{
    if (!parse_block(p, body, &end, 1))
        return false;
    p->at++;
    return true;
}

static bool parse_target_name(JinjaParser *p, JinjaTarget *target)
{
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (jinja_at_name(p, reserved[i]))
            return jinja_syntax(p, "cannot assign to %s", reserved[i]);
    target->name = p->at->text;
    return jinja_expect_kind(p, TOKEN_NAME, "a name");
}

static bool parse_target(JinjaParser *p, JinjaTarget *target, const char *stop, int depth);

static bool parse_target_part(JinjaParser *p, JinjaTarget *target, int depth)
{
    if (jinja_skip_operator(p, "("))
        return parse_target(p, target, NULL, depth + 1) && jinja_expect_operator(p, ")");
    return parse_target_name(p, target);
}

/* name, or a, (b, c) ...; `stop` ends the list. */
static bool parse_target(JinjaParser *p, JinjaTarget *target, const char *stop, int depth)
{
    if (depth > 8)
        return jinja_syntax(p, "an assignment's target is nested too deeply");
    JinjaTarget first = {0};
    if (!parse_target_part(p, &first, depth))
        return false;
    if (!jinja_at_operator(p, ",")) {
        *target = first;
        return true;
    }
    target->parts = jinja_grow(p->arena, NULL, 0, sizeof first);
    target->parts[target->n_parts++] = first;
    while (jinja_skip_operator(p, ",")) {
        bool is_part = jinja_at_operator(p, "(") ||
                       (p->at->kind == TOKEN_NAME && !(stop && jinja_at_name(p, stop)));
        if (!is_part)
            break;
        target->parts = jinja_grow(p->arena, target->parts, target->n_parts, sizeof first);
        JinjaTarget *part = &target->parts[target->n_parts++];
        *part = (JinjaTarget){0};
        if (!parse_target_part(p, part, depth))
            return false;
    }
    return true;
}

static bool parse_set(JinjaParser *p, JinjaStatement *s)
{
    s->targets = ARENA_NEW(p->arena, JinjaTarget);
    if (!parse_target(p, s->targets, NULL, 0))
        return false;
    if (s->targets->n_parts == 0 && jinja_skip_operator(p, ".")) {
        s->targets->attribute = p->at->text;
        if (!jinja_expect_kind(p, TOKEN_NAME, "a name"))
            return false;
    }
    s->kind = STATEMENT_SET;
    if (jinja_skip_operator(p, "="))
        return (s->expr = jinja_parse_tuple(p, true, NULL)) != NULL;
    s->kind = STATEMENT_SET_BLOCK;
    if (jinja_skip_operator(p, "|") && !(s->expr = jinja_parse_filter_chain(p)))
        return false;
    return parse_only_block(p, &s->body, "endset");
}

static bool parse_if(JinjaParser *p, JinjaStatement *s)
{
    static const char *const ends[] = {"elif", "else", "endif"};
    s->kind = STATEMENT_IF;
    do {
        s->values = jinja_grow(p->arena, s->values, s->n_values, sizeof *s->values);
        s->bodies = jinja_grow(p->arena, s->bodies, s->n_values, sizeof *s->bodies);
        s->bodies[s->n_values] = (JinjaBody){0};
        JinjaExpr *condition = jinja_parse_tuple(p, false, NULL);
        if (!condition || !parse_block(p, &s->bodies[s->n_values], ends, 3))
            return false;
        s->values[s->n_values++] = condition;
    } while (jinja_skip_name(p, "elif"));
    if (jinja_skip_name(p, "else"))
        return parse_only_block(p, &s->otherwise, "endif");
    p->at++;
    return true;
}

static bool parse_for(JinjaParser *p, JinjaStatement *s)
{
    static const char *const ends[] = {"endfor", "else"};
    s->kind = STATEMENT_FOR;
    s->targets = ARENA_NEW(p->arena, JinjaTarget);
    if (!parse_target(p, s->targets, "in", 0))
        return false;
    if (!jinja_skip_name(p, "in"))
        return jinja_syntax(p, "expected 'in' in a for");
    if (!(s->expr = jinja_parse_tuple(p, false, "recursive")))
        return false;
    if (jinja_skip_name(p, "if") && !(s->condition = jinja_parse_expression(p)))
        return false;
    if (jinja_at_name(p, "recursive"))
        return jinja_syntax(p, "recursive loops are not supported");
    p->loops++;
    bool ok = parse_block(p, &s->body, ends, 2);
    p->loops--;
    if (!ok)
        return false;
    if (jinja_skip_name(p, "else"))
        return parse_only_block(p, &s->otherwise, "endfor");
    p->at++;
    return true;
}

static bool parse_parameters(JinjaParser *p, JinjaSignature *sig)
{
    if (!jinja_expect_operator(p, "("))
        return false;
    while (!jinja_at_operator(p, ")")) {
        if (sig->n_params > 0 && !jinja_expect_operator(p, ","))
            return false;
        sig->params = jinja_grow(p->arena, sig->params, sig->n_params, sizeof *sig->params);
        sig->defaults = jinja_grow(p->arena, sig->defaults, sig->n_params, sizeof *sig->defaults);
        JinjaTarget *param = &sig->params[sig->n_params];
        JinjaExpr **default_value = &sig->defaults[sig->n_params];
        *param = (JinjaTarget){0};
        *default_value = NULL;
        if (!parse_target_name(p, param))
            return false;
        if (jinja_skip_operator(p, "=")) {
            if (!(*default_value = jinja_parse_expression(p)))
                return false;
        } else if (sig->n_params > 0 && sig->defaults[sig->n_params - 1]) {
            return jinja_syntax(p, "a parameter without a default follows one with");
        }
        sig->n_params++;
    }
    p->at++;
    return true;
}

/* The body of a macro or call block; which of the special names it reads decides what it accepts.
 */
static bool parse_macro_body(JinjaParser *p, JinjaSignature *sig, const char *end)
{
    int outer_loops = p->loops;
    p->loops = 0;
    const JinjaToken *from = p->at;
    bool ok = parse_only_block(p, &sig->body, end);
    p->loops = outer_loops;
    for (const JinjaToken *t = from; ok && t < p->at; t++) {
        if (t->kind != TOKEN_NAME)
            continue;
        sig->takes_varargs |= str_equals(t->text, "varargs");
        sig->takes_kwargs |= str_equals(t->text, "kwargs");
        sig->takes_caller |= str_equals(t->text, "caller");
    }
    return ok;
}

static bool parse_macro(JinjaParser *p, JinjaStatement *s)
{
    s->kind = STATEMENT_MACRO;
    s->signature = ARENA_NEW(p->arena, JinjaSignature);
    JinjaTarget name = {0};
    if (!parse_target_name(p, &name) || !parse_parameters(p, s->signature))
        return false;
    s->signature->name = name.name;
    return parse_macro_body(p, s->signature, "endmacro");
}

static bool parse_call_block(JinjaParser *p, JinjaStatement *s)
{
    s->kind = STATEMENT_CALL;
    s->signature = ARENA_NEW(p->arena, JinjaSignature);
    if (jinja_at_operator(p, "(") && !parse_parameters(p, s->signature))
        return false;
    if (!(s->expr = jinja_parse_expression(p)))
        return false;
    if (s->expr->kind != EXPR_CALL)
        return jinja_syntax(p, "a call block needs a call");
    return parse_macro_body(p, s->signature, "endcall");
}

static bool parse_filter_block(JinjaParser *p, JinjaStatement *s)
{
    s->kind = STATEMENT_FILTER;
    return (s->expr = jinja_parse_filter_chain(p)) != NULL &&
           parse_only_block(p, &s->body, "endfilter");
}

static bool parse_with(JinjaParser *p, JinjaStatement *s)
{
    s->kind = STATEMENT_WITH;
    while (p->at->kind != TOKEN_BLOCK_END && !jinja_at_operator(p, ":")) {
        if (s->n_values > 0 && !jinja_expect_operator(p, ","))
            return false;
        s->targets = jinja_grow(p->arena, s->targets, s->n_values, sizeof *s->targets);
        s->values = jinja_grow(p->arena, s->values, s->n_values, sizeof *s->values);
        s->targets[s->n_values] = (JinjaTarget){0};
        if (!parse_target_part(p, &s->targets[s->n_values], 0) || !jinja_expect_operator(p, "=") ||
            !(s->values[s->n_values] = jinja_parse_expression(p)))
            return false;
        s->n_values++;
    }
    return parse_only_block(p, &s->body, "endwith");
}

static bool parse_generation(JinjaParser *p, JinjaStatement *s)
{
    s->kind = STATEMENT_SCOPE;
    return parse_only_block(p, &s->body, "endgeneration");
}

static bool parse_print(JinjaParser *p, JinjaStatement *s)
{
    s->kind = STATEMENT_PRINT;
    return (s->expr = jinja_parse_expression(p)) != NULL;
}

static bool parse_jump(JinjaParser *p, JinjaStatement *s)
{
    s->kind = str_equals(p->at[-1].text, "break") ? STATEMENT_BREAK : STATEMENT_CONTINUE;
    return p->loops > 0 || jinja_syntax(p, "%.*s outside a loop", STR_ARG(p->at[-1].text));
}

/* Behind the opening of a block; the closing one is left to the caller. */
static bool parse_statement(JinjaParser *p, JinjaStatement *s)
{
    static const struct {
        const char *name;
        bool (*parse)(JinjaParser *, JinjaStatement *);
    } statements[] = {
        {"if", parse_if},           {"for", parse_for},
        {"set", parse_set},         {"macro", parse_macro},
        {"call", parse_call_block}, {"filter", parse_filter_block},
        {"with", parse_with},       {"generation", parse_generation},
        {"print", parse_print},     {"break", parse_jump},
        {"continue", parse_jump},
    };
    Str name = p->at->text;
    if (p->at->kind != TOKEN_NAME)
        return jinja_syntax(p, "expected the name of a statement");
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (str_equals(name, statements[i].name)) {
            p->at++;
            return statements[i].parse(p, s);
        }
    }
    return jinja_syntax(p, "unknown statement '%.*s'", name.bytes < 40 ? (int)name.bytes : 40,
                        name.data);
}

static bool is_end(const JinjaParser *p, const char *const *ends, int n_ends)
{
    for (int i = 0; i < n_ends; i++)
        if (jinja_at_name(p, ends[i]))
            return true;
    return false;
}

bool jinja_parse_body(JinjaParser *p, JinjaBody *body, const char *const *ends, int n_ends)
{
    if (p->nesting >= JINJA_NESTING_MAX)
        return jinja_syntax(p, "nested more than %d deep", JINJA_NESTING_MAX);
    p->nesting++;
    for (;;) {
        JinjaStatement *s;
        if (p->at->kind == TOKEN_END) {
            if (n_ends > 0)
                return jinja_syntax(p, "the template ends before '%s'", ends[n_ends - 1]);
            break;
        }
        if (p->at->kind == TOKEN_DATA) {
            s = add_statement(p, body, STATEMENT_TEXT);
            JinjaText *text = ARENA_NEW(p->arena, JinjaText);
            text->s = p->at->text;
            s->text = text;
            p->at++;
        } else if (p->at->kind == TOKEN_PRINT_BEGIN) {
            p->at++;
            s = add_statement(p, body, STATEMENT_PRINT);
            if (!(s->expr = jinja_parse_tuple(p, true, NULL)) ||
                !jinja_expect_kind(p, TOKEN_PRINT_END, "}}"))
                return false;
        } else {
            p->at++;
            if (is_end(p, ends, n_ends))
                break;
            s = add_statement(p, body, STATEMENT_TEXT);
            if (!parse_statement(p, s) || !expect_block_end(p))
                return false;
        }
    }
    p->nesting--;
    return true;
}

/* The source with all line ends "\n" and the last one removed, as Jinja reads it. */
static Str normalize(Arena *arena, Str source)
{
    char *text = arena_alloc(arena, source.bytes + 1);
    size_t n = 0;
    for (size_t i = 0; i < source.bytes; i++) {
        bool is_cr = source.data[i] == '\r';
        if (is_cr && i + 1 < source.bytes && source.data[i + 1] == '\n')
            continue;
        text[n++] = is_cr ? '\n' : source.data[i];
    }
    if (n > 0 && text[n - 1] == '\n')
        n--;
    return (Str){text, n};
}

JinjaTemplate *jinja_parse(Str source, Error *err)
{
    if (source.bytes > SOURCE_BYTES_MAX) {
        error_set(err, ERROR_LIMIT, "template of %zu bytes; at most %d", source.bytes,
                  SOURCE_BYTES_MAX);
        return NULL;
    }
    size_t valid = utf8_valid_prefix(source);
    if (valid < source.bytes) {
        error_set(err, ERROR_FORMAT, "template byte %zu: not UTF-8", valid);
        return NULL;
    }
    JinjaTemplate *t = mem_alloc(sizeof *t);
    JinjaTokens tokens = {0};
    bool ok = jinja_lex(&t->arena, normalize(&t->arena, source), &tokens, err);
    if (ok) {
        JinjaParser p = {.arena = &t->arena, .template_ = t, .at = tokens.data, .err = err};
        ok = jinja_parse_body(&p, &t->body, NULL, 0);
    }
    jinja_tokens_free(&tokens);
    if (!ok) {
        jinja_free(t);
        return NULL;
    }
    return t;
}

void jinja_free(JinjaTemplate *t)
{
    if (!t)
        return;
    arena_close(&t->arena);
    mem_free(t);
}

bool jinja_mentions(const JinjaTemplate *t, const char *name)
{
    for (int i = 0; i < t->n_names; i++)
        if (str_equals(t->names[i], name))
            return true;
    return false;
}
