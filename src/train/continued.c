/* See continued.h. */
#include "train/continued.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *const may_differ[] = {"rope_theta", "rope_scaling", "rope_parameters",
                                         "max_position_embeddings"};

static bool is_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static bool check_key(const json_t *base, const char *key, const json_t *value, Error *err)
{
    const json_t *old = json_object_get(base, key);
    for (size_t i = 0; i < sizeof may_differ / sizeof *may_differ; i++)
        if (strcmp(key, may_differ[i]) == 0)
            return true;
    if (old && is_same(old, value))
        return true;
    char *was = old ? json_dumps(old, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    error_set(err, ERROR_FORMAT,
              "model.shape: %.64s (%.64s in the checkpoint); of a model that goes on from a "
              "checkpoint only rope_theta, rope_scaling, rope_parameters and "
              "max_position_embeddings can be changed",
              key, was ? was : "not given");
    free(was);
    return false;
}

/* Transformers 5 writes rope_parameters, which win there; older files have rope_theta and
 * rope_scaling beside each other. A change speaks to whichever the checkpoint has. */
static void put_rope(json_t *config, const char *key, json_t *value)
{
    json_t *parameters = json_object_get(config, "rope_parameters");
    json_t *old = json_object_get(parameters, "rope_theta");
    if (!json_is_object(parameters)) {
        json_object_set(config, key, value);
    } else if (strcmp(key, "rope_theta") == 0) {
        json_object_set(parameters, key, value);
        json_object_del(config, key);
    } else {
        json_t *both = json_is_object(value) ? json_deep_copy(value)
                                             : json_pack("{s:s}", "rope_type", "default");
        if (old && !json_object_get(both, "rope_theta"))
            json_object_set(both, "rope_theta", old);
        json_object_set_new(config, "rope_parameters", both);
        json_object_del(config, "rope_scaling");
    }
}

json_t *continued_config(const json_t *base, const json_t *changes, Error *err)
{
    const char *key;
    json_t *value;
    json_t *config = json_deep_copy(base);
    json_object_foreach((json_t *)(uintptr_t)changes, key, value)
    {
        if (!check_key(base, key, value, err)) {
            json_decref(config);
            return NULL;
        }
        if (strcmp(key, "rope_theta") == 0 || strcmp(key, "rope_scaling") == 0)
            put_rope(config, key, value);
        else
            json_object_set(config, key, value);
    }
    return config;
}
