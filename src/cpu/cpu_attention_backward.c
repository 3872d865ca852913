/* The backward pass of causal attention, block by block. A task is one kv head of one sequence: it
 * alone adds to that head's dk and dv, in the order of query heads, then of query rows.
 *
 * For a block of query rows of a head: the scores of all blocks of keys give the rows' log-sum-exp
 * (one product in six; keeping it from the forward pass would cost memory instead), then every
 * block of keys once more gives P = exp(S - lse),  dV += P^T dO,  dP = dO V^T,  dS = P (dP -
 * rowsum(dO O)) scale, dQ += dS K,  dK += dS^T Q                                     (Dao 2023,
 * arXiv 2307.08691) */
#include "cpu/cpu_training.h"

#include "base/bug.h"

#include <math.h>
#include <string.h>

enum { ROWS = ATTENTION_BLOCK_ROWS, KEYS = ATTENTION_BLOCK_KEYS, HEAD_DIMS = 256 };

/* A worker's blocks, behind the panels of its products. */
typedef struct Blocks {
    float scores[ROWS * KEYS], dscores[ROWS * KEYS];
    float dq[ROWS * HEAD_DIMS]; /* dq may be q, so it is gathered here */
    float max[ROWS], sum[ROWS], lse[ROWS], delta[ROWS];
} Blocks;

typedef struct AttentionJob {
    CpuBackend *cpu;
    const Batch *batch;
    float scale;
    int head_dim, n_kv_heads, n_group; /* n_group query heads read a kv head */
    Mat q, k, v, out, dout, dq, dk, dv;
} AttentionJob;

size_t cpu_training_worker_bytes(void)
{
    return (gemm_scratch_bytes(false) + sizeof(Blocks) + 63) / 64 * 64;
}

/* One head of rows from .. of a matrix of heads. */
static Mat head_of(Mat m, int from, int n_rows, int h, int head_dim)
{
    return (Mat){m.data + (size_t)from * (size_t)m.stride + (size_t)h * (size_t)head_dim, n_rows,
                 head_dim, m.stride};
}

static GemmSide side(Mat m, GemmLayout layout)
{
    return (GemmSide){layout, m.data, (size_t)m.stride};
}

typedef struct HeadBlock {
    const AttentionJob *job;
    Blocks *blocks;
    void *panels;
    Mat q, out, dout;  /* this block's rows of the query head */
    Mat k, v, dk, dv;  /* the sequence's rows of the kv head */
    int first, n_rows; /* of the block, in the sequence */
} HeadBlock;

static void small_product(const HeadBlock *h, GemmSide a, GemmSide b, int m, int n, int k, float *c,
                          int c_stride, bool accumulate)
{
    const Gemm g = {GEMM_F32, m, n, k, a, b, c, (size_t)c_stride, accumulate};
    gemm_run(&h->job->cpu->kernels->gemm, &g, NULL, h->panels);
}

static int n_keys_of(const HeadBlock *h, int key0)
{
    const int left = h->first + h->n_rows - key0;
    return left < KEYS ? left : KEYS;
}

/* Keys of the block at key0 that row i sees. */
static int n_visible(const HeadBlock *h, int i, int key0, int n_keys)
{
    const int n = h->first + i + 1 - key0;
    return n < 0 ? 0 : n < n_keys ? n : n_keys;
}

/* scores = scale Q K^T */
static void make_scores(const HeadBlock *h, int key0, int n_keys)
{
    const int d = h->job->head_dim;
    float *scores = h->blocks->scores;
    small_product(h, side(h->q, GEMM_ALONG), side(mat_rows(h->k, key0, n_keys), GEMM_ALONG),
                  h->n_rows, n_keys, d, scores, KEYS, false);
    for (int i = 0; i < h->n_rows; i++)
        h->job->cpu->kernels->backward.scale(scores + i * KEYS, h->job->scale, n_keys,
                                             scores + i * KEYS);
}

static void make_lse(const HeadBlock *h)
{
    const BackwardKernels *kernels = &h->job->cpu->kernels->backward;
    Blocks *b = h->blocks;
    for (int i = 0; i < h->n_rows; i++) {
        b->max[i] = -INFINITY;
        b->sum[i] = 0;
        b->delta[i] =
            kernels->dot(h->dout.data + (size_t)i * (size_t)h->dout.stride,
                         h->out.data + (size_t)i * (size_t)h->out.stride, h->job->head_dim);
    }
    for (int key0 = 0; key0 < h->first + h->n_rows; key0 += KEYS) {
        const int n_keys = n_keys_of(h, key0);
        make_scores(h, key0, n_keys);
        for (int i = 0; i < h->n_rows; i++) {
            const int n = n_visible(h, i, key0, n_keys);
            if (n == 0)
                continue;
            const float max = kernels->max(b->scores + i * KEYS, n, b->max[i]);
            const float sum = kernels->sum_exp(b->scores + i * KEYS, n, max);
            b->sum[i] = b->sum[i] * expf(b->max[i] - max) + sum;
            b->max[i] = max;
        }
    }
    for (int i = 0; i < h->n_rows; i++)
        b->lse[i] = b->max[i] + logf(b->sum[i]);
}

