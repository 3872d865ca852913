/* What is here: see hub.h and hub_store.h. */
#include "hub/hub_store.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_BYTES_MAX = 16 << 20, CONFIG_BYTES_MAX = 16 << 20, VARIANTS_MAX = 128 };

/* ---- Folders --------------------------------------------------------------------------------- */

char *hub_store_dir(Error *err)
{
    const char *own = getenv("WEN_MODELS"), *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    Buf path = {0};
    if (own && *own)
        buf_puts(&path, own);
    else if (data && *data == '/')
        buf_printf(&path, "%s/wen/models", data);
    else if (home && *home)
        buf_printf(&path, "%s/.local/share/wen/models", home);
    else
        error_set(err, ERROR_ARGUMENT, "no place for models: set WEN_MODELS or HOME to a folder");
    return path.data;
}

char *hub_store_path(const HubName *name, bool is_unfinished, Error *err)
{
    char *store = hub_store_dir(err);
    if (!store)
        return NULL;
    Buf path = {0};
    buf_printf(&path, "%s/%s%s%s/%s/%s", store, is_unfinished ? HUB_UNFINISHED_DIR : "",
               is_unfinished ? "/" : "", hub_site_name(name->site), name->repo, name->variant);
    mem_free(store);
    return path.data;
}

/* ---- Locks ----------------------------------------------------------------------------------- */

static char *lock_path(const HubName *name, Error *err)
{
    char *work = hub_store_path(name, true, err);
    if (!work)
        return NULL;
    Buf path = {0};
    buf_printf(&path, "%s.lock", work);
    mem_free(work);
    return path.data;
}

int hub_lock(const HubName *name, Error *err)
{
    char *path = lock_path(name, err);
    if (!path)
        return -1;
    char *parent = mem_strdup(path);
    *strrchr(parent, '/') = '\0';
    struct stat st = {0};
    int fd = -1;
    bool ok = file_make_dir(parent, err), is_taken = false;
    /* A file that its last holder removed while we opened it locks nothing: open the next. */
    for (int i = 0; ok && !is_taken && (fd < 0 || st.st_nlink == 0) && i < 100; i++) {
        if (fd >= 0)
            close(fd);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        is_taken = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
        ok = fd >= 0 && fstat(fd, &st) == 0;
        if (!ok)
            error_set_errno(err, "%s", path);
    }
    if (is_taken)
        ok = error_set(err, ERROR_IO, "%s: another process is pulling or removing it", name->repo);
    if (!ok && fd >= 0)
        close(fd);
    mem_free(parent);
    mem_free(path);
    return ok ? fd : -1;
}

void hub_unlock(const HubName *name, int lock)
{
    if (lock < 0)
        return;
    char *path = lock_path(name, NULL);
    if (path)
        unlink(path);
    mem_free(path);
    close(lock);
}

