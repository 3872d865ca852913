/* See profile.h. */
#include "backend/profile.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdlib.h>

enum { LINES_MAX = 96 };

struct Profile {
    Backend operations; /* the table as it was */
    ProfileLine lines[LINES_MAX];
    int n_lines;
    uint64_t n_steps;
    double step_seconds;
};

static void note(Backend *b, const char *operation, int k, int n, double bytes, double started)
{
    struct Profile *p = b->profile;
    double seconds = clock_seconds() - started;
    int i = 0;
    while (i < p->n_lines &&
           (p->lines[i].operation != operation || p->lines[i].k != k || p->lines[i].n != n))
        i++;
    if (i == LINES_MAX) /* more shapes than a model has: the last line takes the rest */
        i--;
    else if (i == p->n_lines)
        p->lines[p->n_lines++] = (ProfileLine){.operation = operation, .k = k, .n = n};
    p->lines[i].n_calls++;
    p->lines[i].seconds += seconds;
    p->lines[i].bytes += bytes;
}

static int columns(const Mat y[], int n)
{
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += y[i].cols;
    return sum;
}

/* One function an operation: `shape` is k and n of its line. */
#define PROFILED(operation, parameters, arguments, k, n)                                           \
    static void profiled_##operation parameters                                                    \
    {                                                                                              \
        static const char name[] = #operation;                                                     \
        const double started = clock_seconds();                                                    \
        b->profile->operations.operation arguments;                                                \
        note(b, name, k, n, 0, started);                                                           \
    }

static void profiled_matmul(Backend *b, int n, Weight *const w[], Mat x, const Mat y[])
{
    static const char name[] = "matmul";
    const double started = clock_seconds();
    b->profile->operations.matmul(b, n, w, x, y);
    double bytes = 0;
    for (int i = 0; i < n; i++)
        bytes += (double)b->weight_bytes(w[i]);
    note(b, name, x.cols, columns(y, n), bytes, started);
}

PROFILED(matmul_experts,
         (Backend * b, int n, Weight *const bank[], const MoeRoutes *routes, Mat x, const Mat y[]),
         (b, n, bank, routes, x, y), x.cols, columns(y, n))
PROFILED(upload, (Backend * b, void *device, const void *host, size_t bytes),
         (b, device, host, bytes), 0, 0)
PROFILED(embed, (Backend * b, const Weight *w, const int32_t *ids, Mat y), (b, w, ids, y), y.cols,
         0)
PROFILED(add_bias, (Backend * b, Mat y, const float *bias), (b, y, bias), y.cols, 0)
PROFILED(add, (Backend * b, Mat y, Mat x), (b, y, x), y.cols, 0)
PROFILED(rms_norm, (Backend * b, Mat x, const float *w, float eps, Mat y), (b, x, w, eps, y),
         x.cols, 0)
PROFILED(rope_table, (Backend * b, const Batch *batch, const Rotation *rotation, Mat table),
         (b, batch, rotation, table), table.cols, 0)
PROFILED(rope, (Backend * b, Mat x, Mat table), (b, x, table), x.cols, 0)
PROFILED(gather_rows, (Backend * b, Mat src, const int32_t *index, Mat dst), (b, src, index, dst),
         src.cols, 0)
PROFILED(swiglu, (Backend * b, Mat gate, Mat up, Mat out), (b, gate, up, out), gate.cols, 0)
PROFILED(moe_route, (Backend * b, Mat logits, bool normalize, MoeRoutes *routes),
         (b, logits, normalize, routes), logits.cols, 0)
PROFILED(moe_combine, (Backend * b, const MoeRoutes *routes, Mat y, Mat out), (b, routes, y, out),
         y.cols, 0)
PROFILED(kv_write, (Backend * b, KvStore *kv, int layer, const Batch *batch, Mat k, Mat v),
         (b, kv, layer, batch, k, v), k.cols, 0)
PROFILED(attention,
         (Backend * b, const KvStore *kv, int layer, const Batch *batch, const Sight *sight, Mat q,
          Mat out),
         (b, kv, layer, batch, sight, q, out), q.cols, 0)
PROFILED(sample, (Backend * b, Mat logits, const SampleRow rows[], Sampled out[]),
         (b, logits, rows, out), logits.cols, 0)
PROFILED(logprobs,
         (Backend * b, Mat logits, const int32_t *targets, float *logprob, int n_top,
          int32_t *top_ids, float *top_logits, float *top_logprobs),
         (b, logits, targets, logprob, n_top, top_ids, top_logits, top_logprobs), logits.cols, 0)

static void profiled_close(Backend *b)
{
    struct Profile *p = b->profile;
    *b = p->operations;
    mem_free(p);
    b->close(b);
}

void profile_start(Backend *b)
{
    struct Profile *p = mem_alloc(sizeof *p);
    p->operations = *b;
    b->profile = p;
    b->close = profiled_close;
    b->upload = profiled_upload;
    b->embed = profiled_embed;
    b->matmul = profiled_matmul;
    b->matmul_experts = profiled_matmul_experts;
    b->add_bias = profiled_add_bias;
    b->add = profiled_add;
    b->rms_norm = profiled_rms_norm;
    b->rope_table = profiled_rope_table;
    b->rope = profiled_rope;
    b->gather_rows = profiled_gather_rows;
    b->swiglu = profiled_swiglu;
    b->moe_route = profiled_moe_route;
    b->moe_combine = profiled_moe_combine;
    b->kv_write = profiled_kv_write;
    b->attention = profiled_attention;
    b->sample = profiled_sample;
    b->logprobs = profiled_logprobs;
}

bool profile_is_on(const Backend *b) { return b->profile != NULL; }

void profile_clear(Backend *b)
{
    if (!b->profile)
        return;
    b->profile->n_lines = 0;
    b->profile->n_steps = 0;
    b->profile->step_seconds = 0;
}

void profile_add_step(Backend *b, double seconds)
{
    if (!b->profile)
        return;
    b->profile->n_steps++;
    b->profile->step_seconds += seconds;
}

static int longest_first(const void *a, const void *b)
{
    const ProfileLine *x = a, *y = b;
    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

const ProfileLine *profile_lines(Backend *b, int *n, uint64_t *n_steps, double *step_seconds)
{
    struct Profile *p = b->profile;
    if (!p)
        return NULL;
    qsort(p->lines, (size_t)p->n_lines, sizeof *p->lines, longest_first);
    *n = p->n_lines;
    *n_steps = p->n_steps;
    *step_seconds = p->step_seconds;
    return p->lines;
}
