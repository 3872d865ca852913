/* package_convert: the weights' way from one file to another.
 *
 * A tensor is a flat run of elements (rows are whole blocks in both types), worked on in waves:
 * each task of a wave decodes TASK_ELEMENTS, adds what adapters say, checks them, and encodes them
 * into its place of the wave's buffer, which is then written. Blocks do not know each other, so
 * neither the cut nor the number of threads shows in the result. */
#include "base/bug.h"
#include "base/pool.h"
#include "formats/convert_parts.h"
#include "formats/safetensors.h"
#include "tensor/quant.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TASK_ELEMENTS = 32768, /* a multiple of every block length */
    WAVE_TASKS = 64,
    ELEMENT_BYTES_MAX = 4,
    HELD_BYTES_MAX = 64 << 20,
    SCRATCH_PARTS = 3,
};
#define HALF_MAX 65504.0f

/* What a task found at its first bad element. */
typedef enum Fault { FAULT_NONE, FAULT_NOT_FINITE, FAULT_TOO_LARGE } Fault;

/* Sums over what a task wrote: squares of errors and of values, plain and by importance. */
typedef struct Squares {
    double error, value, weighted_error, weighted_value;
} Squares;

typedef struct Wave {
    const Tensor *source;
    DType type;
    Merge merge;
    bool measure;
    int64_t first, n; /* elements of the source that this wave covers */
    float *columns;   /* weights of the source's columns; NULL: none */
    float *scratch;   /* [n_threads][SCRATCH_PARTS][TASK_ELEMENTS] */
    uint8_t *out;     /* [WAVE_TASKS * TASK_ELEMENTS] of any type */
    int64_t bad_at[WAVE_TASKS];
    Fault fault[WAVE_TASKS];
    Squares squares[WAVE_TASKS];
} Wave;

typedef struct Converter {
    const Package *in;
    const ConvertOptions *options;
    const ConvertPlan *plan;
    Pool *pool;
    Wave wave;
    GgufWriter *gguf; /* one of the two */
    SafetensorsWriter *safetensors;
    uint64_t bytes_done, bytes_in;
    uint64_t bytes_held; /* of the input's files, since their memory was let go */
    Error *err;
} Converter;

static Fault find_fault(const float *x, int64_t n, DType type, int64_t *at)
{
    bool is_wide = type == DTYPE_F32 || type == DTYPE_BF16;
    float limit = is_wide ? INFINITY : HALF_MAX;
    for (int64_t i = 0; i < n; i++) {
        if (fabsf(x[i]) <= limit && isfinite(x[i]))
            continue;
        *at = i;
        return isfinite(x[i]) ? FAULT_TOO_LARGE : FAULT_NOT_FINITE;
    }
    return FAULT_NONE;
}

/* The weights of n elements from `first` on. */
static void spread_columns(const Wave *w, int64_t first, int64_t n, float *weights)
{
    const int64_t n_cols = tensor_n_cols(w->source);
    for (int64_t i = 0, column = first % n_cols; i < n; i++, column++) {
        column = column < n_cols ? column : 0;
        weights[i] = w->columns[column];
    }
}

static Squares add_squares(const float *x, const float *back, const float *weights, int64_t n)
{
    Squares s = {0};
    for (int64_t i = 0; i < n; i++) {
        const double off = (double)x[i] - (double)back[i],
                     weight = weights ? (double)weights[i] : 0;
        s.error += off * off;
        s.value += (double)x[i] * (double)x[i];
        s.weighted_error += weight * (off * off);
        s.weighted_value += weight * ((double)x[i] * (double)x[i]);
    }
    return s;
}

