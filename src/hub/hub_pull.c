/* See hub_pull.h. */
#include "hub/hub_pull.h"

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_sites.h"
#include "hub/hub_store.h"
#include "hub/transfer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ROUNDS_MAX = 3 };

typedef struct Pull {
    HubAccess access;
    HubName *name;
    const HubPullOptions *options;
    RepoFiles files;
    char *work_dir, *final_dir;
    int lock;
} Pull;

static bool same_contents(const RepoFile *a, const RepoFile *b)
{
    return a && b && a->bytes == b->bytes && strcmp(a->sha256, b->sha256) == 0 &&
           strcmp(a->git_sha1, b->git_sha1) == 0;
}

static bool same_files(const RepoFiles *a, const RepoFiles *b)
{
    bool same = a->n == b->n;
    for (int i = 0; i < a->n && same; i++)
        same = same_contents(&a->items[i], repo_files_get(b, a->items[i].path));
    return same;
}

/* ---- The plan -------------------------------------------------------------------------------- */

static bool list_files(Pull *p, Error *err)
{
    repo_files_free(&p->files);
    if (!hub_sites_list(&p->access, p->name, &p->files, err))
        return false;
    if (!repo_choose(&p->files, p->name->variant, err))
        return error_add(err, "%s", p->name->repo);
    for (int i = 0; i < p->files.n; i++) {
        const RepoFile *file = &p->files.items[i];
        if (!file->sha256[0] && !file->git_sha1[0])
            return error_set(err, ERROR_UNSUPPORTED,
                             "%s: %s gives no hash of %s: what arrives could not be checked",
                             p->name->repo, p->access.endpoint, file->path);
    }
    return true;
}

/* Whether the newest revision is here, whole. */
static bool is_here(const Pull *p)
{
    RepoFiles stored = {0};
    bool is = hub_manifest_read(p->final_dir, &stored) && same_files(&stored, &p->files) &&
              hub_folder_is_whole(p->final_dir, &stored);
    repo_files_free(&stored);
    return is;
}

/* A finished file of the same contents, from the model that is being replaced: another name for it,
 * so that a new revision fetches what is new. */
static void take_over(const Pull *p)
{
    RepoFiles stored = {0};
    bool has = hub_manifest_read(p->final_dir, &stored);
    for (int i = 0; i < p->files.n && has; i++) {
        const RepoFile *file = &p->files.items[i];
        char *from = file_join(p->final_dir, file->path), *to = file_join(p->work_dir, file->path);
        struct stat st;
        if (same_contents(file, repo_files_get(&stored, file->path)) && stat(from, &st) == 0 &&
            (uint64_t)st.st_size == file->bytes) {
            char *parent = mem_strdup(to);
            *strrchr(parent, '/') = '\0';
            if (file_make_dir(parent, NULL) && link(from, to) != 0 && errno != EEXIST)
                has = false; /* a file system without links: it is fetched */
            mem_free(parent);
        }
        mem_free(from);
        mem_free(to);
    }
    repo_files_free(&stored);
}

/* Makes the working folder one of this list of files: what was finished under another list and
 * differs goes. The manifest is what says under which list a file was finished, so it is written
 * after that and before anything is fetched. */
static bool prepare_work(Pull *p, Error *err)
{
    RepoFiles before = {0};
    if (!file_make_dir(p->work_dir, err))
        return false;
    bool has = hub_manifest_read(p->work_dir, &before), ok = true;
    for (int i = 0; i < p->files.n && ok; i++) {
        const RepoFile *file = &p->files.items[i];
        char *path = file_join(p->work_dir, file->path);
        struct stat st;
        bool is_kept = has && same_contents(file, repo_files_get(&before, file->path)) &&
                       stat(path, &st) == 0 && (uint64_t)st.st_size == file->bytes;
        if (!is_kept && unlink(path) != 0 && errno != ENOENT && errno != ENOTDIR)
            ok = error_set_errno(err, "removing %s", path);
        mem_free(path);
    }
    repo_files_free(&before);
    if (ok)
        take_over(p);
    return ok && hub_manifest_write(p->work_dir, p->name, &p->files, err);
}

/* On disk already, finished or not: bytes of those files, by their blocks. */
static uint64_t bytes_here(const Pull *p)
{
    RepoFiles here = {0};
    uint64_t bytes = 0;
    repo_files_read(&here, p->work_dir);
    for (int i = 0; i < here.n; i++) {
        char *path = file_join(p->work_dir, here.items[i].path);
        struct stat st;
        uint64_t on_disk = stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
        bytes += on_disk < here.items[i].bytes ? on_disk : here.items[i].bytes;
        mem_free(path);
    }
    repo_files_free(&here);
    return bytes;
}

