/* log.csv as a table: one row a step, named columns of numbers, empty cells where a step has none
 * (held-out losses come every so many steps). */
#ifndef WEN_TRAIN_RUN_TABLE_H
#define WEN_TRAIN_RUN_TABLE_H

#include "base/mem.h"
#include "base/str.h"

typedef struct RunTable {
    Str *names; /* [n_columns]; the first is "step" */
    Str *cells; /* [n_rows, n_columns], as written */
    int n_columns, n_rows;
    Buf text; /* what they point into */
    Arena arena;
} RunTable;

/* Rows that are cut short are left out; a file that is not there is a table without rows. */
bool run_table_read(RunTable *table, const char *path, Error *err) MUST_USE;
void run_table_close(RunTable *table); /* a zeroed one is fine */

int run_table_column(const RunTable *table, const char *name); /* -1: none of this name */
/* NAN for an empty cell, or column -1. */
double run_table_number(const RunTable *table, int row, int column);
/* Index of the last row with a number in this column, or -1. */
int run_table_last(const RunTable *table, int column);

#endif
