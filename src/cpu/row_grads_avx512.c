/* row_grads.h compiled for AVX-512; the text is row_grads_text.h. */
#include "cpu/row_grads.h"

#define WEN_ROWS_F32
#include "cpu/row_grads_text.h"

void backward_kernels_avx512(BackwardKernels *kernels) { rows_fill(kernels); }
