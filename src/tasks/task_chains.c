/* Arithmetic with + - * and division: one step, chains, schoolbook products. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/steps.h"

#include <inttypes.h>

enum { TERMS_MAX = 10, PHRASES = 6 };

static const char *const asks[N_LANGS][PHRASES] = {
    {"{0} = ?", "What is {0}?", "Calculate {0}.", "{0}", "Work out {0}.", "How much is {0}?"},
    {"{0} = ?", "计算 {0}。", "{0} 等于多少？", "{0}", "请算出 {0}。", "{0} 是多少？"},
    {"{0} = ?", "Was ist {0}?", "Berechne {0}.", "{0}", "Wie viel ist {0}?", "Rechne {0} aus."},
    {"{0} = ?", "¿Cuánto es {0}?", "Calcula {0}.", "{0}", "Resuelve {0}.", "¿Qué da {0}?"},
};

static void ask(Maker *m, const char *expression)
{
    maker_user(m, maker_phrase(m, asks[m->lang], PHRASES), expression, NULL);
}

/* ---- One step -------------------------------------------------------------------------------- */

typedef struct Range {
    int64_t a_min, a_max, b_min, b_max;
    const char *ops;
} Range;

static void make_one_step(Maker *m)
{
    static const Range ranges[] = {{1, 99, 1, 9, "+-"},      {10, 99, 10, 99, "+-"},
                                   {10, 99, 2, 9, "*"},      {100, 999, 10, 99, "+-"},
                                   {-99, 99, -99, 99, "+-"}, {100, 999, 100, 999, "+-*"}};
    const Range *r = &ranges[m->level - 1];
    int64_t a, b;
    char op;
    do {
        a = maker_int(m, r->a_min, r->a_max);
        b = maker_int(m, r->b_min, r->b_max);
        op = r->ops[maker_int(m, 0, r->ops[1] == 0 ? 0 : r->ops[2] == 0 ? 1 : 2)];
        if (op == '*' && b > 9)
            b = 2 + b % 8;
    } while (!maker_owns(m, key_more(key_more((uint64_t)op, a), b)));
    ask(m, maker_text(m, b < 0 ? "%" PRId64 " %c (%" PRId64 ")" : "%" PRId64 " %c %" PRId64, a, op,
                      b));
    maker_reply(m, "%" PRId64, step_think(m, a, op, b));
}

/* ---- Chains ---------------------------------------------------------------------------------- */

typedef struct Chain {
    int64_t terms[TERMS_MAX];
    char ops[TERMS_MAX]; /* ops[i] stands between terms i and i+1 */
    int n;
} Chain;

static const char *chain_text(Maker *m, const Chain *c)
{
    Buf text = {0};
    for (int i = 0; i < c->n; i++) {
        if (i > 0)
            buf_printf(&text, " %c ", c->ops[i - 1]);
        buf_printf(&text, "%" PRId64, c->terms[i]);
    }
    const char *kept = maker_text(m, "%s", text.data);
    buf_free(&text);
    return kept;
}

/* Products first, then the rest of the chain again, then from the left. */
static int64_t solve_chain(Maker *m, const Chain *c)
{
    Chain rest = {.terms = {c->terms[0]}, .n = 1};
    for (int i = 1; i < c->n; i++) {
        if (c->ops[i - 1] == '*') {
            rest.terms[rest.n - 1] = step_think(m, rest.terms[rest.n - 1], '*', c->terms[i]);
        } else {
            rest.ops[rest.n - 1] = c->ops[i - 1];
            rest.terms[rest.n++] = c->terms[i];
        }
    }
    if (rest.n < c->n && rest.n > 2)
        maker_think_line(m, "%s", chain_text(m, &rest));
    int64_t value = rest.terms[0];
    for (int i = 1; i < rest.n; i++)
        value = step_think(m, value, rest.ops[i - 1], rest.terms[i]);
    return value;
}

