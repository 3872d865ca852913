/* Results as Markdown. */
#ifndef WEN_EVAL_TABLE_H
#define WEN_EVAL_TABLE_H

#include "eval/record.h"

/* Tables of what was asked: thinking beside not thinking with their difference and tokens; accuracy
 * against the budget of thought; tasks with a mode of their own. Rows of groups are by this split;
 * NONE: by each task's own. */
void eval_table(const EvalRecords *r, EvalSplit split, Buf *out);

#endif
