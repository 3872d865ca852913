/* Knights, who always tell the truth, and knaves, who always lie. */
#include "tasks/checks.h"
#include "tasks/families.h"
#include "tasks/maker.h"

#include <string.h>

enum { PEOPLE_MAX = 3 };

/* What a speaker may claim. {0} and {1} are the others' names (with two people, only {0}). A bit of
 * `roles` is set for a knight: bit 0 the speaker, 1 the first other, 2 the second. */
typedef enum Claim {
    KNIGHT_A,
    KNAVE_A,
    SAME_A,
    DIFFERENT_A,
    BOTH_KNIGHTS,
    BOTH_KNAVES,
    SOME_KNIGHT,
    SOME_KNAVE,
    NOT_BOTH_IF_ME, /* if I am a knight, so is A */
    IF_A_THEN_NOT_ME,
    I_KNIGHT,
    I_OR_A,
    N_CLAIMS_2,
    SAME_AB = N_CLAIMS_2,
    DIFFERENT_AB,
    A_AND_NOT_B,
    ONE_KNIGHT,
    TWO_KNIGHTS,
    ALL_KNAVES,
    A_OR_B,
    N_CLAIMS,
} Claim;

static bool holds(Claim claim, unsigned roles, int n)
{
    const bool me = roles & 1, a = roles & 2, b = roles & 4;
    const int n_knights = __builtin_popcount(roles);
    switch (claim) {
    case KNIGHT_A:
        return a;
    case KNAVE_A:
        return !a;
    case SAME_A:
        return me == a;
    case DIFFERENT_A:
        return me != a;
    case BOTH_KNIGHTS:
        return me && a;
    case BOTH_KNAVES:
        return !me && !a;
    case SOME_KNIGHT:
        return n_knights > 0;
    case SOME_KNAVE:
        return n_knights < n;
    case NOT_BOTH_IF_ME:
        return !me || a;
    case IF_A_THEN_NOT_ME:
        return !a || !me;
    case I_KNIGHT:
        return me;
    case I_OR_A:
        return me || !a;
    case SAME_AB:
        return a == b;
    case DIFFERENT_AB:
        return a != b;
    case A_AND_NOT_B:
        return a && !b;
    case ONE_KNIGHT:
        return n_knights == 1;
    case TWO_KNIGHTS:
        return n_knights == 2;
    case ALL_KNAVES:
        return n_knights == 0;
    case A_OR_B:
        return a || b;
    default:
        return false;
    }
}

