/* Low-rank adapters with random numbers, written as PEFT does. */
#ifndef WEN_TESTS_ADAPTER_FIXTURE_H
#define WEN_TESTS_ADAPTER_FIXTURE_H

#include "support.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/rng.h"
#include "formats/safetensors.h"
#include "model/adapter.h"
#include "tensor/quant.h"

#include <stdio.h>
#include <string.h>

typedef struct AdapterFixture {
    int rank;
    double alpha;
    bool is_rslora;
    DType type;
    unsigned projections; /* bit p: projection p of every layer that has it */
    uint64_t seed;
    float size;           /* of the numbers */
    const char *more;     /* of adapter_config.json, such as "\"use_dora\": true, " */
    const char *mlp;      /* in place of "mlp": "mlp.experts.1" */
    const char *odd_name; /* a tensor more, [rank, rank] */
    int odd_rows;         /* B of layer 0's first projection has that many more */
} AdapterFixture;

enum { ADAPTER_FIXTURE_TENSORS = 2 * N_PROJECTIONS * 64 };

static inline void adapter_fixture_config(const AdapterFixture *f, const char *dir)
{
    Error err = {0};
    Buf text = {0};
    buf_printf(&text,
               "{%s\"peft_type\": \"LORA\", \"r\": %d, \"lora_alpha\": %g, \"use_rslora\": %s, "
               "\"bias\": \"none\", \"fan_in_fan_out\": false, \"modules_to_save\": null, "
               "\"rank_pattern\": {}, \"target_modules\": [",
               f->more ? f->more : "", f->rank, f->alpha, f->is_rslora ? "true" : "false");
    bool is_first = true;
    for (int p = 0; p < N_PROJECTIONS; p++)
        if (f->projections >> p & 1) {
            buf_printf(&text, "%s\"%s\"", is_first ? "" : ", ", projection_name((Projection)p));
            is_first = false;
        }
    buf_puts(&text, "]}");
    char *path = file_join(dir, "adapter_config.json");
    assert_ok(file_write(path, buf_str(&text), &err));
    mem_free(path);
    buf_free(&text);
}

static inline void adapter_fixture_add(TensorInfo *infos, int *n, Arena *arena, DType type,
                                       int64_t rows, int64_t cols, const char *name)
{
    infos[(*n)++] = (TensorInfo){arena_strndup(arena, name, strlen(name)), type, 2, {rows, cols}};
}

static inline int adapter_fixture_list(const AdapterFixture *f, const Config *c, TensorInfo *infos,
                                       Arena *arena)
{
    int n = 0, extra = f->odd_rows;
    char name[160];
    for (int l = 0; l < c->n_layers; l++)
        for (int p = 0; p < N_PROJECTIONS; p++) {
            int n_rows, n_cols;
            if (!(f->projections >> p & 1) ||
                !projection_shape(c, l, (Projection)p, &n_rows, &n_cols))
                continue;
            char path[64];
            snprintf(path, sizeof path, "%s", projection_path((Projection)p));
            if (f->mlp && p >= PROJECTION_GATE)
                snprintf(path, sizeof path, "%s.%s", f->mlp, projection_name((Projection)p));
            snprintf(name, sizeof name, "base_model.model.model.layers.%d.%s.lora_A.weight", l,
                     path);
            adapter_fixture_add(infos, &n, arena, f->type, f->rank, n_cols, name);
            snprintf(name, sizeof name, "base_model.model.model.layers.%d.%s.lora_B.weight", l,
                     path);
            adapter_fixture_add(infos, &n, arena, f->type, n_rows + extra, f->rank, name);
            extra = 0;
        }
    if (f->odd_name)
        adapter_fixture_add(infos, &n, arena, f->type, f->rank, f->rank, f->odd_name);
    return n;
}

/* Writes the adapter for a model of that shape to a folder of the program's own; its path is to be
 * freed with mem_free. */
static inline char *adapter_fixture_write(const AdapterFixture *f, const Config *c,
                                          const char *name)
{
    Error err = {0};
    Arena arena = {0};
    char *dir = mem_strdup(test_temp(name));
    assert_ok(file_make_dir(dir, &err));
    adapter_fixture_config(f, dir);
    TensorInfo *infos = ARENA_ARRAY(&arena, TensorInfo, ADAPTER_FIXTURE_TENSORS);
    const int n = adapter_fixture_list(f, c, infos, &arena);
    char *path = file_join(dir, "adapter_model.safetensors");
    SafetensorsWriter *w = safetensors_writer_open(path, infos, n, NULL, &err);
    assert_ok(w != NULL);
    Rng rng = {f->seed};
    for (int i = 0; i < n; i++) {
        const int64_t size = infos[i].dims[0] * infos[i].dims[1];
        float *values = mem_alloc(2 * sizeof *values * (size_t)size);
        for (int64_t j = 0; j < size; j++)
            values[j] = f->size * (float)rng_normal(&rng);
        quant_encode(f->type, values, values + size, size);
        assert_ok(safetensors_writer_write(w, values + size, dtype_row_bytes(f->type, size), &err));
        mem_free(values);
    }
    assert_ok(safetensors_writer_commit(w, &err));
    mem_free(path);
    arena_close(&arena);
    return dir;
}

#endif
