/* Instructions that a program can check (in the manner of IFEval), and answering in a language.
 *
 * The answer of `constraints` is {"words": n, "contain": "w", "omit": "c", "case": "upper", ...}:
 * all that is in it has to hold. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* ---- Constraints ----------------------------------------------------------------------------- */

typedef enum Layout { IN_A_LINE, BULLETS, COMMAS, AS_JSON, N_LAYOUTS } Layout;
typedef enum Rule { CONTAIN, UPPER, START, OMIT, END, N_RULES } Rule;
enum { WORDS_MAX = 8 };

static const char *const layout_asks[N_LANGS][N_LAYOUTS] = {
    {"Write exactly {0} words.",
     "Write a list of exactly {0} words, each on its own line after \"- \".",
     "Write exactly {0} words with commas between them.",
     "Write a JSON array of exactly {0} words."},
    {"写恰好 {0} 个英文单词。", "写 {0} 个英文单词，每行一个，以 \"- \" 开头。",
     "写恰好 {0} 个英文单词，用逗号分开。", "写一个有 {0} 个英文单词的 JSON 数组。"},
};
static const char *const rule_asks[N_LANGS][N_RULES] = {
    {"One of them is {0}.", "Use capital letters only.", "The first one is {0}.",
     "Do not use the letter {0}.", "The last one is {0}."},
    {"其中一个是 {0}。", "全部大写。", "第一个是 {0}。", "不要用字母 {0}。", "最后一个是 {0}。"},
};

typedef struct Constraints {
    Layout layout;
    int n_words;
    bool rules[N_RULES];
    const char *word[N_RULES]; /* of CONTAIN, START, END; OMIT: the letter */
} Constraints;

static bool has_letter(const char *word, const char *letter) { return strchr(word, letter[0]); }

/* A common word without the letter that is left out. */
static const char *draw_word(Maker *m, const Constraints *c)
{
    const char *word;
    do
        word = word_common(m, 3, 7);
    while (c->rules[OMIT] && has_letter(word, c->word[OMIT]));
    return word;
}

/* level rules; START, END and CONTAIN need a word each, OMIT a letter that is in none of them. */
static Constraints draw_constraints(Maker *m)
{
    Constraints c = {.layout = m->level == 1 ? IN_A_LINE : (Layout)maker_int(m, 0, N_LAYOUTS - 1),
                     .n_words = (int)maker_int(m, 3, 3 + m->level)};
    int order[N_RULES];
    maker_choose(m, N_RULES, N_RULES, order);
    for (int i = 0; i < m->level; i++)
        c.rules[order[i]] = true;
    c.word[OMIT] = maker_text(m, "%c", "abdghklmnprst"[maker_int(m, 0, 12)]);
    c.word[CONTAIN] = draw_word(m, &c);
    c.word[START] = draw_word(m, &c);
    c.word[END] = draw_word(m, &c);
    return c;
}

static const char *spelled(Maker *m, const Constraints *c, const char *word)
{
    if (!c->rules[UPPER])
        return word;
    char *upper = arena_strndup(&m->p->arena, word, strlen(word));
    for (char *letter = upper; *letter; letter++)
        *letter = (char)toupper((unsigned char)*letter);
    return upper;
}

static void write_words(Maker *m, const Constraints *c)
{
    static const char *const begins[N_LAYOUTS] = {"", "- ", "", "[\""};
    static const char *const between[N_LAYOUTS] = {" ", "\n- ", ", ", "\", \""};
    static const char *const ends[N_LAYOUTS] = {"", "", "", "\"]"};
    const int contain_at = (int)maker_int(m, 1, c->n_words - 2);
    maker_reply(m, "%s", begins[c->layout]);
    for (int i = 0; i < c->n_words; i++) {
        const char *word = draw_word(m, c);
        if (i == contain_at && c->rules[CONTAIN])
            word = c->word[CONTAIN];
        if (i == 0 && c->rules[START])
            word = c->word[START];
        if (i == c->n_words - 1 && c->rules[END])
            word = c->word[END];
        word = spelled(m, c, word);
        maker_think(m, "%s%s%d", i ? " " : "", word, i + 1);
        maker_reply(m, "%s%s", i ? between[c->layout] : "", word);
    }
    maker_reply(m, "%s", ends[c->layout]);
}

static void make_constraints(Maker *m)
{
    Constraints c;
    const char *text;
    do {
        c = draw_constraints(m);
        text = maker_fill(m, layout_asks[m->lang][c.layout], maker_num(m, c.n_words), NULL);
        for (int r = 0; r < N_RULES; r++)
            if (c.rules[r])
                text = maker_text(
                    m, "%s%s%s", text, m->lang == LANG_ZH ? "" : " ",
                    maker_fill(m, rule_asks[m->lang][r], c.word[r] ? c.word[r] : "", NULL));
    } while (!maker_owns(m, key_text(text)));
    const uint64_t structure = m->p->structure;
    maker_user(m, "{0}", text, NULL);
    write_words(m, &c);
    m->p->structure = structure;
    maker_answer(m, "{\"layout\": %d, \"words\": %d", c.layout, c.n_words);
    static const char *const names[N_RULES] = {"contain", "upper", "start", "omit", "end"};
    for (int r = 0; r < N_RULES; r++)
        if (c.rules[r] && r == UPPER)
            maker_answer(m, ", \"upper\": true");
        else if (c.rules[r])
            maker_answer(m, ", \"%s\": \"%s\"", names[r], c.word[r]);
    maker_answer(m, "}");
}

