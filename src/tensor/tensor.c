/* See tensor.h. */
#include "tensor/tensor.h"

int64_t tensor_n_rows(const Tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i + 1 < t->n_dims; i++)
        n *= t->dims[i];
    return n;
}

int64_t tensor_n_cols(const Tensor *t) { return t->n_dims > 0 ? t->dims[t->n_dims - 1] : 1; }

const void *tensor_rows(const Tensor *t, int64_t first, int64_t n, void *scratch)
{
    if (t->data)
        return (const uint8_t *)t->data +
               (size_t)first * dtype_row_bytes(t->type, tensor_n_cols(t));
    t->rows->make(t->rows, t->first_row + first, n, 0, tensor_n_cols(t), scratch);
    return scratch;
}
