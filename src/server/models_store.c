/* Names of served models, and what the store adds to those of the command line: see models.h. */
#include "server/models_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* ---- Names ----------------------------------------------------------------------------------- */

int model_adapter(const ServedModel *s, const char *name)
{
    const size_t n = strlen(s->name);
    if (!name)
        return -1;
    if (strncmp(name, s->name, n) == 0 && name[n] == ':')
        name += n + 1;
    for (int i = 0; i < s->n_adapters; i++)
        if (strcmp(s->adapter_names[i], name) == 0)
            return i;
    return -1;
}

/* The adapter of the command line that a name means, whether the first model is loaded or not. */
static const AdapterSpec *adapter_named(const Models *m, const char *name)
{
    const char *base = m->items[0]->name;
    const size_t n = strlen(base);
    if (strncmp(name, base, n) == 0 && name[n] == ':')
        name += n + 1;
    for (int i = 0; i < m->options.n_adapters; i++) {
        const AdapterSpec *spec = &m->options.adapters[i];
        if (spec->name && strcmp(spec->name, name) == 0)
            return spec;
    }
    return NULL;
}

ServedModel *models_named(Models *m, const char *name)
{
    if (!name || !*name)
        return m->items[0];
    Str wanted = str_from(name);
    if (str_ends(wanted, STR(":latest")))
        wanted.bytes -= 7;
    for (size_t i = 0; i < m->n; i++)
        if (str_equals(wanted, m->items[i]->name) || strcmp(name, m->items[i]->name) == 0 ||
            strcmp(name, m->items[i]->path) == 0)
            return m->items[i];
    for (int i = 0; i < m->n_aliases; i++)
        if (str_equals(wanted, m->aliases[i]))
            return m->items[0];
    return adapter_named(m, name) ? m->items[0] : NULL;
}

/* "qwen3:8b" is Qwen/Qwen3-8B-GGUF:Q4_K_M. */
static char *stored_path(const char *name)
{
    HubName hub;
    return hub_name_parse(&hub, name, NULL) ? hub_find(&hub) : NULL;
}

ServedModel *models_lock_named(Models *m, const char *name)
{
    pthread_mutex_lock(&m->mutex);
    ServedModel *s = models_named(m, name);
    if (s || !m->options.offers_store)
        return s;
    pthread_mutex_unlock(&m->mutex);
    models_refresh(m);
    char *path = stored_path(name);
    pthread_mutex_lock(&m->mutex);
    s = models_named(m, name);
    if (!s && path)
        s = models_named(m, path);
    mem_free(path);
    return s;
}

/* ---- Coming and going ------------------------------------------------------------------------ */

ServedModel *models_add(Models *m, const ModelSpec *spec)
{
    m->items = mem_more(m->items, sizeof *m->items, m->n, &m->n_max);
    ServedModel *s = m->items[m->n++] = mem_alloc(sizeof *s);
    s->name = mem_strdup(spec->name);
    s->path = mem_strdup(spec->path);
    s->made = spec->made ? hub_made_find(spec->made) : NULL;
    s->idle_seconds = -1;
    atomic_init(&s->n_asked, 0);
    return s;
}

/* With the mutex held. What it holds is let go when nobody uses it any more. */
static void retire(Models *m, size_t i)
{
    m->retired = mem_more(m->retired, sizeof *m->retired, m->n_retired, &m->n_retired_max);
    m->retired[m->n_retired++] = m->items[i];
    memmove(m->items + i, m->items + i + 1, sizeof *m->items * (m->n - i - 1));
    m->n--;
}

/* With the mutex held. */
static void add_stored(Models *m, const HubModel *model)
{
    Buf name = {0};
    hub_name_put(&name, &model->name);
    const bool is_made = model->place == HUB_MADE;
    if (!models_named(m, model->path) && !models_named(m, name.data)) {
        const ModelSpec spec = {name.data, model->path, is_made ? name.data : NULL};
        ServedModel *s = models_add(m, &spec);
        s->is_stored = true;
        s->weights_bytes = model->bytes;
    }
    buf_free(&name);
}