/* Splits the content as the layout says; false when it is laid out otherwise. */
static bool split_words(Str content, Layout layout, Str words[WORDS_MAX], int *n)
{
    const Str between = layout == IN_A_LINE ? STR(" ")
                        : layout == BULLETS ? STR("\n- ")
                        : layout == COMMAS  ? STR(", ")
                                            : STR("\", \"");
    const size_t mark = layout == IN_A_LINE || layout == COMMAS ? 0 : 2;
    if ((layout == BULLETS && !str_starts(content, STR("- "))) ||
        (layout == AS_JSON && !(str_starts(content, STR("[\"")) && str_ends(content, STR("\"]")))))
        return false;
    content = str_slice(content, mark, content.bytes - (layout == AS_JSON ? 2 : 0));
    *n = 0;
    for (size_t from = 0; from <= content.bytes;) {
        const ptrdiff_t found = str_find(content, between, from);
        const size_t end = found < 0 ? content.bytes : (size_t)found;
        if (*n == WORDS_MAX || end == from)
            return false;
        words[(*n)++] = str_slice(content, from, end);
        from = end + between.bytes;
        if (found < 0)
            break;
    }
    return true;
}

static bool same_word(Str word, const char *expected)
{
    return word.bytes == strlen(expected) && strncasecmp(word.data, expected, word.bytes) == 0;
}

static double score_constraints(const Problem *p, const TaskReply *reply)
{
    json_t *answer = json_loadb(p->answer.data, p->answer.bytes, 0, NULL);
    const char *contain = json_string_value(json_object_get(answer, "contain"));
    const char *start = json_string_value(json_object_get(answer, "start"));
    const char *end = json_string_value(json_object_get(answer, "end"));
    const char *omit = json_string_value(json_object_get(answer, "omit"));
    const bool upper = json_is_true(json_object_get(answer, "upper"));
    const int n_words = (int)json_integer_value(json_object_get(answer, "words"));
    const int layout = (int)json_integer_value(json_object_get(answer, "layout"));
    Str words[WORDS_MAX], content = reply->content;
    while (content.bytes > 0 && isspace((unsigned char)content.data[content.bytes - 1]))
        content.bytes--;
    int n = 0;
    bool is_right = layout >= 0 && layout < N_LAYOUTS && n_words > 0 &&
                    split_words(content, (Layout)layout, words, &n) && n == n_words;
    bool is_there = !contain;
    for (int i = 0; i < n && is_right; i++) {
        for (size_t k = 0; k < words[i].bytes; k++) {
            const char c = words[i].data[k];
            is_right &= (upper ? isupper((unsigned char)c) : isalpha((unsigned char)c)) != 0;
            is_right &= !omit || tolower((unsigned char)c) != omit[0];
        }
        is_there |= contain && same_word(words[i], contain);
    }
    is_right = is_right && is_there && (!start || same_word(words[0], start)) &&
               (!end || same_word(words[n - 1], end));
    json_decref(answer);
    return is_right ? 1 : 0;
}

/* ---- Languages ------------------------------------------------------------------------------- */

/* A question in one language, the answer in another. */
static const char *const in_language[N_LANGS][N_LANGS] = {
    {"Answer in English: {0}", "Answer in Chinese: {0}", "Answer in German: {0}",
     "Answer in Spanish: {0}"},
    {"用英语回答：{0}", "用中文回答：{0}", "用德语回答：{0}", "用西班牙语回答：{0}"},
    {"Antworte auf Englisch: {0}", "Antworte auf Chinesisch: {0}", "Antworte auf Deutsch: {0}",
     "Antworte auf Spanisch: {0}"},
    {"Responde en inglés: {0}", "Responde en chino: {0}", "Responde en alemán: {0}",
     "Responde en español: {0}"},
};
static const char *const sums[N_LANGS] = {"What is {0} + {1}?", "{0} + {1} 等于多少？",
                                          "Was ist {0} + {1}?", "¿Cuánto es {0} + {1}?"};
static const char *const sum_replies[N_LANGS] = {"The answer is {0}.", "答案是 {0}。",
                                                 "Die Antwort ist {0}.", "La respuesta es {0}."};

