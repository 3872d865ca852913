/* See gemm.h. The product is cut into slabs that fit the scratch; in a slab all panels are packed,
 * then all blocks computed, each step one fork over tasks. */
#include "cpu/gemm.h"

#include "cpu/gemm_panels.h"

#include <math.h>

enum {
    POOL_ROWS = 4096,
    POOL_COLS = 4096, /* of a slab that all threads share */
    ALONE_ROWS = 256,
    ALONE_COLS = 512,    /* of a worker's own */
    PACKED_A_TASK = 256, /* rows or columns: of a side that lies across, lines are read whole */
    BLOCKS_A = 16,
    BLOCKS_B = 8 /* panels of a computing task: 128 rows and 256 columns */
};

typedef struct Slab2d {
    const GemmKernels *kernels;
    const Gemm *g;
    int m0, m_len, n0, n_len, k0, k_len;
    bool accumulate;
    char *a, *b; /* panels, gemm_panel_bytes apart */
} Slab2d;

static int min_int(int a, int b) { return a < b ? a : b; }
static int ceil_div(int a, int b) { return (a + b - 1) / b; }

static char *panel_at(char *panels, int width, int i)
{
    return panels + (size_t)(i / width) * gemm_panel_bytes(width);
}

static void pack_task(void *context, int task, int worker)
{
    (void)worker;
    const Slab2d *s = context;
    const Gemm *g = s->g;
    const int n_a = ceil_div(s->m_len, PACKED_A_TASK);
    const bool is_a = task < n_a;
    const int width = is_a ? GEMM_ROWS : GEMM_COLS, len = is_a ? s->m_len : s->n_len;
    const int from = (is_a ? task : task - n_a) * PACKED_A_TASK;
    s->kernels->pack(is_a ? &g->a : &g->b, g->mode, width, (is_a ? s->m0 : s->n0) + from,
                     min_int(PACKED_A_TASK, len - from), s->k0, s->k_len,
                     panel_at(is_a ? s->a : s->b, width, from));
}

/* One block; a block that sticks out of C is computed beside it. */
static void compute_block(const Slab2d *s, const char *a, const char *b, int i, int j)
{
    const Gemm *g = s->g;
    const int rows = min_int(GEMM_ROWS, s->m_len - i), cols = min_int(GEMM_COLS, s->n_len - j);
    const bool is_whole = rows == GEMM_ROWS && cols == GEMM_COLS;
    const bool is_bf16 = g->mode == GEMM_BF16 && s->kernels->has_bf16;
    const int n_k = g->mode == GEMM_BF16 ? s->k_len + s->k_len % 2 : s->k_len;
    _Alignas(64) float beside[GEMM_ROWS * GEMM_COLS];
    float *c = g->c + (size_t)(s->m0 + i) * g->c_stride + (size_t)(s->n0 + j);
    float *to = is_whole ? c : beside;
    const size_t stride = is_whole ? g->c_stride : GEMM_COLS;

    if (!s->accumulate || !is_whole)
        for (int r = 0; r < GEMM_ROWS; r++)
            memset(to + (size_t)r * stride, 0, sizeof(float) * GEMM_COLS);
    if (s->accumulate && !is_whole)
        for (int r = 0; r < rows; r++)
            memcpy(to + (size_t)r * stride, c + (size_t)r * g->c_stride,
                   sizeof(float) * (size_t)cols);
    (is_bf16 ? s->kernels->block_bf16 : s->kernels->block_f32)(n_k, a, b, to, stride);
    if (!is_whole)
        for (int r = 0; r < rows; r++)
            memcpy(c + (size_t)r * g->c_stride, to + (size_t)r * stride,
                   sizeof(float) * (size_t)cols);
}

