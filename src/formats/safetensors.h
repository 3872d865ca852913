/* safetensors: u64 header length, a JSON header of names, types, shapes and offsets, then bytes.
 * Source: huggingface/safetensors README. Reads F32, F16, BF16; other element types are an error
 * that names tensor and type when such a tensor is asked for. */
#ifndef WEN_FORMATS_SAFETENSORS_H
#define WEN_FORMATS_SAFETENSORS_H

#include "base/mem.h"
#include "formats/tensor_table.h"

/* Maps `path` and adds its tensors to `table` (which owns the mapping from then on). */
bool safetensors_read(TensorTable *table, const char *path, Error *err) MUST_USE;

/* Writing streams: declare all tensors, then give their bytes in the same order. */
typedef struct SafetensorsWriter SafetensorsWriter;
/* type F32, F16 or BF16. `metadata_json` may be NULL or a JSON object of strings. */
SafetensorsWriter *safetensors_writer_open(const char *path, const TensorInfo *tensors,
                                           int n_tensors, const char *metadata_json,
                                           Error *err) MUST_USE;
bool safetensors_writer_write(SafetensorsWriter *w, const void *data, size_t bytes,
                              Error *err) MUST_USE;
bool safetensors_writer_commit(SafetensorsWriter *w, Error *err) MUST_USE; /* frees w */
void safetensors_writer_cancel(SafetensorsWriter *w);

#endif
