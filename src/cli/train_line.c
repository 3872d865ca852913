/* See train_line.h. */
#include "cli/train_line.h"

#include "cli/term.h"

#include <stdio.h>

static volatile sig_atomic_t is_stopped;

static void stop(int signal_number)
{
    (void)signal_number;
    is_stopped = 1;
}

void train_catch_signals(void)
{
    struct sigaction action = {.sa_handler = stop, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

const volatile sig_atomic_t *train_stop_flag(void) { return &is_stopped; }

void train_print_progress(void *context, const char *text)
{
    (void)context;
    if (term_is_terminal(stderr))
        term_progress(text);
    else
        fprintf(stderr, "%s\n", text);
}

void train_print_line(void *context, const char *text)
{
    (void)context;
    term_progress(NULL);
    fprintf(stderr, "%s\n", text);
}
