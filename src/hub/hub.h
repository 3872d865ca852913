/* Models by name: pulled from Hugging Face and ModelScope into our own store, and found there or
 * where those hubs' own tools left them. docs/hub.md is the user's view.
 *
 * The store is $WEN_MODELS, else $XDG_DATA_HOME/wen/models, else ~/.local/share/wen/models:
 *
 *     STORE/SITE/OWNER/REPO/VARIANT/            a model; it is there only when whole
 *     STORE/SITE/OWNER/REPO/VARIANT/.wen.json   its manifest: revision; files, sizes, hashes
 *     STORE/.made/                             models made out of others (hub_made.h)
 *     STORE/.unfinished/SITE/OWNER/REPO/VARIANT/   what a pull has so far
 *
 * A pull works in .unfinished and ends with one rename of the whole folder, after every byte was
 * hashed and synced: no moment of a kill or a power cut leaves half a model under a model's name.
 *
 * Threads: every function may be called from any thread; two pulls of one model, in one process or
 * in two, do not meet (the second is refused). */
#ifndef WEN_HUB_HUB_H
#define WEN_HUB_HUB_H

#include "base/str.h"

typedef enum HubSite { HUB_HUGGING_FACE, HUB_MODELSCOPE, N_HUB_SITES } HubSite;

enum { HUB_REPO_MAX = 200, HUB_VARIANT_MAX = 128, HUB_HASH_MAX = 72 };

/* One model of one repository. */
typedef struct HubName {
    HubSite site;
    bool is_any_site;              /* no site was named: `site` is where a pull goes */
    char repo[HUB_REPO_MAX];       /* "Qwen/Qwen3-8B-GGUF" */
    char variant[HUB_VARIANT_MAX]; /* "Q4_K_M"; "safetensors"; "": whichever there is (Q4_K_M, if
                                      there are several) */
} HubName;

#define HUB_SAFETENSORS "safetensors"

/* "Qwen/Qwen3-0.6B", "Qwen/Qwen3-8B-GGUF:Q4_K_M", either behind "hf.co/" or "modelscope.cn/" (or
 * the page's whole address), or a short name: "qwen3:8b", "qwen2.5:7b-q8_0", "qwq",
 * "deepseek-r1:14b". Where no site is named, $WEN_HUB says ("huggingface", the default, or
 * "modelscope"). */
bool hub_name_parse(HubName *name, const char *text, Error *err) MUST_USE;
/* Appends the spelling that hub_name_parse reads back. */
void hub_name_put(Buf *out, const HubName *name);
/* "huggingface" or "modelscope". */
bool hub_site_parse(HubSite *site, const char *text);
/* "huggingface.co": for messages, and the folder in the store. */
const char *hub_site_name(HubSite site);

/* ---- What is here ---------------------------------------------------------------------------- */

typedef enum HubPlace {
    HUB_STORE,              /* our own */
    HUB_HUGGING_FACE_CACHE, /* huggingface_hub's: $HF_HUB_CACHE, $HF_HOME/hub, ... */
    HUB_MODELSCOPE_CACHE,   /* modelscope's: $MODELSCOPE_CACHE, ~/.cache/modelscope/hub */
    HUB_UNFINISHED,         /* a pull that was cut: not a model */
    HUB_MADE,               /* made out of another (hub_made.h): `path` is its JSON */
} HubPlace;

typedef struct HubModel {
    HubName name;
    HubPlace place;
    char *path;     /* what wen_model_open takes; HUB_UNFINISHED: the folder */
    char *folder;   /* where its files lie */
    char type[32];  /* "Q4_K_M", "BF16", "FP8", "AWQ" ...; "adapter", "made"; "" unknown */
    uint64_t bytes; /* of its files; HUB_UNFINISHED: on disk so far */
} HubModel;

typedef struct HubList {
    HubModel *models;
    int n;
    size_t capacity;
} HubList;

/* All whole models, made and unfinished ones, sorted by name and place. A zeroed HubList is ready.
 */
void hub_list(HubList *list);
void hub_list_free(HubList *list);

/* A whole model of that name, our own store first, or NULL: where to open it, to be freed with
 * mem_free. Does not touch the network. */
char *hub_find(const HubName *name);

/* Removes a model, or what a cut pull left of it, from our own store; *freed_bytes may be NULL.
 * What lies in another tool's cache is never touched: an error says whose it is. */
bool hub_remove(const HubName *name, uint64_t *freed_bytes, Error *err) MUST_USE;

/* The store's folder, to be freed with mem_free. */
char *hub_store_dir(Error *err) MUST_USE;

#endif
