/* The CPU's inner table: one complete, constant set of leaf functions for each instruction-set
 * level.
 *
 * The plain C function is the reference; X_<isa>.c beside X.c overwrites entries. Levels are named
 * bundles of features: a level includes those before it. kernels_for(level) lets a test hold two
 * levels side by side; WEN_ISA=ref|avx2|avx512|avx512bf16 forces one at run time.
 *
 * Kernels are leaf functions: no allocation, no threads, no errors. */
#ifndef WEN_CPU_KERNELS_H
#define WEN_CPU_KERNELS_H

#include "cpu/attention.h"
#include "cpu/elementwise.h"
#include "cpu/gemm.h"
#include "cpu/limits.h"
#include "cpu/logits.h"
#include "cpu/matmul.h"
#include "cpu/row_grads.h"

typedef enum IsaLevel {
    ISA_REF,        /* plain C */
    ISA_AVX2,       /* AVX2, FMA, F16C: x86-64-v3 */
    ISA_AVX512,     /* F BW DQ VL and VNNI: Ice Lake, Zen 4 */
    ISA_AVX512BF16, /* and BF16: Sapphire Rapids, Zen 4 */
    ISA_COUNT
} IsaLevel;

typedef struct Kernels {
    MatmulKernels matmul;
    AttentionKernels attention;
    ElementwiseKernels elementwise;
    LogitsKernels logits;
    GemmKernels gemm; /* of the backward pass */
    BackwardKernels backward;
    LimitKernels limits; /* yardsticks, no model's */
} Kernels;

/* The best level this processor has. */
IsaLevel isa_detect(void);
const char *isa_name(IsaLevel level);
/* The names of all levels, and how many of them this build has kernels for. */
const char *const *isa_names(int *n_built);
/* isa_detect(), or what WEN_ISA says; an unknown or unavailable level is an error. */
bool isa_choose(IsaLevel *level, Error *err) MUST_USE;
/* The table of a level; level <= isa_detect(). */
const Kernels *kernels_for(IsaLevel level);

#endif
