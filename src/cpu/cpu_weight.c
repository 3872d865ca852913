/* See cpu_weight.h.
 *
 * A product is cut into tasks of some tiles of one weight times some rows of activations. How it is
 * cut changes nothing in the result, since every element of y is computed by one task in one order;
 * it only has to keep the threads evenly busy and the caches warm. */
#include "cpu/cpu_weight.h"

#include "base/bug.h"
#include "base/mem.h"
#include "cpu/cpu_backend.h"
#include "tensor/quant.h"

#include <string.h>

enum {
    WEIGHTS_MAX = 8,           /* that one call multiplies with the same input */
    TASKS_PER_THREAD = 8,      /* so that a thread that is held up costs little */
    TASK_BYTES_MIN = 16 << 10, /* of weights: half a microsecond of reading */
    TASK_BYTES_MAX = 256 << 10,
    ROWS_PER_TASK = 96, /* their activations fit in the second-level cache */
    ROWS_STEP = 6,      /* rows that the fast kernels take at once */
    MADE_BYTES = 320,   /* of CHUNK_COLS columns that a source makes: A8_32 needs the most */
    CHUNK_COLS = 256    /* columns converted at once: one block of any type */
};

struct Weight {
    DType type;
    int n_mats, n_rows, n_cols; /* [n_mats, n_rows, n_cols] */
    int first_mat, n_all;       /* of a divided bank: the number of the first, and of all ranks' */
    int n_tiles;                /* of one matrix */
    size_t tile_bytes, bytes;
    uint8_t *data; /* [n_mats, n_tiles, tile_bytes] */
    Slab *home;
};

/* ---- Making, filling, reading ------------------------------------------------------------------
 */

static uint8_t *tile_of(const Weight *w, int mat, int tile)
{
    return w->data + ((size_t)mat * (size_t)w->n_tiles + (size_t)tile) * w->tile_bytes;
}

typedef struct PackJob {
    const Weight *w;
    int mat;
    DType type; /* of the source: w's, or F32 */
    const Tensor *source;
    size_t row_bytes;
} PackJob;

static void pack_row(const PackJob *job, uint8_t *tile, int row, const uint8_t *source)
{
    const Weight *w = job->w;
    if (job->type == w->type) {
        packed_put(w->type, tile, row, 0, w->n_cols, source);
        return;
    }
    for (int k = 0; k < w->n_cols; k += CHUNK_COLS) {
        int n = w->n_cols - k < CHUNK_COLS ? w->n_cols - k : CHUNK_COLS;
        float values[CHUNK_COLS];
        uint8_t encoded[CHUNK_COLS * sizeof(float)];
        memcpy(values, source + (size_t)k * sizeof(float), (size_t)n * sizeof(float));
        quant_encode(w->type, values, encoded, n);
        packed_put(w->type, tile, row, k, n, encoded);
    }
}

static void clear_row(const Weight *w, uint8_t *tile, int row)
{
    static const uint8_t zeros[CHUNK_COLS * sizeof(float)];
    for (int k = 0; k < w->n_cols; k += CHUNK_COLS) {
        int n = w->n_cols - k < CHUNK_COLS ? w->n_cols - k : CHUNK_COLS;
        packed_put(w->type, tile, row, k, n, zeros);
    }
}

static void pack_tile(const PackJob *job, int mat, int tile, const uint8_t *rows, int n_rows)
{
    const Weight *w = job->w;
    for (int i = 0; i < TILE_ROWS; i++) {
        if (i < n_rows)
            pack_row(job, tile_of(w, mat, tile), i, rows + (size_t)i * job->row_bytes);
        else
            clear_row(w, tile_of(w, mat, tile), i);
    }
}

/* The same from a source whose file has rows in another order, a few columns at a time; row: the
 * tile's first in the source. */
static void make_tile(const PackJob *job, int mat, int tile, int64_t row, int n_rows)
{
    const Weight *w = job->w;
    const Tensor *source = job->source;
    uint8_t made[TILE_ROWS * MADE_BYTES];
    n_rows = n_rows < TILE_ROWS ? n_rows : TILE_ROWS;
    for (int k = 0; k < w->n_cols; k += CHUNK_COLS) {
        int n = w->n_cols - k < CHUNK_COLS ? w->n_cols - k : CHUNK_COLS;
        const size_t bytes = dtype_row_bytes(w->type, n);
        ASSERT(bytes <= MADE_BYTES);
        source->rows->make(source->rows, source->first_row + row, n_rows, k, n, made);
        for (int i = 0; i < n_rows; i++)
            packed_put(w->type, tile_of(w, mat, tile), i, k, n, made + (size_t)i * bytes);
    }
    for (int i = n_rows; i < TILE_ROWS; i++)
        clear_row(w, tile_of(w, mat, tile), i);
}

