/* The CPU backend's own state: what its operations share. */
#ifndef WEN_CPU_CPU_BACKEND_H
#define WEN_CPU_CPU_BACKEND_H

#include "backend/backend.h"
#include "base/pool.h"
#include "cpu/kernels.h"
#include "cpu/slab.h"

typedef struct CpuBackend {
    Backend base; /* first: a Backend * is a CpuBackend * */
    Pool *pool;
    const Kernels *kernels;
    IsaLevel level;
    Slab *slabs; /* memory of the weights */
    /* Scratch of the operations, grown only by reserve(). */
    void *acts; /* of one matmul: see cpu_weight_reserve_bytes */
    size_t acts_bytes;
    void *scratch; /* per-worker space of attention and sampling */
    size_t scratch_bytes;
} CpuBackend;

static inline CpuBackend *cpu_of(Backend *b) { return (CpuBackend *)b; }

#endif
