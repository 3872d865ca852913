/* See args.h. */
#include "cli/args.h"

#include "base/str.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES_MAX = 64 };

static bool takes_value(const Arg *option)
{
    return option->kind == ARG_TEXT || option->kind == ARG_LIST || option->kind == ARG_INT ||
           option->kind == ARG_REAL;
}

static size_t min3(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Insertions, deletions and replacements that turn a into b. Both are at most WORD_BYTES_MAX long.
 */
static size_t edit_distance(Str a, Str b)
{
    size_t row[WORD_BYTES_MAX + 1];
    for (size_t j = 0; j <= b.bytes; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.bytes; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.bytes; j++) {
            size_t above = row[j];
            row[j] = min3(above + 1, row[j - 1] + 1, diagonal + (a.data[i - 1] != b.data[j - 1]));
            diagonal = above;
        }
    }
    return row[b.bytes];
}

const char *args_nearest(const char *word, const char *const *names, size_t stride, int n)
{
    Str wanted = str_from(word);
    const char *best = NULL;
    size_t best_distance = wanted.bytes / 3 + 1; /* a third of the word may be wrong */
    for (int i = 0; i < n && wanted.bytes <= WORD_BYTES_MAX; i++) {
        const char *name = *(const char *const *)((const char *)names + (size_t)i * stride);
        Str candidate = str_from(name);
        if (candidate.bytes > WORD_BYTES_MAX)
            continue;
        size_t distance = edit_distance(wanted, candidate);
        bool is_start = wanted.bytes >= 3 && str_starts(candidate, wanted);
        if (is_start && distance > best_distance)
            distance = best_distance;
        if (distance < best_distance || (distance == best_distance && (!best || is_start))) {
            best = name;
            best_distance = distance;
        }
    }
    return best;
}

static int count_options(const Arg *options)
{
    int n = 0;
    while (options[n].name)
        n++;
    return n;
}

static bool unknown_option(const ArgSpec *spec, const char *dashes, Str name, Error *err)
{
    char word[WORD_BYTES_MAX + 1] = "";
    const char *nearest = NULL;
    if (name.bytes <= WORD_BYTES_MAX) {
        memcpy(word, name.data, name.bytes);
        nearest =
            args_nearest(word, &spec->options[0].name, sizeof(Arg), count_options(spec->options));
    }
    int shown = name.bytes > WORD_BYTES_MAX ? WORD_BYTES_MAX : (int)name.bytes;
    if (nearest)
        return error_set(err, ERROR_ARGUMENT, "unknown option %s%.*s; did you mean --%s?", dashes,
                         shown, name.data, nearest);
    return error_set(err, ERROR_ARGUMENT,
                     "unknown option %s%.*s (\"wen help %s\" lists them; -- ends options)", dashes,
                     shown, name.data, spec->command);
}

static bool read_number(const Arg *option, const char *text, Error *err)
{
    char *end = NULL;
    errno = 0;
    bool any = option->min == 0 && option->max == 0, ok;
    if (option->kind == ARG_INT) {
        long long value = strtoll(text, &end, 10);
        ok = errno == 0 && (any || ((double)value >= option->min && (double)value <= option->max));
        if (ok)
            *(int64_t *)option->value = value;
    } else {
        double value = strtod(text, &end);
        ok = isfinite(value) && (any || (value >= option->min && value <= option->max));
        if (ok)
            *(double *)option->value = value;
    }
    if (ok && *text && end != text && !*end)
        return true;
    const char *kind = option->kind == ARG_INT ? "a whole number" : "a number";
    if (any)
        return error_set(err, ERROR_ARGUMENT, "--%s needs %s, not \"%.60s\"", option->name, kind,
                         text);
    return error_set(err, ERROR_ARGUMENT, "--%s needs %s from %.15g to %.15g, not \"%.60s\"",
                     option->name, kind, option->min, option->max, text);
}

