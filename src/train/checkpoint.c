/* See checkpoint.h. */
#include "train/checkpoint.h"

#include "base/file.h"
#include "formats/safetensors.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Ends the name of a folder that is not a whole checkpoint. */
static const char unfinished[] = ".unfinished";

enum { STATE_BYTES_MAX = 16 << 20, CHUNK_ELEMENTS = 1 << 20 };

static char *folder_of(const char *out, int64_t step, const char *suffix)
{
    char name[64];
    snprintf(name, sizeof name, "checkpoints/%" PRId64 "%s", step, suffix);
    return file_join(out, name);
}

/* ---- Folders
 * ------------------------------------------------------------------------------------------- */

/* Removes a checkpoint's folder; one that is not there is fine. */
static bool remove_folder(const char *folder, Error *err)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT || error_set(err, ERROR_IO, "%s: %s", folder, strerror(errno));
    bool ok = true;
    for (const struct dirent *entry; ok && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = file_join(folder, entry->d_name);
        if (unlink(path) != 0)
            ok = error_set(err, ERROR_IO, "%s: %s", path, strerror(errno));
        mem_free(path);
    }
    closedir(dir);
    if (ok && rmdir(folder) != 0)
        ok = error_set(err, ERROR_IO, "%s: %s", folder, strerror(errno));
    return ok;
}

/* The step that a folder's name stands for, or -1: half-written ones are named otherwise. */
static int64_t step_of(const char *name)
{
    char *end;
    errno = 0;
    const long long step = strtoll(name, &end, 10);
    return name[0] >= '0' && name[0] <= '9' && *end == 0 && errno == 0 ? step : -1;
}

/* Steps of all checkpoints: their number, the newest and the oldest. */
static int survey(const char *out, int64_t *newest, int64_t *oldest)
{
    char *folder = file_join(out, "checkpoints");
    DIR *dir = opendir(folder);
    int n = 0;
    *newest = *oldest = -1;
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        const int64_t step = step_of(entry->d_name);
        if (step < 0)
            continue;
        *newest = n == 0 || step > *newest ? step : *newest;
        *oldest = n == 0 || step < *oldest ? step : *oldest;
        n++;
    }
    if (dir)
        closedir(dir);
    mem_free(folder);
    return n;
}

int64_t checkpoint_newest(const char *out)
{
    int64_t newest, oldest;
    survey(out, &newest, &oldest);
    return newest;
}

/* Removes a checkpoint: first its name, so that what a killed process leaves of it is not taken for
 * a whole one. */
static bool remove_checkpoint(const char *out, int64_t step, Error *err)
{
    char *folder = folder_of(out, step, ""), *half = folder_of(out, step, unfinished);
    bool ok = remove_folder(half, err);
    if (ok && rename(folder, half) != 0)
        ok = error_set(err, ERROR_IO, "%s: %s", folder, strerror(errno));
    ok = ok && remove_folder(half, err);
    mem_free(folder);
    mem_free(half);
    return ok;
}

static bool keep_last(const char *out, int keep, Error *err)
{
    int64_t newest, oldest;
    bool ok = true;
    while (ok && survey(out, &newest, &oldest) > keep)
        ok = remove_checkpoint(out, oldest, err);
    return ok;
}

bool checkpoint_remove_unfinished(const char *out, Error *err)
{
    char *parent = file_join(out, "checkpoints");
    DIR *dir = opendir(parent);
    bool ok = true;
    for (const struct dirent *entry; ok && dir && (entry = readdir(dir));) {
        const char *end = strchr(entry->d_name, '.');
        if (!end || end == entry->d_name || strcmp(end, unfinished) != 0)
            continue;
        char *folder = file_join(parent, entry->d_name);
        ok = remove_folder(folder, err);
        mem_free(folder);
    }
    if (dir)
        closedir(dir);
    mem_free(parent);
    return ok;
}

bool checkpoint_remove_all(const char *out, Error *err) { return keep_last(out, 0, err); }

