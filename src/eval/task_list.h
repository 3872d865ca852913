/* Which tasks a run asks, from the words of `--tasks`:
 *
 *   chain         a family of src/tasks, all its levels
 *   chain:3       one level
 *   chain:2-4     levels 2 to 4
 *   needle@2048   the highest level whose prompts have at most 2048 tokens
 *   arithmetic    a domain: all its families
 *   all           all families
 *   out_of_scope  prompts that a small model should decline (scope.h)
 *   card          the dialogue of Qwen3's model card (card_task.h)
 */
#ifndef WEN_EVAL_TASK_LIST_H
#define WEN_EVAL_TASK_LIST_H

#include "eval/family_task.h"

typedef struct TaskList {
    EvalTask **items;
    int n;
    size_t capacity;
} TaskList;

/* Takes the task over. */
void task_list_add(TaskList *list, EvalTask *task);
void task_list_close(TaskList *list);
bool task_list_has(const TaskList *list, const char *name);

/* Words with commas between them. An unknown one is an error with the nearest name. */
bool task_list_read(TaskList *list, const char *words, const FamilyDraw *draw, Error *err) MUST_USE;

/* "en,zh" or "all". */
bool task_langs_read(const char *words, bool langs[N_LANGS], Error *err) MUST_USE;

#endif
