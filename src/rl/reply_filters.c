/* See reply_filters.h. */
#include "rl/reply_filters.h"

#include "base/utf8.h"

#include <stdlib.h>

enum { RUN_WORDS = 6, WORDS_MIN = 12 };

static int by_value(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

bool reply_repetition(Units *units, Str text, double *share, Error *err)
{
    *share = 0;
    if (!units_split(units, text, err))
        return false;
    if (units->n < WORDS_MIN)
        return true;
    const size_t n = units->n - RUN_WORDS + 1;
    uint64_t *runs = mem_alloc(sizeof *runs * n);
    size_t n_again = 0;
    for (size_t i = 0; i < n; i++)
        runs[i] = units_gram(units, i, RUN_WORDS);
    qsort(runs, n, sizeof *runs, by_value);
    for (size_t i = 1; i < n; i++)
        n_again += runs[i] == runs[i - 1];
    *share = (double)n_again / (double)n;
    mem_free(runs);
    return true;
}

/* Characters of a text by script. */
typedef struct Scripts {
    int64_t n_han, n_latin;
} Scripts;

static void count_scripts(Scripts *s, Str text)
{
    for (size_t at = 0, n; at < text.bytes; at += n) {
        uint32_t c = 0;
        n = utf8_decode(str_slice(text, at, text.bytes), &c);
        if (n == 0)
            n = 1;
        s->n_han += c >= 0x3400 && c <= 0x9fff;
        s->n_latin += (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }
}

bool reply_changes_script(const Problem *p, const TaskReply *reply)
{
    Scripts asked = {0}, said = {0};
    for (int i = 0; i < p->n_messages; i++)
        count_scripts(&asked, p->messages[i].content);
    count_scripts(&said, reply->thinking);
    count_scripts(&said, reply->content);
    return (asked.n_han == 0 && said.n_han > 0) ||
           (asked.n_latin == 0 && asked.n_han > 0 && said.n_latin > 0 && said.n_han == 0);
}
