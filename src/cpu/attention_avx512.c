/* The kernels of attention.h in AVX-512. */
#include "cpu/vec_avx512.h"

#include "cpu/attention_vector.h"

void attention_kernels_avx512(AttentionKernels *kernels) { *kernels = attention_vector; }
