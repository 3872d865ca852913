/* See repo_files.h. */
#include "hub/repo_files.h"

#include "base/file.h"
#include "base/mem.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

enum { FOLDERS_DEEP = 3, VARIANTS_MAX = 128 };
#define DEFAULT_VARIANT "Q4_K_M"

RepoFile *repo_files_add(RepoFiles *files, const char *path, uint64_t bytes)
{
    files->items = mem_more(files->items, sizeof *files->items, (size_t)files->n, &files->capacity);
    RepoFile *file = &files->items[files->n++];
    *file = (RepoFile){.path = mem_strdup(path), .bytes = bytes};
    return file;
}

void repo_files_free(RepoFiles *files)
{
    for (int i = 0; i < files->n; i++)
        mem_free(files->items[i].path);
    mem_free(files->items);
    *files = (RepoFiles){0};
}

uint64_t repo_files_bytes(const RepoFiles *files)
{
    uint64_t sum = 0;
    for (int i = 0; i < files->n; i++)
        sum += files->items[i].bytes;
    return sum;
}

const RepoFile *repo_files_get(const RepoFiles *files, const char *path)
{
    for (int i = 0; i < files->n; i++)
        if (strcmp(files->items[i].path, path) == 0)
            return &files->items[i];
    return NULL;
}

static void read_folder(RepoFiles *files, const char *dir, const char *prefix, int depth)
{
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        char *path = file_join(dir, entry->d_name);
        char *name = *prefix ? file_join(prefix, entry->d_name) : mem_strdup(entry->d_name);
        struct stat st;
        if (stat(path, &st) == 0 && S_ISREG(st.st_mode))
            repo_files_add(files, name, (uint64_t)st.st_size);
        else if (file_is_dir(path) && depth > 0)
            read_folder(files, path, name, depth - 1);
        mem_free(path);
        mem_free(name);
    }
    if (folder)
        closedir(folder);
}

void repo_files_read(RepoFiles *files, const char *dir)
{
    read_folder(files, dir, "", FOLDERS_DEEP);
}

/* ---- GGUF names ------------------------------------------------------------------------------ */

/* The stem of a GGUF path: without folders, ".gguf" and "-00001-of-00002"; *part and *n_parts are 0
 * for a file that is whole by itself. */
static bool gguf_stem(const char *path, Str *stem, int *part, int *n_parts)
{
    Str name = file_base_name(path);
    *part = *n_parts = 0;
    if (name.bytes <= 5 || strncasecmp(name.data + name.bytes - 5, ".gguf", 5) != 0)
        return false;
    name.bytes -= 5;
    enum { TAIL = sizeof "-00001-of-00002" - 1 };
    int end = 0;
    if (name.bytes > TAIL &&
        sscanf(name.data + name.bytes - TAIL, "-%5d-of-%5d%n", part, n_parts, &end) == 2 &&
        end == TAIL)
        name.bytes -= TAIL;
    else
        *part = *n_parts = 0;
    *stem = name;
    return true;
}

static bool is_quantization(const char *word)
{
    static const char *const whole[] = {"BF16", "F16", "FP16", "F32", "FP32", "MXFP4"};
    for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
        if (strcmp(word, whole[i]) == 0 || strncmp(word, "MXFP4", 5) == 0)
            return true;
    if (*word == 'I' || *word == 'T')
        word++;
    return word[0] == 'Q' && isdigit((unsigned char)word[1]);
}

bool repo_gguf_label(const char *path, char *label, size_t label_bytes)
{
    Str stem;
    int part, n_parts;
    if (!gguf_stem(path, &stem, &part, &n_parts) || stem.bytes >= label_bytes)
        return false;
    for (size_t i = 0; i <= stem.bytes; i++)
        label[i] = (char)(i < stem.bytes ? toupper((unsigned char)stem.data[i]) : '\0');
    if (strncmp(label, "MMPROJ", 6) == 0 || strncmp(label, "IMATRIX", 7) == 0)
        return false; /* companions of a model, not models */
    char *word = label;
    for (char *c = label; *c; c++)
        if (*c == '-' || *c == '.')
            word = c + 1;
    if (!is_quantization(word)) {
        snprintf(label, label_bytes, "%.*s", STR_ARG(stem));
        return true;
    }
    if (word - label >= 4 && strncmp(word - 3, "UD-", 3) == 0 && strchr("-.", word[-4]))
        word -= 3;
    memmove(label, word, strlen(word) + 1);
    return true;
}

