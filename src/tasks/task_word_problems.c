/* Word problems: two unknowns, running totals. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/people.h"
#include "tasks/steps.h"

#include <inttypes.h>
#include <string.h>

/* ---- Two unknowns ---------------------------------------------------------------------------- */

/* {0} the first person, {1} the second, {2} the thing, {3} and {4} the numbers, {5} who is asked
 * for. The first has more, or a multiple. */
typedef enum Pair { SUM_MORE, SUM_FEWER, SUM_TIMES, MORE_TIMES, N_PAIRS } Pair;

static const char *const pair_texts[N_LANGS][N_PAIRS] = {
    {"{0} and {1} have {3} {2} together. {0} has {4} more than {1}. How many {2} does {5} have?",
     "{0} and {1} have {3} {2} together. {1} has {4} fewer than {0}. How many {2} does {5} have?",
     "{0} and {1} have {3} {2} together. {0} has {4} times as many as {1}. How many {2} does {5} "
     "have?",
     "{0} has {3} more {2} than {1}. {0} has {4} times as many as {1}. How many {2} does {5} "
     "have?"},
    {"{0}和{1}一共有 {3} {2}。{0}比{1}多 {4} 。{5}有多少{2}？",
     "{0}和{1}一共有 {3} {2}。{1}比{0}少 {4} 。{5}有多少{2}？",
     "{0}和{1}一共有 {3} {2}。{0}的数量是{1}的 {4} 倍。{5}有多少{2}？",
     "{0}比{1}多 {3} {2}。{0}的数量是{1}的 {4} 倍。{5}有多少{2}？"},
    {"{0} und {1} haben zusammen {3} {2}. {0} hat {4} mehr als {1}. Wie viele {2} hat {5}?",
     "{0} und {1} haben zusammen {3} {2}. {1} hat {4} weniger als {0}. Wie viele {2} hat {5}?",
     "{0} und {1} haben zusammen {3} {2}. {0} hat {4}-mal so viele wie {1}. Wie viele {2} hat {5}?",
     "{0} hat {3} {2} mehr als {1}. {0} hat {4}-mal so viele wie {1}. Wie viele {2} hat {5}?"},
    {"{0} y {1} tienen juntos {3} {2}. {0} tiene {4} más que {1}. ¿Cuántos {2} tiene {5}?",
     "{0} y {1} tienen juntos {3} {2}. {1} tiene {4} menos que {0}. ¿Cuántos {2} tiene {5}?",
     "{0} y {1} tienen juntos {3} {2}. {0} tiene {4} veces los de {1}. ¿Cuántos {2} tiene {5}?",
     "{0} tiene {3} {2} más que {1}. {0} tiene {4} veces los de {1}. ¿Cuántos {2} tiene {5}?"},
};

static void think_pair(Maker *m, Pair kind, const char *a, const char *b, int64_t first,
                       int64_t second, int64_t y)
{
    const bool by_difference = kind == SUM_MORE || kind == SUM_FEWER;
    if (by_difference)
        maker_think_line(m, "%s = %s + %" PRId64, a, b, second);
    else
        maker_think_line(m, "%s = %" PRId64 " * %s", a, second, b);
    if (kind == MORE_TIMES)
        maker_think_line(m, "%s - %s = %" PRId64, a, b, first);
    else
        maker_think_line(m, "%s + %s = %" PRId64, a, b, first);
    const int64_t factor = by_difference ? 2 : kind == SUM_TIMES ? second + 1 : second - 1;
    int64_t rest = first;
    maker_think_line(m, "%" PRId64 " * %s = ", factor, b);
    if (by_difference)
        rest = step_write(m, first, '-', second);
    else
        maker_think(m, "%" PRId64, first);
    maker_think_line(m, "%s = %" PRId64 " / %" PRId64 " = %" PRId64, b, rest, factor, y);
}

