/* Any bytes as a safetensors file. */
#include "replay.h"

#include "base/bug.h"
#include "formats/safetensors.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static int fd = -1;
    static char path[64];
    Error err = {0};
    if (fd < 0) {
        fd = memfd_create("fuzz", 0);
        ASSERT(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    ASSERT(ftruncate(fd, 0) == 0 && pwrite(fd, data, n, 0) == (ssize_t)n);
    TensorTable *table = tensor_table_new();
    bool ok = safetensors_read(table, path, &err);
    ASSERT(ok == (err.code == ERROR_NONE));
    for (int i = 0; ok && i < tensor_table_count(table); i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        ASSERT(tensor_table_find(table, t->name) == t);
        for (size_t j = 0; t->tensor.data && j < t->tensor.bytes; j++)
            sink += ((const uint8_t *)t->tensor.data)[j];
    }
    tensor_table_free(table);
    return 0;
}
