/* Typed reading of a request's JSON. Every function treats a missing member and null as "not
 * given" and leaves *value alone; a wrong type or range is a 400 that names the member. `where` is
 * the path in front of the name ("" or "options."). */
#ifndef WEN_SERVER_JSON_IN_H
#define WEN_SERVER_JSON_IN_H

#include "server/fault.h"

#include <jansson.h>

/* The member, or NULL when it is missing or null. */
json_t *in_get(const json_t *object, const char *name);

bool in_bool(const json_t *object, const char *where, const char *name, bool *value,
             Fault *fault) MUST_USE;
/* -1 stays "not given"; otherwise 0 or 1. */
bool in_switch(const json_t *object, const char *where, const char *name, int *value,
               Fault *fault) MUST_USE;
bool in_int(const json_t *object, const char *where, const char *name, int64_t min, int64_t max,
            int64_t *value, Fault *fault) MUST_USE;
bool in_real(const json_t *object, const char *where, const char *name, double min, double max,
             double *value, Fault *fault) MUST_USE;
/* Borrowed from the JSON; a string with a NUL character inside is refused. */
bool in_text(const json_t *object, const char *where, const char *name, const char **value,
             Fault *fault) MUST_USE;
/* Borrowed likewise. */
bool in_array(const json_t *object, const char *where, const char *name, json_t **value,
              Fault *fault) MUST_USE;
bool in_object(const json_t *object, const char *where, const char *name, json_t **value,
               Fault *fault) MUST_USE;

/* The text of a content: a string, or an array of parts {"type": text_type..., "text"} joined with
 * line ends. Types: "text", "input_text", "output_text". Others are a 400. */
bool in_content(const json_t *content, const char *where, Buf *text, Fault *fault) MUST_USE;

/* A request's body, an object; NULL and a 400 with the place when it is not one. */
json_t *in_body(Str body, Fault *fault) MUST_USE;

#endif