static void convert_task(void *context, int task, int worker)
{
    Wave *w = context;
    int64_t from = (int64_t)task * TASK_ELEMENTS, n = w->n - from;
    if (n > TASK_ELEMENTS)
        n = TASK_ELEMENTS;
    float *x = w->scratch + (size_t)worker * SCRATCH_PARTS * TASK_ELEMENTS;
    float *back = x + TASK_ELEMENTS, *weights = w->columns ? back + TASK_ELEMENTS : NULL;
    const uint8_t *source =
        (const uint8_t *)w->source->data + dtype_row_bytes(w->source->type, w->first + from);
    uint8_t *out = w->out + dtype_row_bytes(w->type, from);
    w->squares[task] = (Squares){0};
    quant_decode(w->source->type, source, x, n);
    merge_add(&w->merge, w->first + from, n, x);
    w->fault[task] = find_fault(x, n, w->type, &w->bad_at[task]);
    if (w->fault[task] != FAULT_NONE)
        return;
    if (w->source->type == w->type && w->merge.n == 0) {
        memcpy(out, source, dtype_row_bytes(w->type, n));
        return;
    }
    if (weights)
        spread_columns(w, w->first + from, n, weights);
    quant_encode_weighted(w->type, x, weights, out, n);
    if (!w->measure)
        return;
    quant_decode(w->type, out, back, n);
    w->squares[task] = add_squares(x, back, weights, n);
}

static bool report_fault(const Converter *c, const char *name, int task)
{
    const Wave *w = &c->wave;
    int64_t at = w->first + (int64_t)task * TASK_ELEMENTS + w->bad_at[task];
    bool is_finite = w->fault[task] == FAULT_TOO_LARGE;
    return error_set(c->err, ERROR_FORMAT, "%s: tensor %s: element %" PRId64 " is %s%s",
                     package_path(c->in), name, at,
                     is_finite ? "above 65504, more than can be stored as " : "NaN or infinite",
                     is_finite ? dtype_name(w->type) : "");
}

static bool write_out(Converter *c, const void *data, size_t bytes)
{
    return c->gguf ? gguf_write(c->gguf, data, bytes, c->err)
                   : safetensors_writer_write(c->safetensors, data, bytes, c->err);
}

/* One source tensor; adds its squares. */
static bool convert_one(Converter *c, const PlannedTensor *t, const Tensor *source, Squares *sum)
{
    Wave *w = &c->wave;
    int64_t n_elements = tensor_n_rows(source) * tensor_n_cols(source);
    w->source = source;
    w->type = t->info.type;
    for (w->first = 0; w->first < n_elements; w->first += w->n) {
        int64_t most = (int64_t)WAVE_TASKS * TASK_ELEMENTS, left = n_elements - w->first;
        w->n = left < most ? left : most;
        int n_tasks = (int)((w->n + TASK_ELEMENTS - 1) / TASK_ELEMENTS);
        pool_run(c->pool, n_tasks, convert_task, w);
        for (int i = 0; i < n_tasks; i++) {
            if (w->fault[i] != FAULT_NONE)
                return report_fault(c, t->text, i);
            sum->error += w->squares[i].error;
            sum->value += w->squares[i].value;
            sum->weighted_error += w->squares[i].weighted_error;
            sum->weighted_value += w->squares[i].weighted_value;
        }
        size_t bytes = dtype_row_bytes(source->type, w->n);
        c->bytes_done += bytes;
        c->bytes_held += bytes;
        if (c->bytes_held >= HELD_BYTES_MAX) {
            tensor_table_release(package_tensors(c->in));
            c->bytes_held = 0;
        }
        if (!write_out(c, w->out, dtype_row_bytes(w->type, w->n)))
            return false;
        if (c->options->progress &&
            !c->options->progress(c->options->context, t->text, c->bytes_done, c->bytes_in))
            return error_set(c->err, ERROR_CANCELLED, "stopped");
    }
    return true;
}

typedef struct MakeJob {
    const Tensor *source;
    uint8_t *out;
    size_t row_bytes;
} MakeJob;

enum { MADE_ROWS = 64 }; /* of a task */

static void make_rows(void *context, int task, int worker)
{
    const MakeJob *job = context;
    int64_t from = (int64_t)task * MADE_ROWS, n = tensor_n_rows(job->source) - from;
    (void)worker;
    n = n < MADE_ROWS ? n : MADE_ROWS;
    (void)tensor_rows(job->source, from, n, job->out + (size_t)from * job->row_bytes);
}