static void pack_task(void *context, int task, int worker)
{
    const PackJob *job = context;
    const Weight *w = job->w;
    const int mat = task / w->n_tiles, tile = task % w->n_tiles;
    const int row = tile * TILE_ROWS, n = w->n_rows - row;
    const int64_t source_row = (int64_t)mat * w->n_rows + row;
    (void)worker;
    if (job->source->rows)
        make_tile(job, job->mat + mat, tile, source_row, n);
    else
        pack_tile(job, job->mat + mat, tile, tensor_rows(job->source, source_row, n, NULL), n);
}

static void pack(Backend *b, Weight *w, int mat, int n_mats, const Tensor *source)
{
    PackJob job = {w, mat, source->type, source, dtype_row_bytes(source->type, w->n_cols)};
    ASSERT(source->data || source->type == w->type);
    pool_run(cpu_of(b)->pool, n_mats * w->n_tiles, pack_task, &job);
}

Weight *cpu_weight_new(Backend *b, const Tensor *source, int n_mats, Error *err)
{
    int64_t n_rows = tensor_n_rows(source) / n_mats, n_cols = tensor_n_cols(source);
    ASSERT(n_mats > 0 && n_rows * n_mats == tensor_n_rows(source));
    if (n_rows < 1 || n_cols < 1 || n_rows > INT32_MAX / 2 || n_cols > INT32_MAX / 2 ||
        n_rows * n_mats > INT32_MAX || n_cols % dtype_info(source->type)->block_len != 0) {
        error_set(err, ERROR_UNSUPPORTED, "a weight of %lld x %lld in %s", (long long)n_rows,
                  (long long)n_cols, dtype_name(source->type));
        return NULL;
    }
    Weight w = {.type = source->type,
                .n_mats = n_mats,
                .n_rows = (int)n_rows,
                .n_cols = (int)n_cols,
                .n_tiles = packed_n_tiles((int)n_rows),
                .tile_bytes = packed_tile_bytes(source->type, (int)n_cols)};
    size_t n_tiles;
    if (!mem_product((size_t)n_mats, (size_t)w.n_tiles, INT32_MAX, &n_tiles) ||
        !mem_product(n_tiles, w.tile_bytes, SIZE_MAX, &w.bytes)) {
        error_set(err, ERROR_LIMIT, "%d matrices of %lld x %lld are too many", n_mats,
                  (long long)n_rows, (long long)n_cols);
        return NULL;
    }
    pthread_mutex_lock(&cpu_of(b)->slabs_mutex);
    w.data = slab_take(&cpu_of(b)->slabs, w.bytes, "weights", &w.home, err);
    pthread_mutex_unlock(&cpu_of(b)->slabs_mutex);
    if (!w.data)
        return NULL;
    w.n_all = n_mats;
    Weight *weight = mem_alloc(sizeof *weight);
    *weight = w;
    if (source->data || source->rows)
        pack(b, weight, 0, n_mats, source);
    return weight;
}

Weight *cpu_bank_new_divided(Backend *b, DType type, int n_mats, int n_rows, int n_cols, Error *err)
{
    const int n_own = n_mats / b->n_ranks;
    const Tensor empty = {.type = type, .n_dims = 3, .dims = {n_own, n_rows, n_cols}};
    ASSERT(n_own * b->n_ranks == n_mats);
    Weight *w = cpu_weight_new(b, &empty, n_own, err);
    if (!w)
        return NULL;
    w->first_mat = b->rank * n_own;
    w->n_all = n_mats;
    cpu_of(b)->has_divided = b->n_ranks > 1;
    return w;
}

bool cpu_weight_is_divided(const Weight *w) { return w->n_all > w->n_mats; }

void cpu_weight_set(Backend *b, Weight *w, int mat, const Tensor *source)
{
    ASSERT(mat >= 0 && mat < w->n_all);
    mat -= w->first_mat;
    if (mat < 0 || mat >= w->n_mats)
        return;
    ASSERT(tensor_n_rows(source) == w->n_rows && tensor_n_cols(source) == w->n_cols);
    ASSERT(source->type == w->type || source->type == DTYPE_F32);
    pack(b, w, mat, 1, source);
}

