/* The backward pass of a mixture's routing. Rows are few numbers wide (experts), so plain loops do;
 * a row is one chain of sums. */
#include "base/bug.h"
#include "cpu/cpu_ops.h"
#include "cpu/cpu_training.h"

#include <math.h>

enum { TOKENS_A_TASK = 16 };

typedef struct MoeJob {
    const BackwardKernels *kernels;
    const MoeRoutes *routes;
    Mat logits, act, dact, dpairs, dx, dlogits;
    const float *dweight;
    float *dweight_out;
    const int64_t *counts;
    int64_t total;
    float balance;
    bool normalize;
} MoeJob;

static float *row_of(Mat m, int t) { return m.data + (size_t)t * (size_t)m.stride; }

static void run_tokens(CpuBackend *cpu, PoolTask *task, MoeJob *job)
{
    job->kernels = &cpu->kernels->backward;
    pool_run(cpu->pool, (job->routes->n_tokens + TOKENS_A_TASK - 1) / TOKENS_A_TASK, task, job);
}

static int last_token(const MoeJob *job, int task)
{
    const int end = (task + 1) * TOKENS_A_TASK, n = job->routes->n_tokens;
    return end < n ? end : n;
}

/* p [n] = softmax(x). */
static void softmax(const float *x, int n, float *p)
{
    float max = x[0], sum = 0;
    for (int i = 1; i < n; i++)
        max = x[i] > max ? x[i] : max;
    for (int i = 0; i < n; i++) {
        p[i] = expf(x[i] - max);
        sum += p[i];
    }
    for (int i = 0; i < n; i++)
        p[i] /= sum;
}

void cpu_moe_count(Backend *b, Mat logits, const MoeRoutes *routes, int64_t *counts,
                   double *prob_sums, double *entropy_sum)
{
    (void)b;
    float p[MOE_EXPERTS_MAX];
    for (int e = 0; e < routes->n_experts; e++)
        counts[e] += routes->offset[e + 1] - routes->offset[e];
    for (int t = 0; t < logits.rows; t++) {
        softmax(row_of(logits, t), logits.cols, p);
        for (int e = 0; e < logits.cols; e++) {
            prob_sums[e] += (double)p[e];
            if (p[e] > 0)
                *entropy_sum -= (double)p[e] * log((double)p[e]);
        }
    }
}

static void combine_task(void *context, int task, int worker)
{
    (void)worker;
    const MoeJob *job = context;
    const MoeRoutes *r = job->routes;
    for (int t = task * TOKENS_A_TASK; t < last_token(job, task); t++)
        for (int s = 0; s < r->n_used; s++) {
            const int at = t * r->n_used + s, place = r->pair_place[at];
            float *dact = row_of(job->dact, place), *dpair = row_of(job->dpairs, place);
            job->dweight_out[at] = job->kernels->dot(row_of(job->act, place), dact, job->act.cols);
            job->kernels->scale(dact, r->weight[at], job->dact.cols, dact);
            job->kernels->scale(dpair, r->weight[at], job->dpairs.cols, dpair);
        }
}

void cpu_moe_combine_backward(Backend *b, const MoeRoutes *routes, Mat act, Mat dact, Mat dpairs,
                              float *dweight)
{
    MoeJob job = {.routes = routes, .act = act, .dact = dact, .dpairs = dpairs};
    job.dweight_out = dweight;
    run_tokens(cpu_of(b), combine_task, &job);
}

static void gather_task(void *context, int task, int worker)
{
    (void)worker;
    const MoeJob *job = context;
    const MoeRoutes *r = job->routes;
    for (int t = task * TOKENS_A_TASK; t < last_token(job, task); t++) {
        float *dx = row_of(job->dx, t);
        for (int s = 0; s < r->n_used; s++) {
            const float *pair = row_of(job->dpairs, r->pair_place[t * r->n_used + s]);
            if (s == 0)
                job->kernels->scale(pair, 1.0f, job->dx.cols, dx);
            else
                job->kernels->add(dx, pair, job->dx.cols);
        }
    }
}

void cpu_moe_gather_backward(Backend *b, const MoeRoutes *routes, Mat dpairs, Mat dx)
{
    MoeJob job = {.routes = routes, .dpairs = dpairs, .dx = dx};
    run_tokens(cpu_of(b), gather_task, &job);
}

/* dp: gradient of the probabilities of one token's experts. */
static void choice_backward(const MoeJob *job, int t, const float *p, float *dp)
{
    const MoeRoutes *r = job->routes;
    const int32_t *chosen = r->expert + (size_t)t * (size_t)r->n_used;
    const float *weight = r->weight + (size_t)t * (size_t)r->n_used;
    const float *dweight = job->dweight + (size_t)t * (size_t)r->n_used;
    float sum = 0, along = 0;
    for (int s = 0; s < r->n_used; s++) {
        sum += p[chosen[s]];
        along += dweight[s] * weight[s];
    }
    for (int s = 0; s < r->n_used; s++)
        dp[chosen[s]] += job->normalize ? (dweight[s] - along) / sum : dweight[s];
}

static void route_task(void *context, int task, int worker)
{
    (void)worker;
    const MoeJob *job = context;
    const int n = job->logits.cols;
    float p[MOE_EXPERTS_MAX], dp[MOE_EXPERTS_MAX];
    for (int t = task * TOKENS_A_TASK; t < last_token(job, task); t++) {
        softmax(row_of(job->logits, t), n, p);
        for (int e = 0; e < n; e++)
            dp[e] = job->total > 0
                        ? job->balance * (float)((double)job->counts[e] / (double)job->total)
                        : 0.0f;
        choice_backward(job, t, p, dp);
        float along = 0, *dlogits = row_of(job->dlogits, t);
        for (int e = 0; e < n; e++)
            along += p[e] * dp[e];
        for (int e = 0; e < n; e++)
            dlogits[e] = p[e] * (dp[e] - along);
    }
}

void cpu_moe_route_backward(Backend *b, Mat logits, const MoeRoutes *routes, bool normalize,
                            const float *dweight, float balance, const int64_t *counts, Mat dlogits)
{
    MoeJob job = {.routes = routes,
                  .logits = logits,
                  .dweight = dweight,
                  .counts = counts,
                  .balance = balance,
                  .normalize = normalize,
                  .dlogits = dlogits};
    ASSERT(logits.cols <= MOE_EXPERTS_MAX);
    for (int e = 0; e < routes->n_experts; e++)
        job.total += counts[e];
    run_tokens(cpu_of(b), route_task, &job);
}