static void make_language(Maker *m)
{
    int64_t a, b, to;
    do {
        a = maker_int(m, 2, m->level == 1 ? 9 : 60);
        b = maker_int(m, 2, m->level == 1 ? 9 : 39);
        to = maker_int(m, 0, N_LANGS - 1);
    } while (!maker_owns(m, key_more(key_more(key_more(key_text("language"), a), b), to)));
    const char *question = maker_fill(m, sums[m->lang], maker_num(m, a), maker_num(m, b), NULL);
    maker_user(m, in_language[m->lang][to], question, NULL);
    maker_think(m, "%" PRId64 " + %" PRId64 " = %" PRId64, a, b, a + b);
    maker_reply(m, "%s", maker_fill(m, sum_replies[to], maker_num(m, a + b), NULL));
}

enum { VOCABULARY = 40 };
static const char *const vocabulary[VOCABULARY][N_LANGS] = {
    {"dog", "狗", "Hund", "perro"},        {"cat", "猫", "Katze", "gato"},
    {"house", "房子", "Haus", "casa"},     {"water", "水", "Wasser", "agua"},
    {"bread", "面包", "Brot", "pan"},      {"milk", "牛奶", "Milch", "leche"},
    {"sun", "太阳", "Sonne", "sol"},       {"moon", "月亮", "Mond", "luna"},
    {"tree", "树", "Baum", "árbol"},       {"flower", "花", "Blume", "flor"},
    {"book", "书", "Buch", "libro"},       {"school", "学校", "Schule", "escuela"},
    {"friend", "朋友", "Freund", "amigo"}, {"mother", "母亲", "Mutter", "madre"},
    {"father", "父亲", "Vater", "padre"},  {"child", "孩子", "Kind", "niño"},
    {"hand", "手", "Hand", "mano"},        {"eye", "眼睛", "Auge", "ojo"},
    {"heart", "心", "Herz", "corazón"},    {"day", "天", "Tag", "día"},
    {"night", "夜", "Nacht", "noche"},     {"year", "年", "Jahr", "año"},
    {"red", "红色", "rot", "rojo"},        {"blue", "蓝色", "blau", "azul"},
    {"green", "绿色", "grün", "verde"},    {"white", "白色", "weiß", "blanco"},
    {"big", "大", "groß", "grande"},       {"small", "小", "klein", "pequeño"},
    {"new", "新", "neu", "nuevo"},         {"old", "旧", "alt", "viejo"},
    {"good", "好", "gut", "bueno"},        {"cold", "冷", "kalt", "frío"},
    {"apple", "苹果", "Apfel", "manzana"}, {"fish", "鱼", "Fisch", "pez"},
    {"bird", "鸟", "Vogel", "pájaro"},     {"horse", "马", "Pferd", "caballo"},
    {"city", "城市", "Stadt", "ciudad"},   {"street", "街", "Straße", "calle"},
    {"table", "桌子", "Tisch", "mesa"},    {"door", "门", "Tür", "puerta"},
};
static const char *const translate_asks[N_LANGS][N_LANGS] = {
    {"What does {0} mean in English?", "What is {0} in Chinese?", "What is {0} in German?",
     "What is {0} in Spanish?"},
    {"{0} 用英语怎么说？", "{0} 的中文是什么？", "{0} 用德语怎么说？", "{0} 用西班牙语怎么说？"},
    {"Was heißt {0} auf Englisch?", "Was heißt {0} auf Chinesisch?", "Was heißt {0} auf Deutsch?",
     "Was heißt {0} auf Spanisch?"},
    {"¿Cómo se dice {0} en inglés?", "¿Cómo se dice {0} en chino?", "¿Cómo se dice {0} en alemán?",
     "¿Cómo se dice {0} en español?"},
};

/* Every pair of languages is asked about in every language; a third of the triples is held out. */
static void make_translation(Maker *m)
{
    int word, from, to;
    do {
        word = (int)maker_int(m, 0, VOCABULARY - 1);
        from = (int)maker_int(m, 0, N_LANGS - 1);
        to = (int)maker_int(m, 0, N_LANGS - 1);
    } while (from == to ||
             !maker_owns(m, key_more(key_more(key_more(key_text("translate"), word), from * 4 + to),
                                     m->lang)));
    maker_user(m, translate_asks[m->lang][to], vocabulary[word][from], NULL);
    maker_think(m, "%s = %s", vocabulary[word][from], vocabulary[word][to]);
    maker_reply(m, "%s", vocabulary[word][to]);
}

const TaskFamily instruction_families[] = {
    {.name = "constraints",
     .domain = "instructions",
     .about = "1 to 3 constraints on a list of words",
     .langs = EN | ZH,
     .difficulty_max = 3,
     .make = make_constraints,
     .score = score_constraints},
    {.name = "language",
     .domain = "instructions",
     .about = "answering in the language asked for",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_language,
     .score = score_exact},
    {.name = "translation",
     .domain = "instructions",
     .about = "40 words between four languages",
     .langs = ALL_LANGS,
     .difficulty_max = 1,
     .make = make_translation,
     .score = score_text},
    {.name = NULL},
};
