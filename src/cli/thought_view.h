/* A thought while it is thought: its last lines, dim, in a small window at the end of the
 * terminal's output, gone when it has ended. Written rows are counted, so what is shown never
 * reaches further up than the window is high, however long the thought. */
#ifndef WEN_CLI_THOUGHT_VIEW_H
#define WEN_CLI_THOUGHT_VIEW_H

#include "base/str.h"

#include <stdio.h>

enum { THOUGHT_VIEW_ROWS = 6 };

/* Zeroed, with `out` (a terminal with escapes) set, is ready. */
typedef struct ThoughtView {
    FILE *out;
    int width;                      /* of a row, in columns */
    Buf text;                       /* from the first row that is still shown */
    size_t rows[THOUGHT_VIEW_ROWS]; /* where they begin in `text` */
    int n_rows, n_shown, column;    /* column: of the last row's end */
} ThoughtView;

void thought_view_put(ThoughtView *view, Str text);
/* Takes the window away; the cursor stands where it began. */
void thought_view_close(ThoughtView *view);

#endif
