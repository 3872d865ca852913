/* The tools of the tool families, really executed.
 *
 *   calculator {"expression": "4240 - 1508 * 3050"}   numbers, + - * / and brackets
 *   get_time   {"city": "Tokyo"}                      the time there
 *   store_get  {"key": "..."}    store_set {"key": "...", "value": "..."}
 *
 * What the clock and the store hold is part of the problem ("state" in its answer), so a rollout
 * can be repeated. */
#ifndef WEN_TASKS_TOOL_BOX_H
#define WEN_TASKS_TOOL_BOX_H

#include "tasks/tasks.h"

typedef struct ToolBox ToolBox;

/* The tools of this problem, in their first state. The problem is borrowed. */
ToolBox *tool_box_open(const Problem *p, Error *err) MUST_USE;
void tool_box_close(ToolBox *box); /* NULL is fine */

/* Appends the tool's response. A call of an unknown tool or with wrong arguments gives a response
 * that says so ("error: ..."), as a model has to be able to read it. */
void tool_box_call(ToolBox *box, const TaskCall *call, Buf *response);

/* What the calculator says to an expression. */
void tool_calculate(Str expression, Buf *response);

/* Tool objects of these tools, and of a few that no problem needs: a JSON array's items. */
typedef enum ToolKind {
    TOOL_CALCULATOR,
    TOOL_GET_TIME,
    TOOL_STORE_GET,
    TOOL_STORE_SET,
    TOOL_WEATHER, /* not in the box */
    TOOL_SEND_MAIL,
    N_TOOLS
} ToolKind;
extern const char *const tool_objects[N_TOOLS];

#endif
