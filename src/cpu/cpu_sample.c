/* Drawing tokens from logits, and their log-probabilities.
 *
 * The order is vLLM's: bias; what may not be drawn; repetition, frequency and presence penalties;
 * temperature; min_p; top_k; top_p; the draw. The raw logits stay as they are (log-probabilities
 * are theirs); the edits are made in a copy. Whole-vocabulary work is in logits.h's kernels; with
 * top_k set, only k candidates come out of it. */
#include "cpu/cpu_ops.h"
#include "cpu/vector_math.h"

#include "base/bug.h"
#include "base/half.h"
#include "base/mem.h"
#include "base/rng.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* A candidate in 64 bits that sort as numbers do: larger logit first means larger number, and of
 * equal logits the lower id is the larger number. */
typedef uint64_t Key;

static Key key_of(float x, int id)
{
    uint32_t bits = float_bits(x + 0.0f); /* -0 counts as 0 */
    bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (Key)bits << 32 | (uint32_t)~id;
}

static int key_id(Key key) { return (int)~(uint32_t)key; }

/* A worker's memory for one row. */
typedef struct Space {
    float *edited;
    Key *keys, *spare; /* [n_vocab] each */
} Space;

static size_t round_up(size_t bytes) { return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN; }

size_t cpu_sample_worker_bytes(int n_vocab)
{
    return round_up(sizeof(float) * (size_t)n_vocab) + 2 * round_up(sizeof(Key) * (size_t)n_vocab);
}

static Space space_of(const CpuBackend *cpu, int worker, int n_vocab)
{
    ASSERT(cpu_sample_worker_bytes(n_vocab) <= cpu->scratch_worker_bytes);
    char *memory = scratch_of(cpu, worker);
    size_t floats = round_up(sizeof(float) * (size_t)n_vocab);
    size_t keys = round_up(sizeof(Key) * (size_t)n_vocab);
    return (Space){(float *)(void *)memory, (Key *)(void *)(memory + floats),
                   (Key *)(void *)(memory + floats + keys)};
}

/* ---- The largest of many ----------------------------------------------------------------------
 */

