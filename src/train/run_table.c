/* See run_table.h. */
#include "train/run_table.h"

#include "base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int count(Str s, char c)
{
    int n = 0;
    for (size_t i = 0; i < s.bytes; i++)
        n += s.data[i] == c;
    return n;
}

/* The line without its end that begins at *at, which moves on; false behind the last whole one. */
static bool next_line(Str text, size_t *at, Str *line)
{
    const char *end = *at < text.bytes ? memchr(text.data + *at, '\n', text.bytes - *at) : NULL;
    if (!end)
        return false;
    const size_t to = (size_t)(end - text.data);
    *line = str_slice(text, *at, to);
    *at = to + 1;
    return true;
}

static void split_line(Str line, Str *cells, int n)
{
    size_t from = 0;
    for (int i = 0; i < n; i++) {
        size_t to = from;
        while (to < line.bytes && line.data[to] != ',')
            to++;
        cells[i] = str_slice(line, from, to);
        from = to + 1;
    }
}

bool run_table_read(RunTable *table, const char *path, Error *err)
{
    size_t at = 0;
    Str line;
    *table = (RunTable){0};
    if (!file_exists(path))
        return true;
    if (!file_read(&table->text, path, SIZE_MAX, err))
        return false;
    const Str text = buf_str(&table->text);
    if (!next_line(text, &at, &line))
        return true;
    table->n_columns = count(line, ',') + 1;
    table->names = ARENA_ARRAY(&table->arena, Str, table->n_columns);
    split_line(line, table->names, table->n_columns);
    table->cells = arena_try_alloc(
        &table->arena, sizeof(Str) * (size_t)table->n_columns * (size_t)(count(text, '\n') + 1),
        "a run's log", err);
    if (!table->cells) {
        run_table_close(table);
        return false;
    }
    while (next_line(text, &at, &line))
        if (count(line, ',') + 1 == table->n_columns)
            split_line(line, table->cells + (size_t)table->n_rows++ * (size_t)table->n_columns,
                       table->n_columns);
    return true;
}

void run_table_close(RunTable *table)
{
    buf_free(&table->text);
    arena_close(&table->arena);
    *table = (RunTable){0};
}

int run_table_column(const RunTable *table, const char *name)
{
    for (int i = 0; i < table->n_columns; i++)
        if (str_equals(table->names[i], name))
            return i;
    return -1;
}

double run_table_number(const RunTable *table, int row, int column)
{
    char text[64];
    if (column < 0)
        return (double)NAN;
    const Str cell = table->cells[(size_t)row * (size_t)table->n_columns + (size_t)column];
    if (cell.bytes == 0 || cell.bytes >= sizeof text)
        return (double)NAN;
    memcpy(text, cell.data, cell.bytes);
    text[cell.bytes] = 0;
    char *end;
    const double value = strtod(text, &end);
    return *end == 0 ? value : (double)NAN;
}

int run_table_last(const RunTable *table, int column)
{
    int row = table->n_rows - 1;
    while (row >= 0 && isnan(run_table_number(table, row, column)))
        row--;
    return row;
}
