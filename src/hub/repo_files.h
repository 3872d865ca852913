/* The files of a repository, on a hub or in a folder, and which of them make up one model. */
#ifndef WEN_HUB_REPO_FILES_H
#define WEN_HUB_REPO_FILES_H

#include "hub/hub.h"

typedef struct RepoFile {
    char *path; /* within the repository, with '/' */
    uint64_t bytes;
    /* What the hub says of its contents, in lower-case hex; both empty: nothing. */
    char sha256[65];
    char git_sha1[41]; /* of "blob SIZE\0" and the contents: git's name of a small file */
} RepoFile;

typedef struct RepoFiles {
    RepoFile *items;
    int n;
    size_t capacity;
    char revision[HUB_HASH_MAX]; /* the commit; "": not known */
} RepoFiles;

/* A zeroed RepoFiles is ready. Returns the new entry, path copied. */
RepoFile *repo_files_add(RepoFiles *files, const char *path, uint64_t bytes);
void repo_files_free(RepoFiles *files);
uint64_t repo_files_bytes(const RepoFiles *files);
const RepoFile *repo_files_get(const RepoFiles *files, const char *path);

/* All below a folder, by their sizes; links are followed to files, folders three deep. */
void repo_files_read(RepoFiles *files, const char *dir);

/* The quantization that a GGUF file's name ends in, "Q4_K_M" of "x/qwen3-8b-q4_k_m.gguf" and of
 * "X-Q4_K_M-00002-of-00003.gguf", upper case; "UD-Q4_K_XL" keeps its front. A name without one
 * gives its stem. False: not the name of a GGUF model. */
bool repo_gguf_label(const char *path, char *label, size_t label_bytes);

/* The variants that a repository has, sorted: "safetensors", and labels of GGUF files. Returns how
 * many, at most variants_max. */
int repo_variants(const RepoFiles *files, char (*variants)[HUB_VARIANT_MAX], int variants_max);

/* Keeps the files of one model: those of `variant` (any case; "Q4_K_M" or a file's whole name), or
 * of the default when that is empty, which is filled in. An error lists what there is, or says
 * which part of a split file is missing. */
bool repo_choose(RepoFiles *files, char *variant, Error *err) MUST_USE;

/* What to open, within the folder, of files that repo_choose kept: "" (the folder itself) or the
 * first GGUF file. */
const char *repo_open_path(const RepoFiles *files);

#endif