/* ---- Manifests ------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t out_bytes, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(out, out_bytes, "%s", text ? text : "");
}

static json_t *read_json(const char *dir, const char *name, size_t bytes_max)
{
    char *path = file_join(dir, name);
    Buf text = {0};
    json_t *object = NULL;
    if (file_read(&text, path, bytes_max, NULL) && text.bytes)
        object = json_loadb(text.data, text.bytes, 0, NULL);
    buf_free(&text);
    mem_free(path);
    return object;
}

bool hub_manifest_read(const char *dir, RepoFiles *files)
{
    json_t *object = read_json(dir, HUB_MANIFEST, MANIFEST_BYTES_MAX);
    const json_t *list = json_object_get(object, "files");
    bool ok = json_is_array(list) && json_array_size(list) > 0;
    copy_text(files->revision, sizeof files->revision, object, "revision");
    for (size_t i = 0; ok && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *path = json_string_value(json_object_get(item, "path"));
        json_int_t bytes = json_integer_value(json_object_get(item, "bytes"));
        if (!path || bytes < 0) {
            ok = false;
            break;
        }
        RepoFile *file = repo_files_add(files, path, (uint64_t)bytes);
        copy_text(file->sha256, sizeof file->sha256, item, "sha256");
        copy_text(file->git_sha1, sizeof file->git_sha1, item, "git_sha1");
    }
    json_decref(object);
    return ok;
}

bool hub_manifest_write(const char *dir, const HubName *name, const RepoFiles *files, Error *err)
{
    Buf text = {0};
    buf_puts(&text, "{\"site\": ");
    buf_put_json(&text, str_from(hub_site_name(name->site)));
    buf_puts(&text, ", \"repo\": ");
    buf_put_json(&text, str_from(name->repo));
    buf_puts(&text, ", \"variant\": ");
    buf_put_json(&text, str_from(name->variant));
    buf_puts(&text, ", \"revision\": ");
    buf_put_json(&text, str_from(files->revision));
    buf_puts(&text, ",\n \"files\": [");
    for (int i = 0; i < files->n; i++) {
        const RepoFile *file = &files->items[i];
        buf_printf(&text, "%s\n  {\"path\": ", i ? "," : "");
        buf_put_json(&text, str_from(file->path));
        buf_printf(&text, ", \"bytes\": %llu, \"sha256\": \"%s\", \"git_sha1\": \"%s\"}",
                   (unsigned long long)file->bytes, file->sha256, file->git_sha1);
    }
    buf_puts(&text, "\n ]}\n");
    char *path = file_join(dir, HUB_MANIFEST);
    bool ok = file_write(path, buf_str(&text), err);
    mem_free(path);
    buf_free(&text);
    return ok;
}

bool hub_folder_is_whole(const char *dir, const RepoFiles *files)
{
    bool ok = files->n > 0;
    for (int i = 0; i < files->n && ok; i++) {
        struct stat st;
        char *path = file_join(dir, files->items[i].path);
        ok = stat(path, &st) == 0 && (uint64_t)st.st_size == files->items[i].bytes;
        mem_free(path);
    }
    return ok;
}

/* ---- The list -------------------------------------------------------------------------------- */

/* "BF16", "FP8", "AWQ" from config.json; "adapter" for a folder of one. */
static void read_type(const char *dir, char *type, size_t type_bytes)
{
    static const struct {
        const char *from, *to;
    } types[] = {{"bfloat16", "BF16"}, {"float16", "F16"}, {"float32", "F32"},
                 {"fp8", "FP8"},       {"awq", "AWQ"},     {"gptq", "GPTQ"}};
    json_t *config = read_json(dir, "config.json", CONFIG_BYTES_MAX);
    const json_t *quantization = json_object_get(config, "quantization_config");
    const char *text = json_string_value(json_object_get(quantization, "quant_method"));
    for (int i = 0; !text && i < 2; i++)
        text = json_string_value(json_object_get(config, i ? "dtype" : "torch_dtype"));
    snprintf(type, type_bytes, "%s", config ? text ? text : "" : "adapter");
    for (size_t i = 0; text && i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i].from) == 0)
            snprintf(type, type_bytes, "%s", types[i].to);
    if (!text && json_object_get(config, "quantization"))
        snprintf(type, type_bytes, "MLX");
    json_decref(config);
}

static HubModel *add(HubList *list, const HubName *name, HubPlace place)
{
    list->models = mem_more(list->models, sizeof *list->models, (size_t)list->n, &list->capacity);
    HubModel *model = &list->models[list->n++];
    *model = (HubModel){.name = *name, .place = place};
    model->name.is_any_site = false;
    return model;
}

static void add_model(HubList *list, const HubName *name, HubPlace place, const char *dir,
                      const RepoFiles *files)
{
    HubModel *model = add(list, name, place);
    const char *first = repo_open_path(files);
    model->folder = mem_strdup(dir);
    model->path = *first ? file_join(dir, first) : mem_strdup(dir);
    model->bytes = repo_files_bytes(files);
    if (strcmp(name->variant, HUB_SAFETENSORS) == 0)
        read_type(dir, model->type, sizeof model->type);
    else
        snprintf(model->type, sizeof model->type, "%.*s", (int)sizeof model->type - 1,
                 name->variant);
}

