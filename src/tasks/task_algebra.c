/* Equations: linear, two unknowns, quadratic with whole roots. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/steps.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PHRASES = 4 };
static const char *const solve_asks[N_LANGS][PHRASES] = {
    {"Solve {0} for {1}.", "Solve {0}.", "{0}. What is {1}?", "Find {1}: {0}"},
    {"解方程 {0}。", "{0}，求 {1}。", "已知 {0}，{1} 等于多少？"},
    {"Löse {0} nach {1} auf.", "Löse {0}.", "{0}. Was ist {1}?"},
    {"Resuelve {0}.", "{0}. ¿Cuánto vale {1}?", "Halla {1}: {0}"},
};
static const char *const unknowns[] = {"x", "x", "y", "n", "a", "t"};

/* "3x", "x", "-x" */
static const char *times(Maker *m, int64_t factor, const char *x)
{
    if (factor == 1)
        return x;
    return factor == -1 ? maker_text(m, "-%s", x) : maker_text(m, "%" PRId64 "%s", factor, x);
}

/* " + 5", " - 5" */
static const char *plus(Maker *m, int64_t value)
{
    return maker_text(m, " %c %" PRId64, value < 0 ? '-' : '+', (int64_t)llabs(value));
}

static char sign_op(int64_t value) { return value < 0 ? '+' : '-'; }

/* ---- Linear ---------------------------------------------------------------------------------- */

/* a x + b = c, worked down to x; a may be 1, b 0. */
static void think_linear(Maker *m, int64_t a, int64_t b, int64_t c, const char *x)
{
    if (b != 0) {
        maker_think_line(m, "%s = ", times(m, a, x));
        c = step_write(m, c, sign_op(b), llabs(b));
    }
    if (a != 1)
        maker_think_line(m, "%s = %" PRId64 " / %" PRId64 " = %" PRId64, x, c, a, c / a);
}

static int64_t nonzero(Maker *m, int64_t lo, int64_t hi)
{
    int64_t value;
    do
        value = maker_int(m, lo, hi);
    while (value == 0);
    return value;
}

/* Levels: x + b = c, a x + b = c, the same with signs, a x + b = c x + d, a (x + b) = c. */
static void make_linear(Maker *m)
{
    const int level = m->level;
    int64_t a, b, c = 0, x;
    do {
        x = level < 3 ? maker_int(m, 1, 30) : nonzero(m, -20, 20);
        a = level == 1 ? 1 : level == 3 ? nonzero(m, -9, 9) : maker_int(m, 2, 12);
        b = level < 3 ? maker_int(m, 1, 60) : nonzero(m, -60, 60);
        if (level == 1 && maker_chance(m, 0.4))
            b = -b;
        if (level >= 4)
            c = maker_int(m, 1, a - 1);
        if (level == 5)
            b = nonzero(m, -12, 12);
    } while (a == 0 || (level == 3 && a == 1) ||
             !maker_owns(m, key_more(key_more(key_more(key_text("linear") + (level == 5), a), b),
                                     key_more((uint64_t)c, x))));
    const char *v = MAKER_PICK(m, unknowns), *ax = times(m, a, v);
    const char *equation;
    if (level == 5) {
        const int64_t right = a * (x + b);
        equation = maker_text(m, "%" PRId64 "(%s%s) = %" PRId64, a, v, plus(m, b), right);
        maker_think_line(m, "%s%s = %" PRId64 " / %" PRId64 " = %" PRId64, v, plus(m, b), right, a,
                         right / a);
        think_linear(m, 1, b, right / a, v);
    } else if (level == 4) {
        const int64_t d = (a - c) * x + b;
        equation = maker_text(m, "%s%s = %s%s", ax, plus(m, b), times(m, c, v), plus(m, d));
        maker_think_line(m, "%s - %s = %s", ax, times(m, c, v), times(m, a - c, v));
        maker_think_line(m, "%s%s = %" PRId64, times(m, a - c, v), plus(m, b), d);
        think_linear(m, a - c, b, d, v);
    } else {
        equation = maker_text(m, "%s%s = %" PRId64, ax, plus(m, b), a * x + b);
        think_linear(m, a, b, a * x + b, v);
    }
    maker_user(m, maker_phrase(m, solve_asks[m->lang], PHRASES), equation, v, NULL);
    maker_reply(m, "%s = %" PRId64, v, x);
    maker_answer(m, "%" PRId64, x);
}

/* ---- Two unknowns ---------------------------------------------------------------------------- */

static const char *const system_asks[N_LANGS][3] = {
    {"Solve: {0}, {1}.", "{0} and {1}. Find x and y.", "What are x and y if {0} and {1}?"},
    {"解方程组：{0}，{1}。", "已知 {0}，{1}，求 x 和 y。"},
    {"Löse: {0}, {1}.", "Was sind x und y, wenn {0} und {1}?"},
    {"Resuelve: {0}, {1}.", "¿Cuánto valen x e y si {0} y {1}?"},
};

