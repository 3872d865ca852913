/* A fuzz target without libFuzzer: runs every file of the folder argv[1] through it, in order of
 * name, one TAP line each. `make fuzz` builds the same targets with libFuzzer. */
#ifndef WEN_TESTS_REPLAY_H
#define WEN_TESTS_REPLAY_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#ifndef WEN_LIBFUZZER

#include "base/file.h"
#include "base/mem.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool replay_file(const char *folder, const char *name)
{
    char *path = file_join(folder, name);
    Buf file = {0};
    Error err = {0};
    bool ok = file_read(&file, path, (size_t)1 << 28, &err);
    if (ok) {
        /* A block of exactly the file's size, so that a sanitizer sees a read past its end. */
        uint8_t *copy = malloc(file.bytes ? file.bytes : 1);
        if (file.bytes)
            memcpy(copy, file.data, file.bytes);
        LLVMFuzzerTestOneInput(copy, file.bytes);
        free(copy);
    } else {
        printf("# %s\n", err.message);
    }
    buf_free(&file);
    mem_free(path);
    return ok;
}

int main(int argc, char **argv)
{
    struct dirent **entries = NULL;
    int n = argc == 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1, n_run = 0, n_failed = 0;
    if (n < 0) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < n; i++) {
        if (entries[i]->d_name[0] != '.') {
            bool ok = replay_file(argv[1], entries[i]->d_name);
            printf("%sok %d - %s\n", ok ? "" : "not ", ++n_run, entries[i]->d_name);
            fflush(stdout);
            n_failed += !ok;
        }
        free(entries[i]);
    }
    free(entries);
    printf("1..%d\n", n_run);
    return n_failed > 0;
}

#endif
#endif
