/* Schemas with instances that they must accept or refuse, token by token: what share compiles, what
 * is decided wrong, and how long masks take.
 *
 * usage: bench_grammar TOKENIZER.json FOLDER [N [SEED]] [-v]
 *
 * FOLDER holds files {"schema": ..., "tests": [{"data": ..., "valid": true}, ...]}, such as
 * maskbench/data of guidance-ai/jsonschemabench; N of them are drawn (2000, seed 1; 0: all). Times
 * are of one mask and one token taken, as there. -v names every file that goes wrong. */
#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "text/grammar.h"
#include "text/schema_text.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SLOW_SECONDS 1e-3

typedef struct Totals {
    int n_files, n_compiled, n_clean;
    int n_valid, n_valid_refused, n_invalid, n_invalid_accepted;
    double *masks, *compiles, *first_masks;
    size_t n_masks, n_masks_max, n_compiles_max, n_first_max, n_first;
    const TokenTrie *trie;
    uint32_t *mask;
    bool is_verbose;
} Totals;

/* Of this thread's own time, so that a busy machine does not count. */
static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void push(double **list, size_t *n, size_t *n_max, double value)
{
    *list = mem_more(*list, sizeof **list, *n, n_max);
    (*list)[(*n)++] = value;
}

/* As Python's json.dumps(value, ensure_ascii=False) spells it. */
static void put_value(Buf *out, const json_t *value)
{
    const char *key;
    json_t *item;
    size_t i;
    const char *between = "";
    if (json_is_array(value)) {
        buf_putc(out, '[');
        json_array_foreach(value, i, item)
        {
            buf_puts(out, i ? ", " : "");
            put_value(out, item);
        }
        buf_putc(out, ']');
    } else if (json_is_object(value)) {
        buf_putc(out, '{');
        json_object_foreach((json_t *)(uintptr_t)value, key, item)
        {
            buf_puts(out, between);
            between = ", ";
            buf_putc(out, '"');
            spell_text(out, str_from(key), SPELL_JSON);
            buf_puts(out, "\": ");
            put_value(out, item);
        }
        buf_putc(out, '}');
    } else if (json_is_string(value)) {
        buf_putc(out, '"');
        spell_text(out, (Str){json_string_value(value), json_string_length(value)}, SPELL_JSON);
        buf_putc(out, '"');
    } else if (json_is_number(value)) {
        schema_put_number(out, value);
    } else {
        buf_puts(out, json_is_null(value) ? "null" : json_is_true(value) ? "true" : "false");
    }
}

/* -1: accepted; else the token that was refused, or n when it may not end. */
static int first_refused(Totals *t, const char *name, Grammar *g, const Ids *ids, bool is_first)
{
    Matcher *m = matcher_new(g);
    int at = -1;
    for (int i = 0; at < 0 && i < ids->n; i++) {
        double start = cpu_seconds();
        matcher_mask(m, t->mask);
        int32_t id = ids->data[i];
        bool is_allowed = t->mask[id / 32] >> (id % 32) & 1, ok = matcher_accept(m, id);
        double seconds = cpu_seconds() - start;
        push(&t->masks, &t->n_masks, &t->n_masks_max, seconds);
        if (is_first && i == 0)
            push(&t->first_masks, &t->n_first, &t->n_first_max, seconds);
        if (is_allowed != ok) {
            printf("mask and acceptance differ\n");
            exit(1);
        }
        at = ok ? -1 : i;
        if (t->is_verbose && seconds > SLOW_SECONDS) {
            Str bytes = tokenizer_bytes(t->trie->tokenizer, id);
            printf("%s: %.1f ms for the mask before token %d, \"%.*s\"\n", name, 1e3 * seconds, i,
                   STR_ARG(bytes));
        }
    }
    if (at < 0 && !matcher_may_end(m))
        at = ids->n;
    matcher_free(m);
    return at;
}

static void show(const Totals *t, const char *name, const char *what, const Ids *ids, int at)
{
    if (!t->is_verbose)
        return;
    printf("%s: %s", name, what);
    for (int i = at - 12 > 0 ? at - 12 : 0; i <= at && i < ids->n; i++) {
        Str bytes = tokenizer_bytes(t->trie->tokenizer, ids->data[i]);
        printf("%s%.*s", i == at ? " >>> " : i == at - 12 ? " " : "", STR_ARG(bytes));
    }
    printf("\n");
}

static bool run_test(Totals *t, const char *name, Grammar *g, const json_t *test, bool is_first)
{
    Buf text = {0};
    Ids ids = {0};
    Error err = {0};
    bool is_valid = json_is_true(json_object_get(test, "valid"));
    put_value(&text, json_object_get(test, "data"));
    if (!tokenizer_encode_plain(t->trie->tokenizer, buf_str(&text), &ids, &err)) {
        printf("%s: %s\n", name, err.message);
        exit(1);
    }
    int at = first_refused(t, name, g, &ids, is_first);
    t->n_valid += is_valid;
    t->n_invalid += !is_valid;
    t->n_valid_refused += is_valid && at >= 0;
    t->n_invalid_accepted += !is_valid && at < 0;
    if (is_valid && at >= 0)
        show(t, name, "VALID REFUSED:", &ids, at);
    if (!is_valid && at < 0) {
        show(t, name, "INVALID ACCEPTED:", &ids, 0);
        if (t->is_verbose)
            printf("    %.300s\n", text.data);
    }
    bool ok = is_valid == (at < 0);
    buf_free(&text);
    ids_free(&ids);
    return ok;
}

