/* Induction: the next number of a sequence, the rule behind examples of lists. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/steps.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Sequences ------------------------------------------------------------------------------- */

enum { TERMS = 6 };

static const char *const sequence_asks[N_LANGS][3] = {
    {"What comes next: {0}, ?", "Continue: {0}, ...", "Next number: {0}"},
    {"下一个数是什么：{0}、？", "接着写一个数：{0}"},
    {"Was kommt als Nächstes: {0}, ?", "Setze fort: {0}"},
    {"¿Qué sigue: {0}, ?", "Continúa: {0}"},
};

typedef enum Rule { ADD, SUBTRACT, DOUBLE, GROW, SUM_OF_TWO, SQUARES, ALTERNATE, N_RULES } Rule;

/* terms[0 .. TERMS]: one more than is shown. Two parameters. */
static void fill_terms(Rule rule, int64_t start, int64_t a, int64_t b, int64_t terms[TERMS + 1])
{
    terms[0] = start;
    for (int i = 1; i <= TERMS; i++)
        switch (rule) {
        case ADD:
            terms[i] = terms[i - 1] + a;
            break;
        case SUBTRACT:
            terms[i] = terms[i - 1] - a;
            break;
        case DOUBLE:
            terms[i] = terms[i - 1] * (2 + a % 2);
            break;
        case GROW:
            terms[i] = terms[i - 1] + a + (i - 1) * b;
            break;
        case SUM_OF_TWO:
            terms[i] = i == 1 ? start + a : terms[i - 1] + terms[i - 2];
            break;
        case SQUARES:
            terms[i] = (a + i) * (a + i) + b;
            break;
        default:
            terms[i] = terms[i - 1] + (i % 2 ? a : -b);
            break;
        }
    if (rule == SQUARES)
        terms[0] = a * a + b;
}

static void think_sequence(Maker *m, Rule rule, const int64_t terms[TERMS + 1])
{
    const int64_t factor = terms[0] == 0 ? 0 : terms[1] / terms[0];
    if (rule == DOUBLE) {
        maker_think(m, "* %" PRId64, factor);
        step_think(m, terms[TERMS - 1], '*', factor);
        return;
    }
    if (rule == SUM_OF_TWO) {
        step_think(m, terms[0], '+', terms[1]);
        step_think(m, terms[1], '+', terms[2]);
        step_think(m, terms[TERMS - 1], '+', terms[TERMS - 2]);
        return;
    }
    for (int i = 1; i < TERMS; i++)
        maker_think(m, "%s%+" PRId64, i > 1 ? " " : "", terms[i] - terms[i - 1]);
    const int64_t next = terms[TERMS] - terms[TERMS - 1];
    maker_think_line(m, "%+" PRId64, next);
    step_think(m, terms[TERMS - 1], next < 0 ? '-' : '+', llabs(next));
}

static void make_sequence(Maker *m)
{
    static const int n_rules[] = {2, 4, N_RULES};
    int64_t start, a, b, terms[TERMS + 1];
    uint64_t key;
    Rule rule;
    do {
        rule = (Rule)maker_int(m, 0, n_rules[m->level - 1] - 1);
        start = rule == DOUBLE ? maker_int(m, 1, 12) : maker_int(m, 1, 60);
        a = maker_int(m, 2, rule == SQUARES ? 8 : 19);
        b = rule == SQUARES ? maker_int(m, 0, 9) : maker_int(m, 1, 9);
        if (rule == ALTERNATE && a == b)
            a++;
        fill_terms(rule, start, a, b, terms);
        key = key_text("sequence");
        for (int i = 0; i < TERMS; i++)
            key = key_more(key, terms[i]);
    } while (!maker_owns(m, key));
    const char *shown[TERMS];
    for (int i = 0; i < TERMS; i++)
        shown[i] = maker_num(m, terms[i]);
    maker_user(m, maker_phrase(m, sequence_asks[m->lang], 3), maker_list(m, shown, TERMS), NULL);
    think_sequence(m, rule, terms);
    maker_reply(m, "%" PRId64, terms[TERMS]);
}

/* ---- Lists ----------------------------------------------------------------------------------- */

enum { ITEMS_MAX = 6, EXAMPLES = 3 };

typedef enum ListRule {
    REVERSE,
    ADD_TO_ALL,
    DROP_FIRST,
    DROP_LAST,
    SORT,
    DOUBLE_ALL,
    ONLY_EVEN,
    REPEAT_FIRST,
    N_LIST_RULES
} ListRule;

