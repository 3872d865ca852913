/* See dtype.h. */
#include "tensor/dtype.h"

#include "base/bug.h"

#include <strings.h>

static const DTypeInfo table[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", 1, 4, 0},        [DTYPE_F16] = {"F16", 1, 2, 1},
    [DTYPE_BF16] = {"BF16", 1, 2, 30},     [DTYPE_Q8_0] = {"Q8_0", 32, 34, 8},
    [DTYPE_Q4_0] = {"Q4_0", 32, 18, 2},    [DTYPE_Q4_1] = {"Q4_1", 32, 20, 3},
    [DTYPE_Q5_0] = {"Q5_0", 32, 22, 6},    [DTYPE_Q5_1] = {"Q5_1", 32, 24, 7},
    [DTYPE_Q4_K] = {"Q4_K", 256, 144, 12}, [DTYPE_Q5_K] = {"Q5_K", 256, 176, 13},
    [DTYPE_Q6_K] = {"Q6_K", 256, 210, 14},
};

const DTypeInfo *dtype_info(DType type)
{
    ASSERT((unsigned)type < DTYPE_COUNT);
    return &table[type];
}

const char *dtype_name(DType type) { return dtype_info(type)->name; }

bool dtype_from_name(Str name, DType *type)
{
    for (int i = 0; i < DTYPE_COUNT; i++) {
        Str known = str_from(table[i].name);
        if (known.bytes == name.bytes && strncasecmp(known.data, name.data, name.bytes) == 0) {
            *type = (DType)i;
            return true;
        }
    }
    return false;
}

bool dtype_from_ggml(uint32_t ggml_id, DType *type)
{
    for (int i = 0; i < DTYPE_COUNT; i++) {
        if ((uint32_t)table[i].ggml_id == ggml_id) {
            *type = (DType)i;
            return true;
        }
    }
    return false;
}

size_t dtype_row_bytes(DType type, int64_t n)
{
    const DTypeInfo *info = dtype_info(type);
    ASSERT(n >= 0 && n % info->block_len == 0);
    return (size_t)(n / info->block_len) * (size_t)info->block_bytes;
}
