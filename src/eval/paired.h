/* Two runs' replies to the same cases, one by one: what a difference between runs is taken from. */
#ifndef WEN_EVAL_PAIRED_H
#define WEN_EVAL_PAIRED_H

#include "base/error.h"
#include "eval/stats.h"

#include <jansson.h>

/* What a folder keeps of a task: an object of values by setting and case, a new reference; empty
 * when it keeps nothing. Lines that are no samples are errors with their place. */
json_t *paired_read(const char *dir, const char *task, Error *err) MUST_USE;

/* Of b minus a, over the cases that both have in this setting; a case is known by the hash of its
 * problem. */
EvalMean paired_difference(const json_t *a, const json_t *b, const char *setting,
                           const char *metric);

#endif