static const char *const list_rules[N_LANGS][N_LIST_RULES] = {
    {"reverse", "add {0}", "drop the first", "drop the last", "sort", "double", "keep the even",
     "repeat the first"},
    {"倒序", "加 {0}", "去掉第一个", "去掉最后一个", "排序", "翻倍", "只留偶数", "重复第一个"},
    {"umdrehen", "{0} addieren", "das erste weg", "das letzte weg", "sortieren", "verdoppeln",
     "nur gerade", "das erste doppelt"},
    {"invertir", "sumar {0}", "quitar el primero", "quitar el último", "ordenar", "doblar",
     "solo pares", "repetir el primero"},
};
static const char *const list_asks[N_LANGS] = {"{0}\nWhat is {1} -> ?", "{0}\n{1} -> ?",
                                               "{0}\nWas ist {1} -> ?", "{0}\n¿Qué es {1} -> ?"};

typedef struct List {
    int64_t items[ITEMS_MAX + 1];
    int n;
} List;

static int by_value(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static List apply(ListRule rule, int64_t a, const List *in)
{
    List out = {.n = 0};
    if (rule == REPEAT_FIRST)
        out.items[out.n++] = in->items[0];
    for (int i = 0; i < in->n; i++) {
        const int64_t x = in->items[rule == REVERSE ? in->n - 1 - i : i];
        if ((rule == DROP_FIRST && i == 0) || (rule == DROP_LAST && i == in->n - 1) ||
            (rule == ONLY_EVEN && x % 2 != 0))
            continue;
        out.items[out.n++] = rule == ADD_TO_ALL ? x + a : rule == DOUBLE_ALL ? 2 * x : x;
    }
    if (rule == SORT)
        qsort(out.items, (size_t)out.n, sizeof *out.items, by_value);
    return out;
}

static const char *list_text(Maker *m, const List *list)
{
    Buf text = {0};
    buf_putc(&text, '[');
    for (int i = 0; i < list->n; i++)
        buf_printf(&text, "%s%" PRId64, i ? ", " : "", list->items[i]);
    buf_putc(&text, ']');
    const char *kept = maker_text(m, "%s", text.data);
    buf_free(&text);
    return kept;
}

/* A list that shows the rule: no other rule of the table does the same to it. */
static List draw_list(Maker *m, ListRule rule, int64_t a)
{
    for (;;) {
        List list = {.n = (int)maker_int(m, 3, 2 + m->level)};
        for (int i = 0; i < list.n; i++)
            list.items[i] = maker_int(m, 1, m->level == 1 ? 9 : 60);
        const List out = apply(rule, a, &list);
        bool is_clear = out.n > 0;
        for (int other = 0; other < N_LIST_RULES && is_clear; other++) {
            const List same = apply((ListRule)other, a, &list);
            is_clear = other == (int)rule || same.n != out.n ||
                       memcmp(same.items, out.items, sizeof *out.items * (size_t)out.n) != 0;
        }
        if (is_clear)
            return list;
    }
}

static void make_list(Maker *m)
{
    ListRule rule;
    int64_t a;
    List list, out;
    const char *text;
    do {
        rule = (ListRule)maker_int(m, 0, m->level == 1 ? SORT : N_LIST_RULES - 1);
        a = maker_int(m, 1, 9);
        list = draw_list(m, rule, a);
        text = list_text(m, &list);
    } while (!maker_owns(m, key_more(key_more(key_text(text), rule), a)));
    Buf examples = {0};
    for (int i = 0; i < EXAMPLES; i++) {
        const List example = draw_list(m, rule, a), result = apply(rule, a, &example);
        buf_printf(&examples, "%s%s -> ", i ? "\n" : "", list_text(m, &example));
        buf_puts(&examples, list_text(m, &result));
    }
    maker_user(m, list_asks[m->lang], examples.data, text, NULL);
    buf_free(&examples);
    out = apply(rule, a, &list);
    maker_think(m, "%s", maker_fill(m, list_rules[m->lang][rule], maker_num(m, a), NULL));
    maker_reply(m, "%s", list_text(m, &out));
}

const TaskFamily induction_families[] = {
    {.name = "sequence",
     .domain = "induction",
     .about = "the next number of a sequence",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_sequence,
     .score = score_number},
    {.name = "list_rule",
     .domain = "induction",
     .about = "the rule behind examples of lists",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_list,
     .score = score_text},
    {.name = NULL},
};
