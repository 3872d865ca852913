/* The int8 loop of limits.h with vpdpbusd in the encoding of AVX-VNNI. */
#include "cpu/limits_vnni.h"

void limit_kernels_avxvnni(LimitKernels *kernels) { kernels->int8 = limit_int8; }
