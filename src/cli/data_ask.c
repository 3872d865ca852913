/* See data_ask.h. */
#include "cli/data_ask.h"

#include "cli/term.h"

#include <signal.h>

static volatile int is_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
}

const volatile int *data_ask_stop(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    return &is_stopped;
}

DataAsk data_ask_defaults(void)
{
    return (DataAsk){.args = model_args_defaults(), .path = "builtin", .n_at_once = 32};
}

int data_ask_put(DataAsk *a, Arg *options, int n)
{
    options[n++] = (Arg){"model", 'm', ARG_TEXT, &a->path, "MODEL", "who answers (builtin)", 0, 0};
    options[n++] =
        (Arg){"at-once", 0, ARG_INT, &a->n_at_once, "N", "questions side by side (32)", 1, ASK_MAX};
    return model_args_put(&a->args, MODEL_ARGS_ALL, options, n);
}

bool data_ask_open(DataAsk *a, AskModel ask, Asker *asker)
{
    Error err = {0};
    if (!model_args_check(&a->args, &err)) {
        term_note("%s", err.message);
        return false;
    }
    a->model = model_args_open(&a->args, a->path, WEN_LOAD_ALL);
    a->engine = a->model ? model_args_open_engine(&a->args, a->model, (int)a->n_at_once) : NULL;
    a->ask = ask;
    a->ask.engine = a->engine;
    *asker = ask_model(&a->ask, (int)a->n_at_once);
    return a->engine != NULL;
}

void data_ask_close(DataAsk *a)
{
    wen_engine_close(a->engine);
    wen_model_close(a->model);
}

void data_ask_progress(void *context, int64_t n_done, int64_t n_failed)
{
    char line[96];
    (void)context;
    snprintf(line, sizeof line, "%lld answers, %lld failed", (long long)n_done,
             (long long)n_failed);
    term_progress(line);
}

void data_ask_print(const AskReport *report)
{
    fprintf(stderr, "%lld answers, %lld of them could not be used", (long long)report->n_asked,
            (long long)report->n_failed);
    if (report->n_failed > 0)
        fprintf(stderr, " (the first: %s)", report->first_failure);
    if (report->n_resumed > 0)
        fprintf(stderr, "; %lld were there before", (long long)report->n_resumed);
    fprintf(stderr, "\n");
}
