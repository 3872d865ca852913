/* The configuration of a mixture, see mix.h. */
#ifndef WEN_DATA_MIX_CONFIG_H
#define WEN_DATA_MIX_CONFIG_H

#include "data/mix.h"

#include <jansson.h>

typedef struct MixSource {
    const char *path;
    double share;
} MixSource;

typedef struct MixRule {
    const char *label;
    bool has_range;
    double low, high;
    const json_t *is; /* an array of strings, or NULL */
    double times;
} MixRule;

typedef struct MixConfig {
    int64_t seed, documents, bytes; /* 0: not given */
    double repeats;
    MixSource sources[MIX_SOURCES_MAX];
    int n_sources;
    MixRule rules[MIX_RULES_MAX];
    int n_rules;
    json_t *json; /* owned; the texts above are its */
} MixConfig;

bool mix_config_read(MixConfig *c, const char *path, Error *err) MUST_USE;
void mix_config_close(MixConfig *c); /* a zeroed one is fine */

/* The product of `times` over the rules that a document's labels meet. */
double mix_config_weight(const MixConfig *c, const json_t *document);

#endif
