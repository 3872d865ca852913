/* Ollama's Modelfile, a text such as
 *
 *     FROM qwen3:0.6b
 *     PARAMETER temperature 0.5
 *     SYSTEM """You are
 *     Mario."""
 *
 * to and from the JSON of /api/create and of made models (hub/hub_made.h). */
#ifndef WEN_SERVER_MODELFILE_H
#define WEN_SERVER_MODELFILE_H

#include "server/fault.h"

#include <jansson.h>

/* {"from", "system", "template", "license", "parameters": {...}, "adapters": [...]}, as far as they
 * are given. NULL and a 400 that names the line. */
json_t *modelfile_parse(const char *text, Fault *fault) MUST_USE;

/* settings NULL: FROM alone. template: "" for none. */
void modelfile_put(Buf *out, const char *from, const json_t *settings, Str template);
/* A line for each parameter, behind `prefix`: "temperature 0.5". parameters may be NULL. */
void modelfile_put_parameters(Buf *out, const char *prefix, const json_t *parameters);

#endif
