/* Drawing tokens from logits, and their log-probabilities.
 *
 * The order is vLLM's: bias; what may not be drawn; repetition, frequency and presence penalties;
 * temperature; min_p; top_k; top_p; the draw. The raw logits stay as they are (log-probabilities
 * are theirs); the edits are made in a copy. Whole-vocabulary work is in logits.h's kernels; with
 * top_k set, only k candidates come out of it. */
#include "cpu/cpu_ops.h"

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

/* How many of the sorted candidates top_p leaves: the fewest whose weights reach p of `total`. */
static int nucleus(const Key *keys, int n, const float *x, const Race *race, float p, double total)
{
    double mass = 0;
    for (int i = 0; i < n; i++) {
        mass += exp((double)z_of(keys[i], x, race));
        if (mass >= (double)p * total)
            return i + 1;
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

/* keys = the candidates with z >= lowest, in order of their ids; *mass = the sum of their weights.
 */
static int gather(const LogitsKernels *kernels, const float *x, int n, const Race *race,
                  float lowest, Key *keys, double *mass)
{
    /* z is the rounded quotient: a threshold on x may let in a few too many, which z then sorts
     * out. */
    float threshold = nextafterf(race->max + lowest * race->temperature * 1.00001f, -INFINITY);
    int n_keys = 0;
    *mass = 0;
    for (int i = kernels->find_above(x, 0, n, threshold); i < n;
         i = kernels->find_above(x, i + 1, n, threshold)) {
        Key key = key_of(x[i], i);
        float z = z_of(key, x, race);
        if (!(z >= lowest && z > -INFINITY))
            continue;
        keys[n_keys++] = key;
        *mass += exp((double)z);
    }
    return n_keys;
}

/* top_p over the whole vocabulary. Only the candidates near the top are sorted: those within
 * `depth` of the best, where depth grows until they hold enough of the mass. */
static int draw_nucleus(const LogitsKernels *kernels, const float *x, int n, const SampleRow *row,
                        const Race *race, Space space)
{
    double total, mass;
    gather(kernels, x, n, race, race->lowest, space.keys, &total);
    int n_keys = 0;
    for (float depth = 4;; depth *= 2) {
        bool is_all = !(-depth > race->lowest) || depth > 1e6f;
        n_keys = gather(kernels, x, n, race, is_all ? race->lowest : -depth, space.keys, &mass);
        if (is_all || mass >= (double)row->top_p * total)
            break;
    }
    sort_keys(space.keys, space.spare, n_keys);
    return race_among(space.keys, nucleus(space.keys, n_keys, x, race, row->top_p, total), x, race);
}

static int draw(const LogitsKernels *kernels, const float *x, int n, const SampleRow *row,
                Space space)
{
    if (row->temperature <= 0)
        return select_top(kernels, x, n, 1, space.keys) ? key_id(space.keys[0]) : -1;
    Race race = {.key = rng_counter_key(row->seed, row->position),
                 .max = kernels->max(x, n),
                 .temperature = row->temperature,
                 .lowest = row->min_p > 0 ? fminf(logf(row->min_p), 0) : -INFINITY};
    if (race.max == -INFINITY)
        return -1;
    if (row->top_k > 0 && row->top_k < n) {
        int n_keys = select_top(kernels, x, n, row->top_k, space.keys);
        double total = 0;
        while (n_keys > 1 && !(z_of(space.keys[n_keys - 1], x, &race) >= race.lowest))
            n_keys--;
        for (int i = 0; i < n_keys; i++)
            total += exp((double)z_of(space.keys[i], x, &race));
        if (row->top_p < 1)
            n_keys = nucleus(space.keys, n_keys, x, &race, row->top_p, total);
        return race_among(space.keys, n_keys, x, &race);
    }
    if (row->top_p < 1)
        return draw_nucleus(kernels, x, n, row, &race, space);
    return kernels->race(x, n, &race);
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
    const LogitsKernels *kernels = &job->cpu->kernels->logits;
    const SampleRow *row = &job->rows[task];
    const int n = job->logits.cols;
    const float *x = job->logits.data + (size_t)task * (size_t)job->logits.stride;
    Sampled *out = &job->out[task];
    Space space = space_of(job->cpu, worker, n);
    const int n_allowed = row->n_allowed < n ? row->n_allowed : n;
    ASSERT(n_allowed > 0 && row->n_top >= 0 && row->n_top <= SAMPLE_TOP_MAX);
    double lse = log_sum_exp(kernels, x, n);
    out->n_top = row->n_top < n ? row->n_top : n;
    report_top(kernels, x, n, lse, out->n_top, space.keys, out->top_ids, out->top_logits,
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
