/* The caches of other tools, read only.
 *
 * huggingface_hub (docs "Understand caching"): CACHE/models--OWNER--NAME/refs/main holds a commit,
 * snapshots/COMMIT/ links to blobs; a blob that is still being fetched has no link yet.
 * modelscope: CACHE/[models/]OWNER/NAME with '.' written "___"; files are moved there when whole.
 * In both, a repository may be there in part: what counts is decided by repo_choose. */
#include "hub/hub_store.h"

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool put_env(Buf *out, const char *name, const char *rest)
{
    const char *value = getenv(name);
    if (!value || !*value)
        return false;
    const char *home = getenv("HOME");
    if (value[0] == '~' && value[1] == '/' && home)
        buf_printf(out, "%s%s%s", home, value + 1, rest);
    else
        buf_printf(out, "%s%s", value, rest);
    return true;
}

/* The one place where both tools look when nothing else is said: ~/.cache. */
static bool put_default(Buf *out, const char *rest)
{
    return put_env(out, "XDG_CACHE_HOME", rest) ||
           (put_env(out, "HOME", "/.cache") && (buf_puts(out, rest), true));
}

/* ---- huggingface_hub ------------------------------------------------------------------------- */

/* "models--Qwen--Qwen3-0.6B" */
static bool repo_from_folder(const char *folder, HubName *name)
{
    static const char prefix[] = "models--";
    const char *owner = folder + sizeof prefix - 1;
    const char *dashes =
        strncmp(folder, prefix, sizeof prefix - 1) == 0 ? strstr(owner, "--") : NULL;
    if (!dashes || strlen(owner) >= sizeof name->repo)
        return false;
    snprintf(name->repo, sizeof name->repo, "%.*s/%s", (int)(dashes - owner), owner, dashes + 2);
    return true;
}

/* The snapshot that refs/main names, else the newest; allocated, or NULL. */
static char *find_snapshot(const char *dir)
{
    char *refs = file_join(dir, "refs/main"), *snapshots = file_join(dir, "snapshots");
    char *found = NULL;
    Buf commit = {0};
    if (file_exists(refs) && file_read(&commit, refs, 256, NULL)) {
        while (commit.bytes > 0 && strchr("\r\n ", commit.data[commit.bytes - 1]))
            commit.data[--commit.bytes] = '\0';
        if (commit.bytes > 0 && !strchr(commit.data, '/') && commit.data[0] != '.')
            found = file_join(snapshots, commit.data);
    }
    if (found && !file_is_dir(found)) {
        mem_free(found);
        found = NULL;
    }
    DIR *folder = found ? NULL : opendir(snapshots);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = file_join(snapshots, entry->d_name);
        if (!found || file_time(path) > file_time(found)) {
            mem_free(found);
            found = path;
        } else {
            mem_free(path);
        }
    }
    if (folder)
        closedir(folder);
    buf_free(&commit);
    mem_free(refs);
    mem_free(snapshots);
    return found;
}

static void add_hugging_face(HubList *list)
{
    Buf cache = {0};
    if (!put_env(&cache, "HF_HUB_CACHE", "") && !put_env(&cache, "HUGGINGFACE_HUB_CACHE", "") &&
        !put_env(&cache, "HF_HOME", "/hub") && !put_default(&cache, "/huggingface/hub"))
        return;
    DIR *folder = opendir(cache.data);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        HubName name = {.site = HUB_HUGGING_FACE};
        if (!repo_from_folder(entry->d_name, &name))
            continue;
        char *dir = file_join(cache.data, entry->d_name);
        char *snapshot = find_snapshot(dir);
        if (snapshot)
            hub_list_add_folder(list, &name, HUB_HUGGING_FACE_CACHE, snapshot);
        mem_free(snapshot);
        mem_free(dir);
    }
    if (folder)
        closedir(folder);
    buf_free(&cache);
}

/* ---- modelscope ------------------------------------------------------------------------------ */

static void put_word(HubName *name, const char *folder)
{
    size_t n = strlen(name->repo);
    for (const char *c = folder; *c && n + 1 < sizeof name->repo;) {
        bool is_dot = strncmp(c, "___", 3) == 0;
        name->repo[n++] = is_dot ? '.' : *c;
        c += is_dot ? 3 : 1;
    }
    name->repo[n] = '\0';
}

static void walk_modelscope(HubList *list, const char *dir, HubName *name, bool is_owner)
{
    static const char *const others[] = {"models", "datasets", "ast_indexer", "temp", "hub"};
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        /* A repository's name with its dots is a link to the folder without. */
        bool is_other = entry->d_name[0] == '.' || (entry->d_type == DT_LNK && !is_owner);
        for (size_t i = 0; i < sizeof others / sizeof *others && is_owner; i++)
            is_other |= strcmp(entry->d_name, others[i]) == 0;
        char *path = file_join(dir, entry->d_name);
        if (!is_other && file_is_dir(path)) {
            size_t n = strlen(name->repo);
            put_word(name, is_owner ? "" : "/");
            put_word(name, entry->d_name);
            if (is_owner)
                walk_modelscope(list, path, name, false);
            else
                hub_list_add_folder(list, name, HUB_MODELSCOPE_CACHE, path);
            name->repo[n] = '\0';
        }
        mem_free(path);
    }
    if (folder)
        closedir(folder);
}

static void add_modelscope(HubList *list)
{
    static const char *const below[] = {"", "/models", "/hub", "/hub/models"};
    Buf cache = {0};
    if (!put_env(&cache, "MODELSCOPE_CACHE", "") && !put_default(&cache, "/modelscope"))
        return;
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        HubName name = {.site = HUB_MODELSCOPE};
        Buf dir = {0};
        buf_printf(&dir, "%s%s", cache.data, below[i]);
        walk_modelscope(list, dir.data, &name, true);
        buf_free(&dir);
    }
    buf_free(&cache);
}

void hub_list_add_caches(HubList *list)
{
    add_hugging_face(list);
    add_modelscope(list);
}