/* Gives a tensor whose rows are made its data; the caller frees *data. */
static bool make_data(const Converter *c, Tensor *source, void **data)
{
    Tensor made = *source;
    *data = mem_try_alloc(source->bytes, "a quantized tensor", c->err);
    if (!*data)
        return false;
    MakeJob job = {source, *data, dtype_row_bytes(source->type, tensor_n_cols(source))};
    int64_t n_rows = tensor_n_rows(source);
    pool_run(c->pool, (int)((n_rows + MADE_ROWS - 1) / MADE_ROWS), make_rows, &job);
    made.data = *data;
    made.rows = NULL;
    *source = made;
    return true;
}

static bool convert_piece_data(Converter *c, const PlannedTensor *t, int i, Tensor *source,
                               Squares *sum)
{
    void *data = NULL;
    const size_t column_bytes = (size_t)tensor_n_cols(source) * sizeof(float);
    c->wave.columns = NULL;
    if (c->options->importance) {
        c->wave.columns = mem_try_alloc(column_bytes, "weights of columns", c->err);
        if (!c->wave.columns)
            return false;
        if (!convert_columns(c->plan, c->options, t, i, c->wave.columns)) {
            mem_free(c->wave.columns);
            c->wave.columns = NULL;
        }
    }
    bool ok = (!source->rows || make_data(c, source, &data)) && convert_one(c, t, source, sum);
    mem_free(c->wave.columns);
    mem_free(data);
    return ok;
}

static bool convert_tensor(Converter *c, const PlannedTensor *t)
{
    ConvertedTensor done = {.info = t->info};
    Squares sum = {0};
    double n_elements = 0;
    for (int i = 0; i < t->n_pieces; i++) {
        Tensor source;
        char name[TENSOR_NAME_BYTES];
        convert_piece_name(name, t, i);
        if (!convert_piece(c->in, t, i, &source, c->err) ||
            !merge_begin(&c->wave.merge, c->options, name, c->err) ||
            !convert_piece_data(c, t, i, &source, &sum))
            return false;
        done.from = source.type;
        done.bytes_in += source.bytes;
        n_elements += (double)tensor_n_rows(&source) * (double)tensor_n_cols(&source);
        done.bytes_out += dtype_row_bytes(t->info.type, tensor_n_cols(&source)) *
                          (uint64_t)tensor_n_rows(&source);
    }
    done.rms_error = sqrt(sum.error / n_elements);
    done.relative_error = sum.value > 0 ? sqrt(sum.error / sum.value) : 0;
    done.weighted_error =
        sum.weighted_value > 0 ? sqrt(sum.weighted_error / sum.weighted_value) : -1;
    if (c->options->tensor_done)
        c->options->tensor_done(c->options->context, &done);
    return true;
}

static bool convert_all(Converter *c, const ConvertPlan *plan)
{
    for (int i = 0; i < plan->n; i++)
        if (!convert_tensor(c, &plan->tensors[i]))
            return false;
    return true;
}

static bool write_gguf(Converter *c, const ConvertPlan *plan, const char *out_path)
{
    c->gguf = gguf_writer_open(out_path, c->err);
    if (!c->gguf)
        return false;
    for (int i = 0; i < plan->n; i++)
        gguf_declare(c->gguf, &plan->tensors[i].info);
    if (convert_put_pairs(c->gguf, c->in, plan, out_path, c->err) && gguf_begin(c->gguf, c->err) &&
        convert_all(c, plan))
        return gguf_writer_commit(c->gguf, c->err);
    gguf_writer_cancel(c->gguf);
    return false;
}

