/* Splitting text by a foreign regular expression, through PCRE2's JIT. The expressions come from
 * tokenizer.json files, whose own engine is Oniguruma: \s is rewritten to Unicode's White_Space
 * (PCRE2's takes U+180E too), \h (a hexadecimal digit there, a blank here) is refused. Time and
 * memory of a match are limited: an expression is as foreign as the rest of the file. */
#ifndef WEN_TEXT_REGEX_SPLIT_H
#define WEN_TEXT_REGEX_SPLIT_H

#include "base/str.h"

enum { REGEX_SPLIT_BYTES_MAX = 16 * 1024 };

typedef struct RegexSplit RegexSplit; /* immutable */

RegexSplit *regex_split_open(Str pattern, Error *err) MUST_USE;
void regex_split_close(RegexSplit *regex); /* NULL is fine */

/* One thread's use of a RegexSplit; borrows it. */
typedef struct RegexScan {
    const RegexSplit *regex;
    void *match, *limits, *stack; /* PCRE2's */
} RegexScan;

bool regex_scan_open(RegexScan *scan, const RegexSplit *regex, Error *err) MUST_USE;
void regex_scan_close(RegexScan *scan); /* a zeroed one is fine */

/* Every match is a piece and every gap between matches is one ("Isolated"); pieces are never empty.
 * `text` is valid UTF-8. `each` returns false to stop. */
typedef bool RegexPieceHandler(void *context, Str piece, Error *err);
bool regex_scan_split(RegexScan *scan, Str text, RegexPieceHandler *each, void *context,
                      Error *err) MUST_USE;

#endif
