/* Logic: propositions, chains of classes, orders. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/people.h"
#include "tasks/words.h"

#include <string.h>

/* ---- Propositions ---------------------------------------------------------------------------- */

enum { VARIABLES_MAX = 4, EXPRESSION_MAX = 160 };

static const char *const truth_words[N_LANGS][2] = {
    {"false", "true"}, {"假", "真"}, {"falsch", "wahr"}, {"falso", "verdadero"}};
static const char *const given[N_LANGS] = {"{0} is {1}", "{0} 为{1}", "{0} ist {1}", "{0} es {1}"};
static const char *const proposition_asks[N_LANGS] = {
    "{0}. Is this true or false: {1}?", "{0}。判断真假：{1}", "{0}. Wahr oder falsch: {1}?",
    "{0}. ¿Verdadero o falso: {1}?"};

typedef struct Expression {
    char text[EXPRESSION_MAX];
    bool value;
} Expression;

static void join(Expression *out, const char *a, const char *op, const char *b)
{
    Buf text = {0};
    buf_printf(&text, "%s%s%s", a, op, b);
    const size_t n = text.bytes < EXPRESSION_MAX ? text.bytes : EXPRESSION_MAX - 1;
    memcpy(out->text, text.data, n);
    out->text[n] = 0;
    buf_free(&text);
}

/* Builds an expression of n variables and writes down its value as soon as its parts are known. */
static Expression build(Maker *m, int n, bool values[VARIABLES_MAX], int n_variables)
{
    static const char *const ops[] = {" and ", " or ", " xor ", " implies "};
    Expression e;
    if (n == 1) {
        const int v = (int)maker_int(m, 0, n_variables - 1);
        const bool is_not = maker_chance(m, 0.35);
        const char name[] = {(char)('p' + v), 0};
        join(&e, is_not ? "not " : "", name, "");
        e.value = values[v] != is_not;
    } else {
        const int left_n = (int)maker_int(m, 1, n - 1), op = (int)maker_int(m, 0, 3);
        const Expression a = build(m, left_n, values, n_variables);
        const Expression b = build(m, n - left_n, values, n_variables);
        Expression left, right;
        join(&left, left_n > 1 ? "(" : "", a.text, left_n > 1 ? ")" : "");
        join(&right, n - left_n > 1 ? "(" : "", b.text, n - left_n > 1 ? ")" : "");
        join(&e, left.text, ops[op], right.text);
        e.value = op == 0   ? a.value && b.value
                  : op == 1 ? a.value || b.value
                  : op == 2 ? a.value != b.value
                            : !a.value || b.value;
        maker_think_line(m, "%s:", e.text);
        maker_think(m, " %s%s%s = %s", truth_words[m->lang][a.value], ops[op],
                    truth_words[m->lang][b.value], truth_words[m->lang][e.value]);
    }
    return e;
}

static void make_proposition(Maker *m)
{
    const int n_variables = m->level == 1 ? 2 : m->level == 2 ? 3 : 4;
    bool values[VARIABLES_MAX];
    Expression e;
    uint64_t key;
    do {
        buf_clear(&m->thinking);
        key = key_text("proposition");
        for (int i = 0; i < n_variables; i++) {
            values[i] = maker_chance(m, 0.5);
            key = key_more(key, values[i]);
        }
        e = build(m, m->level + 1, values, n_variables);
    } while (!maker_owns(m, key_more(key, (int64_t)key_text(e.text))));
    const char *facts[VARIABLES_MAX];
    for (int i = 0; i < n_variables; i++)
        facts[i] = maker_fill(m, given[m->lang], maker_text(m, "%c", 'p' + i),
                              truth_words[m->lang][values[i]], NULL);
    maker_user(m, proposition_asks[m->lang], maker_list(m, facts, n_variables), e.text, NULL);
    maker_reply(m, "%s", truth_words[m->lang][e.value]);
}

/* ---- Classes --------------------------------------------------------------------------------- */

enum { CLASSES_MAX = 8 };

static const char *const all_are[N_LANGS] = {"All {0} are {1}.", "所有的 {0} 都是 {1}。",
                                             "Alle {0} sind {1}.", "Todos los {0} son {1}."};
static const char *const none_are[N_LANGS] = {"No {0} are {1}.", "没有 {0} 是 {1}。",
                                              "Keine {0} sind {1}.", "Ningún {0} es {1}."};
static const char *const class_asks[N_LANGS] = {"Are all {0} {1}?", "所有的 {0} 都是 {1} 吗？",
                                                "Sind alle {0} {1}?", "¿Son {1} todos los {0}?"};
static const char *const class_replies[N_LANGS][3] = {{"Yes", "No", "Unknown"},
                                                      {"是", "不是", "未知"},
                                                      {"Ja", "Nein", "Unbekannt"},
                                                      {"Sí", "No", "Desconocido"}};

/* A chain of level + 2 classes, each within the next; perhaps the last two exclude each other; the
 * question may also run against the chain, and then nothing follows. */
