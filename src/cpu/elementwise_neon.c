/* The kernels of elementwise.h in NEON. */
#include "cpu/vec_neon.h"

#include "cpu/elementwise_vector.h"

void elementwise_kernels_neon(ElementwiseKernels *kernels) { *kernels = elementwise_vector; }
