/* Search: countdown, jugs, shortest paths. Each is checked by doing what the reply says. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/tool_box.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Countdown ------------------------------------------------------------------------------- */

enum { NUMBERS_MAX = 4 };

static const char *const countdown_asks[N_LANGS][2] = {
    {"Use each of {0} once with + - * to make {1}.", "Make {1} from {0}, each used once."},
    {"用 {0} 各一次，加减乘得到 {1}。"},
    {"Bilde {1} aus {0}, jede Zahl einmal, mit + - *."},
    {"Forma {1} con {0}, cada número una vez, con + - *."},
};

/* A value with the expression that made it. */
typedef struct Term {
    int64_t value;
    char text[64];
    bool is_sum; /* needs brackets beside * and behind - */
} Term;

typedef struct Countdown {
    Maker *m;
    int64_t target;
    char solution[64];
} Countdown;

static const char ops[] = "+-*";

static bool combine(const Term *a, char op, const Term *b, Term *out)
{
    if (op == '-' && a->value < b->value)
        return combine(b, op, a, out);
    out->value = op == '+'   ? a->value + b->value
                 : op == '-' ? a->value - b->value
                             : a->value * b->value;
    out->is_sum = op != '*';
    const bool left = op == '*' && a->is_sum, right = op != '+' && b->is_sum;
    Buf text = {0};
    buf_printf(&text, "%s%s%s %c %s%s%s", left ? "(" : "", a->text, left ? ")" : "", op,
               right ? "(" : "", b->text, right ? ")" : "");
    const bool fits = text.bytes < sizeof out->text;
    if (fits)
        memcpy(out->text, text.data, text.bytes + 1);
    buf_free(&text);
    return fits && out->value <= 9999;
}

static void note_step(Countdown *c, const Term *a, char op, const Term *b, int64_t value)
{
    const bool swaps = op == '-' && a->value < b->value;
    maker_think(c->m, "%" PRId64 " %c %" PRId64 " = %" PRId64, swaps ? b->value : a->value, op,
                swaps ? a->value : b->value, value);
}

/* Depth first over pairs and operations in order. The last step of a branch stands on its line. */
static bool search(Countdown *c, const Term *terms, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = i + 1; j < n; j++)
            for (int o = 0; ops[o]; o++) {
                Term rest[NUMBERS_MAX];
                int n_rest = 0;
                if (!combine(&terms[i], ops[o], &terms[j], &rest[n_rest++]))
                    continue;
                for (int k = 0; k < n; k++)
                    if (k != i && k != j)
                        rest[n_rest++] = terms[k];
                if (n > 2)
                    maker_think_line(c->m, "%s", "");
                else
                    maker_think(c->m, "%s", o ? ", " : ": ");
                note_step(c, &terms[i], ops[o], &terms[j], rest[0].value);
                if (n_rest == 1 && rest[0].value == c->target) {
                    memcpy(c->solution, rest[0].text, sizeof c->solution);
                    return true;
                } else if (n_rest > 1 && search(c, rest, n_rest)) {
                    return true;
                }
            }
    return false;
}

/* Levels 1 and 2: three numbers, small and larger; level 3: four. */
static void make_countdown(Maker *m)
{
    const int n = m->level == 3 ? 4 : 3;
    Term terms[NUMBERS_MAX];
    Countdown c = {.m = m};
    uint64_t key;
    do {
        key = key_text("countdown");
        for (int i = 0; i < n; i++) {
            terms[i] = (Term){.value = maker_int(m, 2,
                                                 m->level == 1   ? 12
                                                 : m->level == 2 ? 30
                                                                 : 12)};
            Buf text = {0};
            buf_printf(&text, "%" PRId64, terms[i].value);
            memcpy(terms[i].text, text.data, text.bytes + 1);
            buf_free(&text);
            key += rng_mix((uint64_t)terms[i].value);
        }
        /* A target that some way of combining them reaches. */
        Term made = terms[0];
        for (int i = 1; i < n; i++) {
            const Term before = made;
            if (!combine(&before, ops[maker_int(m, 0, 2)], &terms[i], &made))
                made.value = 0;
        }
        c.target = made.value;
    } while (c.target < 1 || c.target > 200 || !maker_owns(m, key_more(key, c.target)));
    const char *numbers[NUMBERS_MAX];
    for (int i = 0; i < n; i++)
        numbers[i] = terms[i].text;
    maker_user(m, MAKER_PICK(m, countdown_asks[m->lang]), maker_list(m, numbers, n),
               maker_num(m, c.target), NULL);
    search(&c, terms, n);
    maker_reply(m, "%s", c.solution);
    maker_answer(m, "{\"target\": %" PRId64 ", \"numbers\": [", c.target);
    for (int i = 0; i < n; i++)
        maker_answer(m, "%s%" PRId64, i ? ", " : "", terms[i].value);
    maker_answer(m, "]}");
}

