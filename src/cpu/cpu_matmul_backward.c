/* The two products behind y = x W^T: dx = dy W reads the packed weight by its columns, and
 * dW += dy^T x multiplies activations with gradients. Both are gemm.h with other sides. */
#include "base/bug.h"
#include "base/clock.h"
#include "cpu/cpu_training.h"
#include "cpu/cpu_weight.h"

static GemmMode mode_of(DType type)
{
    ASSERT(type == DTYPE_F32 || type == DTYPE_BF16);
    return type == DTYPE_F32 ? GEMM_F32 : GEMM_BF16;
}

static GemmSide rows_side(Mat m, bool is_transposed)
{
    return (GemmSide){is_transposed ? GEMM_ACROSS : GEMM_ALONG, m.data, (size_t)m.stride};
}

void cpu_product(Backend *b, DType type, Mat a, bool a_is_transposed, Mat other,
                 bool b_is_transposed, Mat c)
{
    CpuBackend *cpu = cpu_of(b);
    const Gemm g = {mode_of(type),
                    c.rows,
                    c.cols,
                    a_is_transposed ? a.rows : a.cols,
                    rows_side(a, a_is_transposed),
                    rows_side(other, !b_is_transposed),
                    c.data,
                    (size_t)c.stride,
                    false};
    gemm_run(&cpu->kernels->gemm, &g, cpu->pool, cpu->training->shared);
}

/* dx (+)= dy W for matrix `mat` of a weight. */
static Gemm backward_x(const Weight *w, int mat, Mat dy, Mat dx, bool accumulate)
{
    const WeightView view = cpu_weight_view(w, mat);
    ASSERT(view.n_rows == dy.cols && view.n_cols == dx.cols);
    const GemmLayout layout = view.type == DTYPE_F32 ? GEMM_TILES_F32 : GEMM_TILES_BF16;
    return (Gemm){mode_of(view.type),
                  dx.rows,
                  dx.cols,
                  dy.cols,
                  rows_side(dy, false),
                  {layout, view.tiles, view.tile_bytes},
                  dx.data,
                  (size_t)dx.stride,
                  accumulate};
}

/* dw += dy^T x. */
static Gemm backward_w(GemmMode mode, Mat dy, Mat x, float *dw)
{
    return (Gemm){mode, dy.cols,        x.cols, x.rows, rows_side(dy, true), rows_side(x, true),
                  dw,   (size_t)x.cols, true};
}

void cpu_matmul_backward_x(Backend *b, int n, Weight *const w[], const Mat dy[], Mat dx)
{
    CpuBackend *cpu = cpu_of(b);
    for (int i = 0; i < n; i++) {
        const Gemm g = backward_x(w[i], 0, dy[i], dx, i > 0);
        gemm_run(&cpu->kernels->gemm, &g, cpu->pool, cpu->training->shared);
    }
}

void cpu_matmul_backward_w(Backend *b, int n, Weight *const w[], const Mat dy[], Mat x,
                           float *const dw[])
{
    CpuBackend *cpu = cpu_of(b);
    for (int i = 0; i < n; i++) {
        const Gemm g = backward_w(mode_of(cpu_weight_view(w[i], 0).type), dy[i], x, dw[i]);
        gemm_run(&cpu->kernels->gemm, &g, cpu->pool, cpu->training->shared);
    }
}

/* ---- Experts: each is one task with its own small products ------------------------------------
 */

typedef struct ExpertJob {
    CpuBackend *cpu;
    int n;
    Weight *const *bank;
    const MoeRoutes *routes;
    const Mat *dy;
    Mat x; /* dx or x */
    float *const *dw;
} ExpertJob;