void hub_list_add_folder(HubList *list, const HubName *name, HubPlace place, const char *dir)
{
    char variants[VARIANTS_MAX][HUB_VARIANT_MAX];
    RepoFiles all = {0};
    repo_files_read(&all, dir);
    int n = repo_variants(&all, variants, VARIANTS_MAX);
    repo_files_free(&all);
    for (int i = 0; i < n; i++) {
        RepoFiles files = {0};
        HubName its = *name;
        memcpy(its.variant, variants[i], sizeof its.variant);
        repo_files_read(&files, dir);
        if (repo_choose(&files, its.variant, NULL))
            add_model(list, &its, place, dir, &files);
        repo_files_free(&files);
    }
}

static void add_stored(HubList *list, const HubName *name, const char *dir)
{
    RepoFiles files = {0};
    if (hub_manifest_read(dir, &files) && hub_folder_is_whole(dir, &files))
        add_model(list, name, HUB_STORE, dir, &files);
    repo_files_free(&files);
}

/* What a cut pull has on disk: sparse files count as the blocks they have. */
static void add_unfinished(HubList *list, const HubName *name, const char *dir)
{
    RepoFiles files = {0};
    HubModel *model = add(list, name, HUB_UNFINISHED);
    repo_files_read(&files, dir);
    model->path = mem_strdup(dir);
    model->folder = mem_strdup(dir);
    for (int i = 0; i < files.n; i++) {
        char *path = file_join(dir, files.items[i].path);
        struct stat st;
        if (stat(path, &st) == 0)
            model->bytes += (uint64_t)st.st_blocks * 512;
        mem_free(path);
    }
    repo_files_free(&files);
}

/* SITE/OWNER/REPO/VARIANT below `dir`: the level in hand is `depth`, its parts are in `parts`. */
enum { LEVEL_OWNER, LEVEL_REPO, LEVEL_VARIANT };
static void walk(HubList *list, const char *dir, int level, HubName *name, bool is_unfinished)
{
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        char *path = file_join(dir, entry->d_name);
        const size_t n = strlen(name->repo);
        const bool is_folder = entry->d_name[0] != '.' && file_is_dir(path);
        if (is_folder && level < LEVEL_VARIANT) {
            snprintf(name->repo + n, sizeof name->repo - n, "%s%s", level == LEVEL_REPO ? "/" : "",
                     entry->d_name);
            walk(list, path, level + 1, name, is_unfinished);
            name->repo[n] = '\0';
        } else if (is_folder) {
            snprintf(name->variant, sizeof name->variant, "%.*s", (int)sizeof name->variant - 1,
                     entry->d_name);
            if (is_unfinished)
                add_unfinished(list, name, path);
            else
                add_stored(list, name, path);
        }
        mem_free(path);
    }
    if (folder)
        closedir(folder);
}

static void add_store(HubList *list)
{
    char *store = hub_store_dir(NULL);
    for (int i = 0; store && i < 2 * N_HUB_SITES; i++) {
        const bool is_unfinished = i >= N_HUB_SITES;
        HubName name = {.site = (HubSite)(i % N_HUB_SITES)};
        char *top = is_unfinished ? file_join(store, HUB_UNFINISHED_DIR) : mem_strdup(store);
        char *dir = file_join(top, hub_site_name(name.site));
        walk(list, dir, LEVEL_OWNER, &name, is_unfinished);
        mem_free(dir);
        mem_free(top);
    }
    mem_free(store);
}

static int compare_models(const void *a, const void *b)
{
    const HubModel *x = a, *y = b;
    int order = strcmp(x->name.repo, y->name.repo);
    order = order ? order : strcmp(x->name.variant, y->name.variant);
    order = order ? order : (int)x->place - (int)y->place;
    return order ? order : strcmp(x->folder, y->folder);
}

void hub_list(HubList *list)
{
    add_store(list);
    hub_list_add_caches(list);
    if (list->n > 0)
        qsort(list->models, (size_t)list->n, sizeof *list->models, compare_models);
}

void hub_list_free(HubList *list)
{
    for (int i = 0; i < list->n; i++) {
        mem_free(list->models[i].path);
        mem_free(list->models[i].folder);
    }
    mem_free(list->models);
    *list = (HubList){0};
}

/* ---- Finding and removing -------------------------------------------------------------------- */

static bool is_meant(const HubModel *model, const HubName *name)
{
    return strcasecmp(model->name.repo, name->repo) == 0 &&
           (name->is_any_site || model->name.site == name->site);
}

