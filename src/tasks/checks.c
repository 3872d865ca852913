#include "tasks/checks.h"

#include "base/utf8.h"

#include <ctype.h>
#include <string.h>

enum {
    NUMBER_BYTES_MAX = 64,
    TAIL_BYTES_MAX = 60, /* what may follow the last number of a sentence */
};

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
/* Bytes of other scripts count as neither: a Chinese word needs no gap around it. */
static bool is_alnum(char c) { return isalnum((unsigned char)c) != 0; }

static Str trim_space(Str s)
{
    while (s.bytes > 0 && is_space(s.data[0]))
        s = str_slice(s, 1, s.bytes);
    while (s.bytes > 0 && is_space(s.data[s.bytes - 1]))
        s.bytes--;
    return s;
}

/* Takes one pair of marks off; false when it is not there. */
static bool unwrap(Str *s, Str open, Str close)
{
    if (s->bytes <= open.bytes + close.bytes || !str_starts(*s, open) || !str_ends(*s, close))
        return false;
    const Str inner = str_slice(*s, open.bytes, s->bytes - close.bytes);
    if (str_find(inner, close, 0) >= 0)
        return false; /* two quoted things, not one */
    *s = inner;
    return true;
}

Str check_trim(Str s)
{
    const Str pairs[][2] = {{STR("**"), STR("**")}, {STR("\""), STR("\"")},
                            {STR("“"), STR("”")},   {STR("\\boxed{"), STR("}")},
                            {STR("$"), STR("$")},   {STR("`"), STR("`")}};
    s = trim_space(s);
    for (bool is_changed = true; is_changed;) {
        is_changed = false;
        if (str_ends(s, STR("。")) && s.bytes > 3) {
            s.bytes -= 3;
            is_changed = true;
        } else if (str_ends(s, STR(".")) && s.bytes > 1) {
            s.bytes--;
            is_changed = true;
        }
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            is_changed |= unwrap(&s, pairs[i][0], pairs[i][1]);
        s = trim_space(s);
    }
    return s;
}

static bool equal_ignoring_case(const char *a, const char *b, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        if (tolower((unsigned char)a[i]) != tolower((unsigned char)b[i]))
            return false;
    return true;
}

bool check_has_word(Str s, const char *word)
{
    const size_t n = strlen(word);
    for (size_t i = 0; i + n <= s.bytes; i++) {
        if (!equal_ignoring_case(s.data + i, word, n))
            continue;
        const bool is_open = i > 0 && is_alnum(word[0]) && is_alnum(s.data[i - 1]);
        const bool goes_on = i + n < s.bytes && is_alnum(word[n - 1]) && is_alnum(s.data[i + n]);
        if (!is_open && !goes_on)
            return true;
    }
    return false;
}

static bool has_any(Str s, const char *const *words, int n)
{
    for (int i = 0; i < n && words[i]; i++)
        if (check_has_word(s, words[i]))
            return true;
    return false;
}

/* Doubt and second thoughts; a "no" is neither. */
static bool has_doubt(Str content)
{
    static const char *const words[] = {"wait", "wrong",  "incorrect",  "maybe", "perhaps", "or",
                                        "but",  "falsch", "vielleicht", "oder",  "aber",    "quizá",
                                        "pero", "错",     "或",         "可能"};
    return has_any(content, words, sizeof words / sizeof *words);
}

bool check_hedges(Str content)
{
    static const char *const words[] = {"not", "isn't", "nicht", "kein", "no es", "不", "没"};
    return has_doubt(content) || has_any(content, words, sizeof words / sizeof *words);
}

/* ---- Numbers --------------------------------------------------------------------------------- */

/* The next number at or after *at, normalized into `out`; *at then stands behind it. */
static bool next_number(Str s, size_t *at, char out[NUMBER_BYTES_MAX])
{
    size_t i = *at;
    while (i < s.bytes && !is_digit(s.data[i]))
        i++;
    if (i == s.bytes)
        return false;
    size_t n = 0;
    const bool has_minus = i > 0 && s.data[i - 1] == '-';
    const bool has_long_minus = i >= 3 && memcmp(s.data + i - 3, "−", 3) == 0;
    const size_t before = i - (has_minus ? 1 : has_long_minus ? 3 : 0);
    if ((has_minus || has_long_minus) && (before == 0 || !is_alnum(s.data[before - 1])))
        out[n++] = '-';
    bool has_point = false;
    for (; i < s.bytes && n < NUMBER_BYTES_MAX - 1; i++) {
        const char c = s.data[i];
        const bool digit_next = i + 1 < s.bytes && is_digit(s.data[i + 1]);
        const bool is_group = i + 3 < s.bytes && digit_next && is_digit(s.data[i + 2]) &&
                              is_digit(s.data[i + 3]) &&
                              (i + 4 == s.bytes || !is_digit(s.data[i + 4]));
        if (c == ',' && is_group && !has_point)
            continue;
        if (!is_digit(c) && !((c == '.' || c == '/') && digit_next))
            break;
        has_point |= c == '.';
        out[n++] = c;
    }
    if (has_point && !memchr(out, '/', n)) {
        while (out[n - 1] == '0')
            n--;
        if (out[n - 1] == '.')
            n--;
    }
    out[n] = 0;
    *at = i;
    return true;
}