static void get_row(const Weight *w, int mat, int row, float *out)
{
    const uint8_t *tile = tile_of(w, mat, row / TILE_ROWS);
    for (int k = 0; k < w->n_cols; k += CHUNK_COLS) {
        int n = w->n_cols - k < CHUNK_COLS ? w->n_cols - k : CHUNK_COLS;
        uint8_t file[CHUNK_COLS * sizeof(float)];
        packed_get(w->type, tile, row % TILE_ROWS, k, n, file);
        quant_decode(w->type, file, out + k, n);
    }
}

void cpu_weight_get(Backend *b, const Weight *w, int mat, int from, int n, float *out)
{
    (void)b;
    ASSERT(mat >= 0 && mat < w->n_mats && from >= 0 && n >= 0 && n <= w->n_rows - from);
    for (int i = 0; i < n; i++)
        get_row(w, mat, from + i, out + (size_t)i * (size_t)w->n_cols);
}

size_t cpu_weight_bytes(const Weight *w) { return w->bytes; }

void cpu_weight_free(Backend *b, Weight *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&cpu_of(b)->slabs_mutex);
    slab_give(&cpu_of(b)->slabs, w->home);
    pthread_mutex_unlock(&cpu_of(b)->slabs_mutex);
    mem_free(w);
}

typedef struct EmbedJob {
    const Weight *w;
    const int32_t *ids;
    Mat y;
} EmbedJob;

static void embed_row(void *context, int task, int worker)
{
    const EmbedJob *job = context;
    (void)worker;
    get_row(job->w, 0, job->ids[task], mat_rows(job->y, task, 1).data);
}

void cpu_embed(Backend *b, const Weight *w, const int32_t *ids, Mat y)
{
    ASSERT(y.cols == w->n_cols && w->n_mats == 1);
    EmbedJob job = {w, ids, y};
    pool_run(cpu_of(b)->pool, y.rows, embed_row, &job);
}

/* ---- Products ----------------------------------------------------------------------------------
 */

/* Consecutive rows of x that meet the same matrix. */
typedef struct Run {
    int mat, from, n;
    int block_rows; /* rows of a task */
    int first_task;
} Run;

typedef struct MatmulJob {
    const CpuBackend *backend;
    int n_weights;
    Weight *const *w;
    const Mat *y;
    Acts acts;
    char *scratch;                /* [n_threads, PRODUCT_SCRATCH_BYTES] */
    int chunk_tiles[WEIGHTS_MAX]; /* tiles of a task */
    int first_chunk[WEIGHTS_MAX + 1];
    Run *runs;
    int n_runs, n_tasks;
} MatmulJob;

static size_t scratch_bytes(const CpuBackend *cpu)
{
    return (size_t)pool_n_threads(cpu->pool) * PRODUCT_SCRATCH_BYTES;
}

