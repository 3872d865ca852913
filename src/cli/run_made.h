/* `wen run` with a model that was made out of another (hub/hub_made.h). */
#ifndef WEN_CLI_RUN_MADE_H
#define WEN_CLI_RUN_MADE_H

#include "cli/model_args.h"
#include "hub/hub_made.h"

/* What such a model is asked with; lives as long as the HubMade. */
typedef struct RunMade {
    HubMade *made;      /* NULL: the word names none */
    char *base;         /* where to open it */
    const char *system; /* NULL: none of its own */
} RunMade;

/* Looks the word up; a path is never one. False: it is one and its base is not here. */
bool run_made_open(RunMade *made, const char *word, Error *err) MUST_USE;
void run_made_close(RunMade *made);

/* Fills what the command line left open: template and adapters, sampling, length and stops. */
bool run_made_fill_model(const RunMade *made, ModelArgs *args, Error *err) MUST_USE;
/* A request's strings are borrowed; stops has room for n_stops_max. */
void run_made_fill_request(const RunMade *made, wen_request *request, const char **stops,
                           int n_stops_max);

#endif
