/* The conversation at the terminal: read, ask, show, again. */
#ifndef WEN_CLI_CONVERSATION_H
#define WEN_CLI_CONVERSATION_H

#include "wen.h"

/* Until the person leaves. request: options and sampling, without a prompt; system: NULL or the
 * system message. Returns the exit status. */
int conversation_run(wen_engine *engine, const wen_model *model, const wen_request *request,
                     const char *system);

#endif