static const char *const claims[N_LANGS][N_CLAIMS] = {
    {"{0} is a knight.", "{0} is a knave.", "{0} and I are the same kind.",
     "{0} and I are different kinds.", "{0} and I are both knights.", "{0} and I are both knaves.",
     "At least one of us is a knight.", "At least one of us is a knave.",
     "If I am a knight, {0} is a knight.", "If {0} is a knight, I am a knave.", "I am a knight.",
     "I am a knight or {0} is a knave.", "{0} and {1} are the same kind.",
     "{0} and {1} are different kinds.", "{0} is a knight and {1} is a knave.",
     "Exactly one of us is a knight.", "Exactly two of us are knights.", "All of us are knaves.",
     "{0} or {1} is a knight."},
    {"{0} 是骑士。", "{0} 是无赖。", "{0} 和我是同一种人。", "{0} 和我是不同的人。",
     "{0} 和我都是骑士。", "{0} 和我都是无赖。", "我们中至少有一个骑士。", "我们中至少有一个无赖。",
     "如果我是骑士，{0} 就是骑士。", "如果 {0} 是骑士，我就是无赖。", "我是骑士。",
     "我是骑士或者 {0} 是无赖。", "{0} 和 {1} 是同一种人。", "{0} 和 {1} 是不同的人。",
     "{0} 是骑士，{1} 是无赖。", "我们中恰好有一个骑士。", "我们中恰好有两个骑士。",
     "我们都是无赖。", "{0} 或 {1} 是骑士。"},
    {"{0} ist ein Ritter.", "{0} ist ein Schurke.", "{0} und ich sind von gleicher Art.",
     "{0} und ich sind verschieden.", "{0} und ich sind beide Ritter.",
     "{0} und ich sind beide Schurken.", "Mindestens einer von uns ist ein Ritter.",
     "Mindestens einer von uns ist ein Schurke.", "Bin ich ein Ritter, so ist {0} ein Ritter.",
     "Ist {0} ein Ritter, so bin ich ein Schurke.", "Ich bin ein Ritter.",
     "Ich bin ein Ritter oder {0} ist ein Schurke.", "{0} und {1} sind von gleicher Art.",
     "{0} und {1} sind verschieden.", "{0} ist ein Ritter und {1} ist ein Schurke.",
     "Genau einer von uns ist ein Ritter.", "Genau zwei von uns sind Ritter.",
     "Wir alle sind Schurken.", "{0} oder {1} ist ein Ritter."},
    {"{0} es un caballero.", "{0} es un bribón.", "{0} y yo somos iguales.",
     "{0} y yo somos distintos.", "{0} y yo somos caballeros.", "{0} y yo somos bribones.",
     "Al menos uno de nosotros es un caballero.", "Al menos uno de nosotros es un bribón.",
     "Si yo soy un caballero, {0} es un caballero.", "Si {0} es un caballero, yo soy un bribón.",
     "Soy un caballero.", "Yo soy un caballero o {0} es un bribón.", "{0} y {1} son iguales.",
     "{0} y {1} son distintos.", "{0} es un caballero y {1} es un bribón.",
     "Exactamente uno de nosotros es un caballero.", "Exactamente dos de nosotros son caballeros.",
     "Todos somos bribones.", "{0} o {1} es un caballero."},
};

static const char *const kinds[N_LANGS][2] = {
    {"knave", "knight"}, {"无赖", "骑士"}, {"Schurke", "Ritter"}, {"bribón", "caballero"}};
static const char *const truths[N_LANGS][2] = {
    {"false", "true"}, {"假", "真"}, {"falsch", "wahr"}, {"falso", "cierto"}};
static const char *const verdicts[N_LANGS][2] = {
    {"no", "ok"}, {"不行", "可以"}, {"nein", "ok"}, {"no", "ok"}};
static const char *const says[N_LANGS] = {"{0} says: \"{1}\"", "{0} 说：“{1}”", "{0} sagt: \"{1}\"",
                                          "{0} dice: \"{1}\""};
static const char *const intros[N_LANGS][3] = {
    {"", "Knights tell the truth, knaves lie. ",
     "On an island, knights always tell the truth and knaves always lie. "},
    {"", "骑士说真话，无赖说假话。", "岛上的骑士总说真话，无赖总说假话。"},
    {"", "Ritter sagen die Wahrheit, Schurken lügen. ",
     "Auf einer Insel sagen Ritter immer die Wahrheit und Schurken lügen immer. "},
    {"", "Los caballeros dicen la verdad, los bribones mienten. ",
     "En una isla los caballeros siempre dicen la verdad y los bribones siempre mienten. "},
};
static const char *const questions[N_LANGS][3] = {
    {"Who is what?", "What are they?", "Who is a knight, who is a knave?"},
    {"他们各是什么人？", "谁是骑士，谁是无赖？"},
    {"Wer ist was?", "Wer ist Ritter, wer ist Schurke?"},
    {"¿Quién es qué?", "¿Quién es caballero y quién es bribón?"},
};
static const char *const names[N_LANGS][12] = {
    {"Max", "Zoe", "Ann", "Ben", "Eva", "Tom", "Ida", "Leo", "Mia", "Sam", "Uma", "Kai"},
    {"小明", "小红", "小刚", "小丽", "阿强", "阿美", "老王", "老李", "小华", "小芳", "阿杰",
     "小玉"},
    {"Max", "Jan", "Ute", "Ben", "Eva", "Tom", "Ida", "Leo", "Mia", "Udo", "Pia", "Kai"},
    {"Max", "Ana", "Luz", "Leo", "Eva", "Paco", "Rita", "Juan", "Mia", "Raúl", "Sol", "Inés"},
};

