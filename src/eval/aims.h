/* Aims: what a model should reach, written down before it is trained, in a JSON file:
 *
 *   {"aims": [{"task": "chain:2-4", "asked": "think", "metric": "acc", "at_least": 0.95}, ...],
 *    "gain": {"at_least": 0.3, "tasks": 10, "of": "chain:2-4,equation,..."},
 *    "budgets": {"budgets": "0,16,32,inf", "rises": 3, "at_least": 0.3, "of": "chain:2-4,..."}}
 *
 * `asked` is the setting (setting.h), `metric` left out is acc. gain: on so many of these tasks
 * thinking is better than not by at least this. budgets: over the cases of these tasks together no
 * step falls by more than two standard errors, so many rise, and the last is better than the first
 * by at least this; other tasks are not asked with budgets. Both may be left out. */
#ifndef WEN_EVAL_AIMS_H
#define WEN_EVAL_AIMS_H

#include "eval/record.h"

typedef struct Aims Aims;

/* Errors name the file and the key. */
Aims *aims_open(const char *path, Error *err) MUST_USE;
void aims_close(Aims *aims); /* NULL is fine */

/* The tasks that it names. With has_budgets, those of the list that are not of "budgets" skip them.
 */
bool aims_add_tasks(const Aims *aims, TaskList *list, const FamilyDraw *draw, bool has_budgets,
                    Error *err) MUST_USE;
/* "0,16,32,inf"; NULL: no curve is asked for. */
const char *aims_budgets(const Aims *aims);

/* A list of {"aim", "at_least", "value", "stderr", "is_met"}, a new reference; what was not asked
 * has no value and is not met. */
json_t *aims_check(const Aims *aims, const EvalRecords *r);
/* The same as a Markdown table, the number of aims met below it. */
void aims_table(const json_t *checked, Buf *out);

#endif
