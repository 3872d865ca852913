/* See export.h. */
#include "train/export_texts.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "tensor/quant.h"

enum { CHUNK_ELEMENTS = 1 << 18 };

/* One tensor a matrix: banks are written expert by expert. */
static int n_tensors(const Params *p)
{
    int n = 0;
    for (int i = 0; i < p->n; i++)
        n += p->items[i].n_mats;
    return n;
}

static bool write_matrix(SafetensorsWriter *w, Backend *b, DType type, const float *x, size_t n,
                         Error *err)
{
    float *values = mem_try_alloc(2 * sizeof *values * CHUNK_ELEMENTS, "an export's chunk", err);
    bool ok = values != NULL;
    for (size_t at = 0; ok && at < n; at += CHUNK_ELEMENTS) {
        const size_t len = n - at < CHUNK_ELEMENTS ? n - at : CHUNK_ELEMENTS;
        float *encoded = values + CHUNK_ELEMENTS;
        b->fetch(b, values, x + at, sizeof *values * len);
        quant_encode(type, values, encoded, (int64_t)len);
        ok = safetensors_writer_write(w, encoded, dtype_row_bytes(type, (int64_t)len), err);
    }
    mem_free(values);
    return ok;
}

static bool write_weights(const char *path, const Params *p, const float *masters, Error *err)
{
    const int n = n_tensors(p);
    const DType type = p->model->matrix_type;
    Arena arena = {0};
    TensorInfo *infos = ARENA_ARRAY(&arena, TensorInfo, n);
    int at = 0;
    for (int i = 0; i < p->n; i++) {
        const Param *param = &p->items[i];
        for (int mat = 0; mat < param->n_mats; mat++, at++) {
            char *name = arena_alloc(&arena, PARAM_NAME_BYTES);
            param_matrix_name(param, mat, name);
            infos[at] = (TensorInfo){name, type, param->weight ? 2 : 1, {0}};
            infos[at].dims[0] = param->weight ? param->n_rows : param->n_cols;
            infos[at].dims[1] = param->weight ? param->n_cols : 0;
        }
    }
    SafetensorsWriter *w = safetensors_writer_open(path, infos, n, "{\"format\":\"pt\"}", err);
    bool ok = w != NULL;
    for (int i = 0; ok && i < p->n; i++) {
        const Param *param = &p->items[i];
        const size_t one = (size_t)param->n_rows * (size_t)param->n_cols;
        for (int mat = 0; ok && mat < param->n_mats; mat++)
            ok = write_matrix(w, p->model->backend, type,
                              masters + param->offset + (size_t)mat * one, one, err);
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
    const bool ok = file_make_dir(folder, err) &&
                    write_weights(weights, e->params, e->masters, err) &&
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
