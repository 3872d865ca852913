/* What tells a model from another one: a hash of its files. */
#ifndef WEN_EVAL_FINGERPRINT_H
#define WEN_EVAL_FINGERPRINT_H

#include "base/str.h"

/* Of a file; of a folder's (or an adapter's) configuration, tokenizer, template and weights; or of
 * "builtin", which is this program. Of big files only parts, all through them, are read. */
bool model_fingerprint(const char *path, char hex[17], Error *err) MUST_USE;

#endif