/* A rename is safe on the disk once the folder that holds the name is. */
static bool sync_folder(const char *folder, Error *err)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY);
    const bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        error_set(err, ERROR_IO, "%s: %s", folder, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

/* ---- Writing
 * ------------------------------------------------------------------------------------------- */

/* Memory that an array goes through on its way to the file, a piece at a time. */
typedef struct Staging {
    Backend *backend;
    float *device, *host; /* [CHUNK_ELEMENTS] */
} Staging;

static void staging_close(Staging *s)
{
    if (s->device)
        s->backend->free(s->backend, s->device, sizeof(float) * CHUNK_ELEMENTS);
    mem_free(s->host);
}

static bool staging_open(Staging *s, Backend *b, Error *err)
{
    const size_t bytes = sizeof(float) * CHUNK_ELEMENTS;
    *s = (Staging){.backend = b};
    s->host = mem_try_alloc(bytes, "a checkpoint's chunk", err);
    s->device = s->host ? b->alloc(b, bytes, "a checkpoint's chunk", err) : NULL;
    if (!s->device)
        staging_close(s);
    return s->device != NULL;
}

static size_t chunk_len(size_t left) { return left < CHUNK_ELEMENTS ? left : CHUNK_ELEMENTS; }

/* n elements of part `part` of an array, which are at x on the rank that owns them. */
static bool write_part(SafetensorsWriter *w, Staging *s, int part, const float *x, size_t n,
                       Error *err)
{
    Backend *b = s->backend;
    bool ok = true;
    for (size_t at = 0, len; ok && at < n; at += len) {
        len = chunk_len(n - at);
        if (part != b->rank)
            b->recv(b, part, s->device, sizeof(float) * len);
        b->fetch(b, s->host, part != b->rank ? s->device : x + at, sizeof(float) * len);
        ok = b->group_is_ok(b, err) &&
             safetensors_writer_write(w, s->host, sizeof(float) * len, err);
    }
    return ok;
}

static bool write_arrays(SafetensorsWriter *w, const Optim *o, Error *err)
{
    const float *arrays[] = {o->masters, o->m, o->v};
    const Shards *shards = &o->shards;
    Staging staging;
    if (!staging_open(&staging, o->params->model->backend, err))
        return false;
    bool ok = true;
    for (int i = 0; i < 3; i++)
        for (int part = 0; ok && part < shards->n; part++)
            ok = write_part(w, &staging, part, arrays[i],
                            shards->cuts[part + 1] - shards->cuts[part], err);
    staging_close(&staging);
    return ok;
}

/* The counterpart of write_arrays on the ranks that do not write. */
static void send_arrays(const Optim *o)
{
    Backend *b = o->params->model->backend;
    const float *arrays[] = {o->masters, o->m, o->v};
    const size_t n = shards_size(&o->shards);
    for (int i = 0; i < 3 && o->shards.n > 1; i++)
        for (size_t at = 0; at < n; at += chunk_len(n - at))
            b->send(b, 0, arrays[i] + at, sizeof(float) * chunk_len(n - at));
}

static const char *const array_names[] = {"masters", "m", "v"};

static bool write_tensors(const char *folder, const Optim *o, Error *err)
{
    char *path = file_join(folder, "tensors.safetensors");
    TensorInfo infos[3] = {0};
    for (int i = 0; i < 3; i++) {
        infos[i].name = array_names[i];
        infos[i].type = DTYPE_F32;
        infos[i].n_dims = 1;
        infos[i].dims[0] = (int64_t)o->params->size;
    }
    SafetensorsWriter *w = safetensors_writer_open(path, infos, 3, NULL, err);
    bool ok = w && write_arrays(w, o, err);
    if (ok)
        ok = safetensors_writer_commit(w, err);
    else if (w)
        safetensors_writer_cancel(w);
    mem_free(path);
    return ok;
}

static bool write_state(const char *folder, const Progress *p, const Optim *o, const TrainConfig *c,
                        Error *err)
{
    json_t *norms = json_array();
    for (int i = 0; i < SPIKE_WINDOW; i++)
        json_array_append_new(norms, json_real(o->state.norms[i]));
    json_t *json = json_pack("{s:I, s:I, s:f, s:I, s:I, s:o, s:O}", "step", (json_int_t)p->step,
                             "tokens", (json_int_t)p->n_tokens, "seconds", p->seconds, "updates",
                             (json_int_t)o->state.n_updates, "norms_seen",
                             (json_int_t)o->state.n_norms, "norms", norms, "config", c->json);
    char *text = json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    char *path = file_join(folder, "state.json");
    const bool ok = file_write(path, str_from(text), err);
    free(text);
    mem_free(path);
    json_decref(json);
    return ok;
}

static bool write_stage(const char *folder, const StageState *state, Error *err)
{
    Buf bytes = {0};
    char *path = file_join(folder, "data.bin");
    state->save(state->context, &bytes);
    const bool ok = file_write(path, buf_str(&bytes), err);
    mem_free(path);
    buf_free(&bytes);
    return ok;
}

/* What the first rank does. */
static bool write_all(const char *out, int keep, const Progress *progress, const Optim *o,
                      const Ranks *ranks, const StageState *state, const TrainConfig *c, Error *err)
{
    char *half = folder_of(out, progress->step, unfinished);
    char *folder = folder_of(out, progress->step, "");
    char *parent = file_join(out, "checkpoints");
    const bool is_there = file_is_dir(folder); /* then it is the same, to the bit */
    bool ok = is_there || (remove_folder(half, err) && file_make_dir(half, err));
    if (ok)
        ranks_first(ranks, !is_there);
    ok = ok && (is_there || (write_tensors(half, o, err) && write_stage(half, state, err) &&
                             write_state(half, progress, o, c, err) && sync_folder(half, err)));
    if (ok && !is_there && rename(half, folder) != 0)
        ok = error_set(err, ERROR_IO, "%s: %s", folder, strerror(errno));
    ok = ok && sync_folder(parent, err) && keep_last(out, keep, err);
    if (!ok) /* the disk may be full */
        (void)!remove_folder(half, NULL);
    mem_free(half);
    mem_free(folder);
    mem_free(parent);
    return ok || error_add(err,
                           "checkpoint %" PRId64 " is not written; the same command goes on from "
                           "the one before",
                           progress->step);
}

bool checkpoint_save(const char *out, int keep, const Progress *progress, const Optim *o,
                     const Ranks *ranks, const StageState *state, const TrainConfig *c, Error *err)
{
    Backend *b = o->params->model->backend;
    if (ranks_is_first(ranks))
        return write_all(out, keep, progress, o, ranks, state, c, err);
    if (ranks_first(ranks, 0))
        send_arrays(o);
    return b->group_is_ok(b, err);
}

/* ---- Reading
 * ------------------------------------------------------------------------------------------- */

static bool read_tensors(const char *folder, Optim *o, Error *err)
{
    TensorTable *table = tensor_table_new();
    char *path = file_join(folder, "tensors.safetensors");
    float *arrays[] = {o->masters, o->m, o->v};
    const Shards *shards = &o->shards;
    Backend *b = o->params->model->backend;
    bool ok = safetensors_read(table, path, err);
    for (int i = 0; ok && i < 3; i++) {
        const NamedTensor *found = tensor_table_find(table, array_names[i]);
        if (!found || !found->tensor.data || found->tensor.type != DTYPE_F32 ||
            found->tensor.n_dims != 1 || found->tensor.dims[0] != (int64_t)o->params->size)
            ok = error_set(err, ERROR_FORMAT, "%s: no %s of %zu numbers", path, array_names[i],
                           o->params->size);
        else
            b->upload(b, arrays[i], (const float *)found->tensor.data + shards->cuts[shards->mine],
                      sizeof(float) * shards_size(shards));
    }
    tensor_table_free(table);
    mem_free(path);
    return ok;
}

static bool read_state(const char *folder, Progress *p, Optim *o, const TrainConfig *c, Error *err)
{
    Buf text = {0}, difference = {0};
    char *path = file_join(folder, "state.json");
    json_error_t where;
    json_t *json = NULL;
    bool ok = file_read(&text, path, STATE_BYTES_MAX, err);
    if (ok && !(json = json_loadb(text.data, text.bytes, 0, &where)))
        ok = error_set(err, ERROR_FORMAT, "%s:%d: %s", path, where.line, where.text);
    if (ok && train_config_differs(c, json_object_get(json, "config"), &difference))
        ok = error_set(err, ERROR_ARGUMENT,
                       "the run in this folder has another configuration (--fresh starts over): %s",
                       difference.data);
    if (ok) {
        const json_t *norms = json_object_get(json, "norms");
        p->step = json_integer_value(json_object_get(json, "step"));
        p->n_tokens = json_integer_value(json_object_get(json, "tokens"));
        p->seconds = json_number_value(json_object_get(json, "seconds"));
        o->state.n_updates = json_integer_value(json_object_get(json, "updates"));
        o->state.n_norms = json_integer_value(json_object_get(json, "norms_seen"));
        for (size_t i = 0; i < SPIKE_WINDOW; i++)
            o->state.norms[i] = json_number_value(json_array_get(norms, i));
        if (p->step < 0 || o->state.n_updates < 0 || o->state.n_norms < 0)
            ok = error_set(err, ERROR_FORMAT, "%s: a count is negative", path);
    }
    json_decref(json);
    buf_free(&text);
    buf_free(&difference);
    mem_free(path);
    return ok;
}

static bool read_stage(const char *folder, const StageState *state, Error *err)
{
    Buf bytes = {0};
    char *path = file_join(folder, "data.bin");
    bool ok = file_read(&bytes, path, SIZE_MAX, err);
    if (ok && !state->load(state->context, buf_str(&bytes)))
        ok = error_set(err, ERROR_FORMAT, "%s: it does not fit the data, which has changed", path);
    mem_free(path);
    buf_free(&bytes);
    return ok;
}

bool checkpoint_load(const char *out, int64_t step, Progress *progress, Optim *o, float *whole,
                     const StageState *state, const TrainConfig *c, Error *err)
{
    char *folder = folder_of(out, step, "");
    const bool ok = read_state(folder, progress, o, c, err) && read_stage(folder, state, err) &&
                    read_tensors(folder, o, err);
    if (ok)
        optim_publish(o, whole);
    mem_free(folder);
    return ok || error_add(err, "resuming from checkpoint %" PRId64, step);
}