/* Reads the next whole number of `s` at or after *at. */
static bool next_int(Str s, size_t *at, int64_t *value)
{
    while (*at < s.bytes && !isdigit((unsigned char)s.data[*at]))
        ++*at;
    if (*at == s.bytes)
        return false;
    for (*value = 0; *at < s.bytes && isdigit((unsigned char)s.data[*at]) && *value < 1000000;
         ++*at)
        *value = *value * 10 + (s.data[*at] - '0');
    return true;
}

/* Takes the number out of the list; false when it is not in it. */
static bool take(int64_t *list, int *n, int64_t value)
{
    for (int i = 0; i < *n; i++)
        if (list[i] == value) {
            list[i] = list[--*n];
            return true;
        }
    return false;
}

/* The content is one expression, perhaps with "= TARGET" behind it, over each number once. */
static double score_countdown(const Problem *p, const TaskReply *reply)
{
    int64_t target, numbers[NUMBERS_MAX], value;
    size_t at = 0;
    int n = 0;
    if (!next_int(p->answer, &at, &target))
        return 0;
    while (n < NUMBERS_MAX && next_int(p->answer, &at, &numbers[n]))
        n++;
    Str content = check_trim(reply->content);
    const ptrdiff_t equals = str_find(content, STR("="), 0);
    if (equals >= 0) {
        at = 0;
        const Str right = check_trim(str_slice(content, (size_t)equals + 1, content.bytes));
        if (!next_int(right, &at, &value) || value != target || at != right.bytes ||
            !isdigit((unsigned char)right.data[0]))
            return 0;
        content = check_trim(str_slice(content, 0, (size_t)equals));
    }
    for (size_t i = 0; i < content.bytes; i++)
        if (!strchr("0123456789+-*() ", content.data[i]))
            return 0;
    for (at = 0; next_int(content, &at, &value);)
        if (!take(numbers, &n, value))
            return 0;
    Buf result = {0}, wanted = {0};
    tool_calculate(content, &result);
    buf_printf(&wanted, "%" PRId64, target);
    const bool is_right = n == 0 && str_equal(buf_str(&result), buf_str(&wanted));
    buf_free(&result);
    buf_free(&wanted);
    return is_right ? 1 : 0;
}

/* ---- Jugs ------------------------------------------------------------------------------------ */

enum { JUG_MAX = 12, N_STATES = (JUG_MAX + 1) * (JUG_MAX + 1), N_MOVES = 6 };

static const char *const jug_asks[N_LANGS] = {
    "Jug A holds {0} liters, jug B {1}. Get exactly {2} liters in one of them. Moves: fill A, fill "
    "B, "
    "empty A, empty B, pour A B, pour B A.",
    "A 壶装 {0} 升，B 壶装 {1} 升。让其中一个壶恰好有 {2} 升。可用：fill A, fill B, empty A, empty "
    "B, "
    "pour A B, pour B A。",
    "Krug A fasst {0} Liter, Krug B {1}. Miss genau {2} Liter ab. Züge: fill A, fill B, empty A, "
    "empty B, pour A B, pour B A.",
    "La jarra A tiene {0} litros, la B {1}. Consigue {2} litros justos. Pasos: fill A, fill B, "
    "empty A, empty B, pour A B, pour B A."};
