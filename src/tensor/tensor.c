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
