/* What the stages of wen train share at the terminal: lines on standard error, and stopping. */
#ifndef WEN_CLI_TRAIN_LINE_H
#define WEN_CLI_TRAIN_LINE_H

#include <signal.h>

/* From now on SIGTERM and Ctrl-C set the flag, which ends a run after the step in work, with a
 * checkpoint; a second one ends it at once, which loses the steps since the last checkpoint. */
void train_catch_signals(void);
const volatile sig_atomic_t *train_stop_flag(void);

/* A line that replaces itself on a terminal, else one line each; and a line that stays. */
void train_print_progress(void *context, const char *text);
void train_print_line(void *context, const char *text);

#endif
