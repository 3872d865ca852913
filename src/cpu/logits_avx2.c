/* The kernels of logits.h in AVX2. */
#include "cpu/vec_avx2.h"

#include "cpu/logits_vector.h"

void logits_kernels_avx2(LogitsKernels *kernels)
{
    *kernels = logits_vector;
}
