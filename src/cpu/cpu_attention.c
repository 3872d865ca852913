/* Attention of a ragged batch over paged keys and values: what attention.h's page kernel is given,
 * in which order, and by whom.
 *
 * Work comes in blocks: some consecutive rows of one sequence, with all the query heads that share
 * a kv head, so that a page is read once for all of them. Each block takes its keys in splits of
 * SPLIT_PAGES pages; a split starts with an empty online softmax, goes through its pages, and is
 * merged into the block's total. Splits and pages start at multiples of their length in the
 * sequence, so a row's arithmetic does not depend on how rows were put into blocks or steps.
 *
 * With a window, pages and splits of which a row sees nothing leave its state alone. With chunks
 * (dual chunk attention), blocks and pages lie within one, so that a page is met by all rows of a
 * block with the same kind of query.
 *
 * Usually a task is a block with all its splits. When there are too few blocks for the workers (one
 * long sequence being decoded), tasks are single splits whose states go to a table, a wave of them
 * at a time, and are then merged in the same order. */
#include "cpu/cpu_kv.h"
#include "cpu/cpu_ops.h"

#include "base/bug.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

enum {
    SPLIT_PAGES = 8,
    SPLIT_TOKENS = SPLIT_PAGES * KV_PAGE_TOKENS,
    BLOCK_ROWS = 64,        /* query rows (positions x heads) of a block at most */
    WIDEN_ROWS = 8,         /* from so many rows on a page is converted to f32 once for all */
    FORK_WORK = 65536,      /* multiply-adds that cost about as much as a fork */
    TASKS_PER_WORKER = 4,   /* fewer blocks than that: share out the splits */
    WAVE_BYTES = 256 * 1024 /* states of splits, for each worker */
};

typedef struct Block {
    const SeqSpan *seq;
    int first, n_positions; /* within the sequence's rows of this batch */
} Block;

typedef struct Job {
    const Kernels *kernels;
    CpuBackend *cpu;
    const KvStore *kv;
    int layer, group; /* query heads of a kv head */
    const Sight *sight;
    Mat queries[3]; /* for keys of the own chunk, of the one before, of those further back */
    Mat out;
    const Block *blocks;
    int n_blocks;
    /* Wave mode only. */
    float *totals, *wave;
    size_t state_floats;
    int wave_first, wave_splits;
} Job;

/* A worker's own memory. */
typedef struct Worker {
    _Alignas(64) float q[BLOCK_ROWS * HEAD_DIM_MAX];
    float keys[KV_PAGE_TOKENS * HEAD_DIM_MAX], values[KV_PAGE_TOKENS * HEAD_DIM_MAX];
    float split[BLOCK_ROWS * (HEAD_DIM_MAX + 2)], total[BLOCK_ROWS * (HEAD_DIM_MAX + 2)];
    float total_factor[BLOCK_ROWS], split_factor[BLOCK_ROWS];
    int32_t n_keys[BLOCK_ROWS], first_keys[BLOCK_ROWS];
    int loaded; /* which of the job's queries are in q; -1: none */
} Worker;

/* The rows of a block for one kv head: position after position, head after head. */
typedef struct Rows {
    const Block *block;
    int head, n_rows;
} Rows;

static Rows rows_of(const Job *job, int item)
{
    /* Later positions see more keys: the heaviest blocks go first. */
    const Block *block = &job->blocks[job->n_blocks - 1 - item / job->kv->n_kv_heads];
    return (Rows){block, item % job->kv->n_kv_heads, block->n_positions * job->group};
}

static float *row_of(const Job *job, Mat m, const Rows *rows, int i)
{
    int row = rows->block->seq->first_row + rows->block->first + i / job->group;
    int head = rows->head * job->group + i % job->group;
    return m.data + (size_t)row * (size_t)m.stride + (size_t)head * (size_t)job->kv->head_dim;
}

static int position_of(const Job *job, const Rows *rows, int i)
{
    return rows->block->seq->first_position + rows->block->first + i / job->group;
}

static int n_splits_of(const Job *job, const Rows *rows)
{
    return position_of(job, rows, rows->n_rows - 1) / SPLIT_TOKENS + 1;
}

/* The first position that row i sees. */
static int sees_from(const Job *job, const Rows *rows, int i)
{
    const int window = job->sight->window, position = position_of(job, rows, i);
    return window > 0 && position >= window ? position - window + 1 : 0;
}

