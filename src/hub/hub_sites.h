/* What the two hubs' interfaces say: lists of files, and where each lies. */
#ifndef WEN_HUB_HUB_SITES_H
#define WEN_HUB_HUB_SITES_H

#include "hub/hub_access.h"
#include "hub/repo_files.h"

/* All files of a repository's newest revision, with sizes and hashes. A path that leaves its folder
 * is an error. */
bool hub_sites_list(const HubAccess *a, const HubName *name, RepoFiles *files, Error *err) MUST_USE;

/* The address of a file, as of that revision. */
char *hub_sites_url(const HubAccess *a, const HubName *name, const char *revision,
                    const char *path);

#endif
