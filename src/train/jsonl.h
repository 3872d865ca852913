/* JSONL files that are small enough to be read whole: a value a line, empty lines aside. */
#ifndef WEN_TRAIN_JSONL_H
#define WEN_TRAIN_JSONL_H

#include "base/error.h"

#include <jansson.h>

/* `place` is "PATH:LINE". False, with an error set, ends the reading. */
typedef bool JsonlEach(void *context, json_t *value, const char *place, Error *err);

bool jsonl_read(const char *path, JsonlEach *each, void *context, Error *err) MUST_USE;

#endif
