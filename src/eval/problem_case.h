/* Cases that are problems of src/tasks: shared by families (family_task.c) and files of problems
 * (file_task.c). An episode is played to its end: calls are really made and their responses go
 * back, until a reply without one. */
#ifndef WEN_EVAL_PROBLEM_CASE_H
#define WEN_EVAL_PROBLEM_CASE_H

#include "eval/task.h"
#include "tasks/tasks.h"

/* Sets the metrics of a task that has its name and is of this family (NULL: none of src/tasks), and
 * take and close_case:
 *   acc    the checker's full score
 *   calls  of an episode: the calls are right, whatever was said in the end
 *   mode   of think_follow: there is a thought where there should be one, and only there
 * One of out_of_scope (scope.h) is right when the model says that it does not know or cannot. A
 * problem of no known family is right when the content is the answer. */
void problem_task_set(EvalTask *task, const TaskFamily *family);

/* A zeroed Problem for the case to own; fill it, then call problem_case_begin. */
Problem *problem_case_new(EvalCase *c);
/* The case's doc, messages, tools and labels. */
bool problem_case_begin(EvalCase *c, Error *err) MUST_USE;

/* Whether the conversation says itself if there is to be a thought: by flags, or by having none in
 * a family where others have some. */
bool problem_has_flags(const Problem *p);
/* "no flag", "/think", "/no_think", "several flags", "unflagged last turn". */
const char *problem_flag_kind(const Problem *p);

#endif
