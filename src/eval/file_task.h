/* A file of problems (docs/tasks.md: an object a line) as tasks, one for each family in it. */
#ifndef WEN_EVAL_FILE_TASK_H
#define WEN_EVAL_FILE_TASK_H

#include "eval/task_list.h"

/* n: at most so many problems a family; 0: all. Errors name file and line. */
bool file_tasks_add(TaskList *list, const char *path, int n, Error *err) MUST_USE;
/* The same of a text that lives as long as the tasks; name is for errors. */
bool text_tasks_add(TaskList *list, const char *name, Str text, int n, Error *err) MUST_USE;

#endif
