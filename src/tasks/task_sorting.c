/* Sorting numbers and words. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/words.h"

#include <inttypes.h>
#include <string.h>

enum { ITEMS_MAX = 12 };

static const char *const number_asks[N_LANGS][2][3] = {
    {{"Sort: {0}", "Sort these numbers: {0}", "Put in ascending order: {0}"},
     {"Sort in descending order: {0}", "Sort from largest to smallest: {0}"}},
    {{"排序：{0}", "从小到大排列：{0}"}, {"从大到小排列：{0}", "按降序排列：{0}"}},
    {{"Sortiere: {0}", "Sortiere aufsteigend: {0}"}, {"Sortiere absteigend: {0}"}},
    {{"Ordena: {0}", "Ordena de menor a mayor: {0}"}, {"Ordena de mayor a menor: {0}"}},
};
static const char *const word_asks[N_LANGS][2] = {
    {"Sort alphabetically: {0}", "Put these words in alphabetical order: {0}"},
    {"按字母顺序排列：{0}", "把这些单词按字母排序：{0}"},
    {"Sortiere alphabetisch: {0}", "Ordne nach dem Alphabet: {0}"},
    {"Ordena alfabéticamente: {0}", "Pon en orden alfabético: {0}"},
};

/* Items joined by `between`. */
static const char *joined(Maker *m, const char *const *items, int n, const char *between)
{
    Buf text = {0};
    for (int i = 0; i < n; i++) {
        buf_puts(&text, i ? between : "");
        buf_puts(&text, items[i]);
    }
    const char *kept = maker_text(m, "%.*s", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return kept;
}

/* Insertion sort: a line for the sorted part after each item. */
static void sort_think(Maker *m, const char **items, const int64_t *values, int n, bool descending)
{
    const char *sorted[ITEMS_MAX];
    int64_t sorted_values[ITEMS_MAX];
    for (int i = 0; i < n; i++) {
        int at = i;
        for (; at > 0; at--) {
            const bool goes_before = values ? (descending ? values[i] > sorted_values[at - 1]
                                                          : values[i] < sorted_values[at - 1])
                                            : strcmp(items[i], sorted[at - 1]) < 0;
            if (!goes_before)
                break;
            sorted[at] = sorted[at - 1];
            sorted_values[at] = sorted_values[at - 1];
        }
        sorted[at] = items[i];
        sorted_values[at] = values ? values[i] : 0;
        maker_think_line(m, "%s", joined(m, sorted, i + 1, " "));
    }
    memcpy(items, sorted, sizeof *items * (size_t)n);
}

static void make_sort_numbers(Maker *m)
{
    static const int counts[] = {4, 5, 6, 8, 10};
    static const int64_t sizes[] = {99, 99, 99, 999, 999};
    const int n = counts[m->level - 1];
    int64_t values[ITEMS_MAX];
    const char *items[ITEMS_MAX];
    uint64_t key;
    do {
        key = key_text("sort");
        for (int i = 0; i < n; i++) {
            bool is_new;
            do {
                values[i] = maker_int(m, 1, sizes[m->level - 1]);
                is_new = true;
                for (int j = 0; j < i; j++)
                    is_new &= values[j] != values[i];
            } while (!is_new);
            key = key_more(key, values[i]);
        }
    } while (!maker_owns(m, key));
    for (int i = 0; i < n; i++)
        items[i] = maker_num(m, values[i]);
    const bool descending = maker_chance(m, 0.25);
    maker_user(m, maker_phrase(m, number_asks[m->lang][descending], 3), joined(m, items, n, ", "),
               NULL);
    sort_think(m, items, values, n, descending);
    maker_reply(m, "%s", joined(m, items, n, ", "));
}

static void make_sort_words(Maker *m)
{
    const int n = 2 + m->level;
    const char *items[ITEMS_MAX];
    for (int i = 0; i < n; i++) {
        bool is_new;
        do {
            items[i] = maker_chance(m, 0.5) ? word_common(m, 3, 8) : word_invented(m, 3, 8);
            is_new = true;
            for (int j = 0; j < i; j++)
                is_new &= strcmp(items[j], items[i]) != 0;
        } while (!is_new);
    }
    maker_user(m, MAKER_PICK(m, word_asks[m->lang]), joined(m, items, n, ", "), NULL);
    sort_think(m, items, NULL, n, false);
    maker_reply(m, "%s", joined(m, items, n, ", "));
}

const TaskFamily sorting_families[] = {
    {.name = "sort_numbers",
     .domain = "text",
     .about = "sorting 4 to 10 numbers",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_sort_numbers,
     .score = score_text},
    {.name = "sort_words",
     .domain = "text",
     .about = "sorting 3 to 7 words",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_sort_words,
     .score = score_text},
    {.name = NULL},
};
