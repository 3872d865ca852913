/* Whole numbers and fractions: divisors, fractions, bases, percentages, powers, sizes. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/steps.h"

#include <inttypes.h>
#include <string.h>

enum { PHRASES = 3 };
typedef const char *const Phrases[N_LANGS][PHRASES];

/* {0} and {1} are numbers. */
static Phrases gcd_asks = {
    {"What is the greatest common divisor of {0} and {1}?", "gcd({0}, {1}) = ?",
     "GCD of {0} and {1}?"},
    {"{0} 和 {1} 的最大公约数是多少？", "求 {0} 与 {1} 的最大公因数。"},
    {"Was ist der größte gemeinsame Teiler von {0} und {1}?", "ggT({0}, {1}) = ?"},
    {"¿Cuál es el máximo común divisor de {0} y {1}?", "mcd({0}, {1}) = ?"},
};
static Phrases lcm_asks = {
    {"What is the least common multiple of {0} and {1}?", "lcm({0}, {1}) = ?",
     "LCM of {0} and {1}?"},
    {"{0} 和 {1} 的最小公倍数是多少？", "求 {0} 与 {1} 的最小公倍数。"},
    {"Was ist das kleinste gemeinsame Vielfache von {0} und {1}?", "kgV({0}, {1}) = ?"},
    {"¿Cuál es el mínimo común múltiplo de {0} y {1}?", "mcm({0}, {1}) = ?"},
};
static Phrases simplify_asks = {
    {"Simplify {0}.", "Reduce the fraction {0}.", "{0} in lowest terms?"},
    {"化简 {0}。", "约分 {0}。"},
    {"Kürze {0}.", "Kürze den Bruch {0}."},
    {"Simplifica {0}.", "Reduce la fracción {0}."},
};
static Phrases fraction_asks = {
    {"{0} = ?", "What is {0}?", "Calculate {0} as a fraction."},
    {"{0} = ?", "计算 {0}，写成分数。"},
    {"{0} = ?", "Berechne {0} als Bruch."},
    {"{0} = ?", "Calcula {0} como fracción."},
};
static Phrases factor_asks = {
    {"Factor {0} into primes.", "What are the prime factors of {0}?",
     "Prime factorization of {0}?"},
    {"把 {0} 分解质因数。", "{0} 的质因数有哪些？"},
    {"Zerlege {0} in Primfaktoren.", "Was sind die Primfaktoren von {0}?"},
    {"Descompón {0} en factores primos.", "¿Cuáles son los factores primos de {0}?"},
};
static Phrases to_base_asks = {
    {"Write {0} in base {1}.", "Convert {0} to base {1}.", "What is {0} in base {1}?"},
    {"把 {0} 写成 {1} 进制。", "{0} 的 {1} 进制是多少？"},
    {"Schreibe {0} zur Basis {1}.", "Was ist {0} zur Basis {1}?"},
    {"Escribe {0} en base {1}.", "¿Cuánto es {0} en base {1}?"},
};
static Phrases from_base_asks = {
    {"What is {0} (base {1}) in decimal?", "Convert {0} from base {1} to decimal."},
    {"{1} 进制数 {0} 是十进制的多少？", "把 {1} 进制的 {0} 换成十进制。"},
    {"Was ist {0} (Basis {1}) dezimal?"},
    {"¿Cuánto es {0} (base {1}) en decimal?"},
};
static Phrases percent_asks = {
    {"What is {0} % of {1}?", "{0} % of {1} = ?", "Find {0} % of {1}."},
    {"{1} 的 {0}% 是多少？", "求 {1} 的 {0}%。"},
    {"Wie viel sind {0} % von {1}?", "{0} % von {1} = ?"},
    {"¿Cuánto es el {0} % de {1}?", "El {0} % de {1} = ?"},
};
static Phrases power_asks = {
    {"{0}^{1} = ?", "What is {0} to the power of {1}?", "Calculate {0}^{1}."},
    {"{0}^{1} = ?", "{0} 的 {1} 次方是多少？"},
    {"{0}^{1} = ?", "Was ist {0} hoch {1}?"},
    {"{0}^{1} = ?", "¿Cuánto es {0} elevado a {1}?"},
};
static Phrases compare_asks = {
    {"Which is larger, {0} or {1}?", "Which number is bigger: {0} or {1}?"},
    {"{0} 和 {1} 哪个大？", "比较 {0} 和 {1}，哪个更大？"},
    {"Was ist größer, {0} oder {1}?", "Welche Zahl ist größer: {0} oder {1}?"},
    {"¿Qué es mayor, {0} o {1}?", "¿Qué número es más grande: {0} o {1}?"},
};