static void expert_x_task(void *context, int e, int worker)
{
    const ExpertJob *job = context;
    const int from = job->routes->offset[e], n_rows = job->routes->offset[e + 1] - from;
    for (int i = 0; i < job->n && n_rows > 0; i++) {
        const Gemm g = backward_x(job->bank[i], e, mat_rows(job->dy[i], from, n_rows),
                                  mat_rows(job->x, from, n_rows), i > 0);
        gemm_run(&job->cpu->kernels->gemm, &g, NULL, cpu_training_worker(job->cpu, worker));
    }
}

void cpu_matmul_experts_backward_x_here(Backend *b, int n, Weight *const bank[],
                                        const MoeRoutes *routes, const Mat dy[], Mat dx)
{
    ExpertJob job = {.cpu = cpu_of(b), .n = n, .bank = bank, .routes = routes, .dy = dy, .x = dx};
    pool_run(job.cpu->pool, routes->n_experts, expert_x_task, &job);
}

/* An expert's rows in a micro-batch may be odd in number, so pairs would differ with the cut:
 * bfloat16 is multiplied one row at a time. */
static void expert_w_task(void *context, int e, int worker)
{
    const ExpertJob *job = context;
    const int from = job->routes->offset[e], n_rows = job->routes->offset[e + 1] - from;
    for (int i = 0; i < job->n && n_rows > 0; i++) {
        const bool is_f32 = cpu_weight_view(job->bank[i], e).type == DTYPE_F32;
        const Mat dy = mat_rows(job->dy[i], from, n_rows), x = mat_rows(job->x, from, n_rows);
        const Gemm g = backward_w(is_f32 ? GEMM_F32 : GEMM_BF16_SINGLE, dy, x,
                                  job->dw[i] + (size_t)e * (size_t)dy.cols * (size_t)x.cols);
        gemm_run(&job->cpu->kernels->gemm, &g, NULL, cpu_training_worker(job->cpu, worker));
    }
}

void cpu_matmul_experts_backward_w_here(Backend *b, int n, Weight *const bank[],
                                        const MoeRoutes *routes, const Mat dy[], Mat x,
                                        float *const dw[])
{
    ExpertJob job = {
        .cpu = cpu_of(b), .n = n, .bank = bank, .routes = routes, .dy = dy, .x = x, .dw = dw};
    pool_run(job.cpu->pool, routes->n_experts, expert_w_task, &job);
}

/* ---- The best that the product's kernel can do -------------------------------------------------
 */

enum { PEAK_BLOCKS = 2000, PEAK_K = 128, PEAK_RUNS = 10 };

typedef struct PeakJob {
    const GemmKernels *kernels;
    bool is_bf16;
} PeakJob;

/* The same panels again and again: they stay in the nearest cache. */
static void peak_task(void *context, int task, int worker)
{
    (void)task;
    (void)worker;
    const PeakJob *job = context;
    _Alignas(64) float a[PEAK_K * GEMM_ROWS] = {0}, b[PEAK_K * GEMM_COLS] = {0};
    _Alignas(64) float c[GEMM_ROWS * GEMM_COLS] = {0};
    for (int i = 0; i < PEAK_BLOCKS; i++)
        (job->is_bf16 ? job->kernels->block_bf16 : job->kernels->block_f32)(
            job->is_bf16 ? 2 * PEAK_K : PEAK_K, a, b, c, GEMM_COLS);
}

double cpu_peak_flops(Backend *b, DType type)
{
    CpuBackend *cpu = cpu_of(b);
    PeakJob job = {&cpu->kernels->gemm, type == DTYPE_BF16 && cpu->kernels->gemm.has_bf16};
    const double flops =
        2.0 * GEMM_ROWS * GEMM_COLS * PEAK_K * PEAK_BLOCKS * (job.is_bf16 ? 2 : 1) * b->n_threads;
    double best = 0;
    for (int i = 0; i < PEAK_RUNS; i++) {
        const double start = clock_seconds();
        pool_run(cpu->pool, b->n_threads, peak_task, &job);
        const double rate = flops / (clock_seconds() - start);
        best = rate > best ? rate : best;
    }
    return best;
}
