/* What a family's `make` works with: random draws, phrases in the problem's language, and the parts
 * of the problem as they are written.
 *
 * Templates hold {0}, {1}, ... for the strings that follow, which a NULL ends, so that languages
 * may order them as they like. */
#ifndef WEN_TASKS_MAKER_H
#define WEN_TASKS_MAKER_H

#include "base/rng.h"
#include "tasks/tasks.h"

#define EN (1u << LANG_EN)
#define ZH (1u << LANG_ZH)
#define DE (1u << LANG_DE)
#define ES (1u << LANG_ES)
#define ALL_LANGS (EN | ZH | DE | ES)

enum { MAKER_MESSAGES_MAX = 24, MAKER_CALLS_MAX = 8 };

typedef struct Maker {
    Problem *p;
    Rng rng;
    TaskLang lang;
    int level; /* the difficulty */
    TaskSplit split;
    int n_tries;
    TaskMessage messages[MAKER_MESSAGES_MAX], solution[MAKER_MESSAGES_MAX];
    int n_messages, n_solution;
    Buf thinking, content, answer, text;
} Maker;

/* Uniform in lo .. hi. */
int64_t maker_int(Maker *m, int64_t lo, int64_t hi);
bool maker_chance(Maker *m, double share);
/* k different numbers of 0 .. n-1. */
void maker_choose(Maker *m, int n, int k, int *chosen);
void maker_shuffle(Maker *m, int *items, int n);
/* One of n phrases that is not NULL (a row of a table by language may be shorter than others). */
const char *maker_phrase(Maker *m, const char *const *phrases, int n);
#define MAKER_PICK(m, array) maker_phrase(m, array, (int)(sizeof(array) / sizeof *(array)))

/* Text that lives as long as the problem. */
const char *maker_num(Maker *m, int64_t value);
const char *maker_text(Maker *m, const char *format, ...) PRINTF_LIKE(2, 3);
const char *maker_fill(Maker *m, const char *template_text, ...) __attribute__((sentinel));
/* The items with the language's comma between them: ", " or "、". */
const char *maker_list(Maker *m, const char *const *items, int n);

/* True when problems about `key` belong to this problem's split, which is then the problem's
 * structure. A family draws until it is true. */
bool maker_owns(Maker *m, uint64_t key);
/* Hashes to make keys of. */
uint64_t key_text(const char *text);
uint64_t key_more(uint64_t key, int64_t value);

/* The next message of the conversation. */
void maker_system(Maker *m, const char *template_text, ...) __attribute__((sentinel));
void maker_user(Maker *m, const char *template_text, ...) __attribute__((sentinel));
void maker_said(Maker *m, const char *template_text, ...) __attribute__((sentinel));

/* The worked solution: reasoning line by line, the reply, what the checker compares with. Without
 * an answer of its own, the reply is the answer. */
void maker_think(Maker *m, const char *format, ...) PRINTF_LIKE(2, 3);
void maker_think_line(Maker *m, const char *format, ...) PRINTF_LIKE(2, 3); /* on a new line */
void maker_reply(Maker *m, const char *format, ...) PRINTF_LIKE(2, 3);
void maker_answer(Maker *m, const char *format, ...) PRINTF_LIKE(2, 3);

/* Tools: the JSON array; a call, in the conversation or in the solution (it takes the thought
 * written so far), and the tool's response to it. */
void maker_tools(Maker *m, const char *json);
void maker_called(Maker *m, const char *name, const char *arguments);
void maker_responded(Maker *m, const char *response);
void maker_call(Maker *m, const char *name, const char *arguments);
void maker_response(Maker *m, const char *response);

#endif
