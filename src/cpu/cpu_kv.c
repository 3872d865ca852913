/* See cpu_kv.h and backend/backend.h. */
#include "cpu/cpu_kv.h"

#include "base/bug.h"
#include "base/mem.h"
#include "cpu/cpu_ops.h"

#include <string.h>

/* Rows that one task writes, and those that are turned from rows to columns together. */
enum { WRITE_ROWS = 256, RUN_ROWS = 16 };

KvStore *cpu_kv_new(Backend *b, DType type, int n_layers, int n_kv_heads, int head_dim, int n_pages,
                    Error *err)
{
    (void)b;
    if (type != DTYPE_F32 && type != DTYPE_F16 && type != DTYPE_BF16 && type != DTYPE_Q8_0) {
        error_set(err, ERROR_UNSUPPORTED, "keys and values of type %s; use f32, f16, bf16 or q8_0",
                  dtype_name(type));
        return NULL;
    }
    if (head_dim < 8 || head_dim % 8 != 0 || head_dim > HEAD_DIM_MAX) {
        error_set(err, ERROR_UNSUPPORTED, "head_dim %d; a multiple of 8 up to %d is supported",
                  head_dim, HEAD_DIM_MAX);
        return NULL;
    }
    ASSERT(n_layers > 0 && n_kv_heads > 0 && n_pages > 0);
    KvStore kv = {.type = type,
                  .n_layers = n_layers,
                  .n_kv_heads = n_kv_heads,
                  .head_dim = head_dim,
                  .n_pages = n_pages};
    kv.v_cols = (head_dim + VALUE_COLS_STEP - 1) / VALUE_COLS_STEP * VALUE_COLS_STEP;
    kv.element_bytes = type == DTYPE_Q8_0 ? 1 : dtype_row_bytes(type, 1);
    kv.keys_bytes = kv_row_bytes(type, head_dim) * KV_PAGE_TOKENS;
    kv.head_bytes = kv.keys_bytes + kv_row_bytes(type, kv.v_cols) * KV_PAGE_TOKENS;
    size_t heads;
    if (!mem_product((size_t)n_layers, (size_t)n_kv_heads, SIZE_MAX, &heads) ||
        !mem_product(heads, kv.head_bytes, SIZE_MAX, &kv.page_bytes) ||
        !mem_product(kv.page_bytes, (size_t)n_pages, SIZE_MAX / 2, &kv.bytes)) {
        error_set(err, ERROR_LIMIT, "%d pages of keys and values are more than memory can name",
                  n_pages);
        return NULL;
    }
    kv.memory = mem_map(kv.bytes, "keys and values", err);
    if (!kv.memory)
        return NULL;
    KvStore *made = mem_alloc(sizeof *made);
    *made = kv;
    return made;
}

void cpu_kv_free(Backend *b, KvStore *kv)
{
    (void)b;
    if (!kv)
        return;
    mem_unmap(kv->memory, kv->bytes);
    mem_free(kv);
}

/* The first n numbers of each of n_rows rows of KV_PAGE_TOKENS. */
static void copy_columns(char *target, const char *source, int n_rows, size_t number_bytes, int n)
{
    for (int i = 0; i < n_rows; i++) {
        memcpy(target, source, number_bytes * (size_t)n);
        target += number_bytes * KV_PAGE_TOKENS;
        source += number_bytes * KV_PAGE_TOKENS;
    }
}

void cpu_kv_copy_page(Backend *b, KvStore *kv, int from, int to, int n_tokens)
{
    (void)b;
    ASSERT(from != to && n_tokens >= 0 && n_tokens <= KV_PAGE_TOKENS);
    const size_t key_codes = (size_t)kv->head_dim * KV_PAGE_TOKENS;
    const size_t value_codes = (size_t)kv->v_cols * KV_PAGE_TOKENS;
    const int key_blocks = kv_blocks(kv->head_dim), value_blocks = kv_blocks(kv->v_cols);
    for (int head = 0; head < kv->n_layers * kv->n_kv_heads; head++) {
        const char *source = kv_head(kv, from, 0, head);
        char *target = kv_head(kv, to, 0, head);
        copy_columns(target, source, kv->head_dim, kv->element_bytes, n_tokens);
        if (kv->type == DTYPE_Q8_0)
            copy_columns(target + key_codes, source + key_codes, key_blocks, sizeof(uint16_t),
                         n_tokens);
        source += kv->keys_bytes;
        target += kv->keys_bytes;
        memcpy(target, source, kv->element_bytes * (size_t)(n_tokens * kv->v_cols));
        if (kv->type == DTYPE_Q8_0)
            memcpy(target + value_codes, source + value_codes,
                   sizeof(uint16_t) * (size_t)(n_tokens * value_blocks));
    }
}

typedef struct WriteJob {
    const Kernels *kernels;
    KvStore *kv;
    int layer;
    const Batch *batch;
    Mat k, v;
} WriteJob;

