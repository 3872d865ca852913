/* Facts that stand in a text (and those that do not), and facts of a small closed world.
 *
 * The world is people that nobody has heard of, with made-up names and a city, a trade, a year of
 * birth and an animal each; all of it is a function of a person's number. It is told in documents
 * of kind text in several ways; questions about a person's attribute belong to one split. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"
#include "tasks/words.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

typedef enum Attribute { CITY, TRADE, YEAR, ANIMAL, N_ATTRIBUTES } Attribute;
enum { VALUES = 16, N_WORLD = 400 };

static const char *const values[N_ATTRIBUTES][N_LANGS][VALUES] = {
    [CITY] = {{"Lisbon", "Oslo", "Vienna", "Dublin", "Athens", "Prague", "Cairo", "Lima", "Tokyo",
               "Boston", "Geneva", "Naples", "Seoul", "Quito", "Porto", "Bergen"},
              {"里斯本", "奥斯陆", "维也纳", "都柏林", "雅典", "布拉格", "开罗", "利马", "东京",
               "波士顿", "日内瓦", "那不勒斯", "首尔", "基多", "波尔图", "卑尔根"},
              {"Lissabon", "Oslo", "Wien", "Dublin", "Athen", "Prag", "Kairo", "Lima", "Tokio",
               "Boston", "Genf", "Neapel", "Seoul", "Quito", "Porto", "Bergen"},
              {"Lisboa", "Oslo", "Viena", "Dublín", "Atenas", "Praga", "El Cairo", "Lima", "Tokio",
               "Boston", "Ginebra", "Nápoles", "Seúl", "Quito", "Oporto", "Bergen"}},
    [TRADE] = {{"baker", "nurse", "pilot", "farmer", "painter", "lawyer", "miner", "tailor", "cook",
                "teacher", "sailor", "judge", "singer", "dentist", "plumber", "gardener"},
               {"面包师", "护士", "飞行员", "农民", "画家", "律师", "矿工", "裁缝", "厨师", "老师",
                "水手", "法官", "歌手", "牙医", "水管工", "园丁"},
               {"Bäcker", "Pfleger", "Pilot", "Bauer", "Maler", "Anwalt", "Bergmann", "Schneider",
                "Koch", "Lehrer", "Matrose", "Richter", "Sänger", "Zahnarzt", "Klempner",
                "Gärtner"},
               {"panadero", "enfermero", "piloto", "granjero", "pintor", "abogado", "minero",
                "sastre", "cocinero", "maestro", "marinero", "juez", "cantante", "dentista",
                "fontanero", "jardinero"}},
    [YEAR] = {{""}, {""}, {""}, {""}},
    [ANIMAL] = {{"cat", "dog", "parrot", "horse", "goat", "rabbit", "turtle", "snake", "duck",
                 "mouse", "lizard", "pony", "owl", "goose", "hamster", "pig"},
                {"猫", "狗", "鹦鹉", "马", "山羊", "兔子", "乌龟", "蛇", "鸭子", "老鼠", "蜥蜴",
                 "小马", "猫头鹰", "鹅", "仓鼠", "猪"},
                {"Katze", "Hund", "Papagei", "Pferd", "Ziege", "Hase", "Schildkröte", "Schlange",
                 "Ente", "Maus", "Eidechse", "Pony", "Eule", "Gans", "Hamster", "Schwein"},
                {"gato", "perro", "loro", "caballo", "cabra", "conejo", "tortuga", "serpiente",
                 "pato", "ratón", "lagarto", "poni", "búho", "ganso", "hámster", "cerdo"}},
};

/* {0} who, {1} what. */
static const char *const statements[N_ATTRIBUTES][N_LANGS][3] = {
    [CITY] = {{"{0} lives in {1}.", "The home of {0} is {1}.", "In {1} you can meet {0}."},
              {"{0} 住在{1}。", "{0} 的家在{1}。"},
              {"{0} wohnt in {1}.", "Das Zuhause von {0} ist {1}."},
              {"{0} vive en {1}.", "La casa de {0} está en {1}."}},
    [TRADE] = {{"{0} works as a {1}.", "By trade, {0} is a {1}.", "{0} is a {1}."},
               {"{0} 的职业是{1}。", "{0} 是一名{1}。"},
               {"{0} ist {1} von Beruf.", "{0} arbeitet als {1}."},
               {"{0} trabaja de {1}.", "{0} es {1} de oficio."}},
    [YEAR] = {{"{0} was born in {1}.", "{1} is the year in which {0} was born."},
              {"{0} 出生于 {1} 年。", "{1} 年，{0} 出生了。"},
              {"{0} wurde {1} geboren.", "{1} kam {0} zur Welt."},
              {"{0} nació en {1}.", "En {1} nació {0}."}},
    [ANIMAL] = {{"{0} has a {1}.", "The animal of {0} is a {1}.", "{0} keeps a {1}."},
                {"{0} 养了一只{1}。", "{0} 的宠物是{1}。"},
                {"Das Haustier von {0}: {1}.", "Tier von {0}: {1}."},
                {"La mascota de {0} es: {1}.", "{0} tiene un animal: {1}."}},
};
static const char *const questions[N_ATTRIBUTES][N_LANGS][2] = {
    [CITY] = {{"Where does {0} live?", "In which city does {0} live?"},
              {"{0} 住在哪里？"},
              {"Wo wohnt {0}?"},
              {"¿Dónde vive {0}?"}},
    [TRADE] = {{"What is the trade of {0}?", "What does {0} work as?"},
               {"{0} 的职业是什么？"},
               {"Was ist {0} von Beruf?"},
               {"¿De qué trabaja {0}?"}},
    [YEAR] = {{"When was {0} born?", "In which year was {0} born?"},
              {"{0} 是哪年出生的？"},
              {"Wann wurde {0} geboren?"},
              {"¿En qué año nació {0}?"}},
    [ANIMAL] = {{"Which animal does {0} have?", "What animal does {0} keep?"},
                {"{0} 养了什么动物？"},
                {"Welches Tier hat {0}?"},
                {"¿Qué animal tiene {0}?"}},
};
static const char *const text_asks[N_LANGS] = {
    "{0}\nAnswer from the text only: {1}", "{0}\n只根据上文回答：{1}",
    "{0}\nAntworte nur aus dem Text: {1}", "{0}\nResponde solo con el texto: {1}"};
