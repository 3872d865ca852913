/* YAML as JSON values: what a configuration file may say. Mappings with string keys, sequences, and
 * scalars: a quoted one is a string; a plain one is null, true, false, a number, or else a string.
 * Anchors and tags are refused. */
#ifndef WEN_TRAIN_YAML_H
#define WEN_TRAIN_YAML_H

#include "base/str.h"

#include <jansson.h>

/* A new reference, or NULL. Errors give file, line and column; `name` is the file's name in them.
 */
json_t *yaml_read(Str text, const char *name, Error *err) MUST_USE;
/* The value of a plain scalar. */
json_t *yaml_scalar(Str text);
/* Appends `value` as YAML of block style, readable by yaml_read. */
void yaml_write(const json_t *value, Buf *out);

#endif
