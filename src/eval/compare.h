/* Several runs side by side, such as the stages of a pipeline: one Markdown table with a column a
 * run and a row for every task and setting. A column may hold several runs, such as the seeds of an
 * experiment: it then shows the mean of their means, and its error is that between the runs. */
#ifndef WEN_EVAL_COMPARE_H
#define WEN_EVAL_COMPARE_H

#include "base/str.h"

enum { COMPARE_MAX = 16, COMPARE_RUNS_MAX = 8 };

/* columns: each "DIR" (named by its last part) or "NAME=DIR,DIR,...", folders with results.json.
 * With two columns or more there is another for the last one minus the first: of single runs it is
 * taken case by case from the samples of both (paired.h), and empty where they have no case in
 * common. Below the table stands which model each was. */
bool eval_compare(char *const *columns, int n, Buf *out, Error *err) MUST_USE;

#endif
