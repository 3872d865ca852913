/* Inside export: what its files share. */
#ifndef WEN_TRAIN_EXPORT_PARTS_H
#define WEN_TRAIN_EXPORT_PARTS_H

#include "train/export.h"

/* export.c: the model's tensors, or the adapter's, as one safetensors file; their names behind
 * `prefix`. */
bool export_tensors(const char *path, const Export *e, bool is_adapter, const char *prefix,
                    Error *err) MUST_USE;
/* export_texts.c: everything in a model's folder but the weights. */
bool export_texts(const char *folder, const Export *e, Error *err) MUST_USE;

#endif
