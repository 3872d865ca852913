/* Inside formats/: one matrix of prequantized.h and where its parts lie. */
#ifndef WEN_FORMATS_PREQUANTIZED_PARTS_H
#define WEN_FORMATS_PREQUANTIZED_PARTS_H

#include "formats/tensor_table.h"

#include <jansson.h>

enum { F8_COLS = 128 };

typedef enum SchemeKind { SCHEME_NONE, SCHEME_FP8, SCHEME_GPTQ, SCHEME_AWQ, SCHEME_MLX } SchemeKind;

/* What config.json says of all matrices. */
typedef struct Scheme {
    SchemeKind kind;
    int64_t bits, group;            /* group -1: a whole row */
    int zero_offset;                /* GPTQ: what is added to a stored zero */
    int64_t block_rows, block_cols; /* FP8 */
    const json_t *overrides;        /* MLX: objects with other bits and group_size, by name */
} Scheme;

typedef struct Matrix {
    TensorRows rows; /* first, so that it leads here */
    SchemeKind kind;
    DType type;
    int64_t n_experts, n_rows, n_cols; /* [n_experts, n_rows, n_cols] */
    int64_t bits, group;
    int zero_offset;
    int64_t block_rows, block_cols;
    const NamedTensor *codes, *scales, *zeros; /* zeros: qzeros, or MLX's biases; FP8: NULL */
} Matrix;

void prequantized_make(const TensorRows *rows, int64_t first_row, int64_t n, int64_t first_col,
                       int64_t n_cols, void *out);

#endif