static int first_split_of(const Job *job, const Rows *rows)
{
    return sees_from(job, rows, 0) / SPLIT_TOKENS;
}

/* States lie in memory as max[n], sum[n], acc[n][v_cols]; acc first, so that it is aligned. */
static SoftmaxState state_at(const Job *job, float *memory, int n_rows)
{
    size_t acc_floats = (size_t)n_rows * (size_t)job->kv->v_cols;
    return (SoftmaxState){memory + acc_floats, memory + acc_floats + n_rows, memory};
}

static SoftmaxState state_from(SoftmaxState s, int row, int v_cols)
{
    return (SoftmaxState){s.max + row, s.sum + row, s.acc + (size_t)row * (size_t)v_cols};
}

static void state_clear(const Job *job, SoftmaxState s, int n_rows)
{
    memset(s.acc, 0, sizeof(float) * (size_t)n_rows * (size_t)job->kv->v_cols);
    for (int i = 0; i < n_rows; i++) {
        s.max[i] = -INFINITY;
        s.sum[i] = 0;
    }
}

/* Brings the queries that keys from first_key on are met with. */
static void load_q(const Job *job, Worker *w, const Rows *rows, int first_key)
{
    const int chunk = job->sight->chunk;
    int back = chunk > 0 ? position_of(job, rows, 0) / chunk - first_key / chunk : 0;
    back = back < 2 ? back : 2;
    if (w->loaded == back)
        return;
    w->loaded = back;
    size_t head_dim = (size_t)job->kv->head_dim;
    for (int i = 0; i < rows->n_rows; i++)
        memcpy(w->q + (size_t)i * head_dim, row_of(job, job->queries[back], rows, i),
               sizeof(float) * head_dim);
}

static void run_page(const Job *job, Worker *w, const Rows *rows, int page, SoftmaxState state)
{
    const KvStore *kv = job->kv;
    const int first_key = page * KV_PAGE_TOKENS;
    int skipped = 0, n_rows = 0; /* rows before this page; rows that see some of it */
    for (int i = 0; i < rows->n_rows; i++) {
        int n = position_of(job, rows, i) + 1 - first_key;
        int hidden = sees_from(job, rows, i) - first_key;
        w->n_keys[i] = n < KV_PAGE_TOKENS ? n : KV_PAGE_TOKENS;
        w->first_keys[i] = hidden > 0 ? hidden : 0;
        skipped += n <= 0;
        n_rows += n > 0 && hidden < KV_PAGE_TOKENS;
    }
    load_q(job, w, rows, first_key);
    const char *keys = kv_head(kv, rows->block->seq->pages[page], job->layer, rows->head);
    const char *next = NULL;
    if (page < position_of(job, rows, rows->n_rows - 1) / KV_PAGE_TOKENS)
        next = kv_head(kv, rows->block->seq->pages[page + 1], job->layer, rows->head);
    AttentionPage p = {.type = kv->type,
                       .keys = keys,
                       .values = keys + kv->keys_bytes,
                       .next_keys = next,
                       .next_values = next ? next + kv->keys_bytes : NULL,
                       .next_element_bytes = (int)kv->element_bytes,
                       .head_dim = kv->head_dim,
                       .v_cols = kv->v_cols,
                       .n_rows = n_rows,
                       .q = w->q + (size_t)skipped * (size_t)kv->head_dim,
                       .n_keys = w->n_keys + skipped,
                       .first_keys = job->sight->window > 0 ? w->first_keys + skipped : NULL,
                       .scale = job->sight->scale,
                       .state = state_from(state, skipped, kv->v_cols)};
    if (p.n_rows >= WIDEN_ROWS && kv->type != DTYPE_F32) {
        const AttentionKernels *kernels = &job->kernels->attention;
        kernels->widen(&p, p.n_keys[n_rows - 1], w->keys, w->values);
        p.type = DTYPE_F32;
        p.keys = w->keys;
        p.values = w->values;
    }
    job->kernels->attention.page(&p);
}

static void run_split(const Job *job, Worker *w, const Rows *rows, int split, SoftmaxState state)
{
    state_clear(job, state, rows->n_rows);
    int first = sees_from(job, rows, 0) / KV_PAGE_TOKENS;
    int last = position_of(job, rows, rows->n_rows - 1) / KV_PAGE_TOKENS;
    for (int page = split * SPLIT_PAGES; page < (split + 1) * SPLIT_PAGES && page <= last; page++)
        if (page >= first)
            run_page(job, w, rows, page, state);
}

