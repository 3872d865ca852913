/* Operations on the letters of words: shifting, replacing, comparing. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/words.h"

#include <stdlib.h>
#include <string.h>

enum { PHRASES = 3, LETTERS_MAX = 40 };

static const char *const caesar_asks[N_LANGS][PHRASES] = {
    {"Shift every letter of {0} by {1}.", "Caesar cipher of {0} with shift {1}?",
     "Encode {0} with a shift of {1}."},
    {"把 {0} 的每个字母后移 {1} 位。", "用位移 {1} 的凯撒密码加密 {0}。"},
    {"Verschiebe jeden Buchstaben von {0} um {1}.", "Verschlüssle {0} mit Verschiebung {1}."},
    {"Desplaza cada letra de {0} en {1}.", "Cifra {0} con un desplazamiento de {1}."},
};
static const char *const replace_asks[N_LANGS][PHRASES] = {
    {"Replace every {1} in {0} with {2}.", "Change each {1} in {0} to {2}."},
    {"把 {0} 里的 {1} 都换成 {2}。"},
    {"Ersetze jedes {1} in {0} durch {2}."},
    {"Cambia cada {1} de {0} por {2}."},
};
static const char *const palindrome_asks[N_LANGS][PHRASES] = {
    {"Is {0} a palindrome?", "Does {0} read the same backward?"},
    {"{0} 是回文吗？"},
    {"Ist {0} ein Palindrom?"},
    {"¿Es {0} un palíndromo?"},
};
static const char *const anagram_asks[N_LANGS][PHRASES] = {
    {"Are {0} and {1} anagrams?", "Is {1} an anagram of {0}?"},
    {"{0} 和 {1} 是字母相同的词吗？"},
    {"Sind {0} und {1} Anagramme?"},
    {"¿Son {0} y {1} anagramas?"},
};
static const char *const vowel_asks[N_LANGS][PHRASES] = {
    {"How many vowels are in {0}?", "Count the vowels of {0}."},
    {"{0} 里有几个元音字母？"},
    {"Wie viele Vokale hat {0}?"},
    {"¿Cuántas vocales tiene {0}?"},
};
static const char *const yes[N_LANGS] = {"Yes", "是", "Ja", "Sí"};
static const char *const no[N_LANGS] = {"No", "不是", "Nein", "No"};

static const char *draw_word(Maker *m)
{
    const int n_min = 3 + m->level;
    return maker_chance(m, 0.3) ? word_common(m, n_min, n_min + 4)
                                : word_invented(m, n_min, n_min + 3);
}

static void think_letters(Maker *m, const char *word)
{
    for (int i = 0; word[i]; i++)
        maker_think(m, "%s%c", i ? " " : "", word[i]);
}

static void make_caesar(Maker *m)
{
    const char *word = draw_word(m);
    const int shift = (int)maker_int(m, 1, m->level == 1 ? 3 : 12);
    maker_user(m, maker_phrase(m, caesar_asks[m->lang], PHRASES), word, maker_num(m, shift), NULL);
    for (int i = 0; word[i]; i++) {
        const char shifted = (char)('a' + (word[i] - 'a' + shift) % 26);
        maker_think(m, "%s%c %c", i ? ", " : "", word[i], shifted);
        maker_reply(m, "%c", shifted);
    }
}

static void make_replace(Maker *m)
{
    const char *word = draw_word(m);
    const char from = word[maker_int(m, 0, (int64_t)strlen(word) - 1)];
    char to;
    do
        to = (char)maker_int(m, 'a', 'z');
    while (to == from);
    maker_user(m, maker_phrase(m, replace_asks[m->lang], PHRASES), word, maker_text(m, "%c", from),
               maker_text(m, "%c", to), NULL);
    think_letters(m, word);
    maker_think_line(m, "%s", "");
    for (int i = 0; word[i]; i++) {
        const char c = word[i] == from ? to : word[i];
        maker_think(m, "%s%c", i ? " " : "", c);
        maker_reply(m, "%c", c);
    }
}

/* Half of them are: the first half of a word, mirrored. */
static void make_palindrome(Maker *m)
{
    char word[LETTERS_MAX * 2 + 1];
    do {
        const char *half = word_invented(m, 2 + m->level, 3 + m->level);
        const size_t n = strlen(half), middle = (size_t)maker_int(m, 0, 1);
        memcpy(word, half, n);
        for (size_t i = 0; i < n - middle; i++)
            word[n + i] = half[n - 1 - middle - i];
        word[2 * n - middle] = 0;
        if (maker_chance(m, 0.5)) {
            char *changed = &word[maker_int(m, 0, (int64_t)(2 * n - middle) - 1)];
            *changed = (char)('a' + (*changed - 'a' + maker_int(m, 1, 25)) % 26);
        }
    } while (!maker_owns(m, key_text(word)));
    const size_t n = strlen(word);
    maker_user(m, maker_phrase(m, palindrome_asks[m->lang], PHRASES), word, NULL);
    think_letters(m, word);
    bool is_same = true;
    maker_think_line(m, "%s", "");
    for (size_t i = 0; i < n / 2 && is_same; i++) {
        is_same = word[i] == word[n - 1 - i];
        maker_think(m, "%s%c %c", i ? ", " : "", word[i], word[n - 1 - i]);
    }
    maker_reply(m, "%s", is_same ? yes[m->lang] : no[m->lang]);
}

