/* How near attention comes to the machine's limits: decoding against the rate at which memory can
 * be read, prefill against the rate of f32 multiply-adds. Qwen3-0.6B's shape: 16 query heads, 8 kv
 * heads, head_dim 128, 28 layers.
 *
 * usage: bench_attention [THREADS] */
#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_backend.h"
#include "cpu/cpu_kv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_HEADS = 16, N_KV_HEADS = 8, HEAD_DIM = 128, N_LAYERS = 28, REPEATS = 7 };
enum { Q_COLS = N_HEADS * HEAD_DIM, KV_COLS = N_KV_HEADS * HEAD_DIM, N_TOKENS_MAX = 4096 };

static bool is_alone;

/* One thread is timed by the processor time it got, which other programs do not lengthen much. */
static double now(void)
{
    struct timespec t;
    if (!is_alone)
        return clock_seconds();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct Probe {
    const uint64_t *data;
    size_t n_each;
    uint64_t sum[256];
    float sink[256];
} Probe;

static void read_task(void *context, int task, int worker)
{
    Probe *probe = context;
    const uint64_t *p = probe->data + (size_t)task * probe->n_each;
    uint64_t sum[16] = {0};
    (void)worker;
    for (size_t i = 0; i < probe->n_each; i += 16)
        for (int j = 0; j < 16; j++)
            sum[j] += p[i + (size_t)j];
    for (int j = 0; j < 16; j++)
        probe->sum[task % 256] += sum[j];
}

/* Bytes a second, read by all threads from huge pages. */
static double read_rate(CpuBackend *cpu)
{
    const size_t bytes = 512u << 20;
    const int n_tasks = 64;
    Error err;
    Probe probe = {.data = mem_map(bytes, "probe", &err), .n_each = bytes / 8 / (size_t)n_tasks};
    double best = 0;
    memset((void *)(uintptr_t)probe.data, 1, bytes);
    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        pool_run(cpu->pool, n_tasks, read_task, &probe);
        best = fmax(best, (double)bytes / (now() - start));
    }
    mem_unmap((void *)(uintptr_t)probe.data, bytes);
    return best;
}

#if defined(__x86_64__)
typedef float Wide __attribute__((vector_size(32)));
enum { FMA_ROUNDS = 2000000, CHAINS = 12 };

__attribute__((target("avx2,fma"))) static void fma_task(void *context, int task, int worker)
{
    Probe *probe = context;
    Wide acc[CHAINS], a = {1, 1, 1, 1, 1, 1, 1, 1}, b = a * 1e-6f;
    (void)worker;
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        acc[c] = b;
    for (int i = 0; i < FMA_ROUNDS; i++) {
#pragma GCC unroll 12
        for (int c = 0; c < CHAINS; c++)
            __asm__("vfmadd231ps %1, %2, %0" : "+x"(acc[c]) : "x"(a), "x"(b));
    }
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; c++)
        probe->sink[task % 256] += acc[c][0];
}

/* Floating-point operations a second in registers. (256 bits; Zen 4 does 512 at the same rate.) */
static double fma_rate(CpuBackend *cpu)
{
    Probe probe = {0};
    int n_tasks = pool_n_threads(cpu->pool);
    double best = 0;
    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        pool_run(cpu->pool, n_tasks, fma_task, &probe);
        double flops = 2.0 * 8 * CHAINS * FMA_ROUNDS * n_tasks;
        best = fmax(best, flops / (now() - start));
    }
    return best;
}
#else
static double fma_rate(CpuBackend *cpu)
{
    (void)cpu;
    return NAN;
}
#endif

typedef struct Bench {
    Backend *b;
    KvStore *kv;
    float *q, *k, *v, *out;
    int32_t pages[N_TOKENS_MAX / KV_PAGE_TOKENS];
} Bench;

static Mat mat(float *data, int rows, int cols) { return (Mat){data, rows, cols, cols}; }