/* Takes a split's state into the total, for the rows that saw keys in it. */
static void merge(const Job *job, Worker *w, const Rows *rows, int split, SoftmaxState total,
                  SoftmaxState part)
{
    const int v_cols = job->kv->v_cols;
    int from = 0, n = rows->n_rows;
    while (position_of(job, rows, from) < split * SPLIT_TOKENS)
        from++;
    while (n > from && sees_from(job, rows, n - 1) >= (split + 1) * SPLIT_TOKENS)
        n--;
    for (int i = from; i < n; i++) {
        float max = part.max[i] > total.max[i] ? part.max[i] : total.max[i];
        w->total_factor[i] = total.max[i] - max;
        w->split_factor[i] = part.max[i] - max;
        total.max[i] = max;
    }
    const ElementwiseKernels *kernels = &job->kernels->elementwise;
    kernels->exp(w->total_factor + from, 0, n - from, w->total_factor + from);
    kernels->exp(w->split_factor + from, 0, n - from, w->split_factor + from);
    for (int i = from; i < n; i++) {
        const float a = w->total_factor[i], c = w->split_factor[i];
        total.sum[i] = total.sum[i] * a + part.sum[i] * c;
        float *restrict to = total.acc + (size_t)i * (size_t)v_cols;
        const float *restrict add = part.acc + (size_t)i * (size_t)v_cols;
        for (int j = 0; j < v_cols; j++)
            to[j] = to[j] * a + add[j] * c;
    }
}

static void store(const Job *job, const Rows *rows, SoftmaxState total)
{
    const int v_cols = job->kv->v_cols, head_dim = job->kv->head_dim;
    for (int i = 0; i < rows->n_rows; i++) {
        float *restrict out = row_of(job, job->out, rows, i);
        const float *restrict acc = total.acc + (size_t)i * (size_t)v_cols;
        for (int j = 0; j < head_dim; j++)
            out[j] = acc[j] / total.sum[i];
    }
}

/* Task: a block and kv head with all its splits. */
static void block_task(void *context, int task, int worker)
{
    const Job *job = context;
    Worker *w = scratch_of(job->cpu, worker);
    Rows rows = rows_of(job, task);
    SoftmaxState total = state_at(job, w->total, rows.n_rows);
    SoftmaxState part = state_at(job, w->split, rows.n_rows);
    w->loaded = -1;
    state_clear(job, total, rows.n_rows);
    for (int split = first_split_of(job, &rows); split < n_splits_of(job, &rows); split++) {
        run_split(job, w, &rows, split, part);
        merge(job, w, &rows, split, total, part);
    }
    store(job, &rows, total);
}

/* Task: one split of a wave. */
static void wave_task(void *context, int task, int worker)
{
    const Job *job = context;
    Worker *w = scratch_of(job->cpu, worker);
    Rows rows = rows_of(job, task / job->wave_splits);
    int split = job->wave_first + task % job->wave_splits;
    if (split < first_split_of(job, &rows) || split >= n_splits_of(job, &rows))
        return;
    w->loaded = -1;
    float *memory = job->wave + (size_t)task * job->state_floats;
    run_split(job, w, &rows, split, state_at(job, memory, rows.n_rows));
}

/* Task: merge what a wave brought for a block and kv head; finish it after its last split. */
static void merge_task(void *context, int task, int worker)
{
    const Job *job = context;
    Worker *w = scratch_of(job->cpu, worker);
    Rows rows = rows_of(job, task);
    SoftmaxState total = state_at(job, job->totals + (size_t)task * job->state_floats, rows.n_rows);
    const int n_splits = n_splits_of(job, &rows);
    if (job->wave_first == 0)
        state_clear(job, total, rows.n_rows);
    for (int i = 0; i < job->wave_splits && job->wave_first + i < n_splits; i++) {
        if (job->wave_first + i < first_split_of(job, &rows))
            continue;
        float *memory = job->wave + (size_t)(task * job->wave_splits + i) * job->state_floats;
        merge(job, w, &rows, job->wave_first + i, total, state_at(job, memory, rows.n_rows));
    }
    if (n_splits > job->wave_first && n_splits <= job->wave_first + job->wave_splits)
        store(job, &rows, total);
}

static size_t wave_floats(int n_threads)
{
    return (size_t)n_threads * (WAVE_BYTES / sizeof(float));
}

