/* Views of numbers. Neither type owns anything. */
#ifndef WEN_TENSOR_TENSOR_H
#define WEN_TENSOR_TENSOR_H

#include "tensor/dtype.h"

enum { TENSOR_DIMS_MAX = 4 };

/* A tensor as a file holds it: row-major, contiguous, host memory. dims[n_dims - 1] is the
 * contiguous one, so a Linear weight is [out, in] whichever format it came from. */
typedef struct TensorRows TensorRows;

typedef struct Tensor {
    DType type;
    int n_dims;
    int64_t dims[TENSOR_DIMS_MAX];
    const void *data; /* borrowed; may be unaligned (mapped file) */
    size_t bytes;
    /* Where data is NULL: who makes rows that the file has in another order, and the first of this
     * tensor's among them. NULL, too: there are no elements (a shape only). */
    const TensorRows *rows;
    int64_t first_row;
} Tensor;

struct TensorRows {
    /* Writes n_cols columns from first_col on (both multiples of the type's block_len) of n rows
     * from first_row on, as the type lays them out, row after row. Any thread may. */
    void (*make)(const TensorRows *rows, int64_t first_row, int64_t n, int64_t first_col,
                 int64_t n_cols, void *out);
};

/* Product of the dims before the last (1 for a vector), and the last. */
int64_t tensor_n_rows(const Tensor *t);
int64_t tensor_n_cols(const Tensor *t);
/* n rows from `first` on: where they lie, or made into `scratch`, which needs n rows' bytes when
 * t->rows is there. */
const void *tensor_rows(const Tensor *t, int64_t first, int64_t n, void *scratch);

/* Activations: f32 [rows, cols] in the memory of the backend that made them, rows `stride` elements
 * apart. Passed by value. */
typedef struct Mat {
    float *data;
    int rows, cols, stride;
} Mat;

/* Rows from .. from+n-1 of m. */
static inline Mat mat_rows(Mat m, int from, int n)
{
    return (Mat){m.data + (size_t)from * (size_t)m.stride, n, m.cols, m.stride};
}

/* A dense [rows, n_heads * head_dim] matrix seen as [rows * n_heads, head_dim]. */
static inline Mat mat_heads(Mat m, int head_dim)
{
    return (Mat){m.data, m.rows * (m.cols / head_dim), head_dim, head_dim};
}

#endif
