/* Operations of the backward pass that go row by row or column by column, the loss, the optimizer's
 * arithmetic, and the table of them all. Work is cut by shape, never by the number of threads. */
#include "cpu/cpu_training.h"

#include "base/bug.h"
#include "base/mem.h"
#include "cpu/cpu_divided.h"

#include <string.h>

enum {
    ROWS_A_TASK = 16,
    ELEMENTS_A_TASK = 1 << 16 /* of flat arrays */
};

/* What all the tasks below read; each uses the fields of its operation. */
typedef struct RowsJob {
    CpuBackend *cpu;
    const BackwardKernels *kernels;
    int n_rows;
    Mat x, dy, dx, table, up, dup;
    const float *w;
    float eps;
    bool accumulate;
    float *dw, *row_values;
    const int32_t *ids;
    const float *weights;
    /* flat arrays */
    size_t n;
    const AdamW *adamw;
    float factor, *param, *m, *v;
    const float *grad;
    double *pieces;
} RowsJob;

static float *row_of(Mat m, int t) { return m.data + (size_t)t * (size_t)m.stride; }

static void run(CpuBackend *cpu, RowsJob *job, int n_tasks, PoolTask *task)
{
    job->cpu = cpu;
    job->kernels = &cpu->kernels->backward;
    pool_run(cpu->pool, n_tasks, task, job);
}

static void run_rows(CpuBackend *cpu, RowsJob *job, int n_rows, PoolTask *task)
{
    job->n_rows = n_rows;
    run(cpu, job, (n_rows + ROWS_A_TASK - 1) / ROWS_A_TASK, task);
}

/* Rows task * ROWS_A_TASK .. of this task. */
static int last_row(const RowsJob *job, int task)
{
    const int end = (task + 1) * ROWS_A_TASK;
    return end < job->n_rows ? end : job->n_rows;
}

static int n_column_tasks(int cols) { return (cols + COLUMNS_MAX - 1) / COLUMNS_MAX; }

/* Columns of task number `task`. */
static Mat columns_of(Mat m, int task)
{
    const int from = task * COLUMNS_MAX, left = m.cols - from;
    return (Mat){m.data + from, m.rows, left < COLUMNS_MAX ? left : COLUMNS_MAX, m.stride};
}

/* ---- Copies ------------------------------------------------------------------------------------
 */

static void copy_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    for (int t = task * ROWS_A_TASK; t < last_row(job, task); t++)
        memcpy(row_of(job->dx, t), row_of(job->x, t), sizeof(float) * (size_t)job->x.cols);
}

static void cpu_copy(Backend *b, Mat src, Mat dst)
{
    ASSERT(src.rows == dst.rows && src.cols == dst.cols);
    RowsJob job = {.x = src, .dx = dst};
    run_rows(cpu_of(b), &job, src.rows, copy_task);
}

static void cpu_zero(Backend *b, void *memory, size_t bytes)
{
    (void)b;
    memset(memory, 0, bytes);
}

/* ---- Embedding, bias, norm ----------------------------------------------------------------------
 */

static void embed_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    const Mat dy = columns_of(job->dy, task);
    float *dw = job->dw + (size_t)task * COLUMNS_MAX;
    for (int t = 0; t < dy.rows; t++)
        job->kernels->add(dw + (size_t)job->ids[t] * (size_t)job->dy.cols, row_of(dy, t), dy.cols);
}

static void cpu_embed_backward(Backend *b, const int32_t *ids, Mat dy, float *dw)
{
    RowsJob job = {.ids = ids, .dy = dy, .dw = dw};
    run(cpu_of(b), &job, n_column_tasks(dy.cols), embed_task);
}

static void bias_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    job->kernels->column_sums(columns_of(job->dy, task), job->dw + task * COLUMNS_MAX);
}

static void cpu_bias_backward(Backend *b, Mat dy, float *dbias)
{
    RowsJob job = {.dy = dy, .dw = dbias};
    run(cpu_of(b), &job, n_column_tasks(dy.cols), bias_task);
}

