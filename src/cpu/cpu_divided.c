/* See cpu_divided.h. */
#include "cpu/cpu_divided.h"

#include "base/bug.h"
#include "base/mem.h"
#include "cpu/cpu_ops.h"
#include "cpu/cpu_training.h"
#include "cpu/cpu_weight.h"

/* Matrices that one operation exchanges at most. */
enum { MATS_MAX = 3 };

/* What all ranks bring to this one's experts. */
typedef struct Exchange {
    CpuBackend *cpu;
    size_t mine[COMM_RANKS_MAX + 1];   /* rows of this rank that go to each */
    size_t theirs[COMM_RANKS_MAX + 1]; /* rows of each rank that come here */
    MoeRoutes routes;                  /* of the rows that came: n_experts and offset only */
    char *next;                        /* free memory */
} Exchange;

static size_t rounded(size_t bytes) { return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN; }

/* Two lists of a number for each expert. */
static size_t counts_bytes(void) { return rounded(sizeof(int32_t) * (MOE_EXPERTS_MAX + 1)); }

size_t cpu_divided_reserve_bytes(Backend *b, int n_rows, int n_cols)
{
    (void)b;
    return 2 * counts_bytes() + MATS_MAX * rounded(sizeof(float) * (size_t)n_rows * (size_t)n_cols);
}

static void *take(Exchange *x, size_t bytes)
{
    char *taken = x->next;
    x->next += rounded(bytes);
    ASSERT(x->next <= (char *)x->cpu->exchange + x->cpu->exchange_bytes);
    return taken;
}

/* Ranks tell each other how many rows they bring for each expert. */
static void exchange_counts(Exchange *x, const MoeRoutes *routes)
{
    Comm *comm = x->cpu->comm;
    const int n_ranks = comm->n_ranks, n_own = routes->n_experts / n_ranks;
    int32_t *counts = take(x, sizeof *counts * (size_t)routes->n_experts);
    int32_t *offset = take(x, sizeof *offset * (size_t)(routes->n_experts + 1));
    size_t cuts[COMM_RANKS_MAX + 1];
    for (int e = 0; e < routes->n_experts; e++)
        counts[e] = routes->offset[e + 1] - routes->offset[e];
    for (int r = 0; r <= n_ranks; r++) {
        cuts[r] = sizeof *counts * (size_t)(r * n_own);
        x->mine[r] = (size_t)routes->offset[r * n_own];
    }
    offset[0] = 0;
    comm->all_to_all(comm, counts, cuts, offset + 1, cuts);
    for (int e = 0; e < routes->n_experts; e++)
        offset[e + 1] += offset[e];
    for (int r = 0; r <= n_ranks; r++)
        x->theirs[r] = (size_t)offset[r * n_own];
    x->routes = (MoeRoutes){.n_experts = routes->n_experts, .offset = offset};
}

static Exchange begin(Backend *b, const MoeRoutes *routes)
{
    Exchange x = {.cpu = cpu_of(b), .next = cpu_of(b)->exchange};
    exchange_counts(&x, routes);
    return x;
}

/* Room for the rows that come, `cols` wide. */
static Mat take_mat(Exchange *x, int cols)
{
    const size_t n = x->theirs[x->cpu->comm->n_ranks];
    return (Mat){take(x, sizeof(float) * n * (size_t)cols), (int)n, cols, cols};
}

static void move(const Exchange *x, const size_t *from_rows, Mat from, const size_t *to_rows,
                 Mat to)
{
    Comm *comm = x->cpu->comm;
    const size_t row_bytes = sizeof(float) * (size_t)from.cols;
    size_t from_cuts[COMM_RANKS_MAX + 1], to_cuts[COMM_RANKS_MAX + 1];
    ASSERT(from.stride == from.cols && to.stride == to.cols && from.cols == to.cols);
    for (int r = 0; r <= comm->n_ranks; r++) {
        from_cuts[r] = from_rows[r] * row_bytes;
        to_cuts[r] = to_rows[r] * row_bytes;
    }
    comm->all_to_all(comm, from.data, from_cuts, to.data, to_cuts);
}

/* The rows that come here of every rank's m. */
static Mat bring(Exchange *x, Mat m)
{
    Mat here = take_mat(x, m.cols);
    move(x, x->mine, m, x->theirs, here);
    return here;
}

/* Rows made here go back to those who brought theirs. */
static void give_back(const Exchange *x, Mat here, Mat m) { move(x, x->theirs, here, x->mine, m); }

void cpu_matmul_experts(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes, Mat x,
                        const Mat y[])
{
    if (!cpu_weight_is_divided(bank[0])) {
        cpu_matmul_experts_here(b, n, bank, routes, x, y);
        return;
    }
    Exchange e = begin(b, routes);
    Mat here[MATS_MAX];
    ASSERT(n < MATS_MAX);
    const Mat rows = bring(&e, x);
    for (int i = 0; i < n; i++)
        here[i] = take_mat(&e, y[i].cols);
    cpu_matmul_experts_here(b, n, bank, &e.routes, rows, here);
    for (int i = 0; i < n; i++)
        give_back(&e, here[i], y[i]);
}

void cpu_matmul_experts_backward_x(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes,
                                   const Mat dy[], Mat dx)
{
    if (!cpu_weight_is_divided(bank[0])) {
        cpu_matmul_experts_backward_x_here(b, n, bank, routes, dy, dx);
        return;
    }
    Exchange e = begin(b, routes);
    Mat here[MATS_MAX];
    ASSERT(n < MATS_MAX);
    for (int i = 0; i < n; i++)
        here[i] = bring(&e, dy[i]);
    const Mat made = take_mat(&e, dx.cols);
    cpu_matmul_experts_backward_x_here(b, n, bank, &e.routes, here, made);
    give_back(&e, made, dx);
}

void cpu_matmul_experts_backward_w(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes,
                                   const Mat dy[], Mat x, float *const dw[])
{
    if (!cpu_weight_is_divided(bank[0])) {
        cpu_matmul_experts_backward_w_here(b, n, bank, routes, dy, x, dw);
        return;
    }
    Exchange e = begin(b, routes);
    Mat here[MATS_MAX];
    ASSERT(n < MATS_MAX);
    const Mat rows = bring(&e, x);
    for (int i = 0; i < n; i++)
        here[i] = bring(&e, dy[i]);
    cpu_matmul_experts_backward_w_here(b, n, bank, &e.routes, here, rows, dw);
}