static int by_letter(const void *a, const void *b) { return *(const char *)a - *(const char *)b; }

static const char *sorted(Maker *m, const char *word)
{
    const size_t n = strlen(word);
    char *letters = arena_strndup(&m->p->arena, word, n);
    qsort(letters, n, 1, by_letter);
    return letters;
}

static void make_anagram(Maker *m)
{
    const char *word = draw_word(m);
    const int n = (int)strlen(word);
    int order[LETTERS_MAX];
    char other[LETTERS_MAX + 1];
    maker_choose(m, n, n, order);
    for (int i = 0; i < n; i++)
        other[i] = word[order[i]];
    other[n] = 0;
    if (maker_chance(m, 0.5)) {
        char *changed = &other[maker_int(m, 0, n - 1)];
        *changed = (char)('a' + (*changed - 'a' + maker_int(m, 1, 25)) % 26);
    }
    maker_user(m, maker_phrase(m, anagram_asks[m->lang], PHRASES), word, other, NULL);
    const char *first = sorted(m, word), *second = sorted(m, other);
    think_letters(m, first);
    maker_think_line(m, "%s", "");
    think_letters(m, second);
    maker_reply(m, "%s", strcmp(first, second) == 0 ? yes[m->lang] : no[m->lang]);
}

static void make_vowels(Maker *m)
{
    const char *word = draw_word(m);
    int n = 0;
    maker_user(m, maker_phrase(m, vowel_asks[m->lang], PHRASES), word, NULL);
    for (int i = 0; word[i]; i++) {
        maker_think(m, "%s%c", i ? " " : "", word[i]);
        if (strchr("aeiou", word[i]))
            maker_think(m, "%d", ++n);
    }
    maker_reply(m, "%d", n);
}

const TaskFamily string_families[] = {
    {.name = "caesar",
     .domain = "text",
     .about = "the Caesar cipher of a word",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_caesar,
     .score = score_text},
    {.name = "replace",
     .domain = "text",
     .about = "one letter of a word for another",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_replace,
     .score = score_text},
    {.name = "palindrome",
     .domain = "text",
     .about = "whether a word is a palindrome",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_palindrome,
     .score = score_yes_no},
    {.name = "anagram",
     .domain = "text",
     .about = "whether two words have the same letters",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_anagram,
     .score = score_yes_no},
    {.name = "vowels",
     .domain = "text",
     .about = "the vowels of a word",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_vowels,
     .score = score_number},
    {.name = NULL},
};
