/* See export.h. */
#include "train/export_parts.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "tensor/low_rank.h"
#include "tensor/quant.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK_ELEMENTS = 1 << 18 };

/* ---- Values of the trained model -------------------------------------------------------------
 */

/* What an adapter adds to a matrix of the model; rank 0: nothing. */
typedef struct Merge {
    LowRankUpdate update;
    float *a, *b; /* owned */
} Merge;

static void merge_close(Merge *m)
{
    mem_free(m->a);
    mem_free(m->b);
}

/* The pair beside a frozen parameter, as products see it: in the compute type. */
static bool merge_open(Merge *m, const Export *e, const Param *param, Error *err)
{
    const Adapter *adapter = e->params->adapter;
    Backend *b = e->params->model->backend;
    *m = (Merge){0};
    for (int p = 0; adapter && param->layer >= 0 && p < N_PROJECTIONS; p++) {
        const LowRank *pair = &adapter->layers[param->layer][p];
        char name[PARAM_NAME_BYTES];
        snprintf(name, sizeof name, "model.layers.%d.%s.weight", param->layer,
                 projection_path((Projection)p));
        if (!pair->a || strcmp(name, param->name) != 0)
            continue;
        const size_t rank = (size_t)adapter->rank;
        m->a = mem_try_alloc(sizeof(float) * rank * (size_t)param->n_cols, "a merge", err);
        m->b = mem_try_alloc(sizeof(float) * rank * (size_t)param->n_rows, "a merge", err);
        if (!m->a || !m->b) {
            merge_close(m);
            return false;
        }
        b->weight_get(b, pair->a, 0, 0, adapter->rank, m->a);
        b->weight_get(b, pair->b, 0, 0, param->n_rows, m->b);
        m->update = (LowRankUpdate){param->n_cols, adapter->rank, adapter->scale, m->a, m->b};
    }
    return true;
}

/* Rows from .. from+n-1 of a matrix: of the master, or of the frozen weight. */
static void read_rows(const Export *e, const Param *param, int mat, int from, int n, float *values)
{
    Backend *b = e->params->model->backend;
    const size_t cols = (size_t)param->n_cols;
    const size_t first = ((size_t)mat * (size_t)param->n_rows + (size_t)from) * cols;
    if (!param->is_frozen)
        b->fetch(b, values, e->masters + param->offset + first, sizeof(float) * (size_t)n * cols);
    else if (param->weight)
        b->weight_get(b, param->weight, mat, from, n, values);
    else
        b->fetch(b, values, param->vector, sizeof(float) * cols);
}

/* ---- The file --------------------------------------------------------------------------------
 */

static bool write_matrix(SafetensorsWriter *w, const Export *e, const Param *param, int mat,
                         Error *err)
{
    const DType type = e->params->model->matrix_type;
    const int cols = param->n_cols;
    const int most = cols < CHUNK_ELEMENTS ? CHUNK_ELEMENTS / cols : 1;
    const size_t chunk = (size_t)most * (size_t)cols;
    Merge merge;
    if (!merge_open(&merge, e, param, err))
        return false;
    float *values = mem_try_alloc(2 * sizeof *values * chunk, "an export's chunk", err);
    bool ok = values != NULL;
    for (int from = 0, n; ok && from < param->n_rows; from += n) {
        float *encoded = values + chunk;
        n = param->n_rows - from < most ? param->n_rows - from : most;
        const int64_t len = (int64_t)n * cols;
        read_rows(e, param, mat, from, n, values);
        if (merge.update.rank > 0)
            low_rank_add(&merge.update, (int64_t)from * cols, len, values);
        quant_encode(type, values, encoded, len);
        ok = safetensors_writer_write(w, encoded, dtype_row_bytes(type, len), err);
    }
    mem_free(values);
    merge_close(&merge);
    return ok;
}

bool export_tensors(const char *path, const Export *e, bool is_adapter, const char *prefix,
                    Error *err)
{
    const Params *p = e->params;
    Arena arena = {0};
    int n = 0;
    for (int i = 0; i < p->n + p->n_frozen; i++)
        n += params_at(p, i)->is_adapter == is_adapter ? params_at(p, i)->n_mats : 0;
    TensorInfo *infos = ARENA_ARRAY(&arena, TensorInfo, n);
    int at = 0;
    for (int i = 0; i < p->n + p->n_frozen; i++) {
        const Param *param = params_at(p, i);
        /* One tensor a matrix: banks are written expert by expert. */
        for (int mat = 0; param->is_adapter == is_adapter && mat < param->n_mats; mat++, at++) {
            char name[PARAM_NAME_BYTES];
            Buf whole = {0};
            param_matrix_name(param, mat, name);
            buf_printf(&whole, "%s%s", prefix, name);
            infos[at] = (TensorInfo){arena_strndup(&arena, whole.data, whole.bytes),
                                     p->model->matrix_type,
                                     param->weight ? 2 : 1,
                                     {0}};
            infos[at].dims[0] = param->weight ? param->n_rows : param->n_cols;
            infos[at].dims[1] = param->weight ? param->n_cols : 0;
            buf_free(&whole);
        }
    }
    SafetensorsWriter *w = safetensors_writer_open(path, infos, n, "{\"format\":\"pt\"}", err);
    bool ok = w != NULL;
    for (int i = 0; i < p->n + p->n_frozen; i++) {
        const Param *param = params_at(p, i);
        for (int mat = 0; ok && param->is_adapter == is_adapter && mat < param->n_mats; mat++)
            ok = write_matrix(w, e, param, mat, err);
    }
    if (w && ok)
        ok = safetensors_writer_commit(w, err);
    else if (w)
        safetensors_writer_cancel(w);
    arena_close(&arena);
    return ok;
}

bool export_model(const char *folder, const Export *e, Error *err)
{
    char *weights = file_join(folder, "model.safetensors");
    const bool ok = file_make_dir(folder, err) && export_tensors(weights, e, false, "", err) &&
                    export_texts(folder, e, err);
    mem_free(weights);
    return ok || error_add(err, "writing %s", folder);
}

bool export_gguf(const char *folder, const char *path, const char *type, int n_threads, Error *err)
{
    const ConvertOptions options = {.type = type, .n_threads = n_threads};
    Package *package = package_open(folder, true, err);
    const bool ok = package && package_convert(package, path, &options, err);
    package_close(package);
    return ok || error_add(err, "writing %s", path);
}