/* The best model of that name among those of one place. With no variant named: safetensors, else
 * the default quantization, else the only one. */
static const HubModel *choose(const HubList *list, const HubName *name, HubPlace place)
{
    RepoFiles here = {0}; /* one file a model, named so that repo_choose picks among variants */
    const HubModel *chosen = NULL;
    char variant[HUB_VARIANT_MAX];
    memcpy(variant, name->variant, sizeof variant);
    for (int i = 0; i < list->n; i++) {
        const HubModel *model = &list->models[i];
        if (model->place != place || !is_meant(model, name))
            continue;
        if (strcmp(model->name.variant, HUB_SAFETENSORS) == 0) {
            repo_files_add(&here, "config.json", 0);
            repo_files_add(&here, "model.safetensors", 0);
        } else {
            Buf file = {0};
            buf_printf(&file, "%s.gguf", model->name.variant);
            repo_files_add(&here, file.data, 0);
            buf_free(&file);
        }
    }
    bool is_found = here.n > 0 && repo_choose(&here, variant, NULL);
    for (int i = 0; i < list->n && is_found && !chosen; i++)
        if (list->models[i].place == place && is_meant(&list->models[i], name) &&
            strcmp(list->models[i].name.variant, variant) == 0)
            chosen = &list->models[i];
    repo_files_free(&here);
    return chosen;
}

char *hub_find(const HubName *name)
{
    HubList list = {0};
    hub_list(&list);
    const HubModel *model = NULL;
    for (int place = HUB_STORE; place < HUB_UNFINISHED && !model; place++)
        model = choose(&list, name, (HubPlace)place);
    char *path = model ? mem_strdup(model->path) : NULL;
    hub_list_free(&list);
    return path;
}

/* Out of sight with one rename, then file by file. */
static bool remove_folder(const HubModel *model, Error *err)
{
    char *store = hub_store_dir(err);
    if (!store)
        return false;
    char *unfinished = file_join(store, HUB_UNFINISHED_DIR);
    Buf trash = {0};
    buf_printf(&trash, "%s/.removed.%d", unfinished, (int)getpid());
    bool ok = file_make_dir(unfinished, err) && file_remove_tree(trash.data, err);
    if (ok && rename(model->folder, trash.data) != 0)
        ok = error_set_errno(err, "removing %s", model->folder);
    ok = ok && file_remove_tree(trash.data, err);
    /* The folders of owner and repository, if they are empty now. */
    char *parent = mem_strdup(model->folder);
    for (int i = 0; ok && i < 3; i++) {
        *strrchr(parent, '/') = '\0';
        if (rmdir(parent) != 0)
            break;
    }
    mem_free(parent);
    buf_free(&trash);
    mem_free(unfinished);
    mem_free(store);
    return ok;
}

static bool nothing_to_remove(const HubList *list, const HubName *name, Error *err)
{
    Buf text = {0};
    hub_name_put(&text, name);
    const HubModel *model = choose(list, name, HUB_HUGGING_FACE_CACHE);
    model = model ? model : choose(list, name, HUB_MODELSCOPE_CACHE);
    if (model)
        error_set(err, ERROR_ARGUMENT,
                  "%s: lies in the cache of %s, which is not ours to change (%s)", text.data,
                  model->place == HUB_MODELSCOPE_CACHE ? "modelscope" : "huggingface_hub",
                  model->folder);
    else
        error_set(err, ERROR_ARGUMENT, "%s: not in the store (\"wen list\" shows what is)",
                  text.data);
    buf_free(&text);
    return false;
}

bool hub_remove(const HubName *name, uint64_t *freed_bytes, Error *err)
{
    HubList list = {0};
    hub_list(&list);
    const HubModel *model = choose(&list, name, HUB_STORE);
    model = model ? model : choose(&list, name, HUB_UNFINISHED);
    int lock = model ? hub_lock(&model->name, err) : -1;
    bool ok = model ? lock >= 0 && remove_folder(model, err) : nothing_to_remove(&list, name, err);
    if (ok && freed_bytes)
        *freed_bytes = model->bytes;
    hub_unlock(model ? &model->name : name, lock);
    hub_list_free(&list);
    return ok;
}
