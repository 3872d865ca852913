/* Word problems with many quantities: a graph of dependences (after iGSM, arXiv 2407.20311), heads
 * and legs. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/steps.h"

#include <inttypes.h>
#include <string.h>

enum { COLORS = 8, QUANTITIES_MAX = 8 };

static const char *const colors[N_LANGS][COLORS] = {
    {"red", "blue", "green", "black", "white", "yellow", "brown", "pink"},
    {"红", "蓝", "绿", "黑", "白", "黄", "棕", "粉"},
    {"rote", "blaue", "grüne", "schwarze", "weiße", "gelbe", "braune", "graue"},
    {"rojas", "azules", "verdes", "negras", "blancas", "amarillas", "grises", "rosas"},
};

/* {0} the color, {1} and {2} other colors, {3} a number. */
typedef enum Link { FIXED, MORE, FEWER, TIMES, SUM, N_LINKS } Link;
static const char *const links[N_LANGS][N_LINKS] = {
    {"There are {3} {0} balls.", "There are {3} more {0} balls than {1} ones.",
     "There are {3} fewer {0} balls than {1} ones.",
     "There are {3} times as many {0} balls as {1} ones.",
     "There are as many {0} balls as {1} and {2} ones together."},
    {"有 {3} 个{0}球。", "{0}球比{1}球多 {3} 个。", "{0}球比{1}球少 {3} 个。",
     "{0}球是{1}球的 {3} 倍。", "{0}球等于{1}球和{2}球的总数。"},
    {"Es gibt {3} {0} Bälle.", "Es gibt {3} {0} Bälle mehr als {1}.",
     "Es gibt {3} {0} Bälle weniger als {1}.", "Es gibt {3}-mal so viele {0} Bälle wie {1}.",
     "Es gibt so viele {0} Bälle wie {1} und {2} zusammen."},
    {"Hay {3} bolas {0}.", "Hay {3} bolas {0} más que {1}.", "Hay {3} bolas {0} menos que {1}.",
     "Hay {3} veces más bolas {0} que {1}.", "Hay tantas bolas {0} como {1} y {2} juntas."},
};
static const char *const graph_asks[N_LANGS] = {"How many {0} balls are there?", "有多少个{0}球？",
                                                "Wie viele {0} Bälle gibt es?",
                                                "¿Cuántas bolas {0} hay?"};

typedef struct Quantity {
    Link link;
    int a, b; /* earlier quantities */
    int64_t number, value;
} Quantity;

static Quantity draw_quantity(Maker *m, const Quantity *before, int i)
{
    for (;;) {
        Quantity q = {.link = i == 0 ? FIXED : (Link)maker_int(m, MORE, i > 1 ? SUM : TIMES)};
        q.a = i > 0 ? (int)maker_int(m, i > 2 ? i - 2 : 0, i - 1) : 0;
        q.b = i > 1 ? (int)maker_int(m, 0, i - 1) : 0;
        q.number = q.link == TIMES ? maker_int(m, 2, 4) : maker_int(m, 2, 20);
        const int64_t a = before[q.a].value;
        q.value = q.link == FIXED   ? q.number
                  : q.link == MORE  ? a + q.number
                  : q.link == FEWER ? a - q.number
                  : q.link == TIMES ? a * q.number
                                    : a + before[q.b].value;
        if (q.value > 0 && q.value < 500 && (q.link != SUM || q.a != q.b))
            return q;
    }
}

static void mark_needed(const Quantity *q, int i, bool *needed)
{
    needed[i] = true;
    if (q[i].link != FIXED)
        mark_needed(q, q[i].a, needed);
    if (q[i].link == SUM)
        mark_needed(q, q[i].b, needed);
}

