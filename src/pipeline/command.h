/* The process of a stage. */
#ifndef WEN_PIPELINE_COMMAND_H
#define WEN_PIPELINE_COMMAND_H

#include "pipeline/runner.h"

typedef struct StageCommand {
    const char *program;
    char **words; /* [n], the program's arguments */
    int n;
    const char *log;                   /* where both its outputs are appended */
    const char *title;                 /* before its last line in the progress */
    const volatile sig_atomic_t *stop; /* as in PipelineOptions */
    void (*progress)(void *context, const char *text);
    void *context;
} StageCommand;

/* Runs it to its end. An error gives the last line that it wrote; ERROR_CANCELLED: it was stopped.
 * It is told to stop when this process dies, however that happens. */
bool command_run(const StageCommand *c, Error *err) MUST_USE;

#endif
