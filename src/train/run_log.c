/* See run_log.h. */
#include "train/run_log.h"

#include "base/bug.h"
#include "base/file.h"
#include "train/events.h"
#include "train/run_table.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 512, NAME_BYTES = 96 };

typedef struct Column {
    char name[NAME_BYTES], tag[NAME_BYTES]; /* tag: empty, none */
    int decimals;
    double value; /* NAN: not set */
} Column;

struct RunLog {
    Column *columns; /* [COLUMNS_MAX] */
    int n_columns;
    int n_cells; /* of a row: the columns, and those of an older log */
    FILE *csv;
    char *path;
    Events *events;
};

RunLog *run_log_new(void)
{
    RunLog *log = mem_alloc(sizeof *log);
    log->columns = mem_alloc(sizeof *log->columns * COLUMNS_MAX);
    return log;
}

void run_log_close(RunLog *log)
{
    if (!log)
        return;
    if (log->csv)
        fclose(log->csv);
    events_close(log->events);
    mem_free(log->path);
    mem_free(log->columns);
    mem_free(log);
}

int run_log_column(RunLog *log, const char *name, const char *tag, int decimals)
{
    ASSERT(!log->csv && log->n_columns < COLUMNS_MAX);
    Column *c = &log->columns[log->n_columns];
    snprintf(c->name, sizeof c->name, "%s", name);
    snprintf(c->tag, sizeof c->tag, "%s", tag ? tag : "");
    for (char *at = c->name; *at; at++)
        if (!isalnum((unsigned char)*at) && !strchr("._-/", *at))
            *at = '_';
    c->decimals = decimals;
    c->value = (double)NAN;
    return log->n_columns++;
}

/* ---- Starting
 * --------------------------------------------------------------------------------------------- */

static bool is_ours(const RunLog *log, Str name)
{
    for (int i = 0; i < log->n_columns; i++)
        if (str_equals(name, log->columns[i].name))
            return true;
    return false;
}

/* The old rows of steps that are done, under the new header. */
static void write_old_rows(RunLog *log, const RunTable *old, int64_t steps_done, Buf *out)
{
    buf_puts(out, "step");
    for (int i = 0; i < log->n_columns; i++)
        buf_printf(out, ",%s", log->columns[i].name);
    log->n_cells = log->n_columns;
    for (int i = 1; i < old->n_columns; i++)
        if (!is_ours(log, old->names[i])) {
            buf_printf(out, ",%.*s", STR_ARG(old->names[i]));
            log->n_cells++;
        }
    buf_putc(out, '\n');
    for (int row = 0; row < old->n_rows; row++) {
        const Str *cells = old->cells + (size_t)row * (size_t)old->n_columns;
        const double step = run_table_number(old, row, 0);
        if (!(step >= 0 && step <= (double)steps_done))
            continue;
        buf_add(out, cells[0]);
        for (int i = 0; i < log->n_columns; i++) {
            const int from = run_table_column(old, log->columns[i].name);
            buf_putc(out, ',');
            if (from > 0)
                buf_add(out, cells[from]);
        }
        for (int i = 1; i < old->n_columns; i++)
            if (!is_ours(log, old->names[i]))
                buf_printf(out, ",%.*s", STR_ARG(cells[i]));
        buf_putc(out, '\n');
    }
}

static FILE *append_to(const char *path, Error *err)
{
    FILE *file = fopen(path, "ae");
    if (!file)
        error_set_errno(err, "%s", path);
    return file;
}

bool run_log_start(RunLog *log, const char *folder, int64_t steps_done, Error *err)
{
    RunTable old = {0};
    Buf text = {0};
    log->path = file_join(folder, "log.csv");
    bool ok = steps_done == 0 || run_table_read(&old, log->path, err);
    if (ok) {
        write_old_rows(log, &old, steps_done, &text);
        ok = file_write(log->path, buf_str(&text), err) &&
             (log->csv = append_to(log->path, err)) != NULL &&
             (log->events = events_open(folder, steps_done, err)) != NULL;
    }
    run_table_close(&old);
    buf_free(&text);
    return ok;
}

/* ---- Steps
 * --------------------------------------------------------------------------------------------- */

void run_log_set(RunLog *log, int column, double value)
{
    ASSERT(column >= 0 && column < log->n_columns);
    log->columns[column].value = value;
}

void run_log_text(RunLog *log, int64_t step, const char *tag, Str markdown)
{
    events_text(log->events, step, tag, markdown);
}

static void print_number(FILE *file, int decimals, double value)
{
    if (decimals == RUN_LOG_EXACT)
        fprintf(file, "%.9g", value);
    else
        fprintf(file, "%.*f", decimals, value);
}

bool run_log_end_step(RunLog *log, int64_t step, Error *err)
{
    fprintf(log->csv, "%" PRId64, step);
    for (int i = 0; i < log->n_cells; i++) {
        fputc(',', log->csv);
        if (i >= log->n_columns || isnan(log->columns[i].value))
            continue;
        Column *c = &log->columns[i];
        print_number(log->csv, c->decimals, c->value);
        if (c->tag[0])
            events_scalar(log->events, step, c->tag, c->value);
        c->value = (double)NAN;
    }
    fputc('\n', log->csv);
    if (fflush(log->csv) != 0)
        return error_set_errno(err, "%s", log->path);
    return events_flush(log->events, err);
}

/* ---- JSON lines
 * --------------------------------------------------------------------------------------------- */

struct JsonLines {
    FILE *file;
    char *path;
};

/* The lines of steps that are done. */
static bool keep_lines(const char *path, int64_t steps_done, Buf *kept, Error *err)
{
    Buf old = {0};
    if (steps_done == 0 || !file_exists(path))
        return true;
    if (!file_read(&old, path, SIZE_MAX, err))
        return false;
    for (size_t from = 0; from < old.bytes;) {
        const char *end = memchr(old.data + from, '\n', old.bytes - from);
        if (!end)
            break;
        const size_t bytes = (size_t)(end - (old.data + from)) + 1;
        json_t *line = json_loadb(old.data + from, bytes, 0, NULL);
        const json_t *step = json_object_get(line, "step");
        if (json_is_integer(step) && json_integer_value(step) <= steps_done)
            buf_append(kept, old.data + from, bytes);
        json_decref(line);
        from += bytes;
    }
    buf_free(&old);
    return true;
}

JsonLines *json_lines_open(const char *folder, const char *name, int64_t steps_done, Error *err)
{
    Buf kept = {0};
    JsonLines *lines = mem_alloc(sizeof *lines);
    lines->path = file_join(folder, name);
    if (keep_lines(lines->path, steps_done, &kept, err) &&
        file_write(lines->path, buf_str(&kept), err))
        lines->file = append_to(lines->path, err);
    buf_free(&kept);
    if (lines->file)
        return lines;
    json_lines_close(lines);
    return NULL;
}

bool json_lines_add(JsonLines *lines, const json_t *object, Error *err)
{
    char *text = json_dumps(object, JSON_COMPACT);
    fprintf(lines->file, "%s\n", text);
    free(text);
    return fflush(lines->file) == 0 || error_set_errno(err, "%s", lines->path);
}

void json_lines_close(JsonLines *lines)
{
    if (!lines)
        return;
    if (lines->file)
        fclose(lines->file);
    mem_free(lines->path);
    mem_free(lines);
}
