/* The chapters of the table: each an array of families that a NULL name ends. */
#ifndef WEN_TASKS_FAMILIES_H
#define WEN_TASKS_FAMILIES_H

#include "tasks/tasks.h"

extern const TaskFamily chain_families[];        /* task_chains.c */
extern const TaskFamily algebra_families[];      /* task_algebra.c */
extern const TaskFamily word_problem_families[]; /* task_word_problems.c */
extern const TaskFamily knight_families[];       /* task_knights.c */
extern const TaskFamily letter_families[];       /* task_letters.c */
extern const TaskFamily sorting_families[];      /* task_sorting.c */
extern const TaskFamily number_families[];       /* task_numbers.c */
extern const TaskFamily calendar_families[];     /* task_calendar.c */
extern const TaskFamily string_families[];       /* task_strings.c */
extern const TaskFamily search_families[];       /* task_search.c */
extern const TaskFamily logic_families[];        /* task_logic.c */
extern const TaskFamily induction_families[];    /* task_induction.c */
extern const TaskFamily program_families[];      /* task_programs.c */
extern const TaskFamily graph_families[];        /* task_graph.c */
extern const TaskFamily fact_families[];         /* task_facts.c */
extern const TaskFamily instruction_families[];  /* task_instructions.c */
extern const TaskFamily mode_families[];         /* task_modes.c */
extern const TaskFamily tool_families[];         /* task_tools.c */
extern const TaskFamily talk_families[];         /* task_talk.c */
extern const TaskFamily refusal_families[];      /* task_refusals.c */

/* The split that owns a structure. */
TaskSplit structure_split(uint64_t key);

#endif