static void inverse_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    for (int t = task * ROWS_A_TASK; t < last_row(job, task); t++)
        job->row_values[t] = job->kernels->rms_inverse(row_of(job->x, t), job->x.cols, job->eps);
}

static void norm_weight_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    job->kernels->rms_norm_weight(columns_of(job->x, task), columns_of(job->dy, task),
                                  job->row_values, job->dw + task * COLUMNS_MAX);
}

static void norm_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    for (int t = task * ROWS_A_TASK; t < last_row(job, task); t++)
        job->kernels->rms_norm(row_of(job->x, t), job->w, row_of(job->dy, t), job->row_values[t],
                               job->x.cols, job->accumulate, row_of(job->dx, t));
}

/* dx may be dy: the weight's gradient comes first. */
static void cpu_rms_norm_backward(Backend *b, Mat x, const float *w, float eps, Mat dy,
                                  bool accumulate, Mat dx, float *dw)
{
    CpuBackend *cpu = cpu_of(b);
    ASSERT((size_t)x.rows <= cpu->training->n_row_values);
    RowsJob job = {.x = x, .w = w, .eps = eps, .dy = dy, .accumulate = accumulate, .dx = dx};
    job.dw = dw;
    job.row_values = cpu->training->row_values;
    run_rows(cpu, &job, x.rows, inverse_task);
    if (dw)
        run(cpu, &job, n_column_tasks(x.cols), norm_weight_task);
    run_rows(cpu, &job, x.rows, norm_task);
}

/* ---- Rotation, activation, loss
 * ------------------------------------------------------------------ */

static void rope_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    const int d = job->table.cols;
    for (int t = task * ROWS_A_TASK; t < last_row(job, task); t++)
        job->kernels->rope(row_of(job->dx, t), row_of(job->table, t), job->dx.cols / d, d);
}

static void cpu_rope_backward(Backend *b, Mat dx, Mat table)
{
    RowsJob job = {.dx = dx, .table = table};
    run_rows(cpu_of(b), &job, dx.rows, rope_task);
}

static void swiglu_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    for (int t = task * ROWS_A_TASK; t < last_row(job, task); t++)
        job->kernels->swiglu(row_of(job->x, t), row_of(job->up, t), row_of(job->dy, t), job->x.cols,
                             row_of(job->dx, t), row_of(job->dup, t));
}

static void cpu_swiglu_backward(Backend *b, Mat gate, Mat up, Mat dout, Mat dgate, Mat dup)
{
    RowsJob job = {.x = gate, .up = up, .dy = dout, .dx = dgate, .dup = dup};
    run_rows(cpu_of(b), &job, gate.rows, swiglu_task);
}

static void xent_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    for (int t = task * ROWS_A_TASK; t < last_row(job, task); t++) {
        float *row = row_of(job->x, t);
        job->row_values[t] = 0;
        if (job->weights[t] == 0.0f)
            memset(row, 0, sizeof(float) * (size_t)job->x.cols);
        else
            job->row_values[t] = job->kernels->xent(row, job->x.cols, job->ids[t], job->weights[t]);
    }
}

static void cpu_xent(Backend *b, Mat logits, const int32_t *targets, const float *weights,
                     float *losses)
{
    RowsJob job = {.x = logits, .ids = targets, .weights = weights, .row_values = losses};
    run_rows(cpu_of(b), &job, logits.rows, xent_task);
}

/* ---- Flat arrays
 * ---------------------------------------------------------------------------------- */

/* Elements of task number `task`. */
static int flat_len(const RowsJob *job, size_t from)
{
    return (int)(job->n - from < ELEMENTS_A_TASK ? job->n - from : ELEMENTS_A_TASK);
}

static void run_flat(CpuBackend *cpu, RowsJob *job, PoolTask *task)
{
    run(cpu, job, (int)((job->n + ELEMENTS_A_TASK - 1) / ELEMENTS_A_TASK), task);
}

static void squares_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    const size_t from = (size_t)task * SQUARES_PIECE, left = job->n - from;
    job->pieces[task] = job->kernels->sum_squares(
        job->grad + from, (int)(left < SQUARES_PIECE ? left : SQUARES_PIECE));
}

