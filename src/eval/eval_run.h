/* Asks every case of every task in every setting, many at once, judges the replies and keeps them.
 */
#ifndef WEN_EVAL_RUN_H
#define WEN_EVAL_RUN_H

#include "eval/eval_asker.h"
#include "eval/record.h"

typedef struct EvalJob {
    const char *dir; /* where samples go (eval_samples_folder was called); NULL: nowhere */
    int64_t seed;    /* case i is drawn with seed + i */
    void (*progress)(void *context, const EvalRecords *r, int64_t n_done, int64_t n_all);
    void *progress_context;
    const volatile int *stop; /* not 0: ends with ERROR_CANCELLED, what came is kept; NULL: never */
} EvalJob;

/* What the folder has is taken from there. The records were opened; what came before a failure is
 * in the folder. */
bool eval_run(const EvalJob *job, const EvalAsker *asker, EvalRecords *r, Error *err) MUST_USE;

#endif
