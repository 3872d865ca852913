/* See pretokenize.h. */
#include "text/pretokenize.h"

#include "text/regex_split.h"

#include "base/mem.h"

#include <string.h>

const char QWEN_REGEX[] =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+"
    "[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const char GPT2_REGEX[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

struct Pretokenizer {
    const CharTable *table;
    bool is_qwen;
    int n_regexes;
    RegexSplit *regexes[PRETOKENIZER_REGEXES_MAX];
};

/* The class of the character at i < text.bytes; *bytes gets its length. */
static inline CharClass class_at(const CharTable *table, Str text, size_t i, size_t *bytes)
{
    return char_class(table, char_decode(text.data + i, bytes));
}

/* The end of the run of characters of class `wanted` that begins at i. */
static inline size_t run_end(const CharTable *table, Str text, size_t i, CharClass wanted)
{
    size_t bytes;
    while (i < text.bytes && class_at(table, text, i, &bytes) == wanted)
        i += bytes;
    return i;
}

/* Rule 1: 's 't 're 've 'm 'll 'd in any case; U+017F folds to s. 0 when it does not match. */
static size_t contraction_end(Str text, size_t at)
{
    const char *s = text.data + at;
    size_t n = text.bytes - at;
    if (n < 2)
        return 0;
    char a = (char)(s[1] | 0x20), b = n > 2 ? (char)(s[2] | 0x20) : '\0';
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return at + 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return at + 3;
    if (n > 2 && memcmp(s + 1, "\xC5\xBF", 2) == 0)
        return at + 3;
    return 0;
}

/* Rules 5 to 7, for text that begins with white space: up to the last line break of the run; else
 * all of the run but its last character, which the next piece may want; else that character. */
static size_t space_piece_end(const CharTable *table, Str text, size_t at)
{
    size_t i = at, newline_end = 0, last = at, bytes;
    while (i < text.bytes) {
        CharClass c = class_at(table, text, i, &bytes);
        if (c != CHAR_SPACE && c != CHAR_NEWLINE)
            break;
        last = i;
        i += bytes;
        if (c == CHAR_NEWLINE)
            newline_end = i;
    }
    if (newline_end)
        return newline_end;
    return i == text.bytes || last == at ? i : last;
}

size_t qwen_piece_end(const CharTable *table, Str text, size_t at)
{
    size_t bytes, next_bytes;
    CharClass first = class_at(table, text, at, &bytes);
    size_t next = at + bytes;
    if (first == CHAR_LETTER)
        return run_end(table, text, next, CHAR_LETTER); /* rule 2 */
    if (first == CHAR_NUMBER)
        return next; /* rule 3 */
    if (text.data[at] == '\'') {
        size_t end = contraction_end(text, at);
        if (end)
            return end;
    }
    CharClass second = next < text.bytes ? class_at(table, text, next, &next_bytes) : CHAR_NEWLINE;
    if (first != CHAR_NEWLINE && second == CHAR_LETTER)
        return run_end(table, text, next + next_bytes, CHAR_LETTER);           /* rule 2 */
    if (first == CHAR_OTHER || (text.data[at] == ' ' && second == CHAR_OTHER)) /* rule 4 */
        return run_end(table, text, run_end(table, text, next, CHAR_OTHER), CHAR_NEWLINE);
    return space_piece_end(table, text, at);
}

Pretokenizer *pretokenizer_open(const CharTable *table, const Str *regexes, int n_regexes,
                                Error *err)
{
    Pretokenizer *p = mem_alloc(sizeof *p);
    p->table = table;
    p->is_qwen = n_regexes == 1 && str_equals(regexes[0], QWEN_REGEX);
    if (p->is_qwen)
        return p;
    if (n_regexes > PRETOKENIZER_REGEXES_MAX) {
        pretokenizer_close(p);
        error_set(err, ERROR_LIMIT, "more than %d splitting expressions", PRETOKENIZER_REGEXES_MAX);
        return NULL;
    }
    for (int i = 0; i < n_regexes; i++) {
        p->regexes[i] = regex_split_open(regexes[i], err);
        if (!p->regexes[i]) {
            pretokenizer_close(p);
            return NULL;
        }
        p->n_regexes++;
    }
    return p;
}

void pretokenizer_close(Pretokenizer *p)
{
    if (!p)
        return;
    for (int i = 0; i < p->n_regexes; i++)
        regex_split_close(p->regexes[i]);
    mem_free(p);
}

bool pretokenizer_is_qwen(const Pretokenizer *p) { return p->is_qwen; }

/* One link of the chain: pieces of expression `level` go to expression level + 1. */
typedef struct SplitLevel {
    RegexScan *scans; /* of the expressions from this one on */
    int n_left;
    PieceHandler *each;
    void *context;
} SplitLevel;

static bool split_level(void *context, Str piece, Error *err)
{
    const SplitLevel *level = context;
    if (level->n_left == 0)
        return level->each(level->context, piece, err);
    SplitLevel deeper = {level->scans + 1, level->n_left - 1, level->each, level->context};
    return regex_scan_split(level->scans, piece, split_level, &deeper, err);
}

static bool split_qwen(const Pretokenizer *p, Str text, PieceHandler *each, void *context,
                       Error *err)
{
    for (size_t at = 0, end; at < text.bytes; at = end) {
        end = qwen_piece_end(p->table, text, at);
        if (!each(context, str_slice(text, at, end), err))
            return false;
    }
    return true;
}

bool pretokenizer_split(const Pretokenizer *p, Str text, PieceHandler *each, void *context,
                        Error *err)
{
    if (p->is_qwen)
        return split_qwen(p, text, each, context, err);
    if (text.bytes == 0)
        return true;
    RegexScan scans[PRETOKENIZER_REGEXES_MAX] = {0};
    bool ok = true;
    for (int i = 0; i < p->n_regexes && ok; i++)
        ok = regex_scan_open(&scans[i], p->regexes[i], err);
    SplitLevel top = {scans, p->n_regexes, each, context};
    ok = ok && split_level(&top, text, err);
    for (int i = 0; i < p->n_regexes; i++)
        regex_scan_close(&scans[i]);
    return ok;
}
