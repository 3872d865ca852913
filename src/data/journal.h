/* What a long run has done so far, an object a line in a file beside its output, so that the same
 * command goes on where it was stopped. A line that was cut by the end of the process is dropped.
 */
#ifndef WEN_DATA_JOURNAL_H
#define WEN_DATA_JOURNAL_H

#include "base/str.h"

#include <jansson.h>
#include <stdio.h>

typedef struct Journal {
    char *path;
    FILE *file;
    int64_t n; /* lines, the head not counted */
} Journal;

/* Appends a description of a run: its configuration, its files' names and sizes. */
bool journal_describe(const json_t *config, const char *const *paths, int n_paths, Buf *out,
                      Error *err) MUST_USE;

/* "OUT.part", made if it is not there. `run` describes inputs and configuration: a journal of
 * another run is an error. */
bool journal_open(Journal *j, const char *out, Str run, Error *err) MUST_USE;
/* The file stays. */
void journal_close(Journal *j);
bool journal_add(Journal *j, const json_t *line, Error *err) MUST_USE;
bool journal_flush(Journal *j, Error *err) MUST_USE;
/* All lines in order; `each` returns false to stop. */
typedef bool JournalLine(void *context, int64_t number, json_t *line, Error *err);
bool journal_read(Journal *j, JournalLine *each, void *context, Error *err) MUST_USE;
/* Drops the last line. */
bool journal_undo(Journal *j, Error *err) MUST_USE;
void journal_remove(Journal *j);

#endif
