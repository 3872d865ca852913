/* See hub_sites.h.
 *
 * Hugging Face (huggingface.co/docs/hub/api): GET /api/models/REPO/revision/main?blobs=true gives
 * "sha" and "siblings": {rfilename, size, blobId: git's SHA-1, lfs: {sha256, size}}; contents lie
 * at /REPO/resolve/COMMIT/PATH. ModelScope: GET /api/v1/models/REPO/repo/files?Revision=master
 * gives "Data": {"Files": {Path, Size, Sha256, Type}}; contents lie at /api/v1/models/REPO/repo. */
#include "hub/hub_sites.h"

#include "base/mem.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define LIST_BYTES_MAX ((size_t)64 << 20)

/* Percent-encodes all but unreserved characters and '/'. */
static void put_escaped(Buf *out, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~/", *text))
            buf_putc(out, *text);
        else
            buf_printf(out, "%%%02X", (unsigned char)*text);
    }
}

/* "a/b.gguf": relative, and nothing in it leads elsewhere. */
static bool is_inside(const char *path)
{
    for (const char *part = path;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (part[0] == '.' && (n == 1 || (n == 2 && part[1] == '.'))))
            return false;
        for (size_t i = 0; i < n; i++)
            if ((unsigned char)part[i] < 0x20 || part[i] == '\\')
                return false;
        part += n;
        if (!*part)
            return true;
    }
}

/* Lower-case hex of exactly that length, else "". */
static void copy_hex(char *out, size_t digits, const json_t *value)
{
    const char *text = json_string_value(value);
    bool ok = text && strlen(text) == digits;
    for (size_t i = 0; ok && i < digits; i++) {
        ok = isxdigit((unsigned char)text[i]);
        out[i] = (char)tolower((unsigned char)text[i]);
    }
    out[ok ? digits : 0] = '\0';
}

static RepoFile *add_file(RepoFiles *files, const char *what, const json_t *path,
                          const json_t *bytes, Error *err)
{
    const char *text = json_string_value(path);
    if (!text || !json_is_integer(bytes) || json_integer_value(bytes) < 0) {
        error_set(err, ERROR_FORMAT, "%s: the hub lists a file without a name or size", what);
        return NULL;
    }
    if (!is_inside(text)) {
        error_set(err, ERROR_FORMAT, "%s: the hub lists a file that leaves its folder: %.100s",
                  what, text);
        return NULL;
    }
    return repo_files_add(files, text, (uint64_t)json_integer_value(bytes));
}

static bool read_hugging_face(const json_t *answer, const char *what, RepoFiles *files, Error *err)
{
    const json_t *siblings = json_object_get(answer, "siblings");
    const char *commit = json_string_value(json_object_get(answer, "sha"));
    if (!json_is_array(siblings) || !commit || strlen(commit) >= sizeof files->revision)
        return error_set(err, ERROR_FORMAT, "%s: the hub's answer lists no files", what);
    snprintf(files->revision, sizeof files->revision, "%s", commit);
    for (size_t i = 0; i < json_array_size(siblings); i++) {
        const json_t *item = json_array_get(siblings, i), *lfs = json_object_get(item, "lfs");
        RepoFile *file = add_file(files, what, json_object_get(item, "rfilename"),
                                  json_object_get(json_is_object(lfs) ? lfs : item, "size"), err);
        if (!file)
            return false;
        copy_hex(file->sha256, 64, json_object_get(lfs, "sha256"));
        if (!json_is_object(lfs))
            copy_hex(file->git_sha1, 40, json_object_get(item, "blobId"));
    }
    return true;
}

static bool read_modelscope(const json_t *answer, const char *what, RepoFiles *files, Error *err)
{
    const json_t *list = json_object_get(json_object_get(answer, "Data"), "Files");
    if (!json_is_array(list))
        return error_set(err, ERROR_FORMAT, "%s: the hub's answer lists no files", what);
    snprintf(files->revision, sizeof files->revision, "master");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        const char *type = json_string_value(json_object_get(item, "Type"));
        if (type && strcmp(type, "tree") == 0)
            continue;
        RepoFile *file = add_file(files, what, json_object_get(item, "Path"),
                                  json_object_get(item, "Size"), err);
        if (!file)
            return false;
        copy_hex(file->sha256, 64, json_object_get(item, "Sha256"));
    }
    return true;
}

bool hub_sites_list(const HubAccess *a, const HubName *name, RepoFiles *files, Error *err)
{
    Buf url = {0}, body = {0};
    json_error_t at;
    if (a->site == HUB_MODELSCOPE)
        buf_printf(&url, "%s/api/v1/models/%s/repo/files?Revision=master&Recursive=true",
                   a->endpoint, name->repo);
    else
        buf_printf(&url, "%s/api/models/%s/revision/main?blobs=true", a->endpoint, name->repo);
    bool ok = hub_access_get(a, url.data, name->repo, LIST_BYTES_MAX, &body, err);
    json_t *answer = ok ? json_loadb(body.data ? body.data : "", body.bytes, 0, &at) : NULL;
    if (ok && !answer)
        ok = error_set(err, ERROR_FORMAT, "%s: what %s answers is not JSON (byte %d)", name->repo,
                       a->endpoint, at.position);
    else if (ok && a->site == HUB_MODELSCOPE)
        ok = read_modelscope(answer, name->repo, files, err);
    else if (ok)
        ok = read_hugging_face(answer, name->repo, files, err);
    json_decref(answer);
    buf_free(&url);
    buf_free(&body);
    return ok;
}

char *hub_sites_url(const HubAccess *a, const HubName *name, const char *revision, const char *path)
{
    Buf url = {0};
    if (a->site == HUB_MODELSCOPE)
        buf_printf(&url, "%s/api/v1/models/%s/repo?Revision=", a->endpoint, name->repo);
    else
        buf_printf(&url, "%s/%s/resolve/", a->endpoint, name->repo);
    put_escaped(&url, revision);
    buf_puts(&url, a->site == HUB_MODELSCOPE ? "&FilePath=" : "/");
    put_escaped(&url, path);
    return url.data;
}
