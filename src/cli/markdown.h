/* Markdown as it comes, shown lightly on a terminal: headings and ** bold, * italic, code coloured,
 * list marks as dots. The marks of what is styled are left out; everything else is shown as it is,
 * in its own lines. Nothing is held back longer than it takes to tell a mark from a character. */
#ifndef WEN_CLI_MARKDOWN_H
#define WEN_CLI_MARKDOWN_H

#include "base/str.h"

#include <stdio.h>

/* Zeroed, with `out` set, is ready. */
typedef struct Markdown {
    FILE *out;
    bool is_inside_line;
    bool is_heading, is_bold, is_italic, is_code, is_fenced;
    char before; /* the byte shown last in this line; 0: none */
    Buf held;    /* bytes that may be a mark */
} Markdown;

void markdown_put(Markdown *m, Str text);
/* Shows what is held, ends all styles and makes *m ready for another text. */
void markdown_end(Markdown *m);

#endif
