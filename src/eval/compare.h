/* Several runs side by side, such as the stages of a pipeline: one Markdown table with a column a
 * run and a row for every task and setting. */
#ifndef WEN_EVAL_COMPARE_H
#define WEN_EVAL_COMPARE_H

#include "base/str.h"

enum { COMPARE_MAX = 16 };

/* With two runs or more there is a column for the last one minus the first, taken case by case from
 * the samples of both (paired.h); empty where they have no case in common.
 *
 * runs: each "DIR" (named by its last part) or "NAME=DIR", a folder with results.json. Below the
 * table stands which model each was. */
bool eval_compare(char *const *runs, int n, Buf *out, Error *err) MUST_USE;

#endif