static void make_pair(Maker *m)
{
    static const int n_kinds[] = {1, 2, N_PAIRS, N_PAIRS}, sizes[] = {40, 40, 40, 150};
    Pair kind;
    int64_t x, y, first, second;
    do {
        kind = (Pair)maker_int(m, 0, n_kinds[m->level - 1] - 1);
        y = maker_int(m, 2, sizes[m->level - 1]);
        second = kind <= SUM_FEWER ? maker_int(m, 2, sizes[m->level - 1]) : maker_int(m, 2, 6);
        x = kind <= SUM_FEWER ? y + second : y * second;
        first = kind == MORE_TIMES ? x - y : x + y;
    } while (!maker_owns(m, key_more(key_more(key_more(key_text("pair"), kind), y), second)));
    const char *names[2], *thing = thing_choose(m);
    person_choose(m, 2, names);
    const bool asks_first = maker_chance(m, 0.6);
    maker_user(m, pair_texts[m->lang][kind], names[0], names[1], thing, maker_num(m, first),
               maker_num(m, second), names[asks_first ? 0 : 1], NULL);
    think_pair(m, kind, names[0], names[1], first, second, y);
    if (asks_first) {
        maker_think_line(m, "%s = ", names[0]);
        if (kind <= SUM_FEWER)
            step_write(m, y, '+', second);
        else
            step_write(m, y, '*', second);
    }
    maker_reply(m, "%" PRId64, asks_first ? x : y);
}

/* ---- Running totals -------------------------------------------------------------------------- */

typedef enum Event { GETS, GIVES, BUYS_PACKS, LOSES, DOUBLES, FINDS, SHARES, N_EVENTS } Event;

/* {0} who, {1} a number, {2} the thing, {3} another person, {4} a second number. */
static const char *const event_texts[N_LANGS][N_EVENTS] = {
    {"{3} gives {0} {1} more.", "{0} gives {1} to {3}.", "{0} buys {1} packs of {4} {2}.",
     "{0} loses {1}.", "Then {0} gets as many again.", "{0} finds {1} {2}.",
     "{0} keeps half and gives the rest to {3}."},
    {"{3}又给了{0} {1} {2}。", "{0}给了{3} {1} {2}。", "{0}买了 {1} 包，每包 {4} {2}。",
     "{0}丢了 {1} {2}。", "后来{0}的数量翻了一倍。", "{0}找到 {1} {2}。", "{0}把一半给了{3}。"},
    {"{3} gibt {0} {1} dazu.", "{0} gibt {3} {1} davon.", "{0} kauft {1} Packungen mit je {4} {2}.",
     "{0} verliert {1}.", "Dann bekommt {0} noch einmal so viele.", "{0} findet {1} {2}.",
     "{0} gibt {3} die Hälfte."},
    {"{3} le da a {0} {1} más.", "{0} le da {1} a {3}.", "{0} compra {1} paquetes de {4} {2}.",
     "{0} pierde {1}.", "Luego {0} recibe otros tantos.", "{0} encuentra {1} {2}.",
     "{0} le da la mitad a {3}."},
};
static const char *const begins[N_LANGS] = {"{0} has {1} {2}.", "{0}有 {1} {2}。",
                                            "{0} hat {1} {2}.", "{0} tiene {1} {2}."};
static const char *const ends[N_LANGS][2] = {
    {"How many {2} does {0} have now?", "How many {2} does {0} have in the end?"},
    {"{0}现在有多少{2}？", "最后{0}有多少{2}？"},
    {"Wie viele {2} hat {0} jetzt?", "Wie viele {2} hat {0} am Ende?"},
    {"¿Cuántos {2} tiene {0} ahora?", "¿Cuántos {2} tiene {0} al final?"},
};
static const char *const noises[N_LANGS][4] = {
    {"{3} is {1} years old.", "{3} has {1} pencils.", "It is {1} degrees outside.",
     "The shop opens at {1}."},
    {"{3}今年 {1} 岁。", "{3}有 {1} 支铅笔。", "外面 {1} 度。", "商店 {1} 点开门。"},
    {"{3} ist {1} Jahre alt.", "{3} hat {1} Bleistifte.", "Draußen sind es {1} Grad.",
     "Der Laden öffnet um {1} Uhr."},
    {"{3} tiene {1} años.", "{3} tiene {1} bolígrafos.", "Fuera hay {1} grados.",
     "La tienda abre a las {1}."},
};

