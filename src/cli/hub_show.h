/* What the commands about the store print, and a pull as a person sees it. */
#ifndef WEN_CLI_HUB_SHOW_H
#define WEN_CLI_HUB_SHOW_H

#include "hub/hub_pull.h"

enum { SHOWN_MAX = 32 };

/* "5.03 GB", as the hubs' pages count: 1 GB is 10^9 bytes. Returns `out`. */
const char *show_bytes(uint64_t bytes, char out[SHOWN_MAX]);

typedef enum PullConsent {
    PULL_ASKED_FOR, /* the user said pull */
    PULL_CONFIRMED, /* ask on the terminal first; where there is none, do not pull */
} PullConsent;

/* hub_pull with progress on the terminal, Ctrl-C ends it. Says what and how large before, on
 * standard error. `options` gives connections and tries. */
char *show_pull(HubName *name, const HubPullOptions *options, PullConsent consent,
                Error *err) MUST_USE;

#endif
