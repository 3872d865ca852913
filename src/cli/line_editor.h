/* One line from the person at the terminal, with editing and history (libedit).
 *
 * Text pasted with line breaks (bracketed paste) arrives line by line, marked, so that the caller
 * can hold the message until the person presses Enter. */
#ifndef WEN_CLI_LINE_EDITOR_H
#define WEN_CLI_LINE_EDITOR_H

#include "base/str.h"

typedef struct LineEditor LineEditor;

typedef enum LineResult {
    LINE_READ,
    LINE_INTERRUPTED, /* Ctrl-C */
    LINE_END,         /* Ctrl-D on an empty line, or the terminal went away */
} LineResult;

/* history_path: read now, written as lines are remembered; NULL: none. */
LineEditor *line_editor_open(const char *history_path, Error *err) MUST_USE;
void line_editor_close(LineEditor *editor); /* NULL is fine */

/* Puts the line, without its end, into `line`; UTF-8. With LINE_INTERRUPTED it holds what had been
 * typed. more_was_pasted: the line's end came from a paste. */
LineResult line_editor_read(LineEditor *editor, const char *prompt, Buf *line,
                            bool *more_was_pasted);

void line_editor_remember(LineEditor *editor, const char *line);

#endif