static const char *const not_said[N_LANGS] = {"The text does not say.", "文中没有说。",
                                              "Das steht nicht im Text.", "El texto no lo dice."};
static const char *const no_line[N_LANGS] = {"no line about it", "没有相关的句子",
                                             "keine Zeile dazu", "ninguna línea sobre eso"};

static const char *value_text(Maker *m, Attribute attribute, uint64_t draw)
{
    return attribute == YEAR ? maker_num(m, 1900 + (int64_t)(draw % 110))
                             : values[attribute][m->lang][draw % VALUES];
}

static const char *capital(Maker *m, const char *word)
{
    return maker_text(m, "%c%s", toupper((unsigned char)word[0]), word + 1);
}

/* ---- From a text ----------------------------------------------------------------------------- */

/* A line of the text. */
typedef struct Fact {
    const char *who, *line, *value;
    Attribute attribute;
} Fact;

/* Two facts about each of n new people. */
static Fact *draw_facts(Maker *m, int n)
{
    Fact *facts = ARENA_ARRAY(&m->p->arena, Fact, 2 * n);
    for (int i = 0; i < n; i++) {
        const char *who;
        bool is_new;
        do {
            who = capital(m, word_invented(m, 3, 7));
            is_new = true;
            for (int j = 0; j < i; j++)
                is_new &= strcmp(who, facts[2 * j].who) != 0;
        } while (!is_new);
        int two[2];
        maker_choose(m, N_ATTRIBUTES, 2, two);
        for (int k = 0; k < 2; k++) {
            const Attribute a = (Attribute)two[k];
            const char *value = value_text(m, a, rng_next(&m->rng) >> 20);
            const char *line =
                maker_fill(m, MAKER_PICK(m, statements[a][m->lang]), who, value, NULL);
            facts[2 * i + k] = (Fact){who, line, value, a};
        }
    }
    return facts;
}

/* Lines about n people in mixed order, and a question; a quarter of the questions is about a fact
 * that is not there. */