typedef struct Puzzle {
    int n;
    const char *names[PEOPLE_MAX];
    Claim claims[PEOPLE_MAX];
    int first[PEOPLE_MAX]; /* the first other of each speaker; the second is who is left */
} Puzzle;

/* The roles as the speaker sees them. Case `c` has person 0 in its highest bit, 0 for a knight, so
 * that cases in order begin with all knights. */
static bool is_knight(const Puzzle *z, int c, int person)
{
    return !(c >> (z->n - 1 - person) & 1);
}

static int second_other(const Puzzle *z, int speaker) { return 3 - speaker - z->first[speaker]; }

static bool claim_holds(const Puzzle *z, int c, int speaker)
{
    unsigned roles = (unsigned)is_knight(z, c, speaker);
    roles |= (unsigned)is_knight(z, c, z->first[speaker]) << 1;
    if (z->n == 3)
        roles |= (unsigned)is_knight(z, c, second_other(z, speaker)) << 2;
    return holds(z->claims[speaker], roles, z->n);
}

static bool is_consistent(const Puzzle *z, int c)
{
    for (int i = 0; i < z->n; i++)
        if (claim_holds(z, c, i) != is_knight(z, c, i))
            return false;
    return true;
}

/* The only case that fits, or -1. */
static int solve(const Puzzle *z)
{
    int found = -1;
    for (int c = 0; c < 1 << z->n; c++)
        if (is_consistent(z, c)) {
            if (found >= 0)
                return -1;
            found = c;
        }
    return found;
}

static const char *claim_text(Maker *m, const Puzzle *z, int speaker)
{
    const char *second = z->n == 3 ? z->names[second_other(z, speaker)] : "";
    return maker_fill(m, claims[m->lang][z->claims[speaker]], z->names[z->first[speaker]], second,
                      NULL);
}

/* Three claims are too many to hold in the head: each is said again where it is judged. */
static void think_cases(Maker *m, const Puzzle *z)
{
    for (int c = 0; c < 1 << z->n; c++) {
        for (int i = 0; i < z->n; i++)
            maker_think(m, "%s%s %s",
                        i   ? ", "
                        : c ? "\n"
                            : "",
                        z->names[i], kinds[m->lang][is_knight(z, c, i)]);
        maker_think(m, ":");
        bool is_ok = true;
        for (int i = 0; i < z->n && is_ok; i++) {
            const bool is_true = claim_holds(z, c, i);
            is_ok = is_true == is_knight(z, c, i);
            maker_think(m, "%s %s", i ? ";" : "", z->names[i]);
            if (z->n == 3)
                maker_think(m, ": %s", claim_text(m, z, i));
            maker_think(m, " %s, %s", truths[m->lang][is_true], verdicts[m->lang][is_ok]);
        }
        if (is_ok)
            return;
    }
}

static void make_puzzle(Maker *m, int n)
{
    Puzzle z = {.n = n};
    int chosen[PEOPLE_MAX], c;
    uint64_t key;
    do {
        key = key_text("knights");
        for (int i = 0; i < n; i++) {
            z.claims[i] = (Claim)maker_int(m, 0, (n == 2 ? N_CLAIMS_2 : N_CLAIMS) - 1);
            z.first[i] = n == 2 ? 1 - i : (i + 1 + (int)maker_int(m, 0, 1)) % 3;
            key = key_more(key, z.claims[i]);
        }
        c = solve(&z);
    } while (c < 0 || !maker_owns(m, key));
    maker_choose(m, 12, n, chosen);
    Buf text = {0};
    buf_puts(&text, intros[m->lang][maker_int(m, 0, 2)]);
    for (int i = 0; i < n; i++)
        z.names[i] = names[m->lang][chosen[i]];
    for (int i = 0; i < n; i++) {
        buf_puts(&text, maker_fill(m, says[m->lang], z.names[i], claim_text(m, &z, i), NULL));
        buf_puts(&text, m->lang == LANG_ZH ? "" : " ");
    }
    buf_puts(&text, maker_phrase(m, questions[m->lang], 3));
    maker_user(m, "{0}", text.data, NULL);
    buf_free(&text);
    think_cases(m, &z);
    for (int i = 0; i < n; i++)
        maker_reply(m, "%s%s: %s", i ? ", " : "", z.names[i], kinds[m->lang][is_knight(&z, c, i)]);
}

