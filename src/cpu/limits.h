/* What the processor can do at best: loops that do nothing but multiply in registers, or read. They
 * are the yardsticks of `wen bench`; no model uses them. */
#ifndef WEN_CPU_LIMITS_H
#define WEN_CPU_LIMITS_H

#include <stddef.h>
#include <stdint.h>

typedef struct LimitKernels {
    /* n rounds of multiply-adds on registers, whose result goes to *sink. Returns how many
     * operations that was: a multiplication and an addition are two. bf16: the level's dot products
     * of pairs, or those of f32 where it has none. int8: of groups of bytes into 32 bits. */
    double (*f32)(long n, float *sink);
    double (*bf16)(long n, float *sink);
    double (*int8)(long n, float *sink);
    /* The sum of all words of n_lines cache lines, from a line's beginning. */
    uint64_t (*read)(const uint64_t *x, size_t n_lines);
} LimitKernels;

void limit_kernels_ref(LimitKernels *kernels);
void limit_kernels_avx2(LimitKernels *kernels);
void limit_kernels_avxvnni(LimitKernels *kernels);
void limit_kernels_avxvnni_evex(LimitKernels *kernels);
void limit_kernels_avx512(LimitKernels *kernels);
void limit_kernels_avx512bf16(LimitKernels *kernels);
void limit_kernels_neon(LimitKernels *kernels);
void limit_kernels_neondot(LimitKernels *kernels);
void limit_kernels_neoni8mm(LimitKernels *kernels);

#endif