static void make_chain(Maker *m)
{
    static const int n_ops[] = {2, 3, 4, 5, 6, 8};
    Chain c = {.n = n_ops[m->level - 1] + 1};
    uint64_t key;
    do {
        key = key_text("chain");
        for (int i = 0; i < c.n; i++) {
            c.terms[i] = maker_int(m, 10, 99);
            if (i > 0) {
                const bool may_multiply = i < 2 || c.ops[i - 2] != '*';
                c.ops[i - 1] = may_multiply && maker_chance(m, 0.25) ? '*'
                               : maker_chance(m, 0.5)                ? '+'
                                                                     : '-';
                if (c.ops[i - 1] == '*')
                    c.terms[i] = maker_int(m, 2, 9);
                key = key_more(key, c.ops[i - 1]);
            }
            key = key_more(key, c.terms[i]);
        }
    } while (!maker_owns(m, key));
    ask(m, chain_text(m, &c));
    maker_reply(m, "%" PRId64, solve_chain(m, &c));
}

/* ---- Products and quotients ------------------------------------------------------------------ */

static void make_product(Maker *m)
{
    static const Range ranges[] = {{11, 99, 2, 9, "*"},
                                   {11, 99, 11, 99, "*"},
                                   {101, 999, 11, 99, "*"},
                                   {101, 999, 101, 999, "*"}};
    const Range *r = &ranges[m->level - 1];
    int64_t a, b;
    do {
        a = maker_int(m, r->a_min, r->a_max);
        b = maker_int(m, r->b_min, r->b_max);
    } while (!maker_owns(m, key_more(key_more('*', a), b)));
    ask(m, maker_text(m, "%" PRId64 " * %" PRId64, a, b));
    maker_reply(m, "%" PRId64, step_product(m, a, b));
}

static const char *const divide_asks[N_LANGS][3] = {
    {"Divide {0} by {1} with remainder.", "{0} divided by {1}: quotient and remainder?",
     "What is {0} / {1}, with the remainder?"},
    {"{0} 除以 {1}，商和余数是多少？", "计算 {0} ÷ {1}，写出余数。"},
    {"Teile {0} durch {1} mit Rest.", "Was ist {0} : {1} mit Rest?"},
    {"Divide {0} entre {1} con resto.", "¿Cuánto es {0} entre {1}, con el resto?"},
};
static const char *const remainders[N_LANGS] = {"{0} remainder {1}", "{0} 余 {1}", "{0} Rest {1}",
                                                "{0} resto {1}"};

/* Long division: each line takes one more digit down. */
static void make_division(Maker *m)
{
    static const Range ranges[] = {
        {10, 99, 2, 9, ""}, {100, 999, 2, 9, ""}, {1000, 9999, 2, 9, ""}, {1000, 9999, 11, 29, ""}};
    const Range *r = &ranges[m->level - 1];
    int64_t a, b;
    do {
        a = maker_int(m, r->a_min, r->a_max);
        b = maker_int(m, r->b_min, r->b_max);
    } while (!maker_owns(m, key_more(key_more('/', a), b)));
    maker_user(m, maker_phrase(m, divide_asks[m->lang], 3), maker_num(m, a), maker_num(m, b), NULL);
    int64_t unit = 1, rest = 0;
    while (unit * 10 <= a)
        unit *= 10;
    for (bool has_begun = false; unit > 0; unit /= 10) {
        const int64_t part = rest * 10 + a / unit % 10;
        rest = part % b;
        has_begun |= part >= b || unit == 1;
        if (has_begun)
            maker_think_line(m, "%" PRId64 " = %" PRId64 " * %" PRId64 " + %" PRId64, part,
                             part / b, b, rest);
    }
    maker_think_line(m, "%" PRId64 ", %" PRId64, a / b, rest);
    maker_reply(m, "%s",
                maker_fill(m, remainders[m->lang], maker_num(m, a / b), maker_num(m, rest), NULL));
}

const TaskFamily chain_families[] = {
    {.name = "one_step",
     .domain = "arithmetic",
     .about = "one sum, difference or product",
     .langs = ALL_LANGS,
     .difficulty_max = 6,
     .make = make_one_step,
     .score = score_number},
    {.name = "chain",
     .domain = "arithmetic",
     .about = "2 to 8 operations + - * on two-digit numbers",
     .langs = ALL_LANGS,
     .difficulty_max = 6,
     .make = make_chain,
     .score = score_number},
    {.name = "product",
     .domain = "arithmetic",
     .about = "schoolbook products, 2x1 to 3x3 digits",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_product,
     .score = score_number},
    {.name = "division",
     .domain = "arithmetic",
     .about = "long division with remainder",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_division,
     .score = score_text},
    {.name = NULL},
};