static const char *const move_names[N_MOVES] = {"fill A",  "fill B",   "empty A",
                                                "empty B", "pour A B", "pour B A"};

typedef struct Jugs {
    int size[2], level[2];
} Jugs;

static void move(Jugs *j, int which)
{
    const int jug = which % 2, other = 1 - jug;
    if (which < 2) {
        j->level[jug] = j->size[jug];
    } else if (which < 4) {
        j->level[jug] = 0;
    } else {
        const int room = j->size[other] - j->level[other];
        const int poured = j->level[jug] < room ? j->level[jug] : room;
        j->level[jug] -= poured;
        j->level[other] += poured;
    }
}

/* The shortest way to the target (breadth first); its number of moves, or -1. */
static int solve_jugs(Jugs start, int target, int moves[N_STATES])
{
    int from[N_STATES], by[N_STATES], queue[N_STATES], head = 0, tail = 0;
    for (int i = 0; i < N_STATES; i++)
        from[i] = -2;
    const int width = JUG_MAX + 1, first = start.level[0] * width + start.level[1];
    from[first] = -1;
    queue[tail++] = first;
    while (head < tail) {
        const int state = queue[head++];
        if (state / width == target || state % width == target) {
            int n = 0;
            for (int s = state; from[s] >= 0; s = from[s])
                n++;
            int i = n;
            for (int s = state; from[s] >= 0; s = from[s])
                moves[--i] = by[s];
            return n;
        }
        for (int which = 0; which < N_MOVES; which++) {
            Jugs next = start;
            next.level[0] = state / width;
            next.level[1] = state % width;
            move(&next, which);
            const int to = next.level[0] * width + next.level[1];
            if (from[to] == -2) {
                from[to] = state;
                by[to] = which;
                queue[tail++] = to;
            }
        }
    }
    return -1;
}

static void make_jugs(Maker *m)
{
    static const int n_moves[][2] = {{1, 3}, {3, 5}, {5, 12}};
    Jugs j;
    int target, n, moves[N_STATES];
    do {
        j = (Jugs){.size = {(int)maker_int(m, 2, JUG_MAX), (int)maker_int(m, 2, JUG_MAX)}};
        target = (int)maker_int(m, 1, JUG_MAX);
        n = solve_jugs(j, target, moves);
    } while (
        n < n_moves[m->level - 1][0] || n > n_moves[m->level - 1][1] ||
        !maker_owns(m, key_more(key_more(key_text("jugs"), j.size[0] * 100 + j.size[1]), target)));
    maker_user(m, jug_asks[m->lang], maker_num(m, j.size[0]), maker_num(m, j.size[1]),
               maker_num(m, target), NULL);
    maker_think(m, "0 0");
    for (int i = 0; i < n; i++) {
        move(&j, moves[i]);
        maker_think_line(m, "%s: %d %d", move_names[moves[i]], j.level[0], j.level[1]);
        maker_reply(m, "%s%s", i ? ", " : "", move_names[moves[i]]);
    }
    maker_answer(m, "{\"sizes\": [%d, %d], \"target\": %d}", j.size[0], j.size[1], target);
}

/* The moves one by one; anything else between the commas is wrong. */
static double score_jugs(const Problem *p, const TaskReply *reply)
{
    int64_t numbers[3];
    size_t at = 0;
    for (int i = 0; i < 3; i++)
        if (!next_int(p->answer, &at, &numbers[i]) || numbers[i] > JUG_MAX)
            return 0;
    Jugs j = {.size = {(int)numbers[0], (int)numbers[1]}};
    const Str content = check_trim(reply->content);
    for (size_t from = 0; from <= content.bytes;) {
        const ptrdiff_t comma = str_find(content, STR(","), from);
        const size_t end = comma < 0 ? content.bytes : (size_t)comma;
        const Str part = check_trim(str_slice(content, from, end));
        int which = 0;
        while (which < N_MOVES && !str_equals(part, move_names[which]))
            which++;
        if (which == N_MOVES)
            return 0;
        move(&j, which);
        from = end + 1;
    }
    return j.level[0] == numbers[2] || j.level[1] == numbers[2] ? 1 : 0;
}

