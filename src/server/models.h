/* The models that a server offers: each known by a name, loaded when first asked for, unloaded when
 * long idle or when another needs the room. They are those of the command line, and, if it offers
 * the store (hub/hub.h), those that are there now: pulled ones, and ones made out of others
 * (hub/hub_made.h).
 *
 *     cold --models_take--> loading --> ready --idle or crowded out--> cold
 *                              +-----> failed (asking again tries again)
 */
#ifndef WEN_SERVER_MODELS_H
#define WEN_SERVER_MODELS_H

#include "hub/hub_made.h"
#include "server/fault.h"
#include "server/log.h"

#include <jansson.h>
#include <stdatomic.h>
#include <time.h>

typedef struct ModelSpec {
    const char *name; /* what clients call it */
    const char *path; /* what wen_model_open takes; of a made model its JSON */
    const char *made; /* the name of a made model; NULL: it is none */
} ModelSpec;

/* A low-rank adapter (LoRA) of the first model. */
typedef struct AdapterSpec {
    const char *name; /* what clients call the model with it; NULL: it counts in all requests */
    const char *path;
    float scale;
} AdapterSpec;

enum { MODEL_ALIASES_MAX = 16 };

typedef struct ModelsOptions {
    const ModelSpec *specs; /* [n_specs], at least one; the first is the default */
    int n_specs;
    const char *const *aliases; /* [n_aliases] further names of the first */
    int n_aliases;
    wen_model_options model;
    wen_engine_options engine;
    const AdapterSpec *adapters; /* [n_adapters] */
    int n_adapters;
    bool offers_store;
    const char *draft_path; /* draft model of the first one (wen_engine_options); NULL: none */
    size_t memory_bytes;    /* of weights, all models together; 0: no limit */
    double idle_seconds;    /* unload after so long without a request; 0: never */
    int max_queued;         /* replies that may wait behind the running ones, of one model */
    Log *log;
} ModelsOptions;

typedef enum ModelState { MODEL_COLD, MODEL_LOADING, MODEL_READY, MODEL_FAILED } ModelState;

/* How the model treats thoughts, from its template. */
typedef enum ModelThinking { THINKING_NEVER, THINKING_SWITCHED, THINKING_ALWAYS } ModelThinking;

/* A model in use: everything stays until models_give. */
typedef struct ServedModel {
    char *name, *path;
    HubMade *made;  /* NULL: it is no made one */
    bool is_stored; /* of the store, not of the command line */
    wen_model *model;
    wen_engine *engine;
    wen_adapter_use *adapters; /* [n_adapters] those that requests choose by name */
    const char **adapter_names;
    int n_adapters;
    json_t *info; /* wen_model_info */
    int context;
    ModelThinking thinking;
    int32_t call_id; /* of "<tool_call>"; -1: none */
    time_t loaded_at;
    size_t weights_bytes;
    atomic_int n_asked; /* replies in flight */
    int n_asked_max;
    /* Guarded by Models. */
    ModelState state;
    int n_users;
    double last_used, idle_seconds; /* -1: as the options say */
    wen_reply *preparing;           /* nobody waits for it (next_turn.h); NULL: none */
    char trouble[512];
} ServedModel;

typedef struct Models Models;

Models *models_open(const ModelsOptions *options, Error *err) MUST_USE;
/* Closes engines, which cancels what runs in them. No model may be taken any more. */
void models_close(Models *models);

/* Loads the first model; false and a fault when that fails. Takes as long as it takes. */
bool models_load_first(Models *models, Fault *fault) MUST_USE;

/* The model of a name (NULL or "": the first; "x:latest" is "x"), loaded if it is not. While the
 * first model loads at the start of the server, others get a 503. NULL and a fault: unknown name,
 * cannot be loaded, no room. */
ServedModel *models_take(Models *models, const char *name, Fault *fault) MUST_USE;
void models_give(Models *models, ServedModel *model);

/* Ollama's keep_alive: seconds from the last use until it is unloaded; < 0: never. */
void models_keep(Models *models, ServedModel *model, double seconds);
/* Takes over a reply that nobody waits for (or NULL); the one before is given up. */
void models_set_preparing(Models *models, ServedModel *model, wen_reply *reply);
/* Unloads it if nobody uses it. */
void models_unload(Models *models, const char *name);

/* The adapter that a request's `model` names: "ADAPTER" or "MODEL:ADAPTER"; -1: none. */
int model_adapter(const ServedModel *model, const char *name);

/* Waits for running loads, refuses new ones: the first half of closing. */
void models_stop_loading(Models *models);

/* ---- What there is --------------------------------------------------------------------------- */

/* What is known of a model without loading it; strings live as long as the server. `expires_s`:
 * seconds until it is unloaded, -1: never. */
typedef struct ModelListing {
    const char *name, *path;
    const char *parent; /* what a made model or an adapter changes; NULL: it is neither */
    ModelState state;
    time_t loaded_at;
    size_t weights_bytes;
    int context;
    double expires_s;
    json_t *info; /* a new reference; NULL while it is not loaded */
    wen_engine_stats stats;
    bool is_adapter; /* of the one before it; state and figures are that one's */
} ModelListing;

/* Looks into the store: what is there now is offered. */
void models_refresh(Models *models);
/* All models, adapters behind theirs; to be freed with models_list_free. */
ModelListing *models_list(Models *models, int *n);
void models_list_free(ModelListing *list, int n);
/* Whether there is a model or adapter of that name, and what is known of it (info is a new
 * reference). */
bool models_look_up(Models *models, const char *name, ModelListing *listing);

/* The settings of a made model (hub_made.h), with which its requests begin; NULL for others. Lives
 * as long as the server. */
const json_t *models_made_settings(Models *models, const char *name);

typedef enum ModelOrigin {
    ORIGIN_NONE,
    ORIGIN_COMMAND_LINE,
    ORIGIN_PULLED,
    ORIGIN_MADE
} ModelOrigin;
/* Where a model comes from; an adapter's is that of its model. */
ModelOrigin models_origin(Models *models, const char *name);
bool models_offers_store(const Models *models);
/* The store has another model of that name now, or none: requests that run end with the old one. */
void models_forget(Models *models, const char *name);

#endif
