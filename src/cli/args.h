/* Command lines, read by a table: each command lists its options, and help, errors and suggestions
 * come out the same everywhere.
 *
 * "--name VALUE", "--name=VALUE", "-n VALUE" for options with a letter; options and words may be
 * mixed; "--" ends options, "-" is a word. --help and -h are known to every command. */
#ifndef WEN_CLI_ARGS_H
#define WEN_CLI_ARGS_H

#include "base/error.h"

#include <stdint.h>

typedef enum ArgKind {
    ARG_FLAG, /* bool *: true when given */
    ARG_ON,   /* int *: 1 when given; its negation is another option, ARG_OFF: 0 */
    ARG_OFF,
    ARG_TEXT, /* const char **; the last one wins */
    ARG_LIST, /* ArgList *: every one that is given, in order */
    ARG_INT,  /* int64_t * */
    ARG_REAL, /* double * */
} ArgKind;

enum { ARG_LIST_MAX = 64 };
typedef struct ArgList {
    const char *items[ARG_LIST_MAX];
    int n;
} ArgList;

typedef struct Arg {
    const char *name; /* without the dashes; the table ends with a NULL name */
    char letter;      /* or 0 */
    ArgKind kind;
    void *value;
    const char *value_name; /* for help: "N", "FILE" */
    const char *help;       /* one line; NULL: not listed */
    double min, max;        /* ARG_INT, ARG_REAL: both 0 means any finite number */
} Arg;

typedef struct ArgSpec {
    const char *command; /* "tokenize" */
    const char *usage;   /* "MODEL [TEXT]" */
    const char *about;   /* a sentence or more for help */
    const Arg *options;
    int n_words_min, n_words_max;
} ArgSpec;

/* What is not an option: argv's own strings, moved to the front of argv. */
typedef struct ArgWords {
    char **words;
    int n;
} ArgWords;

/* argv[0] is the command's name. True: the values are set. False: *status is what main returns; for
 * wrong usage (2) a line that says what and what to do is on standard error, for --help (0) the
 * help is on standard output. */
bool args_parse(const ArgSpec *spec, int argc, char **argv, ArgWords *words, int *status) MUST_USE;

/* The same without printing; *wants_help tells the two kinds of false apart. */
bool args_read(const ArgSpec *spec, int argc, char **argv, ArgWords *words, bool *wants_help,
               Error *err) MUST_USE;

/* The name nearest to `word` (of n, with `stride` bytes from one `const char *` to the next), if it
 * is near enough to be what was meant; else NULL. */
const char *args_nearest(const char *word, const char *const *names, size_t stride, int n);

#endif
