/* Mixture of experts: who goes where, and the sum of what comes back. */
#include "cpu/cpu_ops.h"

#include "base/bug.h"

#include <string.h>

enum { ROUTE_ROWS = 32, COMBINE_ROWS = 8 }; /* rows of a task */

typedef struct Job {
    const Kernels *kernels;
    CpuBackend *cpu;
    bool normalize;
    Mat in, out; /* logits; or pairs and sums */
    const MoeRoutes *routes;
} Job;

/* The experts of one token: softmax in f32, summed expert after expert; then n_used times the
 * largest that is left. */
static void route_row(const Job *job, const float *logits, int token, float *p)
{
    const MoeRoutes *routes = job->routes;
    const int n = routes->n_experts, n_used = routes->n_used;
    int32_t *expert = routes->expert + (size_t)token * (size_t)n_used;
    float *weight = routes->weight + (size_t)token * (size_t)n_used;
    job->kernels->elementwise.exp(logits, job->kernels->logits.max(logits, n), n, p);
    float sum = 0, used = 0;
    for (int e = 0; e < n; e++)
        sum += p[e];
    for (int e = 0; e < n; e++)
        p[e] /= sum;
    for (int s = 0; s < n_used; s++) {
        int best = -1;
        for (int e = 0; e < n; e++)
            if (p[e] >= 0 && (best < 0 || p[e] > p[best]))
                best = e;
        /* Logits of NaN leave no probabilities: any n_used experts do, their weights are NaN. */
        expert[s] = best < 0 ? s : best;
        weight[s] = p[expert[s]];
        used += weight[s];
        if (best >= 0)
            p[best] = -1;
    }
    if (job->normalize)
        for (int s = 0; s < n_used; s++)
            weight[s] /= used;
}

static void route_task(void *context, int task, int worker)
{
    const Job *job = context;
    int first = task * ROUTE_ROWS;
    int end = first + ROUTE_ROWS < job->in.rows ? first + ROUTE_ROWS : job->in.rows;
    for (int t = first; t < end; t++)
        route_row(job, job->in.data + (size_t)t * (size_t)job->in.stride, t,
                  scratch_of(job->cpu, worker));
}

/* Counting sort of the pairs by expert; it keeps tokens and slots in order. */
static void order_pairs(MoeRoutes *routes)
{
    const int n_pairs = routes->n_tokens * routes->n_used;
    int32_t *offset = routes->offset;
    memset(offset, 0, sizeof(int32_t) * (size_t)(routes->n_experts + 1));
    for (int i = 0; i < n_pairs; i++)
        offset[routes->expert[i] + 1]++;
    for (int e = 0; e < routes->n_experts; e++)
        offset[e + 1] += offset[e];
    /* offset[e] runs to the end of e's pairs, which is where those of e + 1 begin. */
    for (int i = 0; i < n_pairs; i++) {
        int32_t place = offset[routes->expert[i]]++;
        routes->pair_token[place] = i / routes->n_used;
        routes->pair_place[i] = place;
    }
    for (int e = routes->n_experts; e > 0; e--)
        offset[e] = offset[e - 1];
    offset[0] = 0;
}

void cpu_moe_route(Backend *b, Mat logits, bool normalize, MoeRoutes *routes)
{
    CpuBackend *cpu = cpu_of(b);
    ASSERT(logits.rows == routes->n_tokens && logits.cols == routes->n_experts);
    ASSERT(routes->n_used >= 1 && routes->n_used <= routes->n_experts);
    ASSERT(routes->n_experts <= MOE_EXPERTS_MAX);
    Job job = {.kernels = cpu->kernels,
               .cpu = cpu,
               .normalize = normalize,
               .in = logits,
               .routes = routes};
    pool_run(cpu->pool, (logits.rows + ROUTE_ROWS - 1) / ROUTE_ROWS, route_task, &job);
    order_pairs(routes);
}

static void combine_task(void *context, int task, int worker)
{
    (void)worker;
    const Job *job = context;
    const int n_used = job->routes->n_used, n = job->out.cols;
    int first = task * COMBINE_ROWS;
    int end = first + COMBINE_ROWS < job->out.rows ? first + COMBINE_ROWS : job->out.rows;
    for (int t = first; t < end; t++) {
        float *out = job->out.data + (size_t)t * (size_t)job->out.stride;
        memset(out, 0, sizeof(float) * (size_t)n);
        for (int pair = t * n_used; pair < (t + 1) * n_used; pair++) {
            size_t place = (size_t)job->routes->pair_place[pair];
            job->kernels->elementwise.add_scaled(out, job->routes->weight[pair],
                                                 job->in.data + place * (size_t)job->in.stride, n);
        }
    }
}

void cpu_moe_combine(Backend *b, const MoeRoutes *routes, Mat y, Mat out)
{
    CpuBackend *cpu = cpu_of(b);
    ASSERT(y.rows == routes->n_tokens * routes->n_used && y.cols == out.cols);
    ASSERT(out.rows == routes->n_tokens);
    Job job = {.kernels = cpu->kernels, .cpu = cpu, .in = y, .out = out, .routes = routes};
    pool_run(cpu->pool, (out.rows + COMBINE_ROWS - 1) / COMBINE_ROWS, combine_task, &job);
}
