/* The compute threads of one backend instance: fork/join over numbered tasks.
 *
 * The caller is one of the workers, so a pool of 1 has no threads of its own. Workers spin for a
 * short while between jobs (a decode step forks hundreds of times) and then sleep. Tasks are handed
 * out in order, one at a time, to whoever is free: which thread runs a task is not fixed, so a
 * task's result must not depend on it. One job at a time; no nesting. */
#ifndef WEN_BASE_POOL_H
#define WEN_BASE_POOL_H

#include "base/error.h"

typedef struct Pool Pool;

/* Runs task number `task` (0 .. n_tasks-1) on worker number `worker` (0 .. n_threads-1; scratch
 * memory may be indexed by it). */
typedef void PoolTask(void *context, int task, int worker);

/* n_threads 0: one for each processor this process may run on. */
Pool *pool_open(int n_threads, Error *err) MUST_USE;
void pool_close(Pool *pool);
int pool_n_threads(const Pool *pool);
/* Returns when all tasks are done; their writes are visible to the caller. */
void pool_run(Pool *pool, int n_tasks, PoolTask *run, void *context);

/* Processors that this process may run on. */
int pool_n_processors(void);

#endif
