/* See kernels.h. */
#include "cpu/kernels.h"

#include "base/bug.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[ISA_COUNT] = {"ref", "avx2", "avx512", "avx512bf16"};

static Kernels tables[ISA_COUNT]; /* written once, under fill_once */
static pthread_once_t fill_once = PTHREAD_ONCE_INIT;

/* Only the levels of this processor: also the functions that fill a table may be made of the
 * instructions of its level. */
static void fill_tables(void)
{
    const IsaLevel best = isa_detect();
    Kernels k = {0};
    matmul_kernels_ref(&k.matmul);
    attention_kernels_ref(&k.attention);
    elementwise_kernels_ref(&k.elementwise);
    logits_kernels_ref(&k.logits);
    gemm_kernels_ref(&k.gemm);
    backward_kernels_ref(&k.backward);
    limit_kernels_ref(&k.limits);
    tables[ISA_REF] = k;
#if defined(__x86_64__)
    if (best < ISA_AVX2)
        return;
    matmul_kernels_avx2(&k.matmul);
    attention_kernels_avx2(&k.attention);
    elementwise_kernels_avx2(&k.elementwise);
    logits_kernels_avx2(&k.logits);
    gemm_kernels_avx2(&k.gemm);
    backward_kernels_avx2(&k.backward);
    limit_kernels_avx2(&k.limits);
    tables[ISA_AVX2] = k;
    if (best < ISA_AVX512)
        return;
    matmul_kernels_avx512(&k.matmul);
    attention_kernels_avx512(&k.attention);
    elementwise_kernels_avx512(&k.elementwise);
    logits_kernels_avx512(&k.logits);
    gemm_kernels_avx512(&k.gemm);
    backward_kernels_avx512(&k.backward);
    limit_kernels_avx512(&k.limits);
    tables[ISA_AVX512] = k;
    if (best < ISA_AVX512BF16)
        return;
    matmul_kernels_avx512bf16(&k.matmul);
    gemm_kernels_avx512bf16(&k.gemm);
    limit_kernels_avx512bf16(&k.limits);
    tables[ISA_AVX512BF16] = k;
#endif
}

IsaLevel isa_detect(void)
{
    IsaLevel level = ISA_REF;
#if defined(__x86_64__)
    /* F16C came before AVX2 everywhere; clang 14 cannot ask for it. */
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        level = ISA_AVX2;
        if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
            __builtin_cpu_supports("avx512vnni"))
            level = __builtin_cpu_supports("avx512bf16") ? ISA_AVX512BF16 : ISA_AVX512;
    }
#endif
    return level;
}

const char *isa_name(IsaLevel level) { return names[level]; }

const char *const *isa_names(int *n_built)
{
#if defined(__x86_64__)
    *n_built = ISA_COUNT;
#else
    *n_built = ISA_REF + 1;
#endif
    return names;
}

bool isa_choose(IsaLevel *level, Error *err)
{
    const char *wanted = getenv("WEN_ISA");
    IsaLevel best = isa_detect();
    *level = best;
    if (!wanted || !*wanted)
        return true;
    for (int i = 0; i < ISA_COUNT; i++) {
        if (strcmp(wanted, names[i]) != 0)
            continue;
        if (i > (int)best)
            return error_set(err, ERROR_DEVICE, "WEN_ISA=%s: this processor reaches only %s",
                             wanted, names[best]);
        *level = (IsaLevel)i;
        return true;
    }
    return error_set(err, ERROR_ARGUMENT,
                     "WEN_ISA=%s: not known; use ref, avx2, avx512 or avx512bf16", wanted);
}

const Kernels *kernels_for(IsaLevel level)
{
    ASSERT(level <= isa_detect());
    pthread_once(&fill_once, fill_tables);
    return &tables[level];
}
