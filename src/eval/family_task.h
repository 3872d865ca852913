/* A family of src/tasks as a task: held-out problems, levels and languages in turn, no prompt
 * twice. */
#ifndef WEN_EVAL_FAMILY_TASK_H
#define WEN_EVAL_FAMILY_TASK_H

#include "eval/task.h"
#include "tasks/tasks.h"

typedef struct FamilyDraw {
    int n; /* problems; fewer where the family has no more */
    int64_t seed;
    bool langs[N_LANGS]; /* those of them that the family has */
} FamilyDraw;

/* The levels from .. to (0, 0: all). NULL with an error when the family has none of the languages.
 */
EvalTask *family_task_open(const TaskFamily *family, int from, int to, const FamilyDraw *draw,
                           Error *err) MUST_USE;

#endif
