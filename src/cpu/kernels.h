/* The CPU's inner table: one complete, constant set of leaf functions for each instruction-set
 * level.
 *
 * The plain C function is the reference; X_<isa>.c beside X.c overwrites entries. Levels are named
 * bundles of features: a level includes those before it. kernels_for(level) lets a test hold two
 * levels side by side; WEN_ISA=NAME forces one at run time.
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
    ISA_REF, /* ref: plain C */
#if defined(__x86_64__)
    ISA_AVX2,       /* avx2: AVX2, FMA, F16C: x86-64-v3 */
    ISA_AVXVNNI,    /* avxvnni: and byte products in 256 bits: Alder Lake, Zen 5. The levels after
                       it have them in the encoding of AVX-512, which then serves it */
    ISA_AVX512,     /* avx512: F BW DQ VL and VNNI: Ice Lake, Zen 4 */
    ISA_AVX512BF16, /* avx512bf16: and BF16: Sapphire Rapids, Zen 4 */
#elif defined(__aarch64__)
    ISA_NEON,     /* neon: what every ARMv8-A has */
    ISA_NEONDOT,  /* neondot: and dot products of bytes: Cortex-A76, Apple M1, Neoverse N1 */
    ISA_NEONI8MM, /* neoni8mm: and byte matrices: Cortex-A710, Apple M2, Neoverse V1 */
#endif
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
/* The names of the levels that this build has kernels for. */
const char *const *isa_names(int *n_built);
/* isa_detect(), or what WEN_ISA says; an unknown or unavailable level is an error. */
bool isa_choose(IsaLevel *level, Error *err) MUST_USE;
/* The table of a level; level <= isa_detect(). */
const Kernels *kernels_for(IsaLevel level);
#if defined(__x86_64__)
/* Level avxvnni in its own encoding or in that of AVX-512. False: the processor has not got it. */
bool kernels_avxvnni(bool in_evex, Kernels *k);
#endif

#endif