/* Bytes that a GGUF of this plan has before its tensors; types do not change them. */
static bool measure_header(const Converter *c, const ConvertPlan *plan, const char *out_path,
                           uint64_t *bytes)
{
    GgufWriter *w = gguf_writer_open(out_path, c->err);
    if (!w)
        return false;
    for (int i = 0; i < plan->n; i++)
        gguf_declare(w, &plan->tensors[i].info);
    bool ok = convert_put_pairs(w, c->in, plan, out_path, c->err);
    *bytes = gguf_header_bytes(w);
    gguf_writer_cancel(w);
    return ok;
}

static bool write_weights(Converter *c, const ConvertPlan *plan, const char *dir)
{
    char *path = file_join(dir, "model.safetensors");
    size_t bytes = (size_t)plan->n * sizeof(TensorInfo);
    TensorInfo *infos = mem_try_alloc(bytes, "the list of tensors", c->err);
    for (int i = 0; infos && i < plan->n; i++)
        infos[i] = plan->tensors[i].info;
    if (infos)
        c->safetensors =
            safetensors_writer_open(path, infos, plan->n, "{\"format\":\"pt\"}", c->err);
    mem_free(infos);
    mem_free(path);
    if (!c->safetensors)
        return false;
    if (convert_all(c, plan))
        return safetensors_writer_commit(c->safetensors, c->err);
    safetensors_writer_cancel(c->safetensors);
    return false;
}

/* Removes a folder of plain files that this conversion made. */
static void remove_folder(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = file_join(dir, entry->d_name);
        unlink(path);
        mem_free(path);
    }
    if (d)
        closedir(d);
    rmdir(dir);
}

static bool write_folder(Converter *c, const ConvertPlan *plan, const char *out_path)
{
    Buf dir = {0};
    buf_puts(&dir, out_path);
    while (dir.bytes > 1 && dir.data[dir.bytes - 1] == '/')
        dir.data[--dir.bytes] = '\0';
    char *target = mem_strdup(dir.data);
    buf_printf(&dir, ".%d.part", (int)getpid());
    DType type = plan->tensors[0].info.type;
    bool ok = file_make_dir(dir.data, c->err) && write_weights(c, plan, dir.data) &&
              convert_write_texts(c->in, dir.data, type, c->err);
    if (ok && rename(dir.data, target) != 0)
        ok = error_set_errno(c->err, "%s", target);
    if (!ok)
        remove_folder(dir.data);
    mem_free(target);
    buf_free(&dir);
    return ok;
}

bool package_convert(const Package *in, const char *out_path, const ConvertOptions *options,
                     Error *err)
{
    ConvertPlan plan = {0};
    Converter c = {.in = in, .options = options, .plan = &plan, .err = err};
    c.wave.measure = options->measure_error;
    size_t out_bytes = (size_t)WAVE_TASKS * TASK_ELEMENTS * ELEMENT_BYTES_MAX, scratch_bytes = 0;
    bool ok = convert_plan(&plan, in, options, err);
    c.bytes_in = plan.bytes_in;
    ok = ok && (c.pool = pool_open(options->n_threads, err)) != NULL;
    if (ok) {
        scratch_bytes =
            (size_t)pool_n_threads(c.pool) * SCRATCH_PARTS * TASK_ELEMENTS * sizeof(float);
        c.wave.scratch = mem_map(scratch_bytes, "conversion", err);
        c.wave.out = mem_map(out_bytes, "conversion", err);
        ok = c.wave.scratch && c.wave.out;
    }
    uint64_t header_bytes = 0;
    if (ok && options->target_bytes)
        ok = measure_header(&c, &plan, out_path, &header_bytes) &&
             convert_choose(&plan, in, options, c.pool, header_bytes, err);
    if (ok)
        ok = options->as_safetensors ? write_folder(&c, &plan, out_path)
                                     : write_gguf(&c, &plan, out_path);
    mem_unmap(c.wave.scratch, scratch_bytes);
    mem_unmap(c.wave.out, out_bytes);
    if (c.pool)
        pool_close(c.pool);
    arena_close(&c.wave.merge.arena);
    convert_plan_free(&plan);
    return ok;
}