/* Shares out the splits when that makes more tasks; false when blocks are enough. */
static bool run_waves(Job *job, float *memory)
{
    const int n_threads = pool_n_threads(job->cpu->pool);
    const int n_items = job->n_blocks * job->kv->n_kv_heads;
    if (n_threads == 1 || n_items >= TASKS_PER_WORKER * n_threads)
        return false;
    int n_splits = 0, n_rows = 0;
    for (int item = 0; item < n_items; item += job->kv->n_kv_heads) {
        Rows rows = rows_of(job, item);
        n_splits = n_splits_of(job, &rows) > n_splits ? n_splits_of(job, &rows) : n_splits;
        n_rows = rows.n_rows > n_rows ? rows.n_rows : n_rows;
    }
    /* Whole cache lines, so that neighbours do not share one. */
    job->state_floats = ((size_t)n_rows * (size_t)(job->kv->v_cols + 2) + 15) / 16 * 16;
    size_t n_states = wave_floats(n_threads) / job->state_floats / (size_t)n_items;
    if (n_splits < 2 || n_states < 3)
        return false;
    job->totals = memory;
    job->wave = memory + (size_t)n_items * job->state_floats;
    job->wave_splits = (int)n_states - 1 < n_splits ? (int)n_states - 1 : n_splits;
    for (; job->wave_first < n_splits; job->wave_first += job->wave_splits) {
        pool_run(job->cpu->pool, n_items * job->wave_splits, wave_task, job);
        pool_run(job->cpu->pool, n_items, merge_task, job);
    }
    return true;
}

static size_t blocks_bytes(int n_rows)
{
    return (sizeof(Block) * (size_t)n_rows + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

size_t cpu_attention_shared_bytes(int n_threads, int n_rows)
{
    return blocks_bytes(n_rows) + sizeof(float) * wave_floats(n_threads);
}

size_t cpu_attention_worker_bytes(void) { return sizeof(Worker); }

/* The sequence's rows in blocks, none of them over the edge of a chunk. */
static int put_blocks(Block *blocks, const SeqSpan *seq, int n_positions, int chunk)
{
    int n = 0;
    for (int first = 0, n_rows; first < seq->n_rows; first += n_rows) {
        const int position = seq->first_position + first, left = seq->n_rows - first;
        n_rows = left < n_positions ? left : n_positions;
        if (chunk > 0 && position % chunk + n_rows > chunk)
            n_rows = chunk - position % chunk;
        blocks[n++] = (Block){seq, first, n_rows};
    }
    return n;
}

void cpu_attention(Backend *b, const KvStore *kv, int layer, const Batch *batch, const Sight *sight,
                   Mat q, Mat out)
{
    CpuBackend *cpu = cpu_of(b);
    Job job = {.kernels = cpu->kernels,
               .cpu = cpu,
               .kv = kv,
               .layer = layer,
               .sight = sight,
               .queries = {q, sight->q_before, sight->q_far},
               .out = out};
    job.group = q.cols / (kv->n_kv_heads * kv->head_dim);
    ASSERT(job.group >= 1 && job.group <= BLOCK_ROWS && layer < kv->n_layers);
    ASSERT(q.cols == job.group * kv->n_kv_heads * kv->head_dim && out.cols == q.cols);
    ASSERT(q.rows == batch->n_tokens && out.rows == batch->n_tokens);
    ASSERT(sight->chunk % KV_PAGE_TOKENS == 0 && sight->window >= 0);
    ASSERT(cpu_attention_shared_bytes(pool_n_threads(cpu->pool), batch->n_tokens) <=
           cpu->scratch_shared_bytes);
    Block *blocks = scratch_shared(cpu);
    const int n_positions = BLOCK_ROWS / job.group;
    size_t work = 0;
    for (int s = 0; s < batch->n_seqs; s++) {
        const SeqSpan *seq = &batch->seqs[s];
        work += (size_t)seq->n_rows * (size_t)(seq->first_position + seq->n_rows) * (size_t)q.cols;
        job.n_blocks += put_blocks(blocks + job.n_blocks, seq, n_positions, sight->chunk);
    }
    job.blocks = blocks;
    float *memory = (float *)(void *)((char *)blocks + blocks_bytes(batch->n_tokens));
    const int n_tasks = job.n_blocks * kv->n_kv_heads;
    if (work < FORK_WORK) {
        for (int task = 0; task < n_tasks; task++)
            block_task(&job, task, 0);
    } else if (!run_waves(&job, memory)) {
        pool_run(cpu->pool, n_tasks, block_task, &job);
    }
}
