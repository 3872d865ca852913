/* Pulling a model into the store: see hub.h for what makes it safe to cut at any moment. */
#ifndef WEN_HUB_HUB_PULL_H
#define WEN_HUB_HUB_PULL_H

#include "hub/hub.h"

typedef enum HubEventKind {
    HUB_EVENT_PLAN,     /* what will be fetched; nothing has been yet */
    HUB_EVENT_PROGRESS, /* a few times a second */
    HUB_EVENT_RETRY,    /* a request brought nothing and is tried again: `message` says why */
} HubEventKind;

typedef struct HubEvent {
    HubEventKind kind;
    const HubName *name; /* the variant is filled in */
    int n_files, n_files_done;
    uint64_t total_bytes, done_bytes; /* done: on disk, what an earlier pull left included */
    uint64_t checked_bytes;           /* of those, hashed */
    uint64_t free_bytes;              /* PLAN: on the store's disk */
    const char *store;                /* PLAN: its folder */
    double bytes_per_s, left_s;       /* PROGRESS, over the last seconds; left_s < 0: not known */
    int n_retries;                    /* so far */
    const char *message;
} HubEvent;

typedef struct HubPullOptions {
    int n_connections; /* side by side; 0: 8 */
    int n_tries;       /* of a file without a byte gained before giving up; 0: 5 */
    /* False ends the pull with ERROR_CANCELLED; what was fetched stays for the next one. On the
     * calling thread. NULL: silent. */
    bool (*on_event)(void *context, const HubEvent *event);
    void *context;
} HubPullOptions;

/* Fetches the model's newest revision unless it is here, fills in name->variant, and returns where
 * to open it, to be freed with mem_free. NULL: *err says why in one line; then no model of that
 * name has appeared, or an older one is as it was. options NULL: the defaults. */
char *hub_pull(HubName *name, const HubPullOptions *options, Error *err) MUST_USE;

#endif
