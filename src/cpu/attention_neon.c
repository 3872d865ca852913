/* The kernels of attention.h in NEON. */
#include "cpu/vec_neon.h"

#include "cpu/attention_vector.h"

void attention_kernels_neon(AttentionKernels *kernels) { *kernels = attention_vector; }
