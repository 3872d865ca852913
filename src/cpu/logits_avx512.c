/* The kernels of logits.h in AVX-512. */
#include "cpu/vec_avx512.h"

#include "cpu/logits_vector.h"

void logits_kernels_avx512(LogitsKernels *kernels)
{
    *kernels = logits_vector;
}