/* Bytes of the number that ends before `end`. */
static size_t digits_bytes(Str s, size_t end)
{
    size_t n = 0;
    while (n < end && (is_digit(s.data[end - n - 1]) || strchr(",./", s.data[end - n - 1])))
        n++;
    return n;
}

bool check_number(Str content, Str answer)
{
    char expected[NUMBER_BYTES_MAX], given[NUMBER_BYTES_MAX];
    size_t at = 0;
    if (!next_number(answer, &at, expected) || check_hedges(content))
        return false;
    content = check_trim(content);
    int n = 0;
    for (at = 0; next_number(content, &at, given); n++) {
        /* "r1", "3x": a digit inside a word is no answer. */
        const size_t began = at - digits_bytes(content, at);
        if (strcmp(given, expected) != 0 || (at < content.bytes && is_alnum(content.data[at])) ||
            (began > 0 && is_alnum(content.data[began - 1])))
            return false;
    }
    size_t end = content.bytes;
    while (end > 0 && !is_digit(content.data[end - 1]))
        end--;
    return n > 0 && content.bytes - end <= TAIL_BYTES_MAX;
}

double score_number(const Problem *p, const TaskReply *reply)
{
    return check_number(reply->content, p->answer) ? 1 : 0;
}

/* ---- Words ----------------------------------------------------------------------------------- */

/* Lower case (if asked for), one space for a run of white space, none behind a comma. */
static void normalize(Str s, bool lower, Buf *out)
{
    s = check_trim(s);
    for (size_t i = 0; i < s.bytes; i++) {
        char c = s.data[i];
        if (is_space(c)) {
            const char last = out->bytes ? out->data[out->bytes - 1] : ' ';
            if (last != ' ' && last != ',')
                buf_putc(out, ' ');
            continue;
        }
        buf_putc(out, lower ? (char)tolower((unsigned char)c) : c);
    }
}

static bool same_words(Str content, Str answer, bool lower)
{
    Buf a = {0}, b = {0};
    normalize(content, lower, &a);
    normalize(answer, lower, &b);
    const bool is_same = a.bytes > 0 && str_equal(buf_str(&a), buf_str(&b));
    buf_free(&a);
    buf_free(&b);
    return is_same;
}

bool check_text(Str content, Str answer) { return same_words(content, answer, true); }

double score_text(const Problem *p, const TaskReply *reply)
{
    return check_text(reply->content, p->answer) ? 1 : 0;
}

double score_exact(const Problem *p, const TaskReply *reply)
{
    return same_words(reply->content, p->answer, false) ? 1 : 0;
}

static const char *const yes_words[N_LANGS][3] = {{"yes"}, {"是", "对"}, {"ja"}, {"sí", "si"}};
static const char *const no_words[N_LANGS][3] = {
    {"no", "not"}, {"不", "否", "没"}, {"nein", "nicht", "kein"}, {"no"}};

/* The first word; "not" and "kein" only follow. */
static bool starts_with_any(Str s, const char *const *words, int n)
{
    for (int i = 0; i < n && words[i]; i++) {
        const size_t bytes = strlen(words[i]);
        if (strcmp(words[i], "not") != 0 && strcmp(words[i], "nicht") != 0 &&
            strcmp(words[i], "kein") != 0 && s.bytes >= bytes &&
            check_has_word(str_slice(s, 0, bytes), words[i]) &&
            (s.bytes == bytes || !is_alnum(words[i][0]) || !is_alnum(s.data[bytes])))
            return true;
    }
    return false;
}

double score_yes_no(const Problem *p, const TaskReply *reply)
{
    const Str content = check_trim(reply->content);
    const bool is_no = has_any(p->answer, no_words[p->lang], 3);
    const bool says_no = has_any(content, no_words[p->lang], 3);
    /* "不是", "不对" hold a yes as well; a no is one only without any yes beside it. */
    const bool says_yes = has_any(content, yes_words[p->lang], 3) &&
                          !(p->lang == LANG_ZH && says_no && str_starts(content, STR("不")));
    if (is_no != says_no || is_no == says_yes)
        return 0;
    if (!starts_with_any(content, is_no ? no_words[p->lang] : yes_words[p->lang], 3) ||
        has_doubt(content) || content.bytes > TAIL_BYTES_MAX)
        return 0;
    char expected[NUMBER_BYTES_MAX], given[NUMBER_BYTES_MAX];
    size_t at = 0;
    const bool has_number = next_number(p->answer, &at, expected);
    int n = 0;
    for (at = 0; next_number(content, &at, given); n++)
        if (!has_number || strcmp(given, expected) != 0)
            return 0;
    return !has_number || n > 0 ? 1 : 0;
}

double task_score(const Problem *p, const TaskReply *reply)
{
    if (reply->content.bytes == 0 && reply->n_calls == 0)
        return 0;
    if (reply->n_calls > 0 && !p->family->calls_tools)
        return 0;
    return p->family->score(p, reply);
}