/* ---- Shortest paths -------------------------------------------------------------------------- */

enum { TOWNS_MAX = 7, FAR = 1000000 };

static const char *const path_asks[N_LANGS] = {
    "Roads: {0}. How long is the shortest way from {1} to {2}?",
    "道路：{0}。从 {1} 到 {2} 最短的路有多长？",
    "Straßen: {0}. Wie lang ist der kürzeste Weg von {1} nach {2}?",
    "Caminos: {0}. ¿Cuánto mide el camino más corto de {1} a {2}?"};

/* Dijkstra: a line for each town as its distance becomes final. */
static int64_t think_path(Maker *m, int n, int64_t roads[TOWNS_MAX][TOWNS_MAX], int to)
{
    int64_t distance[TOWNS_MAX];
    bool is_final[TOWNS_MAX] = {false};
    for (int i = 0; i < n; i++)
        distance[i] = i == 0 ? 0 : FAR;
    for (;;) {
        int town = -1;
        for (int i = 0; i < n; i++)
            if (!is_final[i] && (town < 0 || distance[i] < distance[town]))
                town = i;
        is_final[town] = true;
        maker_think_line(m, "%c %" PRId64, 'A' + town, distance[town]);
        if (town == to)
            return distance[town];
        int n_better = 0;
        for (int i = 0; i < n; i++) {
            if (is_final[i] || roads[town][i] == 0 ||
                distance[town] + roads[town][i] >= distance[i])
                continue;
            distance[i] = distance[town] + roads[town][i];
            maker_think(m, "%s %c %" PRId64, n_better++ ? "," : ":", 'A' + i, distance[i]);
        }
    }
}

/* A tree of roads and some more; level + 3 towns. */
static void make_path(Maker *m)
{
    const int n = m->level + 3;
    int64_t roads[TOWNS_MAX][TOWNS_MAX];
    uint64_t key;
    do {
        memset(roads, 0, sizeof roads);
        key = key_text("path");
        for (int i = 1; i < n + m->level + 1; i++) {
            const int a = i < n ? i : (int)maker_int(m, 0, n - 1);
            const int b = (int)maker_int(m, 0, i < n ? i - 1 : n - 1);
            if (a != b && roads[a][b] == 0)
                roads[a][b] = roads[b][a] = maker_int(m, 1, 20);
            key = key_more(key_more(key, a * 10 + b), roads[a][b]);
        }
    } while (!maker_owns(m, key));
    const char *list[TOWNS_MAX * TOWNS_MAX];
    int order[TOWNS_MAX * TOWNS_MAX], n_roads = 0;
    for (int a = 0; a < n; a++)
        for (int b = a + 1; b < n; b++)
            if (roads[a][b] > 0)
                list[n_roads++] = maker_text(m, "%c-%c %" PRId64, 'A' + a, 'A' + b, roads[a][b]);
    maker_choose(m, n_roads, n_roads, order);
    const char *mixed[TOWNS_MAX * TOWNS_MAX];
    for (int i = 0; i < n_roads; i++)
        mixed[i] = list[order[i]];
    const int to = (int)maker_int(m, 2, n - 1);
    maker_user(m, path_asks[m->lang], maker_list(m, mixed, n_roads), "A",
               maker_text(m, "%c", 'A' + to), NULL);
    maker_reply(m, "%" PRId64, think_path(m, n, roads, to));
}

const TaskFamily search_families[] = {
    {.name = "countdown",
     .domain = "search",
     .about = "a number from three or four others",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_countdown,
     .score = score_countdown},
    {.name = "jugs",
     .domain = "search",
     .about = "measuring with two jugs",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_jugs,
     .score = score_jugs},
    {.name = "path",
     .domain = "search",
     .about = "the shortest way between towns",
     .langs = ALL_LANGS,
     .difficulty_max = 4,
     .make = make_path,
     .score = score_number},
    {.name = NULL},
};
