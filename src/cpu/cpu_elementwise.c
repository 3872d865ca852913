/* Norms, rotations and activations over whole matrices. Few numbers are done by the caller, for a
 * fork costs about as much as ten thousand of them; many are cut into pieces of rows and, where a
 * row is no sum, of columns. */
#include "cpu/cpu_ops.h"

#include "base/bug.h"

#include <math.h>
#include <string.h>

enum { PIECE_NUMBERS = 8192, FORK_NUMBERS = 2 * PIECE_NUMBERS };

typedef struct Job Job;
struct Job {
    /* Does columns col .. col+n-1 of one row. */
    void (*piece)(const Job *job, int row, int col, int n);
    const ElementwiseKernels *kernels;
    Mat x, y, out;
    const float *w;
    const int32_t *ids;
    const Batch *batch;
    const Rotation *rotation;
    float scalar;
    int rows_each, cols_each; /* of a task */
};

static const float *at(Mat m, int row, int col)
{
    return m.data + (size_t)row * (size_t)m.stride + col;
}

static float *to(Mat m, int row, int col) { return m.data + (size_t)row * (size_t)m.stride + col; }

static void piece_task(void *context, int task, int worker)
{
    (void)worker;
    const Job *job = context;
    int tasks_a_row = (job->out.cols + job->cols_each - 1) / job->cols_each;
    int col = task % tasks_a_row * job->cols_each;
    int n = job->out.cols - col < job->cols_each ? job->out.cols - col : job->cols_each;
    int row = task / tasks_a_row * job->rows_each;
    int end = row + job->rows_each < job->out.rows ? row + job->rows_each : job->out.rows;
    for (; row < end; row++)
        job->piece(job, row, col, n);
}

/* Runs job->piece over job->out; rows are cut into columns only when `may_cut`. */
static void run(Backend *b, Job *job, bool may_cut)
{
    const Mat out = job->out;
    job->kernels = &cpu_of(b)->kernels->elementwise;
    job->cols_each = out.cols;
    job->rows_each = out.rows;
    size_t numbers = (size_t)out.rows * (size_t)out.cols;
    if (numbers < FORK_NUMBERS || b->n_threads == 1) {
        for (int row = 0; row < out.rows; row++)
            job->piece(job, row, 0, out.cols);
        return;
    }
    if (may_cut && out.cols > PIECE_NUMBERS)
        job->cols_each = PIECE_NUMBERS;
    job->rows_each = PIECE_NUMBERS / job->cols_each > 0 ? PIECE_NUMBERS / job->cols_each : 1;
    int tasks_a_row = (out.cols + job->cols_each - 1) / job->cols_each;
    int n_tasks = (out.rows + job->rows_each - 1) / job->rows_each * tasks_a_row;
    pool_run(cpu_of(b)->pool, n_tasks, piece_task, job);
}

static void add_bias_piece(const Job *job, int row, int col, int n)
{
    job->kernels->add(to(job->out, row, col), job->w + col, n);
}

void cpu_add_bias(Backend *b, Mat y, const float *bias)
{
    run(b, &(Job){.piece = add_bias_piece, .out = y, .w = bias}, true);
}

static void add_piece(const Job *job, int row, int col, int n)
{
    job->kernels->add(to(job->out, row, col), at(job->x, row, col), n);
}

void cpu_add(Backend *b, Mat y, Mat x)
{
    ASSERT(x.rows == y.rows && x.cols == y.cols);
    run(b, &(Job){.piece = add_piece, .x = x, .out = y}, true);
}

static void rms_norm_piece(const Job *job, int row, int col, int n)
{
    job->kernels->rms_norm(at(job->x, row, col), job->w, n, job->scalar, to(job->out, row, col));
}

void cpu_rms_norm(Backend *b, Mat x, const float *w, float eps, Mat y)
{
    ASSERT(x.rows == y.rows && x.cols == y.cols);
    run(b, &(Job){.piece = rms_norm_piece, .x = x, .w = w, .scalar = eps, .out = y}, false);
}

static const SeqSpan *sequence_of(const Batch *batch, int row)
{
    const SeqSpan *seq = batch->seqs;
    while (row >= seq->first_row + seq->n_rows)
        seq++;
    return seq;
}

/* What cosines and sines of a position are multiplied with. */
static double rotation_factor(const Rotation *r, const SeqSpan *seq, int position)
{
    int length = position + 1;
    if (r->grows_by_length && seq->length > length)
        length = seq->length;
    if (r->grows_from == 0 || length <= r->grows_from)
        return (double)r->factor;
    double growth = 1 + r->growth * log((double)length / r->grows_from);
    return (double)r->factor * pow(growth, r->growth_power);
}

static void rope_table_piece(const Job *job, int row, int col, int n)
{
    const Rotation *r = job->rotation;
    const SeqSpan *seq = sequence_of(job->batch, row);
    float *cosines = to(job->out, row, col), *sines = cosines + n / 2;
    const int position = job->batch->positions[row];
    const double factor = rotation_factor(r, seq, position);
    int turns = position;
    if (r->wrap > 0) {
        turns = position % r->wrap + r->shift;
        turns = turns < r->most ? turns : r->most;
    }
    for (int j = 0; j < n / 2; j++) {
        double frequency = r->inv_freq[j];
        if (seq->rope_stretch > 0)
            frequency *= pow(seq->rope_stretch, -2.0 * j / (n - 2));
        const double angle = turns * frequency;
        cosines[j] = (float)(cos(angle) * factor);
        sines[j] = (float)(sin(angle) * factor);
    }
}

void cpu_rope_table(Backend *b, const Batch *batch, const Rotation *rotation, Mat table)
{
    ASSERT(table.cols % 2 == 0 && table.rows == batch->n_tokens);
    run(b, &(Job){.piece = rope_table_piece, .batch = batch, .rotation = rotation, .out = table},
        false);
}

static void rope_piece(const Job *job, int row, int col, int n)
{
    int head_dim = job->x.cols;
    job->kernels->rope(to(job->out, row, col), at(job->x, row, 0), n / head_dim, head_dim);
}

void cpu_rope(Backend *b, Mat x, Mat table)
{
    ASSERT(x.rows == table.rows && x.cols % table.cols == 0);
    run(b, &(Job){.piece = rope_piece, .x = table, .out = x}, false);
}

static void gather_piece(const Job *job, int row, int col, int n)
{
    memcpy(to(job->out, row, col), at(job->x, job->ids[row], col), sizeof(float) * (size_t)n);
}

void cpu_gather_rows(Backend *b, Mat src, const int32_t *index, Mat dst)
{
    ASSERT(src.cols == dst.cols);
    run(b, &(Job){.piece = gather_piece, .x = src, .ids = index, .out = dst}, true);
}

static void swiglu_piece(const Job *job, int row, int col, int n)
{
    job->kernels->swiglu(at(job->x, row, col), at(job->y, row, col), n, to(job->out, row, col));
}

void cpu_swiglu(Backend *b, Mat gate, Mat up, Mat out)
{
    ASSERT(gate.rows == up.rows && gate.cols == up.cols);
    ASSERT(out.rows == up.rows && out.cols == up.cols);
    run(b, &(Job){.piece = swiglu_piece, .x = gate, .y = up, .out = out}, true);
}
