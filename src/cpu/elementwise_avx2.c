/* The kernels of elementwise.h in AVX2. */
#include "cpu/vec_avx2.h"

#include "cpu/elementwise_vector.h"

void elementwise_kernels_avx2(ElementwiseKernels *kernels)
{
    *kernels = elementwise_vector;
}