static void cpu_sum_squares(Backend *b, const float *x, size_t n, double *sums)
{
    RowsJob job = {.grad = x, .n = n, .pieces = sums};
    run(cpu_of(b), &job, (int)((n + SQUARES_PIECE - 1) / SQUARES_PIECE), squares_task);
}

static void blend_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    const size_t from = (size_t)task * ELEMENTS_A_TASK;
    job->kernels->blend(job->factor, job->grad + from, job->eps, flat_len(job, from),
                        job->param + from);
}

static void cpu_blend(Backend *b, size_t n, float a, const float *x, float c, float *y)
{
    RowsJob job = {.param = y, .grad = x, .n = n, .factor = a, .eps = c};
    run_flat(cpu_of(b), &job, blend_task);
}

static void adamw_task(void *context, int task, int worker)
{
    (void)worker;
    const RowsJob *job = context;
    const size_t from = (size_t)task * ELEMENTS_A_TASK;
    job->kernels->adamw(job->adamw, flat_len(job, from), job->param + from, job->grad + from,
                        job->m + from, job->v + from);
}

static void cpu_adamw(Backend *b, const AdamW *a, size_t n, float *param, const float *grad,
                      float *m, float *v)
{
    RowsJob job = {.adamw = a, .n = n, .param = param, .grad = grad, .m = m, .v = v};
    run_flat(cpu_of(b), &job, adamw_task);
}

/* ---- Scratch and table
 * ---------------------------------------------------------------------------- */

void cpu_training_close(CpuBackend *cpu)
{
    if (!cpu->training)
        return;
    mem_free(cpu->training->shared);
    mem_free(cpu->training->row_values);
    mem_free(cpu->training->workers);
    mem_free(cpu->training);
    cpu->training = NULL;
}

static bool cpu_reserve_training(Backend *b, int n_rows, int n_heads, Error *err)
{
    CpuBackend *cpu = cpu_of(b);
    const size_t n_values = (size_t)n_rows * (size_t)n_heads;
    const char *what = "the backward pass's scratch";
    if (!cpu->training)
        cpu->training = mem_alloc(sizeof *cpu->training);
    struct CpuTraining *training = cpu->training;
    if (!training->shared) {
        training->shared = mem_try_alloc(gemm_scratch_bytes(true), what, err);
        if (!training->shared)
            return false;
    }
    if (!training->workers) {
        training->workers =
            mem_try_alloc((size_t)b->n_threads * cpu_training_worker_bytes(), what, err);
        if (!training->workers)
            return false;
    }
    if (n_values > training->n_row_values) {
        float *values = mem_try_alloc(sizeof(float) * n_values, what, err);
        if (!values)
            return false;
        mem_free(training->row_values);
        training->row_values = values;
        training->n_row_values = n_values;
    }
    return true;
}

void cpu_training_operations(Backend *b)
{
    b->reserve_training = cpu_reserve_training;
    b->peak_flops = cpu_peak_flops;
    b->copy = cpu_copy;
    b->zero = cpu_zero;
    b->product = cpu_product;
    b->matmul_backward_x = cpu_matmul_backward_x;
    b->matmul_backward_w = cpu_matmul_backward_w;
    b->matmul_experts_backward_x = cpu_matmul_experts_backward_x;
    b->matmul_experts_backward_w = cpu_matmul_experts_backward_w;
    b->embed_backward = cpu_embed_backward;
    b->bias_backward = cpu_bias_backward;
    b->rms_norm_backward = cpu_rms_norm_backward;
    b->rope_backward = cpu_rope_backward;
    b->swiglu_backward = cpu_swiglu_backward;
    b->attention_backward = cpu_attention_backward;
    b->moe_count = cpu_moe_count;
    b->moe_combine_backward = cpu_moe_combine_backward;
    b->moe_gather_backward = cpu_moe_gather_backward;
    b->moe_route_backward = cpu_moe_route_backward;
    b->xent = cpu_xent;
    b->sum_squares = cpu_sum_squares;
    b->blend = cpu_blend;
    b->adamw = cpu_adamw;
}