static void make_classes(Maker *m)
{
    const int n = m->level + 2;
    const char *names[CLASSES_MAX], *facts[CLASSES_MAX], *mixed[CLASSES_MAX];
    for (int i = 0; i < n; i++) {
        bool is_new;
        do {
            names[i] = word_invented(m, 3, 6);
            is_new = true;
            for (int j = 0; j < i; j++)
                is_new &= strcmp(names[i], names[j]) != 0;
        } while (!is_new);
    }
    const int kind = (int)maker_int(m, 0, 2); /* yes, no, unknown */
    for (int i = 0; i + 1 < n; i++)
        facts[i] = maker_fill(m, kind == 1 && i + 2 == n ? none_are[m->lang] : all_are[m->lang],
                              names[i], names[i + 1], NULL);
    int order[CLASSES_MAX];
    maker_choose(m, n - 1, n - 1, order);
    for (int i = 0; i + 1 < n; i++)
        mixed[i] = facts[order[i]];
    Buf text = {0};
    for (int i = 0; i + 1 < n; i++)
        buf_printf(&text, "%s%s", mixed[i], m->lang == LANG_ZH ? "" : " ");
    const int from = (int)maker_int(m, 0, n - 2 - (n > 3)), to = n - 1;
    buf_puts(&text, maker_fill(m, class_asks[m->lang], names[kind == 2 ? to : from],
                               names[kind == 2 ? from : to], NULL));
    maker_user(m, "{0}", text.data, NULL);
    buf_free(&text);
    if (kind == 2) {
        maker_think(m, "%s: ?", names[to]);
    } else {
        for (int i = from; i < n; i++)
            maker_think(m, "%s%s", i == from ? "" : kind == 1 && i == to ? " x " : " > ", names[i]);
    }
    maker_reply(m, "%s", class_replies[m->lang][kind]);
}

/* ---- Orders ---------------------------------------------------------------------------------- */

static const char *const taller[N_LANGS][2] = {
    {"{0} is taller than {1}.", "{1} is shorter than {0}."},
    {"{0}比{1}高。", "{1}比{0}矮。"},
    {"{0} ist größer als {1}.", "{1} ist kleiner als {0}."},
    {"{0} es más alto que {1}.", "{1} es más bajo que {0}."}};
static const char *const order_asks[N_LANGS][3] = {
    {"Who is the tallest?", "Who is the shortest?", "Who is number {0} from the top?"},
    {"谁最高？", "谁最矮？", "从高到矮第 {0} 个是谁？"},
    {"Wer ist am größten?", "Wer ist am kleinsten?", "Wer ist der Größe nach Nummer {0}?"},
    {"¿Quién es el más alto?", "¿Quién es el más bajo?", "¿Quién es el número {0} por altura?"}};

static void make_order(Maker *m)
{
    const int n = m->level + 2;
    const char *names[CLASSES_MAX];
    int order[CLASSES_MAX];
    uint64_t key;
    int asked;
    bool is_reversed[CLASSES_MAX];
    do {
        person_choose(m, n, names);
        maker_choose(m, n - 1, n - 1, order);
        asked = (int)maker_int(m, 0, n - 1);
        key = key_text("order");
        for (int i = 0; i < n; i++)
            key = key_more(key, (int64_t)key_text(names[i]));
        for (int i = 0; i + 1 < n; i++) {
            is_reversed[i] = maker_chance(m, 0.4);
            key = key_more(key, order[i] * 2 + is_reversed[i]);
        }
    } while (!maker_owns(m, key_more(key, asked)));
    Buf text = {0};
    for (int i = 0; i + 1 < n; i++) {
        const int pair = order[i];
        buf_puts(&text, maker_fill(m, taller[m->lang][is_reversed[i]], names[pair], names[pair + 1],
                                   NULL));
        buf_puts(&text, m->lang == LANG_ZH ? "" : " ");
        maker_think_line(m, "%s > %s", names[pair], names[pair + 1]);
    }
    const int kind = asked == 0 ? 0 : asked == n - 1 ? 1 : 2;
    buf_puts(&text, maker_fill(m, order_asks[m->lang][kind], maker_num(m, asked + 1), NULL));
    maker_user(m, "{0}", text.data, NULL);
    buf_free(&text);
    maker_think_line(m, "%s", names[0]);
    for (int i = 1; i < n; i++)
        maker_think(m, " > %s", names[i]);
    maker_reply(m, "%s", names[asked]);
}

const TaskFamily logic_families[] = {
    {.name = "proposition",
     .domain = "logic",
     .about = "the truth of a compound proposition",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_proposition,
     .score = score_text},
    {.name = "classes",
     .domain = "logic",
     .about = "syllogisms over chains of made-up classes",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_classes,
     .score = score_text},
    {.name = "order",
     .domain = "logic",
     .about = "putting people in order from pairs",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_order,
     .score = score_text},
    {.name = NULL},
};
