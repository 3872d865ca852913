/* wen data inspect: what is in a file of documents or problems. */
#include "cli/args.h"
#include "cli/data_commands.h"
#include "cli/term.h"

#include "base/file.h"
#include "base/mem.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 1024, GROUP_NAME_MAX = 64, EXAMPLE_CHARS = 2000 };

/* Lines that have the same family and mode. */
typedef struct Group {
    char name[GROUP_NAME_MAX];
    int64_t n, n_bytes;
} Group;

typedef struct Inspection {
    Group groups[GROUPS_MAX];
    int n_groups;
    uint64_t *hashes; /* of the texts, one a line */
    double *sizes;    /* bytes of the texts */
    int64_t n, capacity;
    int64_t n_answers, n_thoughts, n_with_tools;
} Inspection;

static void add_group(Inspection *in, const char *family, const char *mode, size_t bytes)
{
    char name[GROUP_NAME_MAX];
    snprintf(name, sizeof name, "%s%s%s", family ? family : "", family && mode ? " / " : "",
             mode ? mode : "");
    int i = 0;
    while (i < in->n_groups && strcmp(in->groups[i].name, name) != 0)
        i++;
    if (i == GROUPS_MAX)
        return;
    if (i == in->n_groups)
        memcpy(in->groups[in->n_groups++].name, name, sizeof name);
    in->groups[i].n++;
    in->groups[i].n_bytes += (int64_t)bytes;
}

static void add_line(Inspection *in, uint64_t hash, size_t bytes)
{
    if (in->n == in->capacity) {
        const int64_t more = in->capacity ? 2 * in->capacity : 4096;
        uint64_t *hashes = mem_alloc(sizeof *hashes * (size_t)more);
        double *sizes = mem_alloc(sizeof *sizes * (size_t)more);
        if (in->n > 0) {
            memcpy(hashes, in->hashes, sizeof *hashes * (size_t)in->n);
            memcpy(sizes, in->sizes, sizeof *sizes * (size_t)in->n);
        }
        mem_free(in->hashes);
        mem_free(in->sizes);
        in->hashes = hashes;
        in->sizes = sizes;
        in->capacity = more;
    }
    in->hashes[in->n] = hash;
    in->sizes[in->n++] = (double)bytes;
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void put_text(Buf *text, const json_t *value)
{
    if (json_is_string(value))
        buf_append(text, json_string_value(value), json_string_length(value));
}

/* What a document says: its text, or all its messages. */
static bool gather(Inspection *in, const json_t *line, Buf *text, Error *err)
{
    const json_t *whole = json_object_get(line, "text");
    const json_t *messages = json_object_get(line, "messages");
    if (!json_is_string(whole) && !json_is_array(messages))
        return error_set(err, ERROR_FORMAT, "it has neither \"text\" nor \"messages\"");
    put_text(text, whole);
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *message = json_array_get(messages, i);
        const char *role = json_string_value(json_object_get(message, "role"));
        const json_t *thought = json_object_get(message, "reasoning_content");
        in->n_answers += role && strcmp(role, "assistant") == 0;
        in->n_thoughts += json_is_string(thought);
        put_text(text, json_object_get(message, "content"));
        put_text(text, thought);
        buf_putc(text, '\n');
        char *calls = json_dumps(json_object_get(message, "tool_calls"), JSON_ENCODE_ANY);
        buf_puts(text, calls ? calls : "");
        free(calls);
    }
    in->n_with_tools += json_array_size(json_object_get(line, "tools")) > 0;
    return true;
}

static bool inspect_line(Inspection *in, Str line, Buf *text, Error *err)
{
    json_error_t at;
    json_t *json = json_loadb(line.data, line.bytes, 0, &at);
    if (!json)
        return error_set(err, ERROR_FORMAT, "byte %d: %s", at.position, at.text);
    buf_clear(text);
    const bool ok = gather(in, json, text, err);
    if (ok) {
        add_line(in, str_hash(buf_str(text)), text->bytes);
        add_group(in, json_string_value(json_object_get(json, "family")),
                  json_string_value(json_object_get(json, "mode")), text->bytes);
    }
    json_decref(json);
    return ok;
}

static bool inspect(Inspection *in, Str file, const char *path, Error *err)
{
    Buf text = {0};
    bool ok = true;
    int64_t line_i = 0;
    for (size_t at = 0; ok && at < file.bytes;) {
        const char *end = memchr(file.data + at, '\n', file.bytes - at);
        const size_t next = end ? (size_t)(end - file.data) : file.bytes;
        line_i++;
        if (next > at)
            ok = inspect_line(in, str_slice(file, at, next), &text, err) ||
                 error_add(err, "%s: line %lld", path, (long long)line_i);
        at = next + 1;
    }
    buf_free(&text);
    return ok;
}

