/* The kernels of attention.h in AVX2. */
#include "cpu/vec_avx2.h"

#include "cpu/attention_vector.h"

void attention_kernels_avx2(AttentionKernels *kernels) { *kernels = attention_vector; }