/* "F16" and "FP16" are one. */
static bool same_label(const char *label, const char *variant)
{
    const char *const pairs[][2] = {{"FP16", "F16"}, {"FP32", "F32"}};
    for (size_t i = 0; i < 2; i++) {
        if (strcasecmp(label, pairs[i][0]) == 0)
            label = pairs[i][1];
        if (strcasecmp(variant, pairs[i][0]) == 0)
            variant = pairs[i][1];
    }
    return strcasecmp(label, variant) == 0;
}

static bool is_of_gguf(const char *path, const char *variant)
{
    char label[HUB_VARIANT_MAX];
    if (!repo_gguf_label(path, label, sizeof label))
        return false;
    Str name = file_base_name(path);
    return same_label(label, variant) || strcasecmp(name.data, variant) == 0 ||
           (strncasecmp(name.data, variant, name.bytes - 5) == 0 &&
            strlen(variant) == name.bytes - 5);
}

/* ---- Safetensors ----------------------------------------------------------------------------- */

/* What a folder of safetensors needs: the top folder's weights, configuration, vocabulary, template
 * and licence; not other formats' weights. */
static bool is_of_safetensors(const char *path)
{
    static const char *const endings[] = {".safetensors", ".json", ".txt", ".jinja", ".tiktoken"};
    if (strchr(path, '/'))
        return false;
    Str name = str_from(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (str_ends(name, str_from(endings[i])))
            return true;
    return strcmp(path, "LICENSE") == 0 || strcmp(path, "README.md") == 0;
}

static bool has_safetensors(const RepoFiles *files)
{
    bool has_weights = false, has_config = false;
    for (int i = 0; i < files->n; i++) {
        const char *path = files->items[i].path;
        has_weights |= !strchr(path, '/') && str_ends(str_from(path), STR(".safetensors"));
        has_config |= strcmp(path, "config.json") == 0 || strcmp(path, "adapter_config.json") == 0;
    }
    return has_weights && has_config;
}

/* A split file "X-00001-of-00003.safetensors" with a sister missing. */
static bool shards_are_whole(const RepoFiles *files, Error *err)
{
    for (int i = 0; i < files->n; i++) {
        int part = 0, n_parts = 0, end = 0;
        const char *path = files->items[i].path, *dash = strrchr(path, '-');
        size_t front = dash && dash - path > 9 ? (size_t)(dash - path) - 9 : 0;
        if (!front || sscanf(path + front, "-%5d-of-%5d.%n", &part, &n_parts, &end) != 2 || !end)
            continue;
        for (int p = 1; p <= n_parts; p++) {
            Buf sister = {0};
            buf_printf(&sister, "%.*s-%05d-of-%05d%s", (int)front, path, p, n_parts,
                       path + front + end - 1);
            bool is_there = repo_files_get(files, sister.data) != NULL;
            if (!is_there)
                error_set(err, ERROR_FORMAT, "%.200s is missing: part %d of %d", sister.data, p,
                          n_parts);
            buf_free(&sister);
            if (!is_there)
                return false;
        }
    }
    return true;
}

/* Two models of one quantization, "A-Q8_0.gguf" and "B-Q8_0.gguf", have one name here. */
static bool is_one_model(const RepoFiles *files, const char *variant, Error *err)
{
    Str first = {0}, stem;
    int part, n_parts;
    for (int i = 0; i < files->n; i++) {
        if (!gguf_stem(files->items[i].path, &stem, &part, &n_parts))
            continue;
        if (first.data && !str_equal(first, stem))
            return error_set(err, ERROR_UNSUPPORTED,
                             "has several models of %s (%.*s, %.*s): fetch the file of one, and "
                             "give its path",
                             variant, STR_ARG(first), STR_ARG(stem));
        first = stem;
    }
    return true;
}

/* ---- Choosing -------------------------------------------------------------------------------- */

static int compare_variants(const void *a, const void *b) { return strcmp(a, b); }

int repo_variants(const RepoFiles *files, char (*variants)[HUB_VARIANT_MAX], int variants_max)
{
    int n = 0;
    if (has_safetensors(files) && n < variants_max)
        snprintf(variants[n++], sizeof *variants, "%s", HUB_SAFETENSORS);
    for (int i = 0; i < files->n && n < variants_max; i++) {
        bool is_known = false;
        if (!repo_gguf_label(files->items[i].path, variants[n], sizeof *variants))
            continue;
        for (int k = 0; k < n && !is_known; k++)
            is_known = strcmp(variants[k], variants[n]) == 0;
        n += !is_known;
    }
    qsort(variants, (size_t)n, sizeof *variants, compare_variants);
    return n;
}

static bool nothing_fits(const char *variant, char (*variants)[HUB_VARIANT_MAX], int n, Error *err)
{
    Buf names = {0};
    for (int i = 0; i < n && names.bytes < 300; i++)
        buf_printf(&names, "%s%s", i ? ", " : "", variants[i]);
    if (n == 0)
        error_set(err, ERROR_UNSUPPORTED,
                  "has neither safetensors with config.json nor GGUF files");
    else if (*variant)
        error_set(err, ERROR_ARGUMENT, "has no %s; there is %s", variant, names.data);
    else
        error_set(err, ERROR_ARGUMENT, "has several models: say which, NAME:%s (there is %s)",
                  variants[0], names.data);
    buf_free(&names);
    return false;
}

/* The one that is meant by `variant`; NULL: none. */
static const char *pick(const RepoFiles *files, const char *variant,
                        char (*variants)[HUB_VARIANT_MAX], int n)
{
    for (int i = 0; i < n && !*variant; i++)
        if (strcmp(variants[i], HUB_SAFETENSORS) == 0)
            return variants[i];
    if (!*variant && n == 1)
        return variants[0];
    if (!*variant)
        variant = DEFAULT_VARIANT;
    for (int i = 0; i < n; i++)
        if (same_label(variants[i], variant))
            return variants[i];
    for (int i = 0; i < files->n; i++) /* a file's name */
        for (int k = 0; k < n && is_of_gguf(files->items[i].path, variant); k++)
            if (is_of_gguf(files->items[i].path, variants[k]))
                return variants[k];
    return NULL;
}

bool repo_choose(RepoFiles *files, char *variant, Error *err)
{
    char variants[VARIANTS_MAX][HUB_VARIANT_MAX];
    int n = repo_variants(files, variants, VARIANTS_MAX), n_kept = 0;
    const char *picked = pick(files, variant, variants, n);
    if (!picked)
        return nothing_fits(variant, variants, n, err);
    bool is_safetensors = strcmp(picked, HUB_SAFETENSORS) == 0;
    for (int i = 0; i < files->n; i++) {
        RepoFile *file = &files->items[i];
        if (is_safetensors ? is_of_safetensors(file->path) : is_of_gguf(file->path, picked))
            files->items[n_kept++] = *file;
        else
            mem_free(file->path);
    }
    files->n = n_kept;
    snprintf(variant, HUB_VARIANT_MAX, "%.*s", HUB_VARIANT_MAX - 1, picked);
    return is_one_model(files, variant, err) && shards_are_whole(files, err);
}

const char *repo_open_path(const RepoFiles *files)
{
    const char *first = "";
    char label[HUB_VARIANT_MAX];
    for (int i = 0; i < files->n; i++)
        if (repo_gguf_label(files->items[i].path, label, sizeof label) &&
            (!*first || strcmp(files->items[i].path, first) < 0))
            first = files->items[i].path;
    return first;
}