/* Restores the heap (smallest key at the root) below `at`. */
static void sift_down(Key *heap, int n, int at)
{
    Key key = heap[at];
    for (;;) {
        int child = 2 * at + 1;
        if (child >= n)
            break;
        if (child + 1 < n && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= key)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = key;
}

/* keys = the k largest of x[0 .. n-1] above -inf, largest first, lowest id first among equals.
 * Returns how many there are. */
static int select_top(const LogitsKernels *kernels, const float *x, int n, int k, Key *keys)
{
    int n_keys = 0, i = 0;
    for (; n_keys < k; i++) {
        i = kernels->find_above(x, i, n, -INFINITY);
        if (i >= n)
            break;
        keys[n_keys++] = key_of(x[i], i);
    }
    for (int at = n_keys / 2 - 1; at >= 0; at--)
        sift_down(keys, n_keys, at);
    /* An equal logit further on has a higher id: it never replaces one that is in. */
    while (n_keys > 0 && (i = kernels->find_above(x, i, n, x[key_id(keys[0])])) < n) {
        keys[0] = key_of(x[i], i);
        sift_down(keys, n_keys, 0);
        i++;
    }
    for (int left = n_keys - 1; left > 0; left--) {
        Key smallest = keys[0];
        keys[0] = keys[left];
        keys[left] = smallest;
        sift_down(keys, left, 0);
    }
    return n_keys;
}

/* Sorts keys, made in ascending order of their ids, by their logits, largest first. Stable, so the
 * lower half, the ids, need not be looked at. */
static void sort_keys(Key *keys, Key *spare, int n)
{
    enum { BITS = 8, BUCKETS = 1 << BITS };
    for (int shift = 32; shift < 64; shift += BITS) {
        int32_t start[BUCKETS] = {0};
        for (int i = 0; i < n; i++)
            start[keys[i] >> shift & (BUCKETS - 1)]++;
        for (int b = BUCKETS - 1, sum = 0; b >= 0; b--) {
            int count = start[b];
            start[b] = sum;
            sum += count;
        }
        for (int i = 0; i < n; i++)
            spare[start[keys[i] >> shift & (BUCKETS - 1)]++] = keys[i];
        Key *swap = keys;
        keys = spare;
        spare = swap;
    }
}

/* ---- Edits ------------------------------------------------------------------------------------
 */

/* NaN becomes -inf, and +inf the largest number, so that what follows is arithmetic on numbers. */
static inline float tame(float x)
{
    float y = x < FLT_MAX ? x : FLT_MAX;
    return x == x ? y : -INFINITY;
}

static float penalized(float x, const SampleRow *row, int count)
{
    x = x > 0 ? x / row->repetition_penalty : x * row->repetition_penalty;
    x -= row->frequency_penalty * (float)count;
    return count > 0 ? x - row->presence_penalty : x;
}

static void forbid_masked(float *x, int n, const uint32_t *mask)
{
    for (int from = 0; from < n; from += 32) {
        uint32_t allowed = mask[from / 32];
        if (allowed == UINT32_MAX)
            continue;
        for (int i = from; i < n && i < from + 32; i++)
            if (!(allowed >> (i - from) & 1))
                x[i] = -INFINITY;
    }
}

/* out[0 .. n-1]: the logits to draw from. */
static void edit(const float *logits, const SampleRow *row, int n, float *out)
{
    for (int i = 0; i < n; i++)
        out[i] = tame(logits[i]);
    for (int i = 0; i < row->n_bias; i++) {
        int id = row->bias_ids[i];
        if (id >= 0 && id < n)
            out[id] = tame(out[id] + row->bias[i]);
    }
    if (row->mask)
        forbid_masked(out, n, row->mask);
    for (int i = 0; i < row->n_seen; i++) {
        int id = row->seen_ids[i];
        if (id >= 0 && id < n)
            out[id] = tame(penalized(out[id], row, row->seen_counts[i]));
    }
}

/* ---- The draw ---------------------------------------------------------------------------------
 */

static float z_of(Key key, const float *x, const Race *race)
{
    return (x[key_id(key)] - race->max) / race->temperature;
}

/* Adds up the candidates' weights, exp(z), in their order until there is `enough`; returns how many
 * that takes, or n. */
static int weigh(const Kernels *kernels, const Key *keys, int n, const float *x, const Race *race,
                 double enough, double *mass)
{
    enum { AT_ONCE = 256 };
    float weights[AT_ONCE];
    *mass = 0;
    for (int from = 0; from < n; from += AT_ONCE) {
        int m = n - from < AT_ONCE ? n - from : AT_ONCE;
        for (int i = 0; i < m; i++)
            weights[i] = z_of(keys[from + i], x, race);
        kernels->elementwise.exp(weights, 0, m, weights);
        for (int i = 0; i < m; i++) {
            *mass += (double)weights[i];
            if (*mass >= enough)
                return from + i + 1;
        }
    }
    return n;
}

static int race_among(const Key *keys, int n, const float *x, const Race *race)
{
    int winner = -1;
    double best = 0;
    for (int i = 0; i < n; i++) {
        int id = key_id(keys[i]);
        double score = race_score(race, z_of(keys[i], x, race), id);
        if (winner < 0 || score > best || (score == best && id < winner)) {
            winner = id;
            best = score;
        }
    }
    return winner;
}

/* keys = the candidates with z >= lowest, in order of their ids. */
static int gather(const LogitsKernels *kernels, const float *z, int n, float lowest, Key *keys)
{
    float threshold = nextafterf(lowest, -INFINITY);
    int n_keys = 0;
    for (int i = kernels->find_above(z, 0, n, threshold); i < n;
         i = kernels->find_above(z, i + 1, n, threshold))
        keys[n_keys++] = key_of(z[i], i);
    return n_keys;
}

/* A bound on the nucleus: candidates below it are not among the fewest that hold top_p of *total.
 * One pass puts the weights into bins of z. */
static float nucleus_bound(const Kernels *kernels, const float *z, int n, float lowest, float top_p,
                           float *weights, double *total)
{
    enum { BINS_A_UNIT = 4, BINS = 87 * BINS_A_UNIT + 1 }; /* exp(-87) counts as 0 */
    double bins[BINS] = {0}, mass = 0;
    kernels->elementwise.exp(z, 0, n, weights);
    for (int i = 0; i < n; i++)
        if (z[i] >= lowest && weights[i] > 0)
            bins[(int)(-z[i] * BINS_A_UNIT)] += (double)weights[i];
    *total = 0;
    for (int i = 0; i < BINS; i++)
        *total += bins[i];
    for (int i = 0; i < BINS; i++) {
        mass += bins[i];
        /* One bin more than needed covers the rounding of another order of summation. */
        if (mass >= (double)top_p * *total)
            return fmaxf(lowest, -(float)(i + 2) / BINS_A_UNIT);
    }
    return lowest;
}

/* top_p over the whole vocabulary; x becomes z. Only the candidates near the top are sorted. */
static int draw_nucleus(const Kernels *kernels, float *x, int n, float top_p, const Race *given,
                        Space space)
{
    Race race = {.key = given->key, .temperature = 1, .lowest = given->lowest};
    for (int i = 0; i < n; i++)
        x[i] = (x[i] - given->max) / given->temperature;
    double total, mass;
    float *weights = (float *)(void *)space.spare;
    float bound = nucleus_bound(kernels, x, n, race.lowest, top_p, weights, &total);
    int n_keys = gather(&kernels->logits, x, n, bound, space.keys);
    sort_keys(space.keys, space.spare, n_keys);
    n_keys = weigh(kernels, space.keys, n_keys, x, &race, (double)top_p * total, &mass);
    return race_among(space.keys, n_keys, x, &race);
}

static int draw_top(const Kernels *kernels, const float *x, int n, const SampleRow *row,
                    const Race *race, Space space)
{
    double total, mass;
    int n_keys = select_top(&kernels->logits, x, n, row->top_k, space.keys);
    while (n_keys > 1 && !(z_of(space.keys[n_keys - 1], x, race) >= race->lowest))
        n_keys--;
    if (row->top_p < 1) {
        weigh(kernels, space.keys, n_keys, x, race, HUGE_VAL, &total);
        n_keys = weigh(kernels, space.keys, n_keys, x, race, (double)row->top_p * total, &mass);
    }
    return race_among(space.keys, n_keys, x, race);
}

/* One of x[0 .. n-1], or -1 when all are -inf. */
static int draw(const Kernels *kernels, float *x, int n, const SampleRow *row, Space space)
{
    if (row->temperature <= 0)
        return select_top(&kernels->logits, x, n, 1, space.keys) ? key_id(space.keys[0]) : -1;
    Race race = {.key = rng_counter_key(row->seed, row->position),
                 .max = kernels->logits.max(x, n),
                 .temperature = row->temperature,
                 .lowest = row->min_p > 0 ? fminf(logf(row->min_p), 0) : -INFINITY};
    if (race.max == -INFINITY)
        return -1;
    if (row->top_k > 0 && row->top_k < n)
        return draw_top(kernels, x, n, row, &race, space);
    if (row->top_p < 1)
        return draw_nucleus(kernels, x, n, row->top_p, &race, space);
    return kernels->logits.race(x, n, &race);
}

/* ---- Operations -------------------------------------------------------------------------------
 */

static double log_sum_exp(const LogitsKernels *kernels, const float *x, int n)
{
    float max = kernels->max(x, n);
    return (double)max + log(kernels->sum_exp(x, n, max));
}

/* The n_top largest logits. Where fewer are above -inf, the others follow in order of their ids. */
static void report_top(const LogitsKernels *kernels, const float *x, int n, double lse, int n_top,
                       Key *keys, int32_t *ids, float *logits, float *logprobs)
{
    int n_keys = select_top(kernels, x, n, n_top, keys);
    for (int i = 0; i < n && n_keys < n_top; i++)
        if (!(x[i] > -INFINITY))
            keys[n_keys++] = key_of(0, i);
    for (int i = 0; i < n_top; i++) {
        ids[i] = key_id(keys[i]);
        logits[i] = x[ids[i]];
        logprobs[i] = (float)((double)logits[i] - lse);
    }
}

typedef struct Job {
    CpuBackend *cpu;
    Mat logits;
    const SampleRow *rows;
    Sampled *out;
    const int32_t *targets;
    int n_top;
    int32_t *top_ids;
    float *logprob, *top_logits, *top_logprobs;
} Job;

static void sample_task(void *context, int task, int worker)
{
    const Job *job = context;
    const Kernels *kernels = job->cpu->kernels;
    const SampleRow *row = &job->rows[task];
    const int n = job->logits.cols;
    const float *x = job->logits.data + (size_t)task * (size_t)job->logits.stride;
    Sampled *out = &job->out[task];
    if (row->n_allowed == 0)
        return;
    Space space = space_of(job->cpu, worker, n);
    const int n_allowed = row->n_allowed < n ? row->n_allowed : n;
    ASSERT(n_allowed > 0 && row->n_top >= 0 && row->n_top <= SAMPLE_TOP_MAX);
    double lse = log_sum_exp(&kernels->logits, x, n);
    out->n_top = row->n_top < n ? row->n_top : n;
    report_top(&kernels->logits, x, n, lse, out->n_top, space.keys, out->top_ids, out->top_logits,
               out->top_logprobs);
    edit(x, row, n_allowed, space.edited);
    int id = draw(kernels, space.edited, n_allowed, row, space);
    /* Nothing may be drawn, or nothing is a number: some answer is due. */
    out->id = id >= 0 ? id : 0;
    out->logprob = (float)((double)x[out->id] - lse);
}

void cpu_sample(Backend *b, Mat logits, const SampleRow rows[], Sampled out[])
{
    CpuBackend *cpu = cpu_of(b);
    Job job = {.cpu = cpu, .logits = logits, .rows = rows, .out = out};
    pool_run(cpu->pool, logits.rows, sample_task, &job);
}

static void logprobs_task(void *context, int task, int worker)
{
    const Job *job = context;
    const LogitsKernels *kernels = &job->cpu->kernels->logits;
    const int n = job->logits.cols;
    const float *x = job->logits.data + (size_t)task * (size_t)job->logits.stride;
    double lse = log_sum_exp(kernels, x, n);
    int target = job->targets[task];
    ASSERT(target < n);
    job->logprob[task] = target < 0 ? 0 : (float)((double)x[target] - lse);
    size_t at = (size_t)task * (size_t)job->n_top;
    if (job->n_top > 0)
        report_top(kernels, x, n, lse, job->n_top, space_of(job->cpu, worker, n).keys,
                   job->top_ids + at, job->top_logits + at, job->top_logprobs + at);
}

void cpu_logprobs(Backend *b, Mat logits, const int32_t *targets, float *logprob, int n_top,
                  int32_t *top_ids, float *top_logits, float *top_logprobs)
{
    CpuBackend *cpu = cpu_of(b);
    ASSERT(n_top >= 0 && n_top <= logits.cols);
    Job job = {.cpu = cpu,
               .logits = logits,
               .targets = targets,
               .n_top = n_top,
               .top_ids = top_ids,
               .logprob = logprob,
               .top_logits = top_logits,
               .top_logprobs = top_logprobs};
    pool_run(cpu->pool, logits.rows, logprobs_task, &job);
}
