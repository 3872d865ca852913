/* Reading the YAML configurations of this folder: one mapping whose keys are checked. */
#ifndef WEN_DATA_SETTINGS_H
#define WEN_DATA_SETTINGS_H

#include "base/error.h"

#include <jansson.h>
#include <stdint.h>

/* The file as a JSON object, a new reference, or NULL. */
json_t *settings_read(const char *path, Error *err) MUST_USE;

/* `object` has to be a mapping whose keys are among `names` (apart by blanks); `where` is its name
 * in errors. */
bool settings_check(const json_t *object, const char *names, const char *where,
                    Error *err) MUST_USE;
/* A number in low .. high, a whole number, true or false, a text; absent: *out stays as it is. */
bool settings_real(const json_t *object, const char *key, double low, double high, double *out,
                   Error *err) MUST_USE;
bool settings_int(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *out,
                  Error *err) MUST_USE;
bool settings_bool(const json_t *object, const char *key, bool *out, Error *err) MUST_USE;
bool settings_text(const json_t *object, const char *key, const char **out, Error *err) MUST_USE;

#endif
