/* What makes a right reply unfit to be learned from (Qwen3 report, section 4.1): it repeats itself,
 * or falls into another script. */
#ifndef WEN_RL_REPLY_FILTERS_H
#define WEN_RL_REPLY_FILTERS_H

#include "data/units.h"
#include "tasks/tasks.h"

/* The share of a text's runs of six words that have occurred in it before: 0 .. 1, 0 for a text of
 * less than twelve. `units` is room that calls reuse. False: no memory. */
bool reply_repetition(Units *units, Str text, double *share, Error *err) MUST_USE;

/* Whether the reply has Chinese characters that a problem without any does not ask for, or Latin
 * letters alone where the problem has none. */
bool reply_changes_script(const Problem *p, const TaskReply *reply);

#endif
