/* Another engine's bench: run, and read; see bench.h. */
#include "cli/bench.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

enum { OUTPUT_BYTES_MAX = 1 << 20 };

static BenchKind kind_of(double n_prompt, double n_generate, double depth)
{
    if (n_prompt > 0 && n_generate > 0)
        return N_BENCH_KINDS; /* a mixture: no figure of ours */
    if (n_generate > 0)
        return depth > 0 ? BENCH_DEPTH : BENCH_DECODE;
    return n_prompt > 0 && depth == 0 ? BENCH_PREFILL : N_BENCH_KINDS;
}

static void put(double figures[N_BENCH_KINDS], BenchKind kind, double value)
{
    if (kind < N_BENCH_KINDS && value > 0)
        figures[kind] = value;
}

static double number(const json_t *object, const char *key)
{
    return json_number_value(json_object_get(object, key));
}

/* An array of objects with n_prompt, n_gen, n_depth and avg_ts. */
static void read_llama_json(const json_t *array, double figures[N_BENCH_KINDS])
{
    size_t i;
    const json_t *run;
    json_array_foreach(array, i, run)
        put(figures, kind_of(number(run, "n_prompt"), number(run, "n_gen"), number(run, "n_depth")),
            number(run, "avg_ts"));
}

static void read_own_json(const json_t *object, double figures[N_BENCH_KINDS])
{
    static const char *const keys[] = {"prefill", "decode", "decode_at_depth", "together"};
    for (int i = 0; i < N_BENCH_KINDS; i++)
        put(figures, (BenchKind)i, number(json_object_get(object, keys[i]), "tokens_per_s"));
}

/* "| ... | pp512 | 203.70 ± 8.51 |": the last two columns, "tg32 @ d4096" with a depth. */
static void read_row(Str line, double figures[N_BENCH_KINDS])
{
    Str cells[2] = {{0}, {0}};
    for (size_t at = 0, from = 0; at < line.bytes; at++) {
        if (line.data[at] != '|')
            continue;
        Str cell = str_slice(line, from, at);
        while (cell.bytes && isspace((unsigned char)cell.data[0]))
            cell = str_slice(cell, 1, cell.bytes);
        while (cell.bytes && isspace((unsigned char)cell.data[cell.bytes - 1]))
            cell.bytes--;
        if (from > 0) {
            cells[0] = cells[1];
            cells[1] = cell;
        }
        from = at + 1;
    }
    if (cells[0].bytes < 3 || cells[1].bytes == 0)
        return;
    char test[64], value[64];
    snprintf(test, sizeof test, "%.*s", (int)cells[0].bytes, cells[0].data);
    snprintf(value, sizeof value, "%.*s", (int)cells[1].bytes, cells[1].data);
    int n = 0, depth = 0, end = 0, end_with_depth = 0;
    char what[3];
    if (sscanf(test, "%2[ptg]%d%n @ d%d%n", what, &n, &end, &depth, &end_with_depth) < 2 ||
        test[end_with_depth ? end_with_depth : end] != '\0')
        return;
    if (strcmp(what, "pp") == 0)
        put(figures, kind_of(n, 0, depth), strtod(value, NULL));
    else if (strcmp(what, "tg") == 0)
        put(figures, kind_of(0, n, depth), strtod(value, NULL));
}

static void read_table(Str text, double figures[N_BENCH_KINDS])
{
    while (text.bytes > 0) {
        const char *end = memchr(text.data, '\n', text.bytes);
        size_t n = end ? (size_t)(end - text.data) : text.bytes;
        read_row(str_slice(text, 0, n), figures);
        text = str_slice(text, end ? n + 1 : n, text.bytes);
    }
}

bool bench_peer_read(Str output, double figures[N_BENCH_KINDS])
{
    memset(figures, 0, sizeof *figures * N_BENCH_KINDS);
    json_t *json = json_loadb(output.data ? output.data : "", output.bytes, 0, NULL);
    if (json_is_array(json))
        read_llama_json(json, figures);
    else if (json_is_object(json))
        read_own_json(json, figures);
    else
        read_table(output, figures);
    json_decref(json);
    bool is_any = false;
    for (int i = 0; i < N_BENCH_KINDS; i++)
        is_any |= figures[i] > 0;
    return is_any;
}

bool bench_peer_run(const char *command, double figures[N_BENCH_KINDS], Error *err)
{
    char block[4096];
    Buf output = {0};
    FILE *pipe = popen(command, "re");
    if (!pipe)
        return error_set(err, ERROR_IO, "%s: cannot be started: %s", command, strerror(errno));
    for (size_t n;
         output.bytes < OUTPUT_BYTES_MAX && (n = fread(block, 1, sizeof block, pipe)) > 0;)
        buf_append(&output, block, n);
    const int status = pclose(pipe);
    bool ok = true;
    if (status != 0)
        ok = error_set(err, ERROR_IO, "%s: it ended with status %d", command,
                       WIFEXITED(status) ? WEXITSTATUS(status) : status);
    else if (!bench_peer_read(buf_str(&output), figures))
        ok = error_set(err, ERROR_FORMAT,
                       "%s: no tokens per second in its output; a table or JSON of llama-bench, or "
                       "JSON of wen bench, is understood",
                       command);
    buf_free(&output);
    return ok;
}