static bool announce(Pull *p, Error *err)
{
    char *store = hub_store_dir(err);
    struct statvfs disk;
    if (!store)
        return false;
    bool ok = statvfs(p->work_dir, &disk) == 0 || error_set_errno(err, "%s", p->work_dir);
    HubEvent plan = {.kind = HUB_EVENT_PLAN,
                     .name = p->name,
                     .n_files = p->files.n,
                     .total_bytes = repo_files_bytes(&p->files),
                     .done_bytes = bytes_here(p),
                     .left_s = -1,
                     .store = store};
    plan.free_bytes = ok ? (uint64_t)disk.f_bavail * disk.f_frsize : 0;
    uint64_t missing = plan.total_bytes > plan.done_bytes ? plan.total_bytes - plan.done_bytes : 0;
    if (ok && missing > plan.free_bytes)
        ok = error_set(
            err, ERROR_IO,
            "%s: needs %.1f GB more, but %.1f GB are free in %s (WEN_MODELS names another "
            "folder)",
            p->name->repo, (double)missing / 1e9, (double)plan.free_bytes / 1e9, store);
    if (ok && p->options->on_event && !p->options->on_event(p->options->context, &plan))
        ok = error_set(err, ERROR_CANCELLED, "%s: not pulled", p->name->repo);
    mem_free(store);
    return ok;
}

/* ---- The end --------------------------------------------------------------------------------- */

static bool sync_dir(const char *path, Error *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        error_set_errno(err, "%s", path);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* What the folder has besides the model's files: beginnings of an older list's. */
static void remove_strays(const Pull *p)
{
    RepoFiles here = {0};
    repo_files_read(&here, p->work_dir);
    for (int i = 0; i < here.n; i++) {
        char *path = file_join(p->work_dir, here.items[i].path);
        if (!repo_files_get(&p->files, here.items[i].path))
            unlink(path);
        mem_free(path);
    }
    repo_files_free(&here);
}

/* One rename makes the model; where an older one is, the two change places. */
static bool publish(Pull *p, Error *err)
{
    char *parent = mem_strdup(p->final_dir);
    *strrchr(parent, '/') = '\0';
    remove_strays(p);
    bool ok = file_make_dir(parent, err) && sync_dir(p->work_dir, err);
    for (int i = 0; i < p->files.n && ok; i++) { /* folders within */
        char *path = file_join(p->work_dir, p->files.items[i].path);
        *strrchr(path, '/') = '\0';
        ok = strcmp(path, p->work_dir) == 0 || sync_dir(path, err);
        mem_free(path);
    }
    if (ok && rename(p->work_dir, p->final_dir) != 0) {
        if (renameat2(AT_FDCWD, p->work_dir, AT_FDCWD, p->final_dir, RENAME_EXCHANGE) == 0)
            ok = file_remove_tree(p->work_dir, err); /* the older one */
        else
            ok = error_set_errno(err, "renaming %s to %s", p->work_dir, p->final_dir);
    }
    ok = ok && sync_dir(parent, err);
    mem_free(parent);
    return ok;
}

/* Fetches what the list says. When contents are not as listed the list is asked for again: the
 * repository may have changed meanwhile. */
static bool fetch(Pull *p, Error *err)
{
    for (int round = 0;; round++) {
        Transfer t = {.access = &p->access,
                      .name = p->name,
                      .files = &p->files,
                      .dir = p->work_dir,
                      .options = p->options,
                      .stops_at_change = round + 1 < ROUNDS_MAX};
        if (!prepare_work(p, err) || (round == 0 && !announce(p, err)))
            return false;
        if (transfer_run(&t, err))
            return true;
        if (!t.is_changed || round + 1 == ROUNDS_MAX || err->code == ERROR_CANCELLED)
            return false;
        if (!list_files(p, err))
            return false;
    }
}

static char *open_path(const Pull *p)
{
    const char *first = repo_open_path(&p->files);
    return *first ? file_join(p->final_dir, first) : mem_strdup(p->final_dir);
}

/* Whether a pull has brought nothing yet. */
static bool has_nothing(const Pull *p)
{
    RepoFiles here = {0};
    bool is_empty = true;
    repo_files_read(&here, p->work_dir);
    for (int i = 0; i < here.n && is_empty; i++) {
        char *path = file_join(p->work_dir, here.items[i].path);
        struct stat st;
        is_empty =
            str_ends(str_from(path), STR(".state")) || (stat(path, &st) == 0 && st.st_blocks == 0);
        mem_free(path);
    }
    repo_files_free(&here);
    return is_empty;
}

static void pull_close(Pull *p)
{
    hub_unlock(p->name, p->lock);
    hub_access_close(&p->access);
    repo_files_free(&p->files);
    mem_free(p->work_dir);
    mem_free(p->final_dir);
}

char *hub_pull(HubName *name, const HubPullOptions *options, Error *err)
{
    static const HubPullOptions defaults;
    Error own;
    Pull p = {.name = name, .options = options ? options : &defaults, .lock = -1};
    err = err ? err : &own;
    *err = (Error){0};
    bool ok = hub_access_open(&p.access, name->site, err) && list_files(&p, err);
    p.work_dir = ok ? hub_store_path(name, true, err) : NULL;
    p.final_dir = p.work_dir ? hub_store_path(name, false, err) : NULL;
    ok = p.final_dir != NULL;
    if (ok && !is_here(&p)) {
        p.lock = hub_lock(name, err);
        ok = p.lock >= 0 && (is_here(&p) || (fetch(&p, err) && publish(&p, err)));
    }
    if (!ok && p.lock >= 0 && has_nothing(&p) && !file_remove_tree(p.work_dir, &own))
        error_add(err, "%s", own.message);
    char *path = ok ? open_path(&p) : NULL;
    pull_close(&p);
    return path;
}
