/* The inside of models.h, for its files. */
#ifndef WEN_SERVER_MODELS_STATE_H
#define WEN_SERVER_MODELS_STATE_H

#include "server/models.h"

#include <pthread.h>

struct Models {
    ModelsOptions options;
    ServedModel **items; /* [n]; those of the command line first */
    size_t n, n_max;
    ServedModel **retired; /* [n_retired] not offered any more; some may still be in use */
    size_t n_retired, n_retired_max;
    char **aliases;
    int n_aliases;
    bool is_starting, is_stopping; /* the first model has never been ready yet; closing */
    bool is_loading;
    size_t loaded_bytes;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t janitor;
};

/* ---- models_load.c; all with the mutex held, which is given up while files are read -----------
 */

bool models_load(Models *models, ServedModel *model, Fault *fault) MUST_USE;
void models_unload_one(Models *models, ServedModel *model);
/* Seconds without a request after which it is unloaded; INFINITY: never. */
double models_idle_limit(const Models *models, const ServedModel *model);
/* Frees what it holds, loaded or not. */
void models_free_one(ServedModel *model);

/* ---- models_store.c -------------------------------------------------------------------------- */

/* With the mutex held: the model of a name, NULL or "" being the first; NULL: there is none among
 * the items. */
ServedModel *models_named(Models *models, const char *name);
/* The same without the mutex: looks into the store, too, if there is none. Returns with the mutex
 * held. */
ServedModel *models_lock_named(Models *models, const char *name);
/* Adds one of the command line or the store. */
ServedModel *models_add(Models *models, const ModelSpec *spec);

#endif