/* x + y = s and x - y = d; level 2: a x + y = s, x - y = d; level 3: a x + b y = s, x + y = t. */
static void make_system(Maker *m)
{
    int64_t a, b, x, y;
    do {
        x = maker_int(m, m->level == 1 ? 1 : -9, 20);
        y = maker_int(m, m->level == 1 ? 1 : -9, 20);
        a = m->level == 1 ? 1 : maker_int(m, 2, 6);
        b = m->level == 3 ? maker_int(m, 1, a - 1) : 1;
    } while (!maker_owns(m, key_more(key_more(key_more(key_text("system"), x), y), a * 10 + b)));
    const int64_t s = a * x + b * y, d = m->level == 3 ? x + y : x - y;
    const char *first = maker_text(m, "%s + %s = %" PRId64, times(m, a, "x"), times(m, b, "y"), s);
    const char *second = maker_text(m, "x %c y = %" PRId64, m->level == 3 ? '+' : '-', d);
    maker_user(m, maker_phrase(m, system_asks[m->lang], 3), first, second, NULL);
    if (m->level == 3) {
        maker_think_line(m, "y = %" PRId64 " - x", d);
        maker_think_line(m, "%s * (%" PRId64 " - x) = %" PRId64 " - %s", maker_num(m, b), d, b * d,
                         times(m, b, "x"));
        maker_think_line(m, "%s + %" PRId64 " = %" PRId64, times(m, a - b, "x"), b * d, s);
        think_linear(m, a - b, b * d, s, "x");
        maker_think_line(m, "y = ");
        step_write(m, d, '-', x);
    } else {
        maker_think_line(m, "%s = ", times(m, a + 1, "x"));
        const int64_t sum = step_write(m, s, d < 0 ? '-' : '+', llabs(d));
        maker_think_line(m, "x = %" PRId64 " / %" PRId64 " = %" PRId64, sum, a + 1, x);
        maker_think_line(m, "y = ");
        step_write(m, x, d < 0 ? '+' : '-', llabs(d));
    }
    maker_reply(m, "x = %" PRId64 ", y = %" PRId64, x, y);
}

/* ---- Quadratic ------------------------------------------------------------------------------- */

static void make_quadratic(Maker *m)
{
    const int64_t size = m->level == 1 ? 6 : 12;
    int64_t p, q;
    do {
        p = nonzero(m, m->level == 1 ? 1 : -size, size);
        q = nonzero(m, m->level == 1 ? 1 : -size, size);
    } while (p > q || !maker_owns(m, key_more(key_more(key_text("quadratic"), p), q)));
    const int64_t sum = p + q, product = p * q;
    const char *middle =
        sum == 0 ? "" : maker_text(m, " %c %s", sum > 0 ? '-' : '+', times(m, llabs(sum), "x"));
    maker_user(m, maker_phrase(m, solve_asks[m->lang], PHRASES),
               maker_text(m, "x^2%s%s = 0", middle, plus(m, product)), "x", NULL);
    /* Pairs with the right product until the sum is right too. */
    maker_think_line(m, "p * q = %" PRId64 ", p + q = %" PRId64, product, sum);
    for (int64_t i = 1; i <= llabs(product); i++) {
        if (product % i != 0)
            continue;
        /* Of one sign: the sum tells which. Of two: either may be the negative one. */
        const int64_t other = product / i;
        const bool is_plus = product < 0 || sum > 0;
        if (is_plus)
            maker_think_line(m, "%" PRId64 " %c %" PRId64 " = %" PRId64, i, other < 0 ? '-' : '+',
                             (int64_t)llabs(other), i + other);
        else
            maker_think_line(m, "-%" PRId64 " - %" PRId64 " = %" PRId64, i, other, -i - other);
        if ((is_plus && i + other == sum) || (!is_plus && -i - other == sum))
            break;
        if (product > 0)
            continue;
        maker_think_line(m, "-%" PRId64 " + %" PRId64 " = %" PRId64, i, -other, -i - other);
        if (-i - other == sum)
            break;
    }
    if (p == q)
        maker_reply(m, "x = %" PRId64, p);
    else
        maker_reply(m, "x = %" PRId64 ", x = %" PRId64, p, q);
}

const TaskFamily algebra_families[] = {
    {.name = "equation",
     .domain = "algebra",
     .about = "a linear equation in one unknown",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_linear,
     .score = score_number},
    {.name = "system",
     .domain = "algebra",
     .about = "two linear equations in x and y",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_system,
     .score = score_text},
    {.name = "quadratic",
     .domain = "algebra",
     .about = "a quadratic equation with whole roots",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_quadratic,
     .score = score_text},
    {.name = NULL},
};
