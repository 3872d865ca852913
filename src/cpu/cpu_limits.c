/* Measures what the machine can do with all threads; see limits.h. */
#include "cpu/cpu_ops.h"

#include "base/clock.h"
#include "base/mem.h"

#include <string.h>

enum {
    SLICES = 8,       /* of the memory, for each thread */
    ROUNDS = 1 << 19, /* of a loop in registers: some milliseconds */
    N_LIMITS = 4,
};
static const size_t READ_BYTES = (size_t)1 << 30; /* no cache holds a part worth speaking of */

typedef struct Probe {
    const LimitKernels *kernels;
    char *memory;
    size_t slice_bytes;
    int which;           /* 0: read, 1: f32, 2: bf16, 3: int8 */
    double amounts[256]; /* bytes or operations of each task */
    float sinks[256];
} Probe;

static void clear_task(void *context, int task, int worker)
{
    Probe *p = context;
    (void)worker;
    memset(p->memory + (size_t)task * p->slice_bytes, 1, p->slice_bytes);
}

static void read_task(void *context, int task, int worker)
{
    Probe *p = context;
    const void *slice = p->memory + (size_t)task * p->slice_bytes;
    p->sinks[worker] += (float)(p->kernels->read(slice, p->slice_bytes / 64) & 1);
}

static void multiply_task(void *context, int task, int worker)
{
    Probe *p = context;
    (void)worker;
    float sink = 0;
    double (*loop)(long, float *) = p->which == 1   ? p->kernels->f32
                                    : p->which == 2 ? p->kernels->bf16
                                                    : p->kernels->int8;
    p->amounts[task] = loop(ROUNDS, &sink);
    p->sinks[task] = sink;
}

/* What one probe finds, a second. */
static double probe_once(CpuBackend *cpu, Probe *p)
{
    const int n_threads = cpu->base.n_threads;
    const double started = clock_seconds();
    double amount = 0;
    if (p->which == 0) {
        pool_run(cpu->pool, SLICES * n_threads, read_task, p);
        amount = (double)p->slice_bytes * SLICES * n_threads;
    } else {
        pool_run(cpu->pool, n_threads, multiply_task, p);
        for (int i = 0; i < n_threads; i++)
            amount += p->amounts[i];
    }
    return amount / (clock_seconds() - started);
}

bool cpu_measure_limits(Backend *b, int n_rounds, Limits *limits, Error *err)
{
    CpuBackend *cpu = cpu_of(b);
    const size_t line = 64, n_slices = (size_t)SLICES * (size_t)b->n_threads;
    Probe p = {.kernels = &cpu->kernels->limits};
    p.slice_bytes = READ_BYTES / n_slices / line * line;
    p.memory = mem_map(p.slice_bytes * n_slices, "the memory that is read to measure it", err);
    if (!p.memory)
        return false;
    pool_run(cpu->pool, (int)n_slices, clear_task, &p);
    double best[N_LIMITS] = {0};
    for (int round = 0; round < n_rounds; round++) {
        for (p.which = 0; p.which < N_LIMITS; p.which++) {
            double found = probe_once(cpu, &p);
            best[p.which] = found > best[p.which] ? found : best[p.which];
        }
    }
    mem_unmap(p.memory, p.slice_bytes * n_slices);
    *limits = (Limits){best[0], best[1], best[2], best[3]};
    return true;
}
