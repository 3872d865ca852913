/* See export.h. */
#include "train/export.h"

#include "base/file.h"
#include "formats/safetensors.h"
#include "tensor/quant.h"

#include <stdlib.h>
#include <string.h>

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

static bool write_text(const char *folder, const char *name, Str text, Error *err)
{
    if (text.bytes == 0)
        return true;
    char *path = file_join(folder, name);
    const bool ok = file_write(path, text, err);
    mem_free(path);
    return ok;
}

static bool write_json(const char *folder, const char *name, const json_t *json, Error *err)
{
    if (!json)
        return true;
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    const bool ok = write_text(folder, name, str_from(text), err);
    free(text);
    return ok;
}

static bool write_texts(const char *folder, const Package *package, Error *err)
{
    const PackageText *t = package_text(package);
    return write_text(folder, "tokenizer.json", t->tokenizer_json, err) &&
           write_text(folder, "vocab.json", t->vocab_json, err) &&
           write_text(folder, "merges.txt", t->merges_txt, err) &&
           write_text(folder, "tokenizer_config.json", t->tokenizer_config_json, err) &&
           write_text(folder, "added_tokens.json", t->added_tokens_json, err) &&
           write_text(folder, "chat_template.jinja", t->chat_template, err) &&
           write_json(folder, "generation_config.json", package_generation_config(package), err);
}

bool export_model(const char *folder, const Params *p, const float *masters, const json_t *config,
                  const Package *text, Error *err)
{
    json_t *copy = json_deep_copy(config);
    const bool is_bf16 = p->model->matrix_type == DTYPE_BF16;
    json_object_set_new(copy, "torch_dtype", json_string(is_bf16 ? "bfloat16" : "float32"));
    char *weights = file_join(folder, "model.safetensors");
    const bool ok = file_make_dir(folder, err) && write_weights(weights, p, masters, err) &&
                    write_texts(folder, text, err) && write_json(folder, "config.json", copy, err);
    mem_free(weights);
    json_decref(copy);
    return ok || error_add(err, "writing %s", folder);
}
