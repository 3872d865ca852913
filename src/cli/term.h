/* The terminal: is there one, does it want colour, has Ctrl-C been pressed. And standard output,
 * whose failures (a full disk, a reader that left) are found rather than lost. */
#ifndef WEN_CLI_TERM_H
#define WEN_CLI_TERM_H

#include "base/str.h"

#include <stdio.h>

/* Whether standard input can be read for a prompt: a pipe, a file or a socket; not a terminal, not
 * an empty device. */
typedef enum InputKind { INPUT_TERMINAL, INPUT_DATA, INPUT_NOTHING } InputKind;
InputKind term_input_kind(void);

bool term_is_terminal(FILE *stream);
/* A terminal that knows escape sequences (TERM is set and not "dumb"). */
bool term_has_escapes(FILE *stream);
/* And NO_COLOR (no-color.org) is not set. */
bool term_has_color(FILE *stream);
/* The escape sequence on a stream with colour, nothing on another. */
typedef enum TermStyle { TERM_PLAIN, TERM_DIM, TERM_BOLD } TermStyle;
void term_style(FILE *stream, TermStyle style);

/* Columns of the terminal; 80 if unknown. */
int term_width(void);

/* Model output, pasted text: on a terminal control characters other than newline and tab are shown
 * as U+FFFD, so that no text can command the terminal. Elsewhere the bytes go out as they are. */
void term_put_text(FILE *stream, Str text);

/* From now on Ctrl-C sets a flag instead of ending the program. */
void term_catch_interrupts(void);
/* And from now on it ends the program again. */
void term_release_interrupts(void);
/* Whether Ctrl-C was pressed since the last call. */
bool term_take_interrupt(void);
/* Ends the program the way Ctrl-C does when nobody catches it. */
_Noreturn void term_die_interrupted(void);

/* A line on a terminal's standard error that replaces itself ("loading 42 %"); text NULL removes
 * it. Where standard error is no terminal, nothing; with WEN_PROGRESS=lines in the environment, a
 * line a second at most, for a program that shows it in its own way. */
void term_progress(const char *text);

/* One line on standard error, "wen: ..." */
void term_note(const char *format, ...) PRINTF_LIKE(1, 2);

/* Wrong usage: one line on standard error, with where help is. Returns the exit status 2. */
int term_usage(const char *command, const char *message);

/* Flushes; remembers why it failed, if it did. False once standard output has failed. */
bool term_flush(FILE *stream);

/* Flushes standard output; false, with a line on standard error, if anything was not written. A
 * reader that left (EPIPE) gets no line. */
bool term_finish_output(void);

#endif
