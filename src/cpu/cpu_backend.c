/* The CPU behind the seam: opening, memory, and the table of operations. */
#include "cpu/cpu_backend.h"

#include "base/bug.h"
#include "base/mem.h"
#include "cpu/cpu_divided.h"
#include "cpu/cpu_ops.h"
#include "cpu/cpu_training.h"
#include "cpu/cpu_weight.h"

#include <string.h>

/* From this size on memory comes from the system, on huge pages. */
enum { MAP_BYTES = 1024 * 1024 };

static void *cpu_alloc(Backend *b, size_t bytes, const char *what, Error *err)
{
    (void)b;
    return bytes >= MAP_BYTES ? mem_map(bytes, what, err) : mem_try_alloc(bytes, what, err);
}

static void cpu_free(Backend *b, void *memory, size_t bytes)
{
    (void)b;
    if (bytes >= MAP_BYTES)
        mem_unmap(memory, bytes);
    else
        mem_free(memory);
}

static void cpu_upload(Backend *b, void *device, const void *host, size_t bytes)
{
    (void)b;
    memcpy(device, host, bytes);
}

/* Operations are done when they return: nothing to wait for. */
static void cpu_fetch(Backend *b, void *host, const void *device, size_t bytes)
{
    (void)b;
    memcpy(host, device, bytes);
}

static size_t size_max(size_t a, size_t b) { return a > b ? a : b; }

/* Mapped, so that what no operation touches takes no memory. */
static bool grow(void **memory, size_t *have, size_t bytes, const char *what, Error *err)
{
    if (bytes <= *have)
        return true;
    void *grown = mem_map(bytes, what, err);
    if (!grown)
        return false;
    mem_unmap(*memory, *have);
    *memory = grown;
    *have = bytes;
    return true;
}

static bool cpu_reserve(Backend *b, int n_rows, int n_cols, Error *err)
{
    CpuBackend *cpu = cpu_of(b);
    /* All ranks' rows may come to a divided bank. */
    if (cpu->has_divided && n_rows > INT32_MAX / b->n_ranks)
        return error_set(err, ERROR_LIMIT, "%d rows of %d ranks at a time are too many", n_rows,
                         b->n_ranks);
    const int n_brought = cpu->has_divided ? n_rows * b->n_ranks : n_rows;
    if (!grow(&cpu->acts, &cpu->acts_bytes, cpu_weight_reserve_bytes(b, n_brought, n_cols),
              "activations of a product", err))
        return false;
    if (cpu->has_divided &&
        !grow(&cpu->exchange, &cpu->exchange_bytes, cpu_divided_reserve_bytes(b, n_brought, n_cols),
              "rows of other ranks", err))
        return false;
    size_t shared =
        size_max(cpu->scratch_shared_bytes, cpu_attention_shared_bytes(b->n_threads, n_rows));
    size_t worker = size_max(cpu->scratch_worker_bytes, cpu_sample_worker_bytes(n_cols));
    worker = size_max(worker, cpu_attention_worker_bytes());
    worker = size_max(worker, sizeof(float) * MOE_EXPERTS_MAX);
    size_t bytes = shared + worker * (size_t)b->n_threads;
    if (bytes <= cpu->scratch_bytes)
        return true;
    if (!grow(&cpu->scratch, &cpu->scratch_bytes, bytes, "scratch memory of the operations", err))
        return false;
    cpu->scratch_shared_bytes = shared;
    cpu->scratch_worker_bytes = worker;
    return true;
}

static void cpu_close(Backend *b)
{
    if (!b)
        return;
    CpuBackend *cpu = cpu_of(b);
    if (cpu->comm)
        cpu->comm->close(cpu->comm);
    pool_close(cpu->pool);
    cpu_training_close(cpu);
    mem_unmap(cpu->acts, cpu->acts_bytes);
    mem_unmap(cpu->scratch, cpu->scratch_bytes);
    mem_unmap(cpu->exchange, cpu->exchange_bytes);
    pthread_mutex_destroy(&cpu->slabs_mutex);
    mem_free(cpu);
}

static const Backend table = {
    .name = "cpu",
    .close = cpu_close,
    .alloc = cpu_alloc,
    .free = cpu_free,
    .upload = cpu_upload,
    .fetch = cpu_fetch,
    .reserve = cpu_reserve,
    .measure_limits = cpu_measure_limits,
    .weight_new = cpu_weight_new,
    .bank_new_divided = cpu_bank_new_divided,
    .weight_set = cpu_weight_set,
    .weight_get = cpu_weight_get,
    .weight_bytes = cpu_weight_bytes,
    .weight_free = cpu_weight_free,
    .embed = cpu_embed,
    .matmul = cpu_matmul,
    .matmul_experts = cpu_matmul_experts,
    .add_bias = cpu_add_bias,
    .add = cpu_add,
    .rms_norm = cpu_rms_norm,
    .rope_table = cpu_rope_table,
    .rope = cpu_rope,
    .gather_rows = cpu_gather_rows,
    .swiglu = cpu_swiglu,
    .moe_route = cpu_moe_route,
    .moe_combine = cpu_moe_combine,
    .kv_new = cpu_kv_new,
    .kv_free = cpu_kv_free,
    .kv_copy_page = cpu_kv_copy_page,
    .kv_write = cpu_kv_write,
    .attention = cpu_attention,
    .sample = cpu_sample,
    .logprobs = cpu_logprobs,
};

Backend *cpu_backend_open_rank(int n_threads, Comm *comm, Error *err)
{
    IsaLevel level;
    CpuBackend *cpu = mem_alloc(sizeof *cpu);
    cpu->base = table;
    pthread_mutex_init(&cpu->slabs_mutex, NULL);
    cpu_training_operations(&cpu->base);
    cpu_collective_operations(&cpu->base);
    if (!isa_choose(&level, err))
        goto fail;
    cpu->base.isa = isa_name(level);
    cpu->level = level;
    cpu->kernels = kernels_for(level);
    cpu->pool = pool_open(n_threads, err);
    if (!cpu->pool)
        goto fail;
    cpu->base.n_threads = pool_n_threads(cpu->pool);
    if (!cpu_reserve(&cpu->base, 1, 1, err))
        goto fail;
    cpu->comm = comm;
    cpu->base.rank = comm->rank;
    cpu->base.n_ranks = comm->n_ranks;
    return &cpu->base;
fail:
    cpu_close(&cpu->base);
    return NULL;
}

Backend *cpu_backend_open(int n_threads, Error *err)
{
    return cpu_backend_open_rank(n_threads, comm_none(), err);
}

const char *const *cpu_levels(int *n_levels, int *n_usable)
{
    *n_usable = (int)isa_detect() + 1;
    return isa_names(n_levels);
}
