/* What a run says of its steps, at once for people and programs: log.csv (a row a step), event
 * files for TensorBoard, and a stage's own JSON lines. Named columns; a stage appends its own.
 *
 * A resumed run goes on in the same files: what they say of steps that it repeats is dropped. */
#ifndef WEN_TRAIN_RUN_LOG_H
#define WEN_TRAIN_RUN_LOG_H

#include "base/str.h"

#include <jansson.h>

typedef struct RunLog RunLog;

RunLog *run_log_new(void);
void run_log_close(RunLog *log); /* NULL is fine */

/* Adds a column before the log is started: its name in log.csv, where characters other than
 * letters, digits and "._-/" become "_"; its tag for TensorBoard (NULL: not there); the digits
 * behind the point, or RUN_LOG_EXACT: 9 significant ones. Returns its index. */
enum { RUN_LOG_EXACT = -1 };
int run_log_column(RunLog *log, const char *name, const char *tag, int decimals);

/* Opens FOLDER's files for a run that has done `steps_done` steps. Columns of an older log.csv that
 * this run does not have stay at the end. */
bool run_log_start(RunLog *log, const char *folder, int64_t steps_done, Error *err) MUST_USE;

/* A number of the step in work; what is not set is an empty cell. */
void run_log_set(RunLog *log, int column, double value);
/* A text for TensorBoard. */
void run_log_text(RunLog *log, int64_t step, const char *tag, Str markdown);
/* Writes the step's row, and forgets the numbers. */
bool run_log_end_step(RunLog *log, int64_t step, Error *err) MUST_USE;

/* A file of JSON objects, one a line, each with a "step": samples.jsonl. */
typedef struct JsonLines JsonLines;
JsonLines *json_lines_open(const char *folder, const char *name, int64_t steps_done,
                           Error *err) MUST_USE;
bool json_lines_add(JsonLines *lines, const json_t *object, Error *err) MUST_USE;
void json_lines_close(JsonLines *lines); /* NULL is fine */

#endif
