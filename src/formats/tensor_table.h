/* Named tensors of one model, wherever its files put them. */
#ifndef WEN_FORMATS_TENSOR_TABLE_H
#define WEN_FORMATS_TENSOR_TABLE_H

#include "base/file.h"
#include "tensor/tensor.h"

/* Name, type and shape, before any bytes. */
typedef struct TensorInfo {
    const char *name;
    DType type;
    int n_dims;
    int64_t dims[TENSOR_DIMS_MAX]; /* row-major, contiguous last */
} TensorInfo;

typedef struct NamedTensor {
    const char *name; /* as in the file */
    Tensor tensor;    /* data into a mapping of the table; .data NULL if the type is not readable */
    const char *type_name; /* the file's own spelling ("F8_E4M3", "IQ2_XXS") */
    const char *file;      /* path, for messages */
    const void *raw;       /* the bytes of integers and FP8 in safetensors, of the shape in tensor:
                              parts of matrices (prequantized.h), not to be read as they are */
} NamedTensor;

typedef struct TensorTable TensorTable;

TensorTable *tensor_table_new(void);
void tensor_table_free(TensorTable *table); /* unmaps its files; NULL is fine */
/* Lets go of the memory that the mapped files take; reading a tensor again reads the file again. */
void tensor_table_release(const TensorTable *table);
int tensor_table_count(const TensorTable *table);
const NamedTensor *tensor_table_at(const TensorTable *table, int i); /* in file order */
/* NULL when there is none. */
const NamedTensor *tensor_table_find(const TensorTable *table, const char *name);
/* For readers: takes over the mapping; adds a tensor (strings are copied); a name twice is a
 * FORMAT error. */
void tensor_table_own(TensorTable *table, FileMap map);
bool tensor_table_add(TensorTable *table, const NamedTensor *tensor, Error *err) MUST_USE;

#endif
