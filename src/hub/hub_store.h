/* The store's folders (layout in hub.h), its manifests, and the list being gathered. */
#ifndef WEN_HUB_HUB_STORE_H
#define WEN_HUB_HUB_STORE_H

#include "hub/repo_files.h"

#include <jansson.h>

#define HUB_MANIFEST ".wen.json"
#define HUB_UNFINISHED_DIR ".unfinished"

/* Where a model is, or would be, in the store; with is_unfinished, where a pull works.
 * name->variant must be given. */
char *hub_store_path(const HubName *name, bool is_unfinished, Error *err) MUST_USE;

/* Who changes a model holds its lock: -1 and an error when another process or thread has it. */
int hub_lock(const HubName *name, Error *err) MUST_USE;
void hub_unlock(const HubName *name, int lock); /* -1 is fine */

/* A JSON file in a folder; NULL: there is none, or it is not JSON. */
json_t *hub_json_read(const char *dir, const char *name, size_t bytes_max);

/* The manifest in a model's folder. Reading: false for none, or one that is not a manifest. */
bool hub_manifest_read(const char *dir, RepoFiles *files);
bool hub_manifest_write(const char *dir, const HubName *name, const RepoFiles *files,
                        Error *err) MUST_USE;

/* Whether every file of a manifest lies there with its size. */
bool hub_folder_is_whole(const char *dir, const RepoFiles *files);

/* hub_list.c: adds every whole model that lies in a folder: safetensors, and each GGUF
 * quantization. `name` says the site and repository. */
void hub_list_add_folder(HubList *list, const HubName *name, HubPlace place, const char *dir);
/* hub_caches.c: adds what other tools' caches hold. */
void hub_list_add_caches(HubList *list);
/* hub_made.c: adds the models that were made out of others. */
void hub_list_add_made(HubList *list);

#endif