static void step(Bench *bench, int layer, int first, int n, bool writes)
{
    SeqSpan seq = {.n_rows = n, .first_position = first, .pages = bench->pages};
    Batch batch = {.n_tokens = n, .n_seqs = 1, .seqs = &seq};
    Backend *b = bench->b;
    if (writes)
        b->kv_write(b, bench->kv, layer, &batch, mat(bench->k, n, KV_COLS),
                    mat(bench->v, n, KV_COLS));
    else
        b->attention(b, bench->kv, layer, &batch, &(Sight){.scale = 0.0884f},
                     mat(bench->q, n, Q_COLS), mat(bench->out, n, Q_COLS));
}

static void decode(Bench *bench, int depth, double limit)
{
    double best = HUGE_VAL,
           bytes = 2.0 * N_LAYERS * (depth + 1) * KV_COLS * (double)bench->kv->element_bytes;
    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        for (int l = 0; l < N_LAYERS; l++)
            step(bench, l, depth, 1, false);
        best = fmin(best, now() - start);
    }
    printf("decode at %4d: %7.3f ms, %5.1f GB/s, %3.0f %% of the read rate\n", depth, best * 1e3,
           bytes / best * 1e-9, 100 * bytes / best / limit);
}

static void prefill(Bench *bench, int n, double limit)
{
    double best = HUGE_VAL, writes = HUGE_VAL, flops = 2.0 * Q_COLS * n * (double)(n + 1);
    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        step(bench, 0, 0, n, true);
        double middle = now();
        step(bench, 0, 0, n, false);
        writes = fmin(writes, middle - start);
        best = fmin(best, now() - middle);
    }
    printf("prefill %4d: %7.3f ms a layer, %5.1f GFLOP/s, %3.0f %% of the peak; kv_write %.3f ms\n",
           n, best * 1e3, flops / best * 1e-9, 100 * flops / best / limit, writes * 1e3);
}

static bool run(DType type, int n_threads)
{
    Error err;
    Bench bench = {.b = cpu_backend_open(n_threads, &err)};
    if (!bench.b || !bench.b->reserve(bench.b, N_TOKENS_MAX, 16, &err))
        goto failed;
    bench.kv = bench.b->kv_new(bench.b, type, N_LAYERS, N_KV_HEADS, HEAD_DIM,
                               N_TOKENS_MAX / KV_PAGE_TOKENS, &err);
    if (!bench.kv)
        goto failed;
    Rng rng = {1};
    float **all[] = {&bench.q, &bench.k, &bench.v, &bench.out};
    for (int a = 0; a < 4; a++) {
        *all[a] = mem_alloc(sizeof(float) * N_TOKENS_MAX * Q_COLS);
        for (int i = 0; i < N_TOKENS_MAX * Q_COLS; i++)
            (*all[a])[i] = (float)rng_uniform(&rng) - 0.5f;
    }
    for (int i = 0; i < N_TOKENS_MAX / KV_PAGE_TOKENS; i++)
        bench.pages[i] = i;
    for (int l = 0; l < N_LAYERS; l++)
        step(&bench, l, 0, N_TOKENS_MAX, true);
    double reads = read_rate(cpu_of(bench.b)), flops = fma_rate(cpu_of(bench.b));
    printf("%s, %s, %d threads; reads %.1f GB/s, f32 %.0f GFLOP/s\n", dtype_name(type),
           bench.b->isa, bench.b->n_threads, reads * 1e-9, flops * 1e-9);
    decode(&bench, 512, reads);
    decode(&bench, N_TOKENS_MAX - 1, reads);
    prefill(&bench, 512, flops);
    prefill(&bench, 2048, flops);

    for (int a = 0; a < 4; a++)
        mem_free(*all[a]);
    bench.b->kv_free(bench.b, bench.kv);
    bench.b->close(bench.b);
    return true;
failed:
    fprintf(stderr, "bench_attention: %s\n", err.message);
    return false;
}

int main(int argc, char **argv)
{
    int n_threads = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0;
    is_alone = n_threads == 1;
    return run(DTYPE_F16, n_threads) && run(DTYPE_BF16, n_threads) && run(DTYPE_F32, n_threads) ? 0
                                                                                                : 1;
}
