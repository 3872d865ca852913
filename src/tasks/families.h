/* The chapters of the table: each an array of families that a NULL name ends. */
#ifndef WEN_TASKS_FAMILIES_H
#define WEN_TASKS_FAMILIES_H

#include "tasks/tasks.h"

extern const TaskFamily chain_families[];  /* task_chains.c */
extern const TaskFamily letter_families[]; /* task_letters.c */

/* The split that owns a structure. */
TaskSplit structure_split(uint64_t key);

#endif
