/* See mix_config.h. */
#include "data/mix_config.h"

#include "data/settings.h"

#include <math.h>
#include <string.h>

static bool read_source(MixConfig *c, const json_t *item, int i, Error *err)
{
    char where[32];
    MixSource *s = &c->sources[c->n_sources++];
    snprintf(where, sizeof where, "sources[%d]", i);
    *s = (MixSource){json_string_value(json_object_get(item, "path")), 1};
    if (!settings_check(item, "path share", where, err))
        return false;
    if (!s->path)
        return error_set(err, ERROR_FORMAT, "%s: its path is missing", where);
    return settings_real(item, "share", 1e-9, 1e9, &s->share, err) || error_add(err, "%s", where);
}

static bool read_rule(MixConfig *c, const json_t *item, int i, Error *err)
{
    char where[32];
    MixRule *r = &c->rules[c->n_rules++];
    snprintf(where, sizeof where, "rules[%d]", i);
    if (!settings_check(item, "label low high is times", where, err))
        return false;
    *r = (MixRule){.label = json_string_value(json_object_get(item, "label")),
                   .low = -(double)INFINITY,
                   .high = (double)INFINITY,
                   .is = json_object_get(item, "is"),
                   .times = -1,
                   .has_range = json_object_get(item, "low") || json_object_get(item, "high")};
    if (!r->label)
        return error_set(err, ERROR_FORMAT, "%s: its label is missing", where);
    if (r->has_range == (r->is != NULL) || (r->is && !json_is_array(r->is)))
        return error_set(err, ERROR_FORMAT, "%s: give either low or high, or a list as is", where);
    if (!settings_real(item, "low", -1e18, 1e18, &r->low, err) ||
        !settings_real(item, "high", -1e18, 1e18, &r->high, err) ||
        !settings_real(item, "times", 0, 1e9, &r->times, err))
        return error_add(err, "%s", where);
    return r->times >= 0 || error_set(err, ERROR_FORMAT, "%s: times is missing", where);
}

typedef bool ItemReader(MixConfig *c, const json_t *item, int i, Error *err);

static bool read_list(MixConfig *c, const char *key, size_t n_max, ItemReader *read, Error *err)
{
    const json_t *list = json_object_get(c->json, key);
    if (list && !json_is_array(list))
        return error_set(err, ERROR_FORMAT, "%s: it is not a list", key);
    if (json_array_size(list) > n_max)
        return error_set(err, ERROR_LIMIT, "%s: at most %zu", key, n_max);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!read(c, json_array_get(list, i), (int)i, err))
            return false;
    return true;
}

static bool read_all(MixConfig *c, Error *err)
{
    c->repeats = 1;
    c->seed = 1;
    if (!settings_check(c->json, "seed documents bytes repeats sources rules", "the mixture",
                        err) ||
        !settings_int(c->json, "seed", 0, INT64_MAX, &c->seed, err) ||
        !settings_int(c->json, "documents", 1, INT64_MAX, &c->documents, err) ||
        !settings_int(c->json, "bytes", 1, INT64_MAX, &c->bytes, err) ||
        !settings_real(c->json, "repeats", 1e-9, 1e6, &c->repeats, err))
        return false;
    if (c->documents > 0 && c->bytes > 0)
        return error_set(err, ERROR_FORMAT, "give documents or bytes, not both");
    return read_list(c, "sources", MIX_SOURCES_MAX, read_source, err) &&
           read_list(c, "rules", MIX_RULES_MAX, read_rule, err) &&
           (c->n_sources > 0 ||
            error_set(err, ERROR_FORMAT, "sources: a list of {path, share} is needed"));
}

bool mix_config_read(MixConfig *c, const char *path, Error *err)
{
    *c = (MixConfig){.json = settings_read(path, err)};
    return c->json && (read_all(c, err) || error_add(err, "%s", path));
}

void mix_config_close(MixConfig *c)
{
    json_decref(c->json);
    *c = (MixConfig){0};
}

static bool meets(const MixRule *r, const json_t *label)
{
    if (r->has_range) {
        const double x = json_number_value(label);
        return json_is_number(label) && x >= r->low && x <= r->high;
    }
    for (size_t i = 0; i < json_array_size(r->is); i++)
        if (json_equal(label, json_array_get(r->is, i)))
            return true;
    return false;
}

double mix_config_weight(const MixConfig *c, const json_t *document)
{
    const json_t *labels = json_object_get(document, "labels");
    double weight = 1;
    for (int i = 0; i < c->n_rules; i++) {
        const json_t *label = json_object_get(labels, c->rules[i].label);
        if (label && meets(&c->rules[i], label))
            weight *= c->rules[i].times;
    }
    return weight;
}