static size_t runs_bytes(int n_rows)
{
    size_t bytes = (size_t)n_rows * sizeof(Run);
    return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

size_t cpu_weight_reserve_bytes(Backend *b, int n_rows, int n_cols)
{
    return scratch_bytes(cpu_of(b)) + runs_bytes(n_rows) + acts_bytes(n_rows, n_cols);
}

static int clamp(int n, int least, int most)
{
    n = n < most ? n : most;
    return n > least ? n : least;
}

/* Tiles of one task: pairs, as the fast kernels for many rows take them. */
static void plan_chunks(MatmulJob *job)
{
    int n_threads = pool_n_threads(job->backend->pool), total = 0;
    for (int i = 0; i < job->n_weights; i++)
        total += job->w[i]->n_tiles;
    for (int i = 0; i < job->n_weights; i++) {
        const Weight *w = job->w[i];
        int least = (int)(TASK_BYTES_MIN / w->tile_bytes),
            most = (int)(TASK_BYTES_MAX / w->tile_bytes);
        int tiles = clamp(total / (TASKS_PER_THREAD * n_threads), least, most);
        tiles = clamp(tiles + tiles % 2, 2, w->n_tiles + 1);
        job->chunk_tiles[i] = tiles;
        job->first_chunk[i + 1] = job->first_chunk[i] + (w->n_tiles + tiles - 1) / tiles;
    }
}

static void add_run(MatmulJob *job, int mat, int from, int n)
{
    int n_blocks = (n + ROWS_PER_TASK - 1) / ROWS_PER_TASK;
    int rows = (n + n_blocks - 1) / n_blocks;
    rows = (rows + ROWS_STEP - 1) / ROWS_STEP * ROWS_STEP;
    job->runs[job->n_runs++] = (Run){mat, from, n, rows, job->n_tasks};
    job->n_tasks += (n + rows - 1) / rows * job->first_chunk[job->n_weights];
}

static const Run *run_of_task(const MatmulJob *job, int task)
{
    int low = 0, high = job->n_runs;
    while (high - low > 1) {
        int middle = low + (high - low) / 2;
        if (job->runs[middle].first_task <= task)
            low = middle;
        else
            high = middle;
    }
    return &job->runs[low];
}

static void matmul_task(void *context, int task, int worker)
{
    const MatmulJob *job = context;
    const Run *run = run_of_task(job, task);
    int n_chunks = job->first_chunk[job->n_weights];
    int block = (task - run->first_task) / n_chunks, chunk = (task - run->first_task) % n_chunks;
    int i = 0;
    while (chunk >= job->first_chunk[i + 1])
        i++;
    const Weight *w = job->w[i];
    int tile = (chunk - job->first_chunk[i]) * job->chunk_tiles[i];
    int n_tiles = clamp(job->chunk_tiles[i], 0, w->n_tiles - tile);
    int row = block * run->block_rows, n_rows = clamp(run->block_rows, 0, run->n - row);
    Mat y = mat_rows(job->y[i], run->from + row, n_rows);
    Product product = {
        .type = w->type,
        .tiles = tile_of(w, run->mat, tile),
        .tile_bytes = w->tile_bytes,
        .n_tiles = n_tiles,
        .n_rows = clamp(n_tiles * TILE_ROWS, 0, w->n_rows - tile * TILE_ROWS),
        .acts = acts_rows(job->acts, run->from + row, n_rows),
        .y = y.data + (size_t)tile * TILE_ROWS,
        .y_stride = (size_t)y.stride,
        .scratch = job->scratch + (size_t)worker * PRODUCT_SCRATCH_BYTES,
    };
    job->backend->kernels->matmul.product[w->type](&product);
}

/* Everything but the runs. */
static MatmulJob plan(CpuBackend *cpu, int n, Weight *const w[], Mat x, const Mat y[])
{
    MatmulJob job = {.backend = cpu, .n_weights = n, .w = w, .y = y, .scratch = cpu->acts};
    unsigned forms = 0;
    ASSERT(n >= 1 && n <= WEIGHTS_MAX);
    for (int i = 0; i < n; i++) {
        ASSERT(w[i]->n_cols == x.cols && y[i].cols == w[i]->n_rows && y[i].rows == x.rows);
        forms |= acts_form(w[i]->type);
    }
    ASSERT(cpu_weight_reserve_bytes(&cpu->base, x.rows, x.cols) <= cpu->acts_bytes);
    job.runs = (Run *)(void *)(job.scratch + scratch_bytes(cpu));
    job.acts = acts_make(&cpu->kernels->matmul.acts, cpu->pool, x, forms,
                         (char *)job.runs + runs_bytes(x.rows));
    plan_chunks(&job);
    return job;
}

void cpu_matmul(Backend *b, int n, Weight *const w[], Mat x, const Mat y[])
{
    if (x.rows == 0)
        return;
    MatmulJob job = plan(cpu_of(b), n, w, x, y);
    add_run(&job, 0, 0, x.rows);
    pool_run(cpu_of(b)->pool, job.n_tasks, matmul_task, &job);
}

void cpu_matmul_experts_here(Backend *b, int n, Weight *const bank[], const MoeRoutes *routes,
                             Mat x, const Mat y[])
{
    if (x.rows == 0)
        return;
    MatmulJob job = plan(cpu_of(b), n, bank, x, y);
    for (int e = 0; e < routes->n_experts; e++) {
        int from = routes->offset[e], rows = routes->offset[e + 1] - from;
        if (rows > 0)
            add_run(&job, e % bank[0]->n_mats, from, rows);
    }
    pool_run(cpu_of(b)->pool, job.n_tasks, matmul_task, &job);
}

WeightView cpu_weight_view(const Weight *w, int e)
{
    return (WeightView){w->type, tile_of(w, e % w->n_mats, 0), w->tile_bytes, w->n_rows, w->n_cols};
}
