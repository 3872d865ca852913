/* See dtype.h. */
#include "tensor/dtype.h"

#include "base/bug.h"

#include <strings.h>

static const DTypeInfo table[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", 1, 4, 0},
    [DTYPE_F16] = {"F16", 1, 2, 1},
    [DTYPE_BF16] = {"BF16", 1, 2, 30},
    [DTYPE_Q8_0] = {"Q8_0", 32, 34, 8},
    [DTYPE_Q4_0] = {"Q4_0", 32, 18, 2},
    [DTYPE_Q4_1] = {"Q4_1", 32, 20, 3},
    [DTYPE_Q5_0] = {"Q5_0", 32, 22, 6},
    [DTYPE_Q5_1] = {"Q5_1", 32, 24, 7},
    [DTYPE_Q4_K] = {"Q4_K", 256, 144, 12},
    [DTYPE_Q5_K] = {"Q5_K", 256, 176, 13},
    [DTYPE_Q6_K] = {"Q6_K", 256, 210, 14},
    [DTYPE_Q2_K] = {"Q2_K", 256, 84, 10},
    [DTYPE_Q3_K] = {"Q3_K", 256, 110, 11},
    [DTYPE_IQ4_NL] = {"IQ4_NL", 32, 18, 20},
    [DTYPE_IQ4_XS] = {"IQ4_XS", 256, 136, 23},
    [DTYPE_MXFP4] = {"MXFP4", 32, 17, 39},
    [DTYPE_A4_32] = {"A4_32", 32, 24, -1},
    [DTYPE_A4_64] = {"A4_64", 64, 40, -1},
    [DTYPE_A4_128] = {"A4_128", 128, 72, -1},
    [DTYPE_A8_32] = {"A8_32", 32, 40, -1},
    [DTYPE_A8_64] = {"A8_64", 64, 72, -1},
    [DTYPE_A8_128] = {"A8_128", 128, 136, -1},
    [DTYPE_F8_128] = {"F8_128", 128, 132, -1},
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
        if (table[i].ggml_id >= 0 && (uint32_t)table[i].ggml_id == ggml_id) {
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
