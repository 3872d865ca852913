/* The program's own logits, in the oracle's output format, to be compared with the oracle's.
 *
 *   wen_logits MODEL IDSFILE OUT.f32 [--kv f32|f16|bf16|q8_0] [--threads N]
 *
 * MODEL: a GGUF or a folder. IDSFILE: a JSON array. Writes [n_ids, n_vocab] floats. */
#include "base/file.h"
#include "model_logits.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool read_ids(const char *path, int n_vocab, int32_t **ids, int *n, Error *err)
{
    json_error_t at;
    json_t *json = json_load_file(path, 0, &at);
    bool ok = json_array_size(json) > 0;
    *n = (int)json_array_size(json);
    *ids = mem_alloc(sizeof(int32_t) * (size_t)(*n + 1));
    for (int i = 0; ok && i < *n; i++) {
        const json_t *item = json_array_get(json, (size_t)i);
        const json_int_t id = json_is_integer(item) ? json_integer_value(item) : -1;
        ok = id >= 0 && id < n_vocab;
        (*ids)[i] = (int32_t)id;
    }
    json_decref(json);
    return ok || error_set(err, ERROR_FORMAT, "%s: a JSON array of ids below %d is wanted", path,
                           n_vocab);
}

typedef struct Output {
    FILE *file;
    int n_vocab;
    bool failed;
} Output;

static void take(void *context, int position, const float *logits)
{
    Output *out = context;
    (void)position;
    const size_t n = (size_t)out->n_vocab;
    out->failed = out->failed || fwrite(logits, sizeof *logits, n, out->file) != n;
}

static bool write_logits(const Model *m, DType kv, const char *ids_path, const char *out_path,
                         Error *err)
{
    int32_t *ids;
    int n;
    Output out = {.file = fopen(out_path, "wb"), .n_vocab = m->config.n_vocab};
    if (!out.file)
        return error_set_errno(err, "%s", out_path);
    bool ok = read_ids(ids_path, out.n_vocab, &ids, &n, err) &&
              logits_run(m, kv, ids, n, take, &out, err);
    if (fclose(out.file) != 0 || out.failed)
        ok = error_set(err, ERROR_IO, "%s: cannot write", out_path);
    mem_free(ids);
    return ok;
}

int main(int argc, char **argv)
{
    Error err = {0};
    DType kv = DTYPE_F32;
    int n_threads = 0;
    bool ok = argc >= 4;
    for (int i = 4; ok && i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--kv") == 0)
            ok = dtype_from_name(str_from(argv[i + 1]), &kv);
        else if (i + 1 < argc && strcmp(argv[i], "--threads") == 0)
            n_threads = (int)strtol(argv[i + 1], NULL, 10);
        else
            ok = false;
    }
    if (!ok) {
        fprintf(stderr, "usage: wen_logits MODEL IDSFILE OUT.f32 [--kv TYPE] "
                        "[--threads N]\n");
        return 2;
    }
    Backend *backend = backend_open("cpu", n_threads, &err);
    Package *package = backend ? package_open(argv[1], true, &err) : NULL;
    Model *model = package ? model_open(package, backend, NULL, &err) : NULL;
    ok = model && write_logits(model, kv, argv[2], argv[3], &err);
    if (!ok)
        fprintf(stderr, "wen_logits: %s\n", err.message);
    else
        fprintf(stderr, "%s\n", backend->isa);
    model_close(model);
    package_close(package);
    if (backend)
        backend->close(backend);
    return ok ? 0 : 1;
}
