/* The table of element types: what a weight on disk or in memory can be made of.
 *
 * Block types store `block_len` consecutive elements of a row in `block_bytes` bytes; a row of such
 * a type has a length that is a multiple of block_len. Layouts: ggml's, and for A4_n, A8_n and
 * F8_128, which exist in memory only, our own (docs/formats.md). */
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
    DTYPE_Q2_K,
    DTYPE_Q3_K,
    DTYPE_IQ4_NL,
    DTYPE_IQ4_XS,
    DTYPE_MXFP4,
    DTYPE_A4_32, /* affine groups of 32, 64, 128: what GPTQ, AWQ and MLX weights become */
    DTYPE_A4_64,
    DTYPE_A4_128,
    DTYPE_A8_32,
    DTYPE_A8_64,
    DTYPE_A8_128,
    DTYPE_F8_128, /* E4M3 with a scale for each 128: what FP8 weights become */
    DTYPE_COUNT
} DType;

typedef struct DTypeInfo {
    const char *name; /* "F32", "Q4_K": as files and the command line spell it */
    int block_len;    /* elements of one block; 1 for plain types */
    int block_bytes;
    int ggml_id; /* its number in GGUF files; -1: none */
} DTypeInfo;

const DTypeInfo *dtype_info(DType type);
const char *dtype_name(DType type);
/* Case-insensitive. False when there is no such type. */
bool dtype_from_name(Str name, DType *type);
bool dtype_from_ggml(uint32_t ggml_id, DType *type);
/* Bytes of n elements of one row; n is a multiple of block_len. */
size_t dtype_row_bytes(DType type, int64_t n);

#endif