/* `text` is NULL for options without a value. */
static bool set_value(const Arg *option, const char *text, Error *err)
{
    ArgList *list = option->value;
    switch (option->kind) {
    case ARG_FLAG:
        *(bool *)option->value = true;
        return true;
    case ARG_ON:
    case ARG_OFF:
        *(int *)option->value = option->kind == ARG_ON;
        return true;
    case ARG_TEXT:
        *(const char **)option->value = text;
        return true;
    case ARG_LIST:
        if (list->n == ARG_LIST_MAX)
            return error_set(err, ERROR_LIMIT, "--%s is given more than %d times", option->name,
                             ARG_LIST_MAX);
        list->items[list->n++] = text;
        return true;
    default:
        return read_number(option, text, err);
    }
}

static const Arg *find_option(const ArgSpec *spec, Str name, char letter)
{
    for (const Arg *option = spec->options; option->name; option++)
        if (letter ? option->letter == letter : str_equals(name, option->name))
            return option;
    return NULL;
}

/* argv[*i] is an option; *i moves to its value if that is a word of its own. */
static bool read_option(const ArgSpec *spec, int argc, char **argv, int *i, Error *err)
{
    const char *word = argv[*i];
    bool is_long = word[1] == '-';
    const char *equals = is_long ? strchr(word, '=') : NULL;
    Str name = str_from(word + (is_long ? 2 : 1));
    if (equals)
        name.bytes = (size_t)(equals - name.data);
    const Arg *option = NULL;
    if (is_long || name.bytes == 1)
        option = find_option(spec, name, is_long ? '\0' : name.data[0]);
    if (!option)
        return unknown_option(spec, is_long ? "--" : "-", name, err);
    if (!takes_value(option))
        return !equals ? set_value(option, NULL, err)
                       : error_set(err, ERROR_ARGUMENT, "--%s takes no value", option->name);
    if (equals)
        return set_value(option, equals + 1, err);
    if (*i + 1 >= argc)
        return error_set(err, ERROR_ARGUMENT, "--%s needs a value (%s)", option->name,
                         option->value_name);
    *i += 1;
    return set_value(option, argv[*i], err);
}

bool args_read(const ArgSpec *spec, int argc, char **argv, ArgWords *words, bool *wants_help,
               Error *err)
{
    *words = (ArgWords){.words = argv};
    *wants_help = false;
    bool options_ended = false;
    for (int i = 1; i < argc; i++) {
        char *word = argv[i];
        if (options_ended || word[0] != '-' || word[1] == '\0') {
            words->words[words->n++] = word; /* n <= i: what is overwritten was read */
        } else if (strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            *wants_help = true;
            return false;
        } else if (!read_option(spec, argc, argv, &i, err)) {
            return false;
        }
    }
    if (words->n < spec->n_words_min || words->n > spec->n_words_max)
        return error_set(err, ERROR_ARGUMENT, "too %s words; usage: wen %s %s",
                         words->n < spec->n_words_min ? "few" : "many", spec->command, spec->usage);
    return true;
}

static void print_option(const Arg *option)
{
    char left[128];
    char letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name, takes_value(option) ? " " : "",
             takes_value(option) ? option->value_name : "");
    printf("  %-28s %s%s", left, strlen(left) > 28 ? "\n                               " : "",
           option->help);
    putchar('\n');
}

bool args_parse(const ArgSpec *spec, int argc, char **argv, ArgWords *words, int *status)
{
    Error err = {0};
    bool wants_help;
    if (args_read(spec, argc, argv, words, &wants_help, &err))
        return true;
    *status = wants_help ? 0 : 2;
    if (!wants_help) {
        fprintf(stderr, "wen %s: %s\n", spec->command, err.message);
        return false;
    }
    printf("usage: wen %s %s\n\n%s\n", spec->command, spec->usage, spec->about);
    if (spec->options->name)
        putchar('\n');
    for (const Arg *option = spec->options; option->name; option++)
        if (option->help)
            print_option(option);
    return false;
}
