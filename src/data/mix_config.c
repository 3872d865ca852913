/* See mix_config.h. */
#include "data/mix_config.h"

#include "base/file.h"
#include "train/yaml.h"

#include <math.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 1 << 20 };

static bool is_word(const char *names, const char *word)
{
    const size_t n = strlen(word);
    for (const char *at = names; *at; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && memcmp(at, word, n) == 0)
            return true;
    return false;
}

/* Every key of `object` has to be one of the names, apart by blanks. */
static bool check_keys(const json_t *object, const char *names, const char *where, Error *err)
{
    const char *key;
    json_t *value;
    if (!json_is_object(object))
        return error_set(err, ERROR_FORMAT, "%s: it is not a mapping", where);
    json_object_foreach((json_t *)object, key, value)
    {
        if (!is_word(names, key))
            return error_set(err, ERROR_FORMAT, "%s.%s: there is no such key; there are %s", where,
                             key, names);
    }
    return true;
}

/* A number in low .. high; absent: *out stays. */
static bool read_number(const json_t *object, const char *key, double low, double high, double *out,
                        Error *err)
{
    const json_t *value = json_object_get(object, key);
    if (!value)
        return true;
    *out = json_number_value(value);
    return (json_is_number(value) && *out >= low && *out <= high) ||
           error_set(err, ERROR_FORMAT, "%s: it is not a number in %g .. %g", key, low, high);
}

static bool read_source(MixConfig *c, const json_t *item, int i, Error *err)
{
    char where[32];
    MixSource *s = &c->sources[c->n_sources++];
    snprintf(where, sizeof where, "sources[%d]", i);
    *s = (MixSource){json_string_value(json_object_get(item, "path")), 1};
    if (!check_keys(item, "path share", where, err))
        return false;
    if (!s->path)
        return error_set(err, ERROR_FORMAT, "%s: its path is missing", where);
    return read_number(item, "share", 1e-9, 1e9, &s->share, err) || error_add(err, "%s", where);
}

static bool read_rule(MixConfig *c, const json_t *item, int i, Error *err)
{
    char where[32];
    MixRule *r = &c->rules[c->n_rules++];
    snprintf(where, sizeof where, "rules[%d]", i);
    if (!check_keys(item, "label low high is times", where, err))
        return false;
    *r = (MixRule){.label = json_string_value(json_object_get(item, "label")),
                   .low = -INFINITY,
                   .high = INFINITY,
                   .is = json_object_get(item, "is"),
                   .times = -1,
                   .has_range = json_object_get(item, "low") || json_object_get(item, "high")};
    if (!r->label)
        return error_set(err, ERROR_FORMAT, "%s: its label is missing", where);
    if (r->has_range == (r->is != NULL) || (r->is && !json_is_array(r->is)))
        return error_set(err, ERROR_FORMAT, "%s: give either low or high, or a list as is", where);
    if (!read_number(item, "low", -1e18, 1e18, &r->low, err) ||
        !read_number(item, "high", -1e18, 1e18, &r->high, err) ||
        !read_number(item, "times", 0, 1e9, &r->times, err))
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
    double seed = 1, documents = 0, bytes = 0;
    c->repeats = 1;
    if (!check_keys(c->json, "seed documents bytes repeats sources rules", "the mixture", err) ||
        !read_number(c->json, "seed", 0, 9e15, &seed, err) ||
        !read_number(c->json, "documents", 1, 1e12, &documents, err) ||
        !read_number(c->json, "bytes", 1, 1e16, &bytes, err) ||
        !read_number(c->json, "repeats", 1e-9, 1e6, &c->repeats, err))
        return false;
    c->seed = (int64_t)seed;
    c->documents = (int64_t)documents;
    c->bytes = (int64_t)bytes;
    if (c->documents > 0 && c->bytes > 0)
        return error_set(err, ERROR_FORMAT, "give documents or bytes, not both");
    return read_list(c, "sources", MIX_SOURCES_MAX, read_source, err) &&
           read_list(c, "rules", MIX_RULES_MAX, read_rule, err) &&
           (c->n_sources > 0 ||
            error_set(err, ERROR_FORMAT, "sources: a list of {path, share} is needed"));
}

bool mix_config_read(MixConfig *c, const char *path, Error *err)
{
    Buf text = {0};
    *c = (MixConfig){0};
    bool ok = file_read(&text, path, CONFIG_BYTES_MAX, err);
    if (ok) {
        c->json = yaml_read(buf_str(&text), path, err);
        ok = c->json && (read_all(c, err) || error_add(err, "%s", path));
    }
    buf_free(&text);
    return ok;
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
