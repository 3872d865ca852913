/* A parsed template: tokens, expressions, statements. All of it lives in the template's arena and
 * is never written after parsing, so that threads can share it. */
#ifndef WEN_TEXT_JINJA_TREE_H
#define WEN_TEXT_JINJA_TREE_H

#include "text/jinja_value.h"

typedef enum JinjaTokenKind {
    TOKEN_END,
    TOKEN_DATA,
    TOKEN_PRINT_BEGIN, /* {{ */
    TOKEN_PRINT_END,
    TOKEN_BLOCK_BEGIN, /* {% */
    TOKEN_BLOCK_END,
    TOKEN_NAME,
    TOKEN_STRING,
    TOKEN_INT,
    TOKEN_FLOAT,
    TOKEN_OPERATOR,
} JinjaTokenKind;

typedef struct JinjaToken {
    JinjaTokenKind kind;
    int line;
    Str text; /* as written; a string's escapes are resolved */
    int64_t integer;
    double number;
} JinjaToken;

typedef struct JinjaTokens {
    JinjaToken *data;
    int n, capacity;
} JinjaTokens;

/* Splits the source (line ends already "\n") into tokens; white space control is applied. */
bool jinja_lex(Arena *arena, Str source, JinjaTokens *tokens, Error *err) MUST_USE;
void jinja_tokens_free(JinjaTokens *tokens);

typedef enum JinjaExprKind {
    EXPR_CONST,
    EXPR_NAME,      /* name */
    EXPR_LIST,      /* parts */
    EXPR_TUPLE,     /* parts */
    EXPR_DICT,      /* parts: key, value, key, value ... */
    EXPR_ATTRIBUTE, /* parts[0].name */
    EXPR_ITEM,      /* parts[0][parts[1]] */
    EXPR_SLICE,     /* parts[0][parts[1]:parts[2]:parts[3]]; 1 to 3 may be NULL */
    EXPR_CALL,      /* parts[0](call) */
    EXPR_FILTER,    /* parts[0] | name(call); parts[0] NULL: the body of a block */
    EXPR_TEST,      /* parts[0] is name(call) */
    EXPR_NOT,
    EXPR_NEGATE,
    EXPR_PLUS,
    EXPR_BINARY,  /* op: + - * / f(//) % p(**) */
    EXPR_CONCAT,  /* parts joined by ~ */
    EXPR_COMPARE, /* parts[0] ops[0] parts[1] ops[1] ... */
    EXPR_AND,     /* any number of parts */
    EXPR_OR,
    EXPR_IF, /* parts[1] if parts[0] else parts[2]; parts[2] may be NULL */
} JinjaExprKind;

typedef enum JinjaCompare {
    CMP_EQ,
    CMP_NE,
    CMP_LT,
    CMP_LE,
    CMP_GT,
    CMP_GE,
    CMP_IN,
    CMP_NOT_IN
} JinjaCompare;

typedef struct JinjaExpr JinjaExpr;
typedef struct JinjaBuiltin JinjaBuiltin;

typedef struct JinjaCall {
    JinjaExpr **values; /* positional, then named */
    Str *names;         /* of the named ones */
    int n_values, n_names;
    JinjaExpr *star, *star_star; /* *list and **dict, or NULL */
} JinjaCall;

struct JinjaExpr {
    JinjaExprKind kind;
    int line, depth; /* depth: of the tree below, bounded */
    int n_parts;
    char op;
    JinjaExpr **parts;
    uint8_t *ops;
    Str name;
    JinjaValue value;
    JinjaCall *call;
    const JinjaBuiltin *builtin; /* of a filter or test; NULL: there is none of that name */
};

typedef enum JinjaStatementKind {
    STATEMENT_TEXT,
    STATEMENT_PRINT,
    STATEMENT_IF,
    STATEMENT_FOR,
    STATEMENT_SET,
    STATEMENT_SET_BLOCK,
    STATEMENT_MACRO,
    STATEMENT_CALL,
    STATEMENT_FILTER,
    STATEMENT_WITH,
    STATEMENT_SCOPE, /* a generation block: only its scope matters here */
    STATEMENT_BREAK,
    STATEMENT_CONTINUE,
} JinjaStatementKind;

typedef struct JinjaStatement JinjaStatement;

typedef struct JinjaBody {
    JinjaStatement **items;
    int n;
} JinjaBody;

/* What is assigned to: a name, a namespace attribute, or a tuple of targets. */
typedef struct JinjaTarget JinjaTarget;
struct JinjaTarget {
    Str name, attribute; /* attribute empty: a plain name */
    JinjaTarget *parts;  /* with n_parts > 0: a tuple */
    int n_parts;
};

typedef struct JinjaSignature {
    Str name; /* empty: the anonymous caller of a call block */
    JinjaTarget *params;
    JinjaExpr **defaults; /* one for each parameter, NULL: none */
    int n_params;
    JinjaBody body;
    bool takes_varargs, takes_kwargs, takes_caller; /* the body mentions these names */
} JinjaSignature;

struct JinjaStatement {
    JinjaStatementKind kind;
    int line;
    const JinjaText *text; /* TEXT */
    JinjaExpr *expr;       /* PRINT, FOR: iterable, SET, FILTER and SET_BLOCK: filters, CALL */
    JinjaExpr *condition;  /* FOR: the inline if, or NULL */
    JinjaTarget *targets;  /* FOR, SET, SET_BLOCK: one; WITH: n_values */
    JinjaExpr **values;    /* IF: conditions; WITH: values */
    JinjaBody *bodies;     /* IF: one for each condition */
    int n_values;
    JinjaBody body, otherwise; /* otherwise: else of IF and FOR */
    JinjaSignature *signature; /* MACRO, CALL */
};

struct JinjaTemplate {
    Arena arena;
    JinjaBody body;
    Str *names; /* the variables it reads, as often as it does */
    int n_names;
};

/* Nesting of blocks and brackets in a source. */
enum { JINJA_NESTING_MAX = 100 };

typedef struct JinjaParser {
    Arena *arena;
    JinjaTemplate *template_;
    const JinjaToken *at;
    int nesting, loops;
    Error *err;
} JinjaParser;

/* jinja_expression.c */
bool jinja_syntax(JinjaParser *p, const char *format, ...) PRINTF_LIKE(2, 3);
bool jinja_at_name(const JinjaParser *p, const char *name);
bool jinja_at_operator(const JinjaParser *p, const char *op);
bool jinja_skip_name(JinjaParser *p, const char *name);
bool jinja_skip_operator(JinjaParser *p, const char *op);
bool jinja_expect_operator(JinjaParser *p, const char *op) MUST_USE;
bool jinja_expect_kind(JinjaParser *p, JinjaTokenKind kind, const char *what) MUST_USE;
/* An expression; with commas a tuple. `stop` is a name that ends it (in, recursive), or NULL. */
JinjaExpr *jinja_parse_tuple(JinjaParser *p, bool with_if, const char *stop) MUST_USE;
JinjaExpr *jinja_parse_expression(JinjaParser *p) MUST_USE;
/* name(args) | name ...: a chain of filters whose first input is a block's text. */
JinjaExpr *jinja_parse_filter_chain(JinjaParser *p) MUST_USE;
/* A growing array in the arena: doubled when n is a power of two. */
void *jinja_grow(Arena *arena, void *array, int n, size_t item_bytes);

/* jinja_parse.c */
bool jinja_parse_body(JinjaParser *p, JinjaBody *body, const char *const *ends,
                      int n_ends) MUST_USE;

#endif
