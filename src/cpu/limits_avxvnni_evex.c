/* The int8 loop of limits.h with vpdpbusd in 256 bits, in the encoding of AVX-512. */
#include "cpu/limits_vnni.h"

void limit_kernels_avxvnni_evex(LimitKernels *kernels) { kernels->int8 = limit_int8; }
