/* See kernels.h. */
#include "cpu/kernels.h"

#include "base/bug.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

static const char *const names[ISA_COUNT] = {
    "ref",
#if defined(__x86_64__)
    "avx2", "avxvnni", "avx512", "avx512bf16",
#elif defined(__aarch64__)
    "neon",
    "neondot",
    "neoni8mm",
#endif
};

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
    if (best < ISA_AVXVNNI)
        return;
    if (!kernels_avxvnni(false, &k))
        ASSERT(kernels_avxvnni(true, &k));
    tables[ISA_AVXVNNI] = k;
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
#elif defined(__aarch64__)
    matmul_kernels_neon(&k.matmul);
    attention_kernels_neon(&k.attention);
    elementwise_kernels_neon(&k.elementwise);
    logits_kernels_neon(&k.logits);
    gemm_kernels_neon(&k.gemm);
    backward_kernels_neon(&k.backward);
    limit_kernels_neon(&k.limits);
    tables[ISA_NEON] = k;
    if (best < ISA_NEONDOT)
        return;
    matmul_kernels_neondot(&k.matmul);
    limit_kernels_neondot(&k.limits);
    tables[ISA_NEONDOT] = k;
    if (best < ISA_NEONI8MM)
        return;
    matmul_kernels_neoni8mm(&k.matmul);
    limit_kernels_neoni8mm(&k.limits);
    tables[ISA_NEONI8MM] = k;
#else
    (void)best;
#endif
}

#if defined(__x86_64__)
static bool has_avx512vnni(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}

/* A bit that clang 14 cannot ask for by name. */
static bool has_avxvnni(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}

IsaLevel isa_detect(void)
{
    /* F16C came before AVX2 everywhere; clang 14 cannot ask for it. */
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return ISA_REF;
    if (has_avx512vnni())
        return __builtin_cpu_supports("avx512bf16") ? ISA_AVX512BF16 : ISA_AVX512;
    return has_avxvnni() ? ISA_AVXVNNI : ISA_AVX2;
}

bool kernels_avxvnni(bool in_evex, Kernels *k)
{
    if (!(in_evex ? has_avx512vnni() : has_avxvnni() && isa_detect() >= ISA_AVXVNNI))
        return false;
    if (in_evex) {
        matmul_kernels_avxvnni_evex(&k->matmul);
        limit_kernels_avxvnni_evex(&k->limits);
    } else {
        matmul_kernels_avxvnni(&k->matmul);
        limit_kernels_avxvnni(&k->limits);
    }
    return true;
}
#elif defined(__aarch64__)
IsaLevel isa_detect(void)
{
    if (!(getauxval(AT_HWCAP) & HWCAP_ASIMDDP))
        return ISA_NEON;
    return getauxval(AT_HWCAP2) & HWCAP2_I8MM ? ISA_NEONI8MM : ISA_NEONDOT;
}
#else
IsaLevel isa_detect(void) { return ISA_REF; }
#endif

const char *isa_name(IsaLevel level) { return names[level]; }

const char *const *isa_names(int *n_built)
{
    *n_built = ISA_COUNT;
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
    char known[64] = "";
    for (int i = 0; i < ISA_COUNT; i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), " %s", names[i]);
    return error_set(err, ERROR_ARGUMENT, "WEN_ISA=%s: not known; one of:%s", wanted, known);
}

const Kernels *kernels_for(IsaLevel level)
{
    ASSERT(level <= isa_detect());
    pthread_once(&fill_once, fill_tables);
    return &tables[level];
}
