/* The table of element types: what a weight on disk or in memory can be made of.
 *
 * Block types store `block_len` consecutive elements of a row in `block_bytes` bytes; a row of such
 * a type has a length that is a multiple of block_len. Layouts: ggml's (docs/formats.md). */
#ifndef WEN_TENSOR_DTYPE_H
#define WEN_TENSOR_DTYPE_H

#include "base/str.h"

typedef enum DType {
    DTYPE_F32,
    DTYPE_F16,
    DTYPE_BF16,
    DTYPE_Q8_0,
    DTYPE_Q4_0,
    DTYPE_Q4_1,
    DTYPE_Q5_0,
    DTYPE_Q5_1,
    DTYPE_Q4_K,
    DTYPE_Q5_K,
    DTYPE_Q6_K,
    DTYPE_COUNT
} DType;

typedef struct DTypeInfo {
    const char *name; /* "F32", "Q4_K": as files and the command line spell it */
    int block_len;    /* elements of one block; 1 for plain types */
    int block_bytes;
    int ggml_id;      /* its number in GGUF files */
} DTypeInfo;

const DTypeInfo *dtype_info(DType type);
const char *dtype_name(DType type);
/* Case-insensitive. False when there is no such type. */
bool dtype_from_name(Str name, DType *type);
bool dtype_from_ggml(uint32_t ggml_id, DType *type);
/* Bytes of n elements of one row; n is a multiple of block_len. */
size_t dtype_row_bytes(DType type, int64_t n);

#endif
