/* What is here: hub_list, hub_find and hub_remove of hub.h. */
#include "hub/hub_store.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CONFIG_BYTES_MAX = 16 << 20, VARIANTS_MAX = 128 };

/* ---- The list -------------------------------------------------------------------------------- */

/* "BF16", "FP8", "AWQ" from config.json; "adapter" for a folder of one. */
static void read_type(const char *dir, char *type, size_t type_bytes)
{
    static const struct {
        const char *from, *to;
    } types[] = {{"bfloat16", "BF16"}, {"float16", "F16"}, {"float32", "F32"}, {"fp8", "FP8"},
                 {"awq", "AWQ"},       {"gptq", "GPTQ"},   {"mlx", "MLX"}};
    json_t *config = hub_json_read(dir, "config.json", CONFIG_BYTES_MAX);
    const json_t *quantization = json_object_get(config, "quantization_config");
    const char *text = json_string_value(json_object_get(quantization, "quant_method"));
    if (!text && json_object_get(config, "quantization"))
        text = "mlx"; /* what MLX writes, beside the original's torch_dtype */
    for (int i = 0; !text && i < 2; i++)
        text = json_string_value(json_object_get(config, i ? "dtype" : "torch_dtype"));
    snprintf(type, type_bytes, "%s", config ? text ? text : "" : "adapter");
    for (size_t i = 0; text && i < sizeof types / sizeof *types; i++)
        if (strcmp(text, types[i].from) == 0)
            snprintf(type, type_bytes, "%s", types[i].to);
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
    hub_list_add_made(list);
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