static void ask_text(Maker *m, int n)
{
    const Fact *facts = draw_facts(m, n);
    const int which = (int)maker_int(m, 0, 2 * n - 1);
    const Fact *fact = &facts[which], *other = &facts[which ^ 1];
    const bool is_there = maker_chance(m, 0.75);
    Attribute asked = fact->attribute;
    while (!is_there && (asked == fact->attribute || asked == other->attribute))
        asked = (Attribute)maker_int(m, 0, N_ATTRIBUTES - 1);
    int *order = ARENA_ARRAY(&m->p->arena, int, 2 * n);
    maker_choose(m, 2 * n, 2 * n, order);
    Buf text = {0};
    for (int i = 0; i < 2 * n; i++)
        buf_printf(&text, "%s%s", facts[order[i]].line,
                   m->lang == LANG_ZH || i + 1 == 2 * n ? "" : " ");
    maker_user(m, text_asks[m->lang], text.data,
               maker_fill(m, MAKER_PICK(m, questions[asked][m->lang]), fact->who, NULL), NULL);
    buf_free(&text);
    maker_think(m, "%s",
                is_there ? fact->line : maker_text(m, "%s: %s", fact->who, no_line[m->lang]));
    maker_reply(m, "%s", is_there ? fact->value : not_said[m->lang]);
}

static void make_passage(Maker *m) { ask_text(m, m->level + 1); }

/* 16 to 1,024 lines: from the length of short training rows to four times that of long ones. */
static void make_needle(Maker *m) { ask_text(m, 4 << m->level); }

/* ---- The closed world ------------------------------------------------------------------------ */

/* First and last name of a person; the same in every language. */
static const char *world_name(Maker *m, uint64_t person)
{
    static const char *const starts[] = {"Al", "Bo", "Ce", "Da", "El", "Fa", "Gi", "Ho",
                                         "Is", "Jo", "Ka", "Lu", "Mo", "Ne", "Or", "Pi"};
    static const char *const ends[] = {"ra", "lin",  "mo", "dan", "ven", "sa",   "kel", "tis",
                                       "na", "bert", "go", "rik", "la",  "mund", "zo",  "phie"};
    const uint64_t h = rng_counter(key_text("world"), person, 0);
    return maker_text(m, "%s%s %s%s", starts[h % 16], ends[h / 16 % 16], starts[h / 256 % 16],
                      ends[h / 4096 % 16]);
}

static const char *world_value(Maker *m, uint64_t person, Attribute a)
{
    return value_text(m, a, rng_counter(key_text("world"), person, 1 + (uint64_t)a) >> 20);
}

static void make_world(Maker *m)
{
    const int n = m->level * N_WORLD / 2;
    uint64_t person;
    Attribute a;
    do {
        person = (uint64_t)maker_int(m, 0, n - 1);
        a = (Attribute)maker_int(m, 0, N_ATTRIBUTES - 1);
    } while (!maker_owns(m, key_more(key_more(key_text("world"), (int64_t)person), a)));
    const char *name = world_name(m, person), *value = world_value(m, person, a);
    maker_user(m, MAKER_PICK(m, questions[a][m->lang]), name, NULL);
    maker_think(m, "%s", maker_fill(m, statements[a][m->lang][0], name, value, NULL));
    maker_reply(m, "%s", value);
}

/* All about one to three people; every split's facts are told. */
static void tell_world(Maker *m)
{
    const int n = (int)maker_int(m, 1, 3);
    for (int i = 0; i < n; i++) {
        const uint64_t person = (uint64_t)maker_int(m, 0, m->level * N_WORLD / 2 - 1);
        int order[N_ATTRIBUTES];
        maker_choose(m, N_ATTRIBUTES, N_ATTRIBUTES, order);
        for (int k = 0; k < N_ATTRIBUTES; k++) {
            const Attribute a = (Attribute)order[k];
            const char *between = i + k == 0 ? "" : k == 0 ? "\n" : m->lang == LANG_ZH ? "" : " ";
            maker_reply(m, "%s%s", between,
                        maker_fill(m, MAKER_PICK(m, statements[a][m->lang]), world_name(m, person),
                                   world_value(m, person, a), NULL));
        }
    }
}

const TaskFamily fact_families[] = {
    {.name = "passage",
     .domain = "facts",
     .about = "a fact from a text, or that it is not there",
     .langs = ALL_LANGS,
     .difficulty_max = 3,
     .make = make_passage,
     .score = score_text},
    {.name = "needle",
     .domain = "facts",
     .about = "the same from 16 to 1,024 lines",
     .langs = ALL_LANGS,
     .difficulty_max = 7,
     .make = make_needle,
     .score = score_text},
    {.name = "world",
     .domain = "facts",
     .about = "a fact of a closed world of 200 or 400 people",
     .langs = ALL_LANGS,
     .difficulty_max = 2,
     .make = make_world,
     .tell = tell_world,
     .score = score_text},
    {.name = NULL},
};