/* What the asked one needs, in an order in which everything is known. */
static void think_quantities(Maker *m, const Quantity *q, const char *const *names, int asked)
{
    bool needed[QUANTITIES_MAX] = {false};
    mark_needed(q, asked, needed);
    for (int i = 0; i <= asked; i++) {
        if (!needed[i])
            continue;
        const int64_t a = q[q[i].a].value;
        maker_think_line(m, "%s = ", names[i]);
        switch (q[i].link) {
        case FIXED:
            maker_think(m, "%" PRId64, q[i].value);
            break;
        case MORE:
            step_write(m, a, '+', q[i].number);
            break;
        case FEWER:
            step_write(m, a, '-', q[i].number);
            break;
        case TIMES:
            step_write(m, a, '*', q[i].number);
            break;
        default:
            step_write(m, a, '+', q[q[i].b].value);
            break;
        }
    }
}

/* level + 2 quantities in mixed order; some of them may not matter. */
static void make_graph(Maker *m)
{
    const int n = m->level + 2;
    Quantity q[QUANTITIES_MAX];
    int order[QUANTITIES_MAX], chosen[COLORS], asked;
    uint64_t key;
    do {
        key = key_text("graph");
        for (int i = 0; i < n; i++) {
            q[i] = draw_quantity(m, q, i);
            key = key_more(key_more(key, (int)q[i].link * 100 + q[i].a * 10 + q[i].b), q[i].number);
        }
        asked = m->level < 2 ? n - 1 : (int)maker_int(m, n - 2, n - 1);
    } while (!maker_owns(m, key_more(key, asked)));
    const char *names[QUANTITIES_MAX];
    maker_choose(m, COLORS, n, chosen);
    maker_choose(m, n, n, order);
    for (int i = 0; i < n; i++)
        names[i] = colors[m->lang][chosen[i]];
    Buf text = {0};
    for (int k = 0; k < n; k++) {
        const int i = order[k];
        buf_puts(&text, maker_fill(m, links[m->lang][q[i].link], names[i], names[q[i].a],
                                   names[q[i].b], maker_num(m, q[i].number), NULL));
        buf_puts(&text, m->lang == LANG_ZH ? "" : " ");
    }
    buf_puts(&text, maker_fill(m, graph_asks[m->lang], names[asked], NULL));
    maker_user(m, "{0}", text.data, NULL);
    buf_free(&text);
    think_quantities(m, q, names, asked);
    maker_reply(m, "%" PRId64, q[asked].value);
}

/* ---- Heads and legs -------------------------------------------------------------------------- */

static const char *const legs_asks[N_LANGS][2] = {
    {"Chickens and cows: {0} heads, {1} legs. How many cows?",
     "A farm has chickens and cows, {0} heads and {1} legs in all. How many cows are there?"},
    {"鸡兔同笼，共 {0} 个头，{1} 条腿。兔有几只？"},
    {"Hühner und Kühe: {0} Köpfe, {1} Beine. Wie viele Kühe?"},
    {"Gallinas y vacas: {0} cabezas, {1} patas. ¿Cuántas vacas?"},
};

static void make_legs(Maker *m)
{
    const int64_t size = m->level == 1 ? 15 : 60;
    int64_t birds, cows;
    do {
        birds = maker_int(m, 1, size);
        cows = maker_int(m, 1, size);
    } while (!maker_owns(m, key_more(key_more(key_text("legs"), birds), cows)));
    const int64_t heads = birds + cows, legs = 2 * birds + 4 * cows;
    maker_user(m, MAKER_PICK(m, legs_asks[m->lang]), maker_num(m, heads), maker_num(m, legs), NULL);
    const int64_t low = step_think(m, heads, '*', 2), more = step_think(m, legs, '-', low);
    maker_think_line(m, "%" PRId64 " / 2 = %" PRId64, more, more / 2);
    maker_reply(m, "%" PRId64, cows);
}

const TaskFamily graph_families[] = {
    {.name = "graph",
     .domain = "word problems",
     .about = "3 to 7 quantities that depend on others",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_graph,
     .score = score_number},
    {.name = "legs",
     .domain = "word problems",
     .about = "heads and legs",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_legs,
     .score = score_number},
    {.name = NULL},
};
