/* See scope.h. */
#include "eval/scope.h"

#include "base/utf8.h"
#include "tasks/checks.h"

#include <ctype.h>
#include <string.h>

const char scope_family[] = "out_of_scope";

extern const char scope_problems_begin[], scope_problems_end[];
__asm__(".section .rodata\n"
        ".global scope_problems_begin, scope_problems_end\n"
        ".hidden scope_problems_begin, scope_problems_end\n"
        "scope_problems_begin: .incbin \"configs/eval/out_of_scope.jsonl\"\n"
        "scope_problems_end: .byte 0\n"
        ".previous\n");

Str scope_problems(void)
{
    return (Str){scope_problems_begin, (size_t)(scope_problems_end - scope_problems_begin)};
}

enum { BYTES_MAX = 320, PHRASES_MAX = 24 };

/* In lower case, with "'" for every apostrophe. Who does not know or cannot is the model itself. */
static const char *const declines[2][PHRASES_MAX] = {
    {"i do not know",
     "i don't know",
     "i do not have",
     "i don't have",
     "i cannot",
     "i can not",
     "i can't",
     "i am not able",
     "i'm not able",
     "i am unable",
     "i'm unable",
     "i know nothing",
     "i know little",
     "i have no ",
     "i do not understand",
     "i don't understand",
     "not something i can",
     "not something i know",
     "outside what i",
     "beyond what i",
     "outside my",
     "beyond my",
     "out of my scope",
     "that is beyond me"},
    {"不知道", "不了解", "不清楚", "不懂", "做不到", "无法", "办不到", "不会", "我不能", "帮不了",
     "帮不上", "没有能力", "没办法", "没有办法", "超出", "不在我的", "答不上", "回答不了",
     "不太清楚"},
};
/* Words that take it back, and what may follow them: "but I can", "不过我会". */
static const char *const turns[2][5] = {{" but ", " however", " although ", " though "},
                                        {"但", "不过", "然而", "可是"}};
static const char *const own[2][5] = {{" i ", ", i ", " i'm ", " i'll "}, {"我"}};

/* ASCII letters small, typographic apostrophes plain. */
static void fold(Str s, Buf *out)
{
    for (size_t i = 0; i < s.bytes; i++)
        if (s.bytes - i >= 3 && memcmp(s.data + i, "\xe2\x80\x99", 3) == 0) {
            buf_putc(out, '\'');
            i += 2;
        } else {
            buf_putc(out, (char)tolower((unsigned char)s.data[i]));
        }
}

static bool has_any(Str s, const char *const *words, int n)
{
    for (int i = 0; i < n && words[i]; i++)
        if (str_find(s, str_from(words[i]), 0) >= 0)
            return true;
    return false;
}

/* Without "Sorry!", which says nothing yet. */
static Str without_apology(Str s)
{
    static const char *const words[] = {"i am sorry", "i'm sorry", "sorry",  "unfortunately",
                                        "很抱歉",     "抱歉",      "对不起", "不好意思"};
    static const char *const marks[] = {" ", ",", ".", "!", "，", "。", "！"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_starts(s, str_from(words[i]))) {
            s = str_slice(s, strlen(words[i]), s.bytes);
            break;
        }
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (str_starts(s, str_from(marks[i]))) {
            s = str_slice(s, strlen(marks[i]), s.bytes);
            i = (size_t)-1;
        }
    return s;
}

/* To the end of its first sentence. */
static Str first_sentence(Str s)
{
    static const char *const ends[] = {".", "!", "?", "\n", "。", "！", "？"};
    size_t to = s.bytes;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const ptrdiff_t at = str_find(s, str_from(ends[i]), 0);
        if (at >= 0 && (size_t)at < to)
            to = (size_t)at;
    }
    return str_slice(s, 0, to);
}

static bool is_chinese(Str s)
{
    size_t n_han = 0, n_latin = 0;
    uint32_t c;
    for (size_t i = 0, bytes; i < s.bytes; i += bytes) {
        bytes = utf8_decode(str_slice(s, i, s.bytes), &c);
        if (bytes == 0)
            return false;
        n_han += c >= 0x4e00 && c <= 0x9fff;
        n_latin += c < 128 && isalpha((int)c);
    }
    return n_han * 2 > n_latin; /* a name in Latin letters may stand among them */
}

static bool has_digit(Str s)
{
    for (size_t i = 0; i < s.bytes; i++)
        if (isdigit((unsigned char)s.data[i]))
            return true;
    return false;
}

/* A "but" that is not followed by the model itself. */
static bool is_taken_back(Str s, int lang)
{
    for (int i = 0; i < 5 && turns[lang][i]; i++) {
        const Str word = str_from(turns[lang][i]);
        const ptrdiff_t at = str_find(s, word, 0);
        if (at < 0)
            continue;
        const size_t behind =
            (size_t)at + word.bytes - (lang == LANG_EN && word.data[word.bytes - 1] == ' ');
        const Str next = str_slice(s, behind, behind + 6 < s.bytes ? behind + 6 : s.bytes);
        bool is_own = false;
        for (int k = 0; k < 5 && own[lang][k]; k++)
            is_own |= str_starts(next, str_from(own[lang][k]));
        if (!is_own)
            return true;
    }
    return false;
}

bool scope_is_declined(Str reply, TaskLang lang)
{
    if (lang > LANG_ZH || reply.bytes > BYTES_MAX)
        return false;
    Buf folded = {0};
    fold(check_trim(reply), &folded);
    const Str s = buf_str(&folded);
    const bool is_declined =
        s.bytes > 0 && is_chinese(s) == (lang == LANG_ZH) && !has_digit(s) &&
        has_any(first_sentence(without_apology(s)), declines[lang], PHRASES_MAX) &&
        !is_taken_back(s, (int)lang);
    buf_free(&folded);
    return is_declined;
}
