/* The CPU backend's own state: what its operations share. */
#ifndef WEN_CPU_CPU_BACKEND_H
#define WEN_CPU_CPU_BACKEND_H

#include "backend/backend.h"
#include "base/pool.h"
#include "cpu/kernels.h"
#include "cpu/slab.h"
#include "dist/comm.h"

#include <pthread.h>

typedef struct CpuBackend {
    Backend base; /* first: a Backend * is a CpuBackend * */
    Pool *pool;
    const Kernels *kernels;
    IsaLevel level;
    Slab *slabs;                 /* memory of the weights, */
    pthread_mutex_t slabs_mutex; /* which may be freed while others are at work */
    Comm *comm;                  /* this backend's end of its group; owned */
    bool has_divided;            /* banks: cpu_divided.h */
    void *exchange;              /* rows of other ranks on their way through them */
    size_t exchange_bytes;
    /* Scratch of the operations, grown only by reserve(). */
    void *acts; /* of one matmul: see cpu_weight_reserve_bytes */
    size_t acts_bytes;
    /* Of the others: a shared piece, then one for each worker. */
    void *scratch;
    size_t scratch_bytes, scratch_shared_bytes, scratch_worker_bytes;
    struct CpuTraining *training; /* cpu_training.h; NULL until reserve_training */
} CpuBackend;

/* n_threads 0: one a processor. The level is what WEN_ISA says, or the processor's best. */
Backend *cpu_backend_open(int n_threads, Error *err) MUST_USE;
/* The same as a rank; takes `comm` over when it works. */
Backend *cpu_backend_open_rank(int n_threads, Comm *comm, Error *err) MUST_USE;
/* See backend_run_ranks: ranks are threads. */
bool cpu_run_ranks(int n_ranks, int n_threads, RankBody *body, void *context, Error *err) MUST_USE;
/* See BackendChoices. */
const char *const *cpu_levels(int *n_levels, int *n_usable);
/* Fills the section "Collectives" of the table. */
void cpu_collective_operations(Backend *b);

static inline CpuBackend *cpu_of(Backend *b) { return (CpuBackend *)b; }

#endif
