/* What a MODEL on the command line is: a path, "builtin", or a model's name. */
#ifndef WEN_CLI_MODEL_FIND_H
#define WEN_CLI_MODEL_FIND_H

#include "base/error.h"

/* Where to open MODEL, to be freed with mem_free: a file or folder as it is, "builtin", or what has
 * that name in the store or in another tool's cache. A name that is not here is pulled: at once if
 * `pulls`, else after the person at the terminal has agreed; where there is no terminal it is an
 * error. */
char *model_find(const char *model, bool pulls, Error *err) MUST_USE;

/* Whether a word is the name of a model that is here. */
bool model_is_stored(const char *word);

#endif
