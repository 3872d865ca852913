/* Shared by what writes problems and documents. */
#ifndef WEN_TASKS_PROBLEM_PARTS_H
#define WEN_TASKS_PROBLEM_PARTS_H

#include "tasks/tasks.h"

/* A message as JSON without its last brace: {"role": ..., "content": ..., "tool_calls": [...] */
void message_write(const TaskMessage *message, Buf *out);

#endif