/* From the block of keys' scores: its share of dq, dk and dv. */
static void add_gradients(const HeadBlock *h, int key0, int n_keys, bool is_first)
{
    const BackwardKernels *kernels = &h->job->cpu->kernels->backward;
    Blocks *b = h->blocks;
    const int d = h->job->head_dim, n_rows = h->n_rows;
    const Mat k = mat_rows(h->k, key0, n_keys), v = mat_rows(h->v, key0, n_keys);
    const Mat dk = mat_rows(h->dk, key0, n_keys), dv = mat_rows(h->dv, key0, n_keys);
    const Mat p = {b->scores, n_rows, n_keys, KEYS}, ds = {b->dscores, n_rows, n_keys, KEYS};
    small_product(h, side(h->dout, GEMM_ALONG), side(v, GEMM_ALONG), n_rows, n_keys, d, ds.data,
                  KEYS, false);
    for (int i = 0; i < n_rows; i++) {
        const int n = n_visible(h, i, key0, n_keys);
        float *p_row = p.data + i * KEYS, *ds_row = ds.data + i * KEYS;
        kernels->attention(p_row, ds_row, n, b->lse[i], b->delta[i], h->job->scale);
        memset(p_row + n, 0, sizeof(float) * (size_t)(n_keys - n));
        memset(ds_row + n, 0, sizeof(float) * (size_t)(n_keys - n));
    }
    small_product(h, side(p, GEMM_ACROSS), side(h->dout, GEMM_ACROSS), n_keys, d, n_rows, dv.data,
                  dv.stride, true);
    small_product(h, side(ds, GEMM_ACROSS), side(h->q, GEMM_ACROSS), n_keys, d, n_rows, dk.data,
                  dk.stride, true);
    small_product(h, side(ds, GEMM_ALONG), side(k, GEMM_ACROSS), n_rows, d, n_keys, b->dq, d,
                  !is_first);
}

/* Blocks of keys from the last, whose scores are still there, to the first. */
static void block_backward(const HeadBlock *h, Mat dq)
{
    const int last = (h->first + h->n_rows - 1) / KEYS * KEYS, d = h->job->head_dim;
    make_lse(h);
    for (int key0 = last; key0 >= 0; key0 -= KEYS) {
        const int n_keys = n_keys_of(h, key0);
        if (key0 != last)
            make_scores(h, key0, n_keys);
        add_gradients(h, key0, n_keys, key0 == last);
    }
    for (int i = 0; i < h->n_rows; i++)
        memcpy(dq.data + (size_t)i * (size_t)dq.stride, h->blocks->dq + i * d,
               sizeof(float) * (size_t)d);
}

static void attention_task(void *context, int task, int worker)
{
    const AttentionJob *job = context;
    const SeqSpan *seq = &job->batch->seqs[task / job->n_kv_heads];
    const int g = task % job->n_kv_heads, d = job->head_dim, n = seq->n_rows;
    char *piece = cpu_training_worker(job->cpu, worker);
    HeadBlock h = {.job = job, .panels = piece};
    h.blocks = (Blocks *)(void *)(piece + gemm_scratch_bytes(false));
    h.k = head_of(job->k, seq->first_row, n, g, d);
    h.v = head_of(job->v, seq->first_row, n, g, d);
    h.dk = head_of(job->dk, seq->first_row, n, g, d);
    h.dv = head_of(job->dv, seq->first_row, n, g, d);
    for (int i = 0; i < n; i++) {
        memset(h.dk.data + (size_t)i * (size_t)h.dk.stride, 0, sizeof(float) * (size_t)d);
        memset(h.dv.data + (size_t)i * (size_t)h.dv.stride, 0, sizeof(float) * (size_t)d);
    }
    for (int head = g * job->n_group; head < (g + 1) * job->n_group; head++)
        for (h.first = 0; h.first < n; h.first += ROWS) {
            const int row = seq->first_row + h.first;
            h.n_rows = n - h.first < ROWS ? n - h.first : ROWS;
            h.q = head_of(job->q, row, h.n_rows, head, d);
            h.out = head_of(job->out, row, h.n_rows, head, d);
            h.dout = head_of(job->dout, row, h.n_rows, head, d);
            block_backward(&h, head_of(job->dq, row, h.n_rows, head, d));
        }
}

void cpu_attention_backward(Backend *b, const Batch *batch, float scale, int head_dim, Mat q, Mat k,
                            Mat v, Mat out, Mat dout, Mat dq, Mat dk, Mat dv)
{
    ASSERT(head_dim <= HEAD_DIMS && dk.data != k.data && dv.data != v.data);
    AttentionJob job = {.cpu = cpu_of(b),
                        .batch = batch,
                        .scale = scale,
                        .head_dim = head_dim,
                        .n_kv_heads = k.cols / head_dim,
                        .n_group = q.cols / k.cols,
                        .q = q,
                        .k = k,
                        .v = v,
                        .out = out,
                        .dout = dout,
                        .dq = dq,
                        .dk = dk,
                        .dv = dv};
    pool_run(job.cpu->pool, batch->n_seqs * job.n_kv_heads, attention_task, &job);
}