/* Turns n rows of n_cols numbers, row_bytes apart, into columns slot .. slot+n-1 of a page. */
static void put_columns(const char *rows, size_t row_bytes, int n_cols, size_t number_bytes, int n,
                        int slot, void *columns)
{
    for (size_t d = 0; d < (size_t)n_cols; d++)
        for (size_t j = 0; j < (size_t)n; j++) {
            const void *row = rows + j * row_bytes;
            size_t to = d * KV_PAGE_TOKENS + (size_t)slot + j;
            if (number_bytes == sizeof(float))
                ((float *)columns)[to] = ((const float *)row)[d];
            else if (number_bytes == sizeof(uint16_t))
                ((uint16_t *)columns)[to] = ((const uint16_t *)row)[d];
            else
                ((char *)columns)[to] = ((const char *)row)[d];
        }
}

/* n rounded rows of keys, codes and scales apart. */
static void put_keys(const KvStore *kv, const char *rounded, int n, int slot, char *keys)
{
    const size_t row_bytes = kv_row_bytes(kv->type, kv->head_dim), codes = (size_t)kv->head_dim;
    put_columns(rounded, row_bytes, kv->head_dim, kv->element_bytes, n, slot, keys);
    if (kv->type == DTYPE_Q8_0)
        put_columns(rounded + codes, row_bytes, kv_blocks(kv->head_dim), sizeof(uint16_t), n, slot,
                    keys + codes * KV_PAGE_TOKENS);
}

/* One value, rounded into its place. */
static void put_value(const KvStore *kv, const AttentionKernels *attention, const float *v,
                      int slot, char *values)
{
    char *place = values + kv->element_bytes * (size_t)(slot * kv->v_cols);
    if (kv->type != DTYPE_Q8_0) {
        attention->narrow(kv->type, v, kv->head_dim, place);
        return;
    }
    _Alignas(16) char rounded[HEAD_DIM_MAX + 2 * HEAD_DIM_MAX / KV_BLOCK];
    const size_t blocks = (size_t)kv_blocks(kv->v_cols), scale_bytes = sizeof(uint16_t) * blocks;
    attention->narrow(kv->type, v, kv->head_dim, rounded);
    memcpy(place, rounded, (size_t)kv->head_dim);
    memcpy(values + (size_t)kv->v_cols * KV_PAGE_TOKENS + (size_t)slot * scale_bytes,
           rounded + kv->head_dim, scale_bytes);
}

/* One head of n rows from `row` on, whose positions are slots slot .. slot+n-1 of one page. */
static void write_run(const WriteJob *job, int32_t page, int slot, int head, int row, int n)
{
    const KvStore *kv = job->kv;
    const AttentionKernels *attention = &job->kernels->attention;
    char *keys = kv_head(kv, page, job->layer, head), *values = keys + kv->keys_bytes;
    const size_t key_bytes = kv_row_bytes(kv->type, kv->head_dim);
    const size_t column = (size_t)head * (size_t)kv->head_dim;
    const float *k = job->k.data + (size_t)row * (size_t)job->k.stride + column;
    const float *v = job->v.data + (size_t)row * (size_t)job->v.stride + column;
    _Alignas(64) char rounded[RUN_ROWS * HEAD_DIM_MAX * sizeof(float)];
    for (int i = 0; i < n; i++) {
        attention->narrow(kv->type, k, kv->head_dim, rounded + (size_t)i * key_bytes);
        put_value(kv, attention, v, slot + i, values);
        k += job->k.stride;
        v += job->v.stride;
    }
    put_keys(kv, rounded, n, slot, keys);
}

/* Task: one kv head of WRITE_ROWS rows. */
static void write_task(void *context, int task, int worker)
{
    (void)worker;
    const WriteJob *job = context;
    const KvStore *kv = job->kv;
    const int head = task % kv->n_kv_heads;
    const int first = task / kv->n_kv_heads * WRITE_ROWS, last = first + WRITE_ROWS;
    for (int s = 0; s < job->batch->n_seqs; s++) {
        const SeqSpan *seq = &job->batch->seqs[s];
        int row = seq->first_row > first ? seq->first_row : first;
        int end = seq->first_row + seq->n_rows < last ? seq->first_row + seq->n_rows : last;
        for (int n; row < end; row += n) {
            int position = seq->first_position + row - seq->first_row;
            int slot = position % KV_PAGE_TOKENS, left = end - row;
            n = RUN_ROWS - slot % RUN_ROWS; /* runs do not cross pages */
            n = n < left ? n : left;
            int32_t page = seq->pages[position / KV_PAGE_TOKENS];
            DEBUG_ASSERT(page >= 0 && page < kv->n_pages);
            write_run(job, page, slot, head, row, n);
        }
    }
}

void cpu_kv_write(Backend *b, KvStore *kv, int layer, const Batch *batch, Mat k, Mat v)
{
    CpuBackend *cpu = cpu_of(b);
    ASSERT(k.cols == kv->n_kv_heads * kv->head_dim && v.cols == k.cols);
    ASSERT(k.rows == batch->n_tokens && v.rows == batch->n_tokens && layer < kv->n_layers);
    WriteJob job = {cpu->kernels, kv, layer, batch, k, v};
    int n_tasks = (batch->n_tokens + WRITE_ROWS - 1) / WRITE_ROWS * kv->n_kv_heads;
    if (batch->n_tokens >= 8) {
        pool_run(cpu->pool, n_tasks, write_task, &job);
    } else {
        for (int task = 0; task < n_tasks; task++)
            write_task(&job, task, 0);
    }
}