void models_refresh(Models *m)
{
    HubList list = {0};
    if (!m->options.offers_store)
        return;
    hub_list(&list);
    pthread_mutex_lock(&m->mutex);
    for (size_t i = m->n; i-- > 0;)
        if (m->items[i]->is_stored && !file_exists(m->items[i]->path))
            retire(m, i);
    for (int i = 0; i < list.n; i++) {
        const HubModel *model = &list.models[i];
        const bool is_ours = model->place == HUB_STORE || model->place == HUB_MADE;
        if (is_ours && strcmp(model->type, "adapter") != 0)
            add_stored(m, model);
    }
    pthread_mutex_unlock(&m->mutex);
    hub_list_free(&list);
}

void models_forget(Models *m, const char *name)
{
    pthread_mutex_lock(&m->mutex);
    const ServedModel *s = models_named(m, name);
    for (size_t i = 0; i < m->n; i++)
        if (m->items[i] == s && s->is_stored) {
            retire(m, i);
            break;
        }
    pthread_mutex_unlock(&m->mutex);
}

bool models_offers_store(const Models *m) { return m->options.offers_store; }

/* ---- Looking --------------------------------------------------------------------------------- */

const json_t *models_made_settings(Models *m, const char *name)
{
    const ServedModel *s = models_lock_named(m, name);
    const json_t *settings = s && s->made ? s->made->settings : NULL;
    pthread_mutex_unlock(&m->mutex);
    return settings;
}

ModelOrigin models_origin(Models *m, const char *name)
{
    const ServedModel *s = models_lock_named(m, name);
    const ModelOrigin origin = !s              ? ORIGIN_NONE
                               : !s->is_stored ? ORIGIN_COMMAND_LINE
                               : s->made       ? ORIGIN_MADE
                                               : ORIGIN_PULLED;
    pthread_mutex_unlock(&m->mutex);
    return origin;
}

/* With the mutex held. */
static ModelListing listing_of(const Models *m, const ServedModel *s)
{
    ModelListing listing = {
        .name = s->name,
        .path = s->path,
        .parent = s->made ? json_string_value(json_object_get(s->made->settings, "from")) : NULL,
        .state = s->state,
        .loaded_at = s->loaded_at,
        .weights_bytes = s->weights_bytes,
        .context = s->context,
        .expires_s = -1,
    };
    double limit = models_idle_limit(m, s);
    if (isfinite(limit) && s->n_users == 0)
        listing.expires_s = fmax(0, s->last_used + limit - clock_seconds());
    else if (isfinite(limit))
        listing.expires_s = limit;
    if (s->state == MODEL_READY) {
        listing.info = json_deep_copy(s->info);
        listing.stats = wen_engine_get_stats(s->engine);
    }
    return listing;
}

static ModelListing adapter_listing(const Models *m, const AdapterSpec *spec)
{
    ModelListing listing = listing_of(m, m->items[0]);
    listing.parent = listing.name;
    listing.name = spec->name;
    listing.path = spec->path;
    listing.is_adapter = true;
    return listing;
}

ModelListing *models_list(Models *m, int *n)
{
    pthread_mutex_lock(&m->mutex);
    ModelListing *list = mem_alloc(sizeof *list * (m->n + (size_t)m->options.n_adapters));
    *n = 0;
    for (size_t i = 0; i < m->n; i++) {
        list[(*n)++] = listing_of(m, m->items[i]);
        for (int k = 0; i == 0 && k < m->options.n_adapters; k++)
            if (m->options.adapters[k].name)
                list[(*n)++] = adapter_listing(m, &m->options.adapters[k]);
    }
    pthread_mutex_unlock(&m->mutex);
    return list;
}

void models_list_free(ModelListing *list, int n)
{
    for (int i = 0; i < n; i++)
        json_decref(list[i].info);
    mem_free(list);
}

bool models_look_up(Models *m, const char *name, ModelListing *listing)
{
    const ServedModel *s = models_lock_named(m, name);
    const AdapterSpec *adapter = s == m->items[0] ? adapter_named(m, name) : NULL;
    if (s)
        *listing = adapter ? adapter_listing(m, adapter) : listing_of(m, s);
    pthread_mutex_unlock(&m->mutex);
    return s != NULL;
}
