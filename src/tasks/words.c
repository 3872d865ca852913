#include "tasks/words.h"

#include <string.h>

/* Pieces that make English-like words, doubled letters and odd clusters included. */
static const char *const onsets[] = {
    "b",  "c",  "d",  "f",  "g",  "h",  "j",  "k",  "l",  "m",  "n",   "p",   "qu",  "r",   "s",
    "t",  "v",  "w",  "y",  "z",  "bl", "br", "ch", "cl", "cr", "dr",  "fl",  "fr",  "gl",  "gr",
    "kn", "ph", "pl", "pr", "sc", "sh", "sk", "sl", "sm", "sn", "sp",  "st",  "str", "sw",  "th",
    "tr", "tw", "wh", "wr", "r",  "s",  "t",  "l",  "n",  "m",  "thr", "scr", "spr", "squ", "x",
};
static const char *const vowels[] = {"a",  "e",  "i",  "o",  "u",  "a",  "e",  "i",
                                     "o",  "e",  "ai", "ea", "ee", "ie", "oa", "oo",
                                     "ou", "au", "ei", "ue", "y",  "io"};
static const char *const codas[] = {"",   "",   "",   "",   "n",  "r",  "s",  "t",  "l",  "m",
                                    "d",  "ck", "ll", "ss", "rr", "tt", "nn", "mm", "pp", "ff",
                                    "rd", "rt", "nt", "nd", "st", "sh", "th", "ng", "mp", "lt",
                                    "x",  "b",  "g",  "p",  "k",  "w",  "rn", "rs", "ct", "gg"};
static const char *const endings[] = {"",     "",     "s",    "ed",   "er",    "ing",  "y",   "ly",
                                      "es",   "tion", "ment", "ness", "ies",   "able", "al",  "ous",
                                      "ence", "ance", "ity",  "ful",  "berry", "ish",  "ism", "or"};

#define ANY(m, list) list[rng_below(&(m)->rng, sizeof(list) / sizeof *(list))]

enum { WORD_BYTES_MAX = 64 };

static size_t put(char *word, size_t n, const char *part)
{
    const size_t bytes = strlen(part);
    memcpy(word + n, part, bytes + 1);
    return n + bytes;
}

static size_t invent(Maker *m, int n_min, char word[WORD_BYTES_MAX])
{
    size_t n = 0;
    word[0] = 0;
    if (maker_chance(m, 0.05)) { /* letters of any kind, so that no combination is unheard of */
        for (; n < (size_t)n_min; n++)
            word[n] = (char)('a' + rng_below(&m->rng, 26));
        word[n] = 0;
        return n;
    }
    if (maker_chance(m, 0.2))
        n = put(word, n, ANY(m, vowels));
    while (n < (size_t)n_min && n < WORD_BYTES_MAX - 16) {
        n = put(word, n, ANY(m, onsets));
        n = put(word, n, ANY(m, vowels));
        n = put(word, n, ANY(m, codas));
    }
    if (maker_chance(m, 0.35))
        n = put(word, n, ANY(m, endings));
    return n;
}

const char *word_invented(Maker *m, int n_min, int n_max)
{
    char word[WORD_BYTES_MAX];
    size_t n;
    do
        n = invent(m, (int)maker_int(m, n_min, n_max), word);
    while (n < (size_t)n_min || n > (size_t)n_max || !word_owned(m, word));
    return arena_strndup(&m->p->arena, word, n);
}

static const char *const fruit[] = {"strawberries", "blueberries", "strawberry",   "blueberry",
                                    "raspberries",  "raspberry",   "cranberries",  "cranberry",
                                    "cherries",     "cherry",      "blackberries", "pears",
                                    "oranges",      "grapes",      "currants",     "gooseberries"};
enum { N_FRUIT = sizeof fruit / sizeof *fruit };

bool word_owned(Maker *m, const char *word)
{
    const bool is_owned = maker_owns(m, key_text(word));
    for (int i = 0; i < N_FRUIT; i++)
        if (strcmp(word, fruit[i]) == 0)
            return m->split == SPLIT_TRAIN;
    return is_owned;
}

const char *word_fruit(Maker *m)
{
    /* The card's own words are half of it. */
    const char *word = fruit[maker_int(m, 0, maker_chance(m, 0.5) ? 3 : N_FRUIT - 1)];
    m->p->structure = key_text(word);
    return word;
}

const char *word_common(Maker *m, int n_min, int n_max)
{
    const char *word;
    size_t n;
    do {
        word = common_words[rng_below(&m->rng, (uint64_t)n_common_words)];
        n = strlen(word);
    } while (n < (size_t)n_min || n > (size_t)n_max || !word_owned(m, word));
    return word;
}
