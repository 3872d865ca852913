/* What the commands of `wen data` that ask a model have in common: its options, the model itself, a
 * line of progress, and an end at Ctrl-C after which the same command goes on. */
#ifndef WEN_CLI_DATA_ASK_H
#define WEN_CLI_DATA_ASK_H

#include "cli/model_args.h"
#include "data/ask.h"

enum { DATA_ASK_OPTIONS = 16 }; /* room that data_ask_put needs at most */

typedef struct DataAsk {
    ModelArgs args;
    const char *path; /* the model */
    int64_t n_at_once;
    wen_model *model;
    wen_engine *engine;
    AskModel ask;
} DataAsk;

DataAsk data_ask_defaults(void);
/* Writes the options' entries to options[n] and on; returns the new n. */
int data_ask_put(DataAsk *a, Arg *options, int n);
/* Opens the model and gives the Asker, or fails and says so; `ask`'s engine is filled in. */
bool data_ask_open(DataAsk *a, AskModel ask, Asker *asker);
void data_ask_close(DataAsk *a);

void data_ask_progress(void *context, int64_t n_done, int64_t n_failed);
/* Not 0 after Ctrl-C or SIGTERM; a second one ends the program. */
const volatile int *data_ask_stop(void);
void data_ask_print(const AskReport *report);

#endif