/* ---- Printing -------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int by_count(const void *a, const void *b)
{
    const Group *x = a, *y = b;
    return x->n > y->n ? -1 : x->n < y->n ? 1 : strcmp(x->name, y->name);
}

static double quantile(const Inspection *in, double share)
{
    return in->sizes[(int64_t)floor(share * (double)(in->n - 1))];
}

static void print_report(Inspection *in)
{
    int64_t n_double = 0;
    double n_bytes = 0;
    if (in->n == 0) {
        printf("no documents\n");
        return;
    }
    qsort(in->hashes, (size_t)in->n, sizeof *in->hashes, by_hash);
    qsort(in->sizes, (size_t)in->n, sizeof *in->sizes, by_size);
    qsort(in->groups, (size_t)in->n_groups, sizeof *in->groups, by_count);
    for (int64_t i = 0; i < in->n; i++) {
        n_double += i > 0 && in->hashes[i] == in->hashes[i - 1];
        n_bytes += in->sizes[i];
    }
    printf("documents    %lld\n", (long long)in->n);
    printf("bytes        %.0f; a document: median %.0f, 90 %% below %.0f, at most %.0f\n", n_bytes,
           quantile(in, 0.5), quantile(in, 0.9), quantile(in, 1));
    printf("duplicates   %lld (%.2f %%)\n", (long long)n_double,
           100 * (double)n_double / (double)in->n);
    if (in->n_answers > 0)
        printf("answers      %lld, with a thought %lld; conversations with tools %lld\n",
               (long long)in->n_answers, (long long)in->n_thoughts, (long long)in->n_with_tools);
    for (int i = 0; i < in->n_groups; i++)
        if (in->groups[i].name[0])
            printf("  %-32s %9lld  %5.1f %%  %6.0f bytes\n", in->groups[i].name,
                   (long long)in->groups[i].n, 100 * (double)in->groups[i].n / (double)in->n,
                   (double)in->groups[i].n_bytes / (double)in->groups[i].n);
}

static void print_message(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));
    const char *thought = json_string_value(json_object_get(message, "reasoning_content"));
    const char *content = json_string_value(json_object_get(message, "content"));
    char *calls = json_dumps(json_object_get(message, "tool_calls"), JSON_ENCODE_ANY);
    printf("[%s] ", role ? role : "?");
    if (thought)
        printf("<think> %.*s </think> ", EXAMPLE_CHARS, thought);
    printf("%.*s%s\n", EXAMPLE_CHARS, content ? content : "", calls ? calls : "");
    free(calls);
}

/* Every k-th line, written out. */
static void print_examples(Str file, int64_t n_lines, int64_t n_examples)
{
    const int64_t every = n_examples > 0 ? (n_lines + n_examples - 1) / n_examples : 0;
    int64_t line_i = 0;
    for (size_t at = 0; every > 0 && at < file.bytes; line_i++) {
        const char *end = memchr(file.data + at, '\n', file.bytes - at);
        const size_t next = end ? (size_t)(end - file.data) : file.bytes;
        json_t *json = line_i % every == 0 ? json_loadb(file.data + at, next - at, 0, NULL) : NULL;
        const json_t *messages = json_object_get(json, "messages");
        const char *text = json_string_value(json_object_get(json, "text"));
        const json_t *answer = json_object_get(json, "answer");
        if (json)
            printf("\n--- line %lld\n", (long long)line_i + 1);
        if (text)
            printf("%.*s\n", EXAMPLE_CHARS, text);
        for (size_t i = 0; i < json_array_size(messages); i++)
            print_message(json_array_get(messages, i));
        char *dump = answer ? json_dumps(answer, JSON_ENCODE_ANY) : NULL;
        if (dump)
            printf("answer: %s\n", dump);
        free(dump);
        json_decref(json);
        at = next + 1;
    }
}

int data_inspect(int argc, char **argv)
{
    int64_t n_examples = 3;
    const Arg table[] = {
        {"examples", 'n', ARG_INT, &n_examples, "N", "documents to show (default 3)", 0, 1e6},
        {0},
    };
    const ArgSpec spec = {
        .command = "data inspect",
        .usage = "FILE",
        .about =
            "Tells what is in a file of JSON lines ({\"text\"}, {\"messages\"}, problems): how "
            "many\ndocuments of which families and modes, their lengths, exact duplicates, "
            "examples.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    Error err = {0};
    FileMap file = {0};
    Inspection *in = mem_alloc(sizeof *in);
    bool ok = file_map(&file, words.words[0], &err);
    const Str text = {(const char *)file.data, file.bytes};
    ok = ok && inspect(in, text, words.words[0], &err);
    if (ok) {
        print_report(in);
        print_examples(text, in->n, n_examples);
    } else {
        term_note("%s", err.message);
    }
    file_unmap(&file);
    mem_free(in->hashes);
    mem_free(in->sizes);
    mem_free(in);
    return term_finish_output() && ok ? 0 : 1;
}