static void run_file(Totals *t, const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    json_t *file = json_load_file(path, JSON_ALLOW_NUL, NULL);
    mem_free(path);
    if (!file)
        return;
    char *schema = json_dumps(json_object_get(file, "schema"), JSON_ENCODE_ANY);
    Error err = {0};
    double start = cpu_seconds();
    Grammar *g = grammar_from_schema(t->trie, str_from(schema), &err);
    double seconds = cpu_seconds() - start;
    size_t n = (size_t)t->n_files++;
    push(&t->compiles, &n, &t->n_compiles_max, seconds);
    if (seconds > 0.5)
        printf("%s: %.2f s to compile\n", name, seconds);
    t->n_compiled += g != NULL;
    if (!g && t->is_verbose)
        printf("%s: REFUSED: %s\n", name, err.message);
    bool is_clean = g != NULL;
    size_t i;
    json_t *test;
    json_array_foreach(json_object_get(file, "tests"), i,
                       test) if (g && !run_test(t, name, g, test, i == 0)) is_clean = false;
    t->n_clean += is_clean;
    grammar_unref(g);
    free(schema);
    json_decref(file);
}

static int compare(const void *x, const void *y)
{
    double a = *(const double *)x, b = *(const double *)y;
    return (a > b) - (a < b);
}

static void percentiles(const char *what, double *list, size_t n)
{
    if (n == 0)
        return;
    qsort(list, n, sizeof *list, compare);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += list[i];
    printf("%-10s %9zu  mean %8.1f  p50 %8.1f  p90 %8.1f  p99 %8.1f  p99.9 %8.1f  max %9.1f us\n",
           what, n, 1e6 * sum / (double)n, 1e6 * list[n / 2], 1e6 * list[n * 90 / 100],
           1e6 * list[n * 99 / 100], 1e6 * list[n * 999 / 1000], 1e6 * list[n - 1]);
}

static Tokenizer *open_tokenizer(const char *path)
{
    Error err = {0};
    Buf json = {0};
    TokenizerFiles files = {.bos_id = -1, .eos_id = -1, .pad_id = -1};
    Tokenizer *tokenizer = NULL;
    if (file_read(&json, path, (size_t)1 << 28, &err)) {
        files.tokenizer_json = buf_str(&json);
        tokenizer = tokenizer_open(&files, &err);
    }
    buf_free(&json);
    if (!tokenizer)
        fprintf(stderr, "%s\n", err.message);
    return tokenizer;
}

int main(int argc, char **argv)
{
    Totals t = {.is_verbose = argc > 3 && strcmp(argv[argc - 1], "-v") == 0};
    argc -= t.is_verbose;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_grammar TOKENIZER.json FOLDER [N [SEED]] [-v]\n");
        return 2;
    }
    struct dirent **entries;
    int n = scandir(argv[2], &entries, NULL, alphasort), n_json = 0;
    for (int i = 0; i < n; i++)
        if (str_ends(str_from(entries[i]->d_name), STR(".json")))
            entries[n_json++] = entries[i];
    Tokenizer *tokenizer = open_tokenizer(argv[1]);
    Error err = {0};
    double start = cpu_seconds();
    TokenTrie *trie = tokenizer ? token_trie_open(tokenizer, &err) : NULL;
    if (!trie || n_json < 1)
        return 1;
    printf("trie of %d tokens in %.0f ms\n", trie->n_tokens, 1e3 * (cpu_seconds() - start));
    t.trie = trie;
    t.mask = mem_alloc(sizeof(uint32_t) * (size_t)trie->n_words);
    int n_drawn = argc > 3 ? atoi(argv[3]) : 2000;
    Rng rng = {argc > 4 ? strtoull(argv[4], NULL, 10) : 1};
    n_drawn = n_drawn < 1 || n_drawn > n_json ? n_json : n_drawn;
    for (int i = 0; i < n_drawn; i++) {
        int k = i + (int)rng_below(&rng, (uint64_t)(n_json - i));
        struct dirent *drawn = entries[k];
        entries[k] = entries[i];
        entries[i] = drawn;
        run_file(&t, argv[2], drawn->d_name);
    }
    printf("%d schemas, %d compiled (%.2f %%), %d without a wrong decision\n", t.n_files,
           t.n_compiled, 100.0 * t.n_compiled / t.n_files, t.n_clean);
    printf("%d valid instances, %d refused; %d invalid instances, %d accepted\n", t.n_valid,
           t.n_valid_refused, t.n_invalid, t.n_invalid_accepted);
    percentiles("compile", t.compiles, (size_t)t.n_files);
    percentiles("first mask", t.first_masks, t.n_first);
    percentiles("mask", t.masks, t.n_masks);
    return t.n_valid_refused + t.n_invalid_accepted > 0;
}
