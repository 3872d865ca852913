/* A child process that answers a line for a line: verifiers and other helpers of the user's. */
#ifndef WEN_BASE_PROCESS_H
#define WEN_BASE_PROCESS_H

#include "base/str.h"

typedef struct Process Process;

/* Starts `command` with /bin/sh; it inherits standard error. That it does not exist shows at the
 * first question. */
Process *process_open(const char *command, Error *err) MUST_USE;
/* Closes its input, waits a moment, then kills it and all that it started. NULL is fine. */
void process_close(Process *p);

/* Writes `line` and a line end, reads one line back (without its end). An error, which names the
 * command, if it ended, said nothing for timeout_ms, or wrote more than a megabyte in a line; it
 * cannot be asked again then. */
bool process_ask(Process *p, Str line, int timeout_ms, Buf *answer, Error *err) MUST_USE;

#endif
