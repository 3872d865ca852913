/* Fetches files side by side: pieces of them over several connections, each piece going on where it
 * was cut, every file checked and given its name as soon as it is whole. */
#ifndef WEN_HUB_TRANSFER_H
#define WEN_HUB_TRANSFER_H

#include "hub/hub_access.h"
#include "hub/hub_pull.h"
#include "hub/repo_files.h"

typedef struct Transfer {
    const HubAccess *access;
    const HubName *name;
    const RepoFiles *files;
    const char *dir; /* where they go; those that lie there under their names are finished */
    const HubPullOptions *options;
    /* Stop at contents that are not as listed, for a new list may explain them; else they are
     * fetched once more. */
    bool stops_at_change;
    bool is_changed; /* out: contents were not as listed */
} Transfer;

bool transfer_run(Transfer *t, Error *err) MUST_USE;

#endif
