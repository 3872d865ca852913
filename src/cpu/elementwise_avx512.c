/* The kernels of elementwise.h in AVX-512. */
#include "cpu/vec_avx512.h"

#include "cpu/elementwise_vector.h"

void elementwise_kernels_avx512(ElementwiseKernels *kernels)
{
    *kernels = elementwise_vector;
}
