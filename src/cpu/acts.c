/* See acts.h. */
#include "cpu/acts.h"

#include "base/bug.h"
#include "base/half.h"
#include "base/mem.h"
#include "cpu/packed.h"

#include <math.h>

/* Rows go to the threads in tasks of about this many numbers: some microseconds of work. */
enum { NUMBERS_PER_TASK = 32 * 1024 };

unsigned acts_form(DType type)
{
    if (type == DTYPE_BF16 || type == DTYPE_F8_128)
        return ACTS_BF16;
    return packed_layout(type)->form == PACKED_PLAIN ? 0 : ACTS_INT8;
}

static size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

static size_t blocks_bytes(size_t rows, size_t cols)
{
    return round_up(rows * (cols / BLOCK_COLS) * sizeof(ActBlock), MEM_ALIGN);
}

size_t acts_bytes(int n_rows, int n_cols)
{
    size_t rows = (size_t)n_rows, cols = (size_t)n_cols;
    return blocks_bytes(rows, cols) +
           round_up(rows * round_up(cols, 2) * sizeof(uint16_t), MEM_ALIGN);
}

typedef struct MakeJob {
    const ActsKernels *kernels;
    Mat x;
    int rows_per_task;
    ActBlock *blocks; /* NULL: not wanted */
    uint16_t *bf16;   /* NULL: not wanted */
    size_t bf16_stride;
} MakeJob;

static void make_rows(void *context, int task, int worker)
{
    const MakeJob *job = context;
    size_t cols = (size_t)job->x.cols;
    int from = task * job->rows_per_task, to = from + job->rows_per_task;
    (void)worker;
    for (int row = from; row < to && row < job->x.rows; row++) {
        const float *x = job->x.data + (size_t)row * (size_t)job->x.stride;
        size_t r = (size_t)row;
        if (job->blocks)
            job->kernels->quantize(x, job->x.cols, job->blocks + r * (cols / BLOCK_COLS));
        if (job->bf16) {
            uint16_t *out = job->bf16 + r * job->bf16_stride;
            job->kernels->round_bf16(x, job->x.cols, out);
            if (cols % 2)
                out[cols] = 0;
        }
    }
}

Acts acts_make(const ActsKernels *kernels, Pool *pool, Mat x, unsigned forms, void *memory)
{
    size_t rows = (size_t)x.rows, cols = (size_t)x.cols;
    char *at = memory;
    MakeJob job = {.kernels = kernels, .x = x, .bf16_stride = round_up(cols, 2)};
    if (forms & ACTS_INT8) {
        ASSERT(x.cols % BLOCK_COLS == 0);
        job.blocks = (ActBlock *)at;
        at += blocks_bytes(rows, cols);
    }
    if (forms & ACTS_BF16)
        job.bf16 = (uint16_t *)at;
    if (forms) {
        job.rows_per_task = x.cols < NUMBERS_PER_TASK ? NUMBERS_PER_TASK / x.cols : 1;
        pool_run(pool, (x.rows + job.rows_per_task - 1) / job.rows_per_task, make_rows, &job);
    }
    return (Acts){.n_rows = x.rows,
                  .n_cols = x.cols,
                  .f32 = x.data,
                  .f32_stride = (size_t)x.stride,
                  .bf16 = job.bf16,
                  .bf16_stride = job.bf16_stride,
                  .blocks = job.blocks};
}

Acts acts_rows(Acts acts, int from, int n)
{
    size_t row = (size_t)from, cols = (size_t)acts.n_cols;
    acts.n_rows = n;
    acts.f32 += row * acts.f32_stride;
    if (acts.bf16)
        acts.bf16 += row * acts.bf16_stride;
    if (acts.blocks)
        acts.blocks += row * (cols / BLOCK_COLS);
    return acts;
}

static void quantize_block(const float x[BLOCK_COLS], ActBlock *block)
{
    uint32_t largest = 0; /* of the magnitudes' bits: orders numbers, and NaN above infinity */
    for (int i = 0; i < BLOCK_COLS; i++) {
        uint32_t magnitude = float_bits(x[i]) & 0x7fffffffu;
        largest = magnitude > largest ? magnitude : largest;
    }
    float amax = float_from_bits(largest);
    memset(block, 0, sizeof *block);
    if (largest >= 0x7f800000u)
        block->scale = NAN;
    if (!(amax >= ACTS_TINY && largest < 0x7f800000u))
        return;
    float inverse = 127.0f / amax;
    int sums[2] = {0, 0};
    for (int i = 0; i < BLOCK_COLS; i++) {
        block->quants[i] = (int8_t)lrintf(x[i] * inverse);
        sums[i / (BLOCK_COLS / 2)] += block->quants[i];
    }
    block->scale = amax / 127.0f;
    block->sum = (float)(sums[0] + sums[1]);
    block->minus_sum = -(sums[0] + sums[1]);
    block->minus_second = -sums[1];
}

void acts_quantize(const float *x, int n, ActBlock *blocks)
{
    for (int i = 0; i < n; i += BLOCK_COLS)
        quantize_block(x + i, blocks++);
}

void acts_round_bf16(const float *x, int n, uint16_t *out)
{
    for (int i = 0; i < n; i++)
        out[i] = bf16_from_float(x[i]);
}
