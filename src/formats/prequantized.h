/* Inside formats/: matrices that a folder of safetensors holds in the layouts of other quantizers:
 * FP8 with block scales, GPTQ, AWQ, MLX (docs/formats.md draws them). Each becomes one tensor under
 * its usual name, of a type of dtype.h that holds the same numbers, whose rows are made on demand
 * (TensorRows in tensor.h). */
#ifndef WEN_FORMATS_PREQUANTIZED_H
#define WEN_FORMATS_PREQUANTIZED_H

#include "formats/tensor_table.h"

#include <jansson.h>

typedef struct Prequantized Prequantized;

/* What config.json's quantization_config (or MLX's quantization) announces, among the tensors of
 * `files`, which are borrowed. *out stays NULL when it announces nothing. An unknown method or
 * variant, a part that is missing or has the wrong type or shape: an error that names the tensor
 * and what was found. `path` is the folder's, for messages. */
bool prequantized_find(Prequantized **out, const json_t *config, const TensorTable *files,
                       const char *path, Error *err) MUST_USE;
void prequantized_free(Prequantized *q); /* NULL is fine */

/* The matrix of that name; NULL when there is none, or q is NULL. */
const NamedTensor *prequantized_tensor(const Prequantized *q, const char *name);
/* Whether a tensor of the files is a part of some matrix. */
bool prequantized_owns(const Prequantized *q, const char *name);
/* Looks at the contents: scales must be numbers, FP8 weights too. */
bool prequantized_check(const NamedTensor *matrix, Error *err) MUST_USE;

#endif
