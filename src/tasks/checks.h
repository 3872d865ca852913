/* Checkers for the usual kinds of answer. All look at the content only, are 1 or 0, and refuse a
 * content that says more than one thing: another value, "A or B", words that take an answer back
 * ("not", "wrong", "wait", "不是", ...), a long text behind the answer. */
#ifndef WEN_TASKS_CHECKS_H
#define WEN_TASKS_CHECKS_H

#include "tasks/tasks.h"

/* One number (whole, decimal, a/b): bare, in \boxed{}, or in a sentence in which every number is
 * the answer. 1,000 is 1000, 2.50 is 2.5, 6/4 is not 3/2. */
double score_number(const Problem *p, const TaskReply *reply);

/* The answer's own words: case, outer quotes and stars, \boxed{}, a last full stop and the amount
 * of white space do not matter, nor does a space after a comma; all else does. */
double score_text(const Problem *p, const TaskReply *reply);

/* Like score_text, and case matters. */
double score_exact(const Problem *p, const TaskReply *reply);

/* "Yes" or "No" (or its language's words) first, never both; if the answer holds a number too, it
 * has to be the only one: "No, 2." */
double score_yes_no(const Problem *p, const TaskReply *reply);

/* The same for other content than a problem's own. */
bool check_number(Str content, Str answer);
bool check_text(Str content, Str answer);

/* True when the content holds words that take an answer back or leave it open. */
bool check_hedges(Str content);
/* Trims white space, one outer pair of quotes, stars or \boxed{}, a last full stop. */
Str check_trim(Str content);
/* `s` holds `word` with no letter or digit beside it; ASCII case does not matter. */
bool check_has_word(Str s, const char *word);

#endif