static void compute_task(void *context, int task, int worker)
{
    (void)worker;
    const Slab2d *s = context;
    const int n_a = ceil_div(s->m_len, GEMM_ROWS), n_b = ceil_div(s->n_len, GEMM_COLS);
    const int tasks_a = ceil_div(n_a, BLOCKS_A);
    const int a0 = task % tasks_a * BLOCKS_A, b0 = task / tasks_a * BLOCKS_B;
    for (int pb = b0; pb < min_int(b0 + BLOCKS_B, n_b); pb++)
        for (int pa = a0; pa < min_int(a0 + BLOCKS_A, n_a); pa++)
            compute_block(s, panel_at(s->a, GEMM_ROWS, pa * GEMM_ROWS),
                          panel_at(s->b, GEMM_COLS, pb * GEMM_COLS), pa * GEMM_ROWS,
                          pb * GEMM_COLS);
}

static void run_tasks(Pool *pool, int n_tasks, PoolTask *run, Slab2d *s)
{
    if (pool) {
        pool_run(pool, n_tasks, run, s);
        return;
    }
    for (int i = 0; i < n_tasks; i++)
        run(s, i, 0);
}

static void run_slab(Slab2d *s, Pool *pool)
{
    const int n_a = ceil_div(s->m_len, GEMM_ROWS), n_b = ceil_div(s->n_len, GEMM_COLS);
    run_tasks(pool, ceil_div(s->m_len, PACKED_A_TASK) + ceil_div(s->n_len, PACKED_A_TASK),
              pack_task, s);
    run_tasks(pool, ceil_div(n_a, BLOCKS_A) * ceil_div(n_b, BLOCKS_B), compute_task, s);
}

static size_t panels_bytes(int width, int n)
{
    return (size_t)(n / width) * gemm_panel_bytes(width);
}

size_t gemm_scratch_bytes(bool has_pool)
{
    return panels_bytes(GEMM_ROWS, has_pool ? POOL_ROWS : ALONE_ROWS) +
           panels_bytes(GEMM_COLS, has_pool ? POOL_COLS : ALONE_COLS);
}

void gemm_run(const GemmKernels *kernels, const Gemm *g, Pool *pool, void *scratch)
{
    const int rows = pool ? POOL_ROWS : ALONE_ROWS, cols = pool ? POOL_COLS : ALONE_COLS;
    const int step =
        GEMM_SLAB_BYTES / (g->mode == GEMM_BF16 && kernels->has_bf16 ? 2 : (int)sizeof(float));
    Slab2d s = {.kernels = kernels, .g = g, .a = scratch};
    s.b = s.a + panels_bytes(GEMM_ROWS, rows);
    if (g->k == 0 && !g->accumulate)
        for (int i = 0; i < g->m; i++)
            memset(g->c + (size_t)i * g->c_stride, 0, sizeof(float) * (size_t)g->n);
    for (s.m0 = 0; s.m0 < g->m; s.m0 += rows) {
        s.m_len = min_int(rows, g->m - s.m0);
        for (s.n0 = 0; s.n0 < g->n; s.n0 += cols) {
            s.n_len = min_int(cols, g->n - s.n0);
            for (s.k0 = 0; s.k0 < g->k; s.k0 += step) {
                s.k_len = min_int(step, g->k - s.k0);
                s.accumulate = g->accumulate || s.k0 > 0;
                run_slab(&s, pool);
            }
        }
    }
}

static void block_f32(int n_k, const void *a, const void *b, float *c, size_t c_stride)
{
    const float *pa = a, *pb = b;
    for (int k = 0; k < n_k; k++, pa += GEMM_ROWS, pb += GEMM_COLS)
        for (int i = 0; i < GEMM_ROWS; i++)
            for (int j = 0; j < GEMM_COLS; j++)
                c[(size_t)i * c_stride + (size_t)j] =
                    fmaf(pa[i], pb[j], c[(size_t)i * c_stride + (size_t)j]);
}

void gemm_kernels_ref(GemmKernels *kernels)
{
    *kernels = (GemmKernels){.pack = gemm_pack_as_f32, .block_f32 = block_f32};
}
