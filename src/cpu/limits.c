/* See limits.h. */
#include "cpu/limits.h"

enum { LANES = 32 };

/* The compiler may not look through it: a loop stays a loop. */
static void barrier(void *memory) { __asm__ volatile("" : : "r"(memory) : "memory"); }

static double f32_ref(long n, float *sink)
{
    float a[LANES] = {0};
    for (long i = 0; i < n; i++)
        for (int j = 0; j < LANES; j++)
            a[j] = a[j] * 0.5f + 1;
    for (int j = 0; j < LANES; j++)
        *sink += a[j];
    return 2.0 * LANES * (double)n;
}

static double int8_ref(long n, float *sink)
{
    int32_t sum[LANES] = {0};
    uint8_t u[LANES];
    int8_t s[LANES];
    for (int j = 0; j < LANES; j++) {
        u[j] = (uint8_t)j;
        s[j] = (int8_t)(j - LANES / 2);
    }
    for (long i = 0; i < n; i++) {
        barrier(u);
        for (int j = 0; j < LANES; j++)
            sum[j] = (int32_t)((uint32_t)sum[j] + (uint32_t)(u[j] * s[j]));
    }
    for (int j = 0; j < LANES; j++)
        *sink += (float)sum[j];
    return 2.0 * LANES * (double)n;
}

static uint64_t read_ref(const uint64_t *x, size_t n_lines)
{
    uint64_t sum[8] = {0}, all = 0;
    for (size_t i = 0; i < n_lines; i++)
        for (int j = 0; j < 8; j++)
            sum[j] += x[8 * i + (size_t)j];
    for (int j = 0; j < 8; j++)
        all += sum[j];
    return all;
}

void limit_kernels_ref(LimitKernels *kernels)
{
    *kernels = (LimitKernels){.f32 = f32_ref, .bf16 = f32_ref, .int8 = int8_ref, .read = read_ref};
}