/* One event on `total`: its numbers, or false when it does not fit. */
static bool draw_event(Maker *m, Event event, int64_t total, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    switch (event) {
    case GETS:
    case FINDS:
        *a = maker_int(m, 2, 40);
        return true;
    case GIVES:
    case LOSES:
        *a = total > 3 ? maker_int(m, 2, total - 1 > 40 ? 40 : total - 1) : 0;
        return *a > 0;
    case BUYS_PACKS:
        *a = maker_int(m, 2, 9);
        *b = maker_int(m, 2, 12);
        return true;
    case DOUBLES:
        return total < 100;
    case SHARES:
        return total > 3 && total % 2 == 0;
    default:
        return false;
    }
}

static int64_t think_event(Maker *m, Event event, int64_t total, int64_t a, int64_t b)
{
    switch (event) {
    case GETS:
    case FINDS:
        return step_think(m, total, '+', a);
    case GIVES:
    case LOSES:
        return step_think(m, total, '-', a);
    case BUYS_PACKS: {
        const int64_t bought = step_think(m, b, '*', a);
        return step_think(m, total, '+', bought);
    }
    case DOUBLES:
        return step_think(m, total, '*', 2);
    default:
        maker_think_line(m, "%" PRId64 " / 2 = %" PRId64, total, total / 2);
        return total / 2;
    }
}

static int64_t after_event(Event event, int64_t total, int64_t a, int64_t b)
{
    switch (event) {
    case GETS:
    case FINDS:
        return total + a;
    case GIVES:
    case LOSES:
        return total - a;
    case BUYS_PACKS:
        return total + a * b;
    case DOUBLES:
        return total * 2;
    default:
        return total / 2;
    }
}

enum { EVENTS_MAX = 8 };

static void add_sentence(Buf *text, const char *sentence, TaskLang lang)
{
    buf_puts(text, sentence);
    buf_puts(text, lang == LANG_ZH ? "" : " ");
}

/* Level + 1 events; from level 4 with a sentence that has nothing to do with it. */
static void make_total(Maker *m)
{
    const int n = m->level + 1;
    int64_t start, a[EVENTS_MAX], b[EVENTS_MAX];
    Event events[EVENTS_MAX];
    uint64_t key;
    do {
        start = maker_int(m, 3, 60);
        int64_t total = start;
        key = key_more(key_text("total"), start);
        for (int i = 0; i < n; i++) {
            do
                events[i] = (Event)maker_int(m, 0, N_EVENTS - 1);
            while (!draw_event(m, events[i], total, &a[i], &b[i]));
            total = after_event(events[i], total, a[i], b[i]);
            key = key_more(key_more(key_more(key, events[i]), a[i]), b[i]);
        }
    } while (!maker_owns(m, key));
    const char *names[2], *thing = thing_choose(m);
    person_choose(m, 2, names);
    Buf text = {0};
    add_sentence(&text, maker_fill(m, begins[m->lang], names[0], maker_num(m, start), thing, NULL),
                 m->lang);
    const int noise_at = m->level >= 4 ? (int)maker_int(m, 0, n - 1) : -1;
    int64_t total = start;
    for (int i = 0; i < n; i++) {
        if (i == noise_at)
            add_sentence(&text,
                         maker_fill(m, MAKER_PICK(m, noises[m->lang]), names[0],
                                    maker_num(m, maker_int(m, 8, 30)), thing, names[1], NULL),
                         m->lang);
        add_sentence(&text,
                     maker_fill(m, event_texts[m->lang][events[i]], names[0], maker_num(m, a[i]),
                                thing, names[1], maker_num(m, b[i]), NULL),
                     m->lang);
        total = think_event(m, events[i], total, a[i], b[i]);
    }
    buf_puts(&text, maker_fill(m, MAKER_PICK(m, ends[m->lang]), names[0], "", thing, NULL));
    maker_user(m, "{0}", text.data, NULL);
    buf_free(&text);
    maker_reply(m, "%" PRId64, total);
}

const TaskFamily word_problem_families[] = {
    {.name = "word_pair",
     .domain = "word problems",
     .about = "two unknowns, two conditions",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_pair,
     .score = score_number},
    {.name = "word_total",
     .domain = "word problems",
     .about = "a running total over 2 to 7 events",
     .langs = ALL_LANGS,
     .difficulty_max = 6,
     .make = make_total,
     .score = score_number},
    {.name = NULL},
};