static void make_two(Maker *m) { make_puzzle(m, 2); }
static void make_three(Maker *m) { make_puzzle(m, 3); }

/* ---- Checking -------------------------------------------------------------------------------- */

enum { ROLE_NONE = -1 };

/* Gives each of the answer's names the kind that the text says: a kind belongs to the names since
 * the last one ("Max and Zoe are knights"). False when a kind has no name or a name two kinds. */
static bool read_roles(Str text, const Puzzle *z, TaskLang lang, int roles[PEOPLE_MAX])
{
    unsigned pending = 0;
    for (int i = 0; i < z->n; i++)
        roles[i] = ROLE_NONE;
    for (size_t at = 0; at < text.bytes; at++) {
        const Str rest = str_slice(text, at, text.bytes);
        for (int i = 0; i < z->n; i++)
            if (str_starts(rest, str_from(z->names[i])))
                pending |= 1u << i;
        for (int kind = 0; kind < 2; kind++) {
            /* "Ritter" and "ritter", "Knight" and "knight": the first letter is left out. */
            const Str word = str_from(kinds[lang][kind]);
            const size_t skip = lang == LANG_ZH ? 0 : 1;
            if (!str_starts(rest, str_slice(word, skip, word.bytes)))
                continue;
            if (pending == 0)
                return false;
            for (int i = 0; i < z->n; i++) {
                if (!(pending >> i & 1))
                    continue;
                if (roles[i] != ROLE_NONE && roles[i] != kind)
                    return false;
                roles[i] = kind;
            }
            pending = 0;
        }
    }
    return pending == 0;
}

/* The names are what stands before the colons of the answer. */
static double score_roles(const Problem *p, const TaskReply *reply)
{
    char text[PEOPLE_MAX][32];
    Puzzle z = {0};
    for (size_t at = 0; at < p->answer.bytes && z.n < PEOPLE_MAX;) {
        const ptrdiff_t colon = str_find(p->answer, STR(":"), at);
        const ptrdiff_t comma = str_find(p->answer, STR(", "), at);
        if (colon < 0 || (size_t)colon - at >= sizeof *text)
            return 0;
        memcpy(text[z.n], p->answer.data + at, (size_t)colon - at);
        text[z.n][(size_t)colon - at] = 0;
        z.names[z.n] = text[z.n];
        z.n++;
        at = comma < 0 ? p->answer.bytes : (size_t)comma + 2;
    }
    int expected[PEOPLE_MAX], given[PEOPLE_MAX];
    for (size_t i = 0; i < reply->content.bytes; i++)
        if (reply->content.data[i] >= '0' && reply->content.data[i] <= '9')
            return 0;
    if (check_hedges(reply->content) || !read_roles(p->answer, &z, p->lang, expected) ||
        !read_roles(reply->content, &z, p->lang, given))
        return 0;
    for (int i = 0; i < z.n; i++)
        if (given[i] == ROLE_NONE || given[i] != expected[i])
            return 0;
    return z.n > 0 ? 1 : 0;
}

const TaskFamily knight_families[] = {
    {.name = "knights2",
     .domain = "logic",
     .about = "knights and knaves, two people",
     .langs = ALL_LANGS,
     .difficulty_max = 1,
     .make = make_two,
     .score = score_roles},
    {.name = "knights3",
     .domain = "logic",
     .about = "knights and knaves, three people",
     .langs = ALL_LANGS,
     .difficulty_max = 1,
     .make = make_three,
     .score = score_roles},
    {.name = NULL},
};
