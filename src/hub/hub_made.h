/* Models that were made out of others: a base, and what it is to be asked with. One is a small JSON
 * file in the store, made by Ollama's /api/create and taken by `wen run` and `wen serve`:
 *
 *     STORE/.made/NAME.json    {"from": "builtin", a path, or a name of the hubs (hub.h),
 *                               "system": text, "parameters": {"temperature": 0.5, ...},
 *                               "adapters": [folder, ...], "license": text}, all but "from" may
 *                               be missing
 *     STORE/.made/NAME.jinja   its chat template, where it has one of its own
 *
 * with "%" for a "/" in NAME. A base is never itself a made model. */
#ifndef WEN_HUB_HUB_MADE_H
#define WEN_HUB_HUB_MADE_H

#include "hub/hub.h"

#include <jansson.h>

enum { MADE_NAME_MAX = 128, MADE_TEMPLATE_MAX = 4 << 20 };

typedef struct HubMade {
    char name[MADE_NAME_MAX];
    char *path;          /* of its JSON */
    char *template_file; /* NULL: the base's template */
    json_t *settings;    /* the object above */
} HubMade;

/* Checks a name, "mario", "mario:v2", "somebody/mario", and takes off ":latest". */
bool hub_made_name(char name[MADE_NAME_MAX], const char *text, Error *err) MUST_USE;

/* The model of that name, to be freed with hub_made_free; NULL: there is none. */
HubMade *hub_made_find(const char *name);
void hub_made_free(HubMade *made); /* NULL is fine */

/* Where to open its base, to be freed with mem_free; NULL and an error when it is not here. */
char *hub_made_base(const HubMade *made, Error *err) MUST_USE;

/* Writes or replaces a model. template_text NULL: none of its own. */
bool hub_made_write(const char *name, const json_t *settings, const char *template_text,
                    Error *err) MUST_USE;
bool hub_made_remove(const char *name, Error *err) MUST_USE;

#endif
