/* A family of src/tasks as a task: held-out problems, levels and languages in turn, no prompt
 * twice. */
#ifndef WEN_EVAL_FAMILY_TASK_H
#define WEN_EVAL_FAMILY_TASK_H

#include "eval/task.h"
#include "tasks/tasks.h"

/* Tokens of a conversation as the model's prompt; -1 with an error. */
typedef int CountTokens(void *context, const json_t *messages, Error *err);

typedef struct FamilyDraw {
    int n; /* problems; fewer where the family has no more */
    int64_t seed;
    bool langs[N_LANGS]; /* those of them that the family has */
    CountTokens *count;  /* for tasks of a length; NULL: there are none */
    void *count_context;
} FamilyDraw;

/* The levels from .. to (0, 0: all). NULL with an error when the family has none of the languages.
 */
EvalTask *family_task_open(const TaskFamily *family, int from, int to, const FamilyDraw *draw,
                           Error *err) MUST_USE;

/* The highest level whose prompts have at most n_tokens: "needle@2048". */
EvalTask *family_task_open_long(const TaskFamily *family, int n_tokens, const FamilyDraw *draw,
                                Error *err) MUST_USE;

#endif
