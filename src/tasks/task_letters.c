/* Letters of a word: counting (with the model card's dialogue), spelling, turning round. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/words.h"

#include <string.h>

/* Levels 1 to 3 are made-up words of growing length, 4 common words, 5 long made-up ones. */
static const char *draw_word(Maker *m)
{
    static const int lengths[][2] = {{4, 6}, {6, 9}, {9, 12}, {4, 14}, {13, 18}};
    const int *n = lengths[m->level - 1];
    return m->level == 4 ? word_common(m, n[0], n[1]) : word_invented(m, n[0], n[1]);
}

/* "p r u r i e n c e" */
static const char *spaced(Maker *m, const char *word, char between)
{
    char out[128];
    size_t n = 0;
    for (; *word && n + 2 < sizeof out; word++) {
        if (n > 0)
            out[n++] = between;
        out[n++] = *word;
    }
    return arena_strndup(&m->p->arena, out, n);
}

static const char *reversed(Maker *m, const char *word)
{
    const size_t n = strlen(word);
    char *out = arena_alloc(&m->p->arena, n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = word[n - 1 - i];
    return out;
}

/* ---- Counting -------------------------------------------------------------------------------- */

static int count_letter(const char *word, char letter)
{
    int n = 0;
    for (; *word; word++)
        n += *word == letter;
    return n;
}

/* "r: p r1 u r2 i e n c e": only the matches carry the count. */
static void think_count(Maker *m, const char *word, char letter)
{
    maker_think_line(m, "%c:", letter);
    for (int n = 0; *word; word++)
        if (*word == letter)
            maker_think(m, " %c%d", letter, ++n);
        else
            maker_think(m, " %c", *word);
}

static char draw_letter(Maker *m, const char *word)
{
    if (maker_chance(m, 0.12))
        return (char)maker_int(m, 'a', 'z');
    return word[maker_int(m, 0, (int64_t)strlen(word) - 1)];
}

enum { PHRASES = 8 };
static const char *const count_asks[N_LANGS][PHRASES] = {
    {"How many {0}'s in {1}?", "How many {0}'s in {1}?", "How many {0}'s are in {1}?",
     "How many times does the letter {0} appear in {1}?", "Count the letter {0} in {1}.",
     "How many {0}'s are there in the word {1}?", "How often is {0} in \"{1}\"?",
     "How many letters {0} does {1} have?"},
    {"{1} 里有几个 {0}？", "单词 {1} 中有多少个字母 {0}？", "数一数 {1} 里的 {0}。",
     "字母 {0} 在 {1} 中出现几次？"},
    {"Wie viele {0} sind in {1}?", "Wie oft kommt {0} in {1} vor?",
     "Zähle den Buchstaben {0} in {1}."},
    {"¿Cuántas {0} hay en {1}?", "¿Cuántas veces aparece la letra {0} en {1}?",
     "Cuenta la letra {0} en {1}."},
};

static void make_letters(Maker *m)
{
    const char *word = draw_word(m);
    const char letter = draw_letter(m, word);
    maker_user(m, maker_phrase(m, count_asks[m->lang], PHRASES), maker_text(m, "%c", letter), word,
               NULL);
    think_count(m, word, letter);
    maker_reply(m, "%d", count_letter(word, letter));
}

/* ---- The model card's dialogue --------------------------------------------------------------- */

static const char *const then_asks[N_LANGS][3] = {
    {"Then, how many {0}'s in {1}?", "And how many {0}'s in {1}?", "How many {0}'s in {1}?"},
    {"那么 {1} 里有几个 {0}？", "{1} 里呢，有几个 {0}？"},
    {"Und wie viele {0} sind in {1}?", "Wie viele {0} sind dann in {1}?"},
    {"¿Y cuántas {0} hay en {1}?", "Entonces, ¿cuántas {0} hay en {1}?"},
};
static const char *const doubts[N_LANGS][5] = {
    {"Really?", "Really?", "Are you sure?", "Is that right?", "Sure?"},
    {"真的吗？", "你确定吗？", "对吗？"},
    {"Wirklich?", "Bist du sicher?", "Stimmt das?"},
    {"¿De verdad?", "¿Estás seguro?", "¿Seguro?"},
};
static const char *const confirms[N_LANGS][2] = {{"No, {0}.", "Yes, {0}."},
                                                 {"不，{0}。", "是的，{0}。"},
                                                 {"Nein, {0}.", "Ja, {0}."},
                                                 {"No, {0}.", "Sí, {0}."}};
static const char *const said_notes[N_LANGS][2] = {
    {"I said {0}: wrong", "I said {0}: right"},
    {"我说了 {0}：错", "我说了 {0}：对"},
    {"ich sagte {0}: falsch", "ich sagte {0}: richtig"},
    {"dije {0}: mal", "dije {0}: bien"}};

static const char *draw_dialogue_word(Maker *m)
{
    if (m->split == SPLIT_TRAIN && maker_chance(m, 0.2))
        return word_fruit(m);
    return maker_chance(m, 0.6) ? word_common(m, 4, 14) : word_invented(m, 4, 11);
}

/* "" (half of the time), " /think" or " /no_think"; *mode follows. */
static const char *draw_flag(Maker *m, TaskMode *mode)
{
    if (maker_chance(m, 0.4))
        return "";
    *mode = maker_chance(m, 0.5) ? MODE_THINK : MODE_NO_THINK;
    return *mode == MODE_THINK ? " /think" : " /no_think";
}

/* Level 1 ends with the second question, level 2 with the doubt about its answer. */
static void make_dialogue(Maker *m)
{
    const char *first = draw_dialogue_word(m), *second = draw_dialogue_word(m);
    const char letter = draw_letter(m, maker_chance(m, 0.5) ? first : second);
    const bool has_first = m->level == 1 || maker_chance(m, 0.7);
    const char *letter_text = maker_text(m, "%c", letter);
    TaskMode mode = MODE_THINK;
    if (has_first) {
        const char *question =
            maker_fill(m, maker_phrase(m, count_asks[m->lang], PHRASES), letter_text, first, NULL);
        maker_user(m, "{0}{1}", question, draw_flag(m, &mode), NULL);
        maker_said(m, maker_num(m, count_letter(first, letter)), NULL);
    }
    const char *question =
        maker_fill(m, maker_phrase(m, has_first ? then_asks[m->lang] : count_asks[m->lang], 3),
                   letter_text, second, NULL);
    maker_user(m, "{0}{1}", question, draw_flag(m, &mode), NULL);
    const int count = count_letter(second, letter);
    if (m->level == 1) {
        think_count(m, second, letter);
        maker_reply(m, "%d", count);
        m->p->mode = mode;
        return;
    }
    int said = count;
    if (maker_chance(m, 0.4))
        said =
            count > 0 && maker_chance(m, 0.6) ? (maker_chance(m, 0.5) ? 0 : count - 1) : count + 1;
    maker_said(m, maker_num(m, said), NULL);
    maker_user(m, "{0}{1}", maker_phrase(m, doubts[m->lang], 5), draw_flag(m, &mode), NULL);
    think_count(m, second, letter);
    maker_think_line(m, "%s",
                     maker_fill(m, said_notes[m->lang][said == count], maker_num(m, said), NULL));
    maker_reply(m, "%s",
                maker_fill(m, confirms[m->lang][said == count], maker_num(m, count), NULL));
    m->p->mode = mode;
}

/* "2", or "No, 2." where the answer doubts. */
static double score_dialogue(const Problem *p, const TaskReply *reply)
{
    const bool is_bare =
        p->answer.bytes > 0 && p->answer.data[0] >= '0' && p->answer.data[0] <= '9';
    return is_bare ? score_number(p, reply) : score_yes_no(p, reply);
}

/* ---- Spelling -------------------------------------------------------------------------------- */

static const char *const spell_asks[N_LANGS][4] = {
    {"Spell {0}.", "Spell the word {0}.", "How do you spell {0}?", "Spell out {0}."},
    {"拼写 {0}。", "请逐个字母拼出 {0}。"},
    {"Buchstabiere {0}.", "Buchstabiere das Wort {0}."},
    {"Deletrea {0}.", "Deletrea la palabra {0}."},
};
static const char *const backward_asks[N_LANGS][4] = {
    {"Spell {0} backward.", "Write {0} backwards.", "Reverse the word {0}.",
     "What is {0} backward?"},
    {"把 {0} 倒过来写。", "倒着写 {0}。"},
    {"Schreibe {0} rückwärts.", "Was ist {0} rückwärts?"},
    {"Escribe {0} al revés.", "¿Cómo es {0} al revés?"},
};
static const char *const length_asks[N_LANGS][3] = {
    {"How many letters does {0} have?", "How long is the word {0}?", "Count the letters of {0}."},
    {"{0} 有几个字母？", "单词 {0} 有多少个字母？"},
    {"Wie viele Buchstaben hat {0}?", "Wie lang ist das Wort {0}?"},
    {"¿Cuántas letras tiene {0}?", "¿Qué longitud tiene la palabra {0}?"},
};
static const char *const place_asks[N_LANGS][3] = {
    {"What is letter number {1} of {0}?", "Which letter is at place {1} in {0}?",
     "Letter {1} of {0}?"},
    {"{0} 的第 {1} 个字母是什么？", "{0} 第 {1} 个字母？"},
    {"Was ist Buchstabe Nummer {1} von {0}?", "Welcher Buchstabe steht in {0} an Stelle {1}?"},
    {"¿Cuál es la letra número {1} de {0}?", "¿Qué letra está en el lugar {1} de {0}?"},
};

static void make_spell(Maker *m)
{
    const char *word = draw_word(m);
    maker_user(m, maker_phrase(m, spell_asks[m->lang], 4), word, NULL);
    maker_think_line(m, "%s", spaced(m, word, ' '));
    maker_reply(m, "%s", spaced(m, word, '-'));
}

static void make_backward(Maker *m)
{
    const char *word = draw_word(m), *back = reversed(m, word);
    maker_user(m, maker_phrase(m, backward_asks[m->lang], 4), word, NULL);
    maker_think_line(m, "%s", spaced(m, word, ' '));
    maker_think_line(m, "%s", spaced(m, back, ' '));
    maker_reply(m, "%s", back);
}

/* "p1 r2 u3" up to the n-th letter. */
static void think_places(Maker *m, const char *word, int n)
{
    for (int i = 0; i < n; i++)
        maker_think(m, "%s%c%d", i ? " " : "", word[i], i + 1);
}

static void make_length(Maker *m)
{
    const char *word = draw_word(m);
    const int n = (int)strlen(word);
    maker_user(m, maker_phrase(m, length_asks[m->lang], 3), word, NULL);
    think_places(m, word, n);
    maker_reply(m, "%d", n);
}

static void make_place(Maker *m)
{
    const char *word = draw_word(m);
    const int n = (int)maker_int(m, 1, (int64_t)strlen(word));
    maker_user(m, maker_phrase(m, place_asks[m->lang], 3), word, maker_num(m, n), NULL);
    think_places(m, word, n);
    maker_reply(m, "%c", word[n - 1]);
}

const TaskFamily letter_families[] = {
    {.name = "letters",
     .domain = "text",
     .about = "counting a letter in a word",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_letters,
     .score = score_number},
    {.name = "letters_dialogue",
     .domain = "text",
     .about = "counting letters over two or three turns with flags, and standing by it or not",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .has_flags = true,
     .make = make_dialogue,
     .score = score_dialogue},
    {.name = "spell",
     .domain = "text",
     .about = "spelling a word",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_spell,
     .score = score_text},
    {.name = "backward",
     .domain = "text",
     .about = "spelling a word backward",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_backward,
     .score = score_text},
    {.name = "length",
     .domain = "text",
     .about = "the number of letters of a word",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_length,
     .score = score_number},
    {.name = "letter_at",
     .domain = "text",
     .about = "the n-th letter of a word",
     .langs = ALL_LANGS,
     .difficulty_max = 5,
     .make = make_place,
     .score = score_text},
    {.name = NULL},
};
