/* The store's folders, locks and manifests: see hub_store.h. */
#include "hub/hub_store.h"

#include "base/file.h"
#include "base/mem.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_BYTES_MAX = 16 << 20 };

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

json_t *hub_json_read(const char *dir, const char *name, size_t bytes_max)
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
    json_t *object = hub_json_read(dir, HUB_MANIFEST, MANIFEST_BYTES_MAX);
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