static void ask(Maker *m, Phrases phrases, const char *first, const char *second)
{
    maker_user(m, maker_phrase(m, phrases[m->lang], PHRASES), first, second, NULL);
}

/* ---- Divisors -------------------------------------------------------------------------------- */

/* Euclid, a line a division. */
static int64_t think_gcd(Maker *m, int64_t a, int64_t b)
{
    if (a < b)
        return think_gcd(m, b, a);
    while (b > 0) {
        maker_think_line(m, "%" PRId64 " = %" PRId64 " * %" PRId64 " + %" PRId64, a, a / b, b,
                         a % b);
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Two numbers with a common divisor. */
static void draw_pair(Maker *m, const char *name, int64_t factor_max, int64_t *a, int64_t *b)
{
    do {
        const int64_t factor = maker_int(m, 1, 12);
        *a = factor * maker_int(m, 2, factor_max);
        *b = factor * maker_int(m, 2, factor_max);
    } while (*a == *b || !maker_owns(m, key_more(key_more(key_text(name), *a), *b)));
}

static void make_gcd(Maker *m)
{
    static const int64_t sizes[] = {9, 40, 150};
    int64_t a, b;
    draw_pair(m, "gcd", sizes[m->level - 1], &a, &b);
    ask(m, gcd_asks, maker_num(m, a), maker_num(m, b));
    maker_reply(m, "%" PRId64, think_gcd(m, a, b));
}

static void make_lcm(Maker *m)
{
    static const int64_t sizes[] = {7, 15, 40};
    int64_t a, b;
    draw_pair(m, "lcm", sizes[m->level - 1], &a, &b);
    ask(m, lcm_asks, maker_num(m, a), maker_num(m, b));
    const int64_t divisor = think_gcd(m, a, b);
    maker_think_line(m, "%" PRId64 " / %" PRId64 " = %" PRId64, a, divisor, a / divisor);
    maker_reply(m, "%" PRId64, step_product(m, a / divisor, b));
}

/* ---- Fractions ------------------------------------------------------------------------------- */

static void reply_fraction(Maker *m, int64_t top, int64_t bottom)
{
    if (bottom == 1)
        maker_reply(m, "%" PRId64, top);
    else
        maker_reply(m, "%" PRId64 "/%" PRId64, top, bottom);
}

static void think_simplify(Maker *m, int64_t top, int64_t bottom)
{
    const int64_t size = top < 0 ? -top : top;
    const int64_t divisor = size == 0 ? bottom : think_gcd(m, size, bottom);
    maker_think_line(m, "%" PRId64 " / %" PRId64 " = %" PRId64, top, divisor, top / divisor);
    maker_think_line(m, "%" PRId64 " / %" PRId64 " = %" PRId64, bottom, divisor, bottom / divisor);
    reply_fraction(m, top / divisor, bottom / divisor);
}

/* Level 1: lowest terms. 2 and 3: sums, differences and products of two fractions. */
static void make_fraction(Maker *m)
{
    if (m->level == 1) {
        int64_t a, b;
        draw_pair(m, "fraction", 12, &a, &b);
        ask(m, simplify_asks, maker_text(m, "%" PRId64 "/%" PRId64, a, b), "");
        think_simplify(m, a, b);
        return;
    }
    const int64_t size = m->level == 2 ? 6 : 12;
    int64_t a, b, c, d;
    char op;
    do {
        b = maker_int(m, 2, size);
        d = maker_int(m, 2, size);
        a = maker_int(m, 1, b - 1);
        c = maker_int(m, 1, d - 1);
        op = "+-*"[maker_int(m, 0, 2)];
    } while (!maker_owns(m, key_more(key_more(key_text("fractions"), a * 100 + b), c * 100 + d)));
    ask(m, fraction_asks,
        maker_text(m, "%" PRId64 "/%" PRId64 " %c %" PRId64 "/%" PRId64, a, b, op, c, d), "");
    const int64_t bottom = b * d;
    maker_think_line(m, "%" PRId64 " * %" PRId64 " = %" PRId64, b, d, bottom);
    if (op == '*') {
        maker_think_line(m, "%" PRId64 " * %" PRId64 " = %" PRId64, a, c, a * c);
        think_simplify(m, a * c, bottom);
        return;
    }
    maker_think_line(m, "%" PRId64 " * %" PRId64 " = %" PRId64, a, d, a * d);
    maker_think_line(m, "%" PRId64 " * %" PRId64 " = %" PRId64, c, b, c * b);
    const int64_t top = step_think(m, a * d, op, c * b);
    think_simplify(m, top, bottom);
}

/* ---- Factors and bases ----------------------------------------------------------------------- */

static void make_factors(Maker *m)
{
    static const int64_t sizes[] = {60, 200, 900};
    int64_t n;
    do
        n = maker_int(m, 6, sizes[m->level - 1]);
    while (!maker_owns(m, key_more(key_text("factors"), n)));
    ask(m, factor_asks, maker_num(m, n), "");
    int64_t rest = n;
    for (int64_t p = 2, n_put = 0; rest > 1; p++) {
        if (p * p > rest)
            p = rest;
        while (rest % p == 0) {
            rest /= p;
            maker_think_line(m, "%" PRId64 " = %" PRId64 " * %" PRId64, rest * p, p, rest);
            maker_reply(m, n_put++ ? " * %" PRId64 : "%" PRId64, p);
        }
    }
}

static const char digits[] = "0123456789ABCDEF";

/* The digits of n in a base, the first one first. */
static const char *in_base(Maker *m, int64_t n, int64_t base)
{
    char text[70];
    size_t at = sizeof text - 1;
    text[at] = 0;
    for (; n > 0; n /= base)
        text[--at] = digits[n % base];
    return maker_text(m, "%s", text + at);
}

/* Levels 1 and 2: from decimal to 2, 8 or 16; 3 and 4: back. */
static void make_base(Maker *m)
{
    static const int64_t bases[] = {2, 8, 16};
    const int64_t size = m->level % 2 ? 63 : 500;
    int64_t n, base;
    do {
        n = maker_int(m, 5, size);
        base = bases[maker_int(m, 0, 2)];
    } while (!maker_owns(m, key_more(key_more(key_text("base"), n), base)));
    const char *text = in_base(m, n, base);
    if (m->level <= 2) {
        ask(m, to_base_asks, maker_num(m, n), maker_num(m, base));
        for (int64_t rest = n; rest > 0; rest /= base) {
            maker_think_line(m, "%" PRId64 " = %" PRId64 " * %" PRId64 " + %" PRId64, rest,
                             rest / base, base, rest % base);
            if (rest % base > 9)
                maker_think(m, " %c", digits[rest % base]);
        }
        maker_reply(m, "%s", text);
        return;
    }
    /* Horner: one digit after the other. */
    ask(m, from_base_asks, text, maker_num(m, base));
    int64_t value = 0;
    for (const char *c = text; *c; c++) {
        const int64_t digit = strchr(digits, *c) - digits;
        maker_think_line(m, "%" PRId64 " * %" PRId64 " + %" PRId64 " = %" PRId64, value, base,
                         digit, value * base + digit);
        value = value * base + digit;
    }
    maker_reply(m, "%" PRId64, value);
}

/* ---- Percentages, powers, sizes -------------------------------------------------------------- */

static void make_percent(Maker *m)
{
    int64_t percent, n;
    do {
        percent = m->level == 1 ? 10 * maker_int(m, 1, 9) : 5 * maker_int(m, 1, 19);
        n = 20 * maker_int(m, 1, m->level == 1 ? 20 : 60);
    } while (!maker_owns(m, key_more(key_more(key_text("percent"), percent), n)));
    ask(m, percent_asks, maker_num(m, percent), maker_num(m, n));
    const int64_t product = step_product(m, n, percent);
    maker_think_line(m, "%" PRId64 " / 100 = %" PRId64, product, product / 100);
    maker_reply(m, "%" PRId64, product / 100);
}

static void make_power(Maker *m)
{
    int64_t base, exponent;
    do {
        base = maker_int(m, 2, m->level == 1 ? 12 : 25);
        exponent = m->level == 1 ? maker_int(m, 2, base < 5 ? 6 : 3) : maker_int(m, 2, 4);
    } while (!maker_owns(m, key_more(key_more(key_text("power"), base), exponent)));
    ask(m, power_asks, maker_num(m, base), maker_num(m, exponent));
    int64_t value = base;
    for (int64_t i = 1; i < exponent; i++) {
        const int64_t next = value * base;
        if (base > 9)
            step_product(m, value, base);
        else
            step_think(m, value, '*', base);
        value = next;
    }
    maker_reply(m, "%" PRId64, value);
}

/* "9.11" and "9.9": the trap is in the digits behind the point. */
static void make_compare(Maker *m)
{
    int64_t whole[2], part[2];
    int n_digits[2];
    do {
        for (int i = 0; i < 2; i++) {
            n_digits[i] = (int)maker_int(m, 1, m->level + 1);
            whole[i] = maker_int(m, 0, 20);
            part[i] = maker_int(m, 1, n_digits[i] == 1 ? 9 : n_digits[i] == 2 ? 99 : 999);
        }
        if (maker_chance(m, 0.8))
            whole[1] = whole[0];
    } while (part[0] % 10 == 0 || part[1] % 10 == 0 ||
             (whole[0] == whole[1] && part[0] == part[1]) ||
             !maker_owns(m, key_more(key_more(key_text("compare"), whole[0] * 1000 + part[0]),
                                     whole[1] * 1000 + part[1])));
    const char *given[2], *padded[2];
    const int width = n_digits[0] > n_digits[1] ? n_digits[0] : n_digits[1];
    int64_t values[2];
    for (int i = 0; i < 2; i++) {
        int64_t scaled = part[i];
        for (int d = n_digits[i]; d < width; d++)
            scaled *= 10;
        given[i] = maker_text(m, "%" PRId64 ".%0*" PRId64, whole[i], n_digits[i], part[i]);
        padded[i] = maker_text(m, "%" PRId64 ".%0*" PRId64, whole[i], width, scaled);
        values[i] = whole[i] * 1000 + scaled * (width == 1 ? 100 : width == 2 ? 10 : 1);
    }
    ask(m, compare_asks, given[0], given[1]);
    const bool first = values[0] > values[1];
    maker_think_line(m, "%s %c %s", padded[0], first ? '>' : '<', padded[1]);
    maker_reply(m, "%s", given[first ? 0 : 1]);
}

const TaskFamily number_families[] = {
    {.name = "gcd",
     .domain = "arithmetic",
     .about = "the greatest common divisor (Euclid)",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_gcd,
     .score = score_number},
    {.name = "lcm",
     .domain = "arithmetic",
     .about = "the least common multiple",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_lcm,
     .score = score_number},
    {.name = "fraction",
     .domain = "arithmetic",
     .about = "fractions: lowest terms, + - *",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_fraction,
     .score = score_number},
    {.name = "factors",
     .domain = "arithmetic",
     .about = "prime factors",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_factors,
     .score = score_text},
    {.name = "base",
     .domain = "arithmetic",
     .about = "base 2, 8 and 16, there and back",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_base,
     .score = score_text},
    {.name = "percent",
     .domain = "arithmetic",
     .about = "a percentage of a number",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_percent,
     .score = score_number},
    {.name = "power",
     .domain = "arithmetic",
     .about = "powers",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_power,
     .score = score_number},
    {.name = "compare",
     .domain = "arithmetic",
     .about = "the larger of two decimals",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_compare,
     .score = score_number},
    {.name = NULL},
};
