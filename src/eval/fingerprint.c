/* See fingerprint.h. */
#include "eval/fingerprint.h"

#include "base/file.h"
#include "base/hash.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WHOLE_BYTES_MAX = 64 << 20, PARTS = 4096, PART_BYTES = 4096 };

static bool hash_file(uint64_t *hash, const char *path, Error *err)
{
    FileMap map;
    if (!file_map(&map, path, err))
        return false;
    const Str all = {(const char *)map.data, map.bytes};
    const uint64_t bytes = map.bytes;
    *hash = hash_bytes(*hash, (Str){(const char *)&bytes, sizeof bytes});
    if (all.bytes <= WHOLE_BYTES_MAX) {
        *hash = hash_bytes(*hash, all);
    } else {
        file_map_scattered(&map);
        for (size_t i = 0; i < PARTS; i++) {
            const size_t at = (all.bytes - PART_BYTES) / (PARTS - 1) * i;
            *hash = hash_bytes(*hash, str_slice(all, at, at + PART_BYTES));
        }
    }
    file_unmap(&map);
    return true;
}

static int is_part(const struct dirent *entry)
{
    static const char *const names[] = {
        "config.json",    "adapter_config.json",   "generation_config.json",
        "tokenizer.json", "tokenizer_config.json", "vocab.json",
        "merges.txt",     "chat_template.jinja"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(entry->d_name, names[i]) == 0)
            return 1;
    return str_ends(str_from(entry->d_name), STR(".safetensors"));
}

static bool hash_folder(uint64_t *hash, const char *dir, Error *err)
{
    struct dirent **entries;
    const int n = scandir(dir, &entries, is_part, alphasort);
    if (n < 0)
        return error_set_errno(err, "%s", dir);
    bool ok = true;
    for (int i = 0; i < n; i++) {
        char *path = file_join(dir, entries[i]->d_name);
        *hash = hash_bytes(*hash, str_from(entries[i]->d_name));
        ok = ok && hash_file(hash, path, err);
        mem_free(path);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

bool model_fingerprint(const char *path, char hex[17], Error *err)
{
    uint64_t hash = 0;
    const bool is_builtin = strcmp(path, "builtin") == 0;
    const bool ok = file_is_dir(path) ? hash_folder(&hash, path, err)
                                      : hash_file(&hash, is_builtin ? "/proc/self/exe" : path, err);
    snprintf(hex, 17, "%016llx", (unsigned long long)hash);
    return ok;
}
