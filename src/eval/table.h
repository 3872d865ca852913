/* Results as Markdown. */
#ifndef WEN_EVAL_TABLE_H
#define WEN_EVAL_TABLE_H

#include "eval/record.h"

/* Tables of what was asked: thinking beside not thinking with their difference and tokens; tasks
 * with a mode of their own, by kind; accuracy against the budget of thought. */
void eval_table(const EvalRecords *r, Buf *out);

#endif
