/* See packed.h. Packing goes one row of one record at a time: the row's quants are spread out to a
 * byte each, then stored in the packed order, so every type is a pair of short functions. */
#include "cpu/packed.h"

#include "base/bug.h"
#include "base/half.h"

enum { SUPER_COLS = 256, GROUPS = 8, GROUP_COLS = 4 };

static const PackedLayout layouts[DTYPE_COUNT] = {
    [DTYPE_F32] = {PACKED_PLAIN, 32, 0, 0, 1, 64, 0, 0},
    [DTYPE_F16] = {PACKED_PLAIN, 16, 0, 0, 1, 32, 0, 0},
    [DTYPE_BF16] = {PACKED_PLAIN, 16, 0, 0, 2, 64, 0, 0},
    [DTYPE_Q8_0] = {PACKED_OFFSET, 8, 128, 7, 32, 544, 32, 512},
    [DTYPE_Q4_0] = {PACKED_OFFSET, 4, 8, 3, 32, 288, 32, 256},
    [DTYPE_Q4_1] = {PACKED_MIN, 4, 0, 0, 32, 320, 64, 256},
    [DTYPE_Q5_0] = {PACKED_OFFSET, 5, 16, 4, 32, 352, 32, 320},
    [DTYPE_Q5_1] = {PACKED_MIN, 5, 0, 0, 32, 384, 64, 320},
    [DTYPE_Q4_K] = {PACKED_MIN, 4, 0, 0, 256, 2304, 256, 256},
    [DTYPE_Q5_K] = {PACKED_MIN, 5, 0, 0, 256, 2816, 256, 320},
    [DTYPE_Q6_K] = {PACKED_HALVES, 6, 32, 5, 256, 3360, 288, 384},
};

/* Where the parts of a 256-column record's header are. */
enum { KD = 0, KDMIN = 32, KSCALES = 64, K6_SCALES = 32 };

const PackedLayout *packed_layout(DType type)
{
    ASSERT((unsigned)type < DTYPE_COUNT);
    return &layouts[type];
}

size_t packed_tile_bytes(DType type, int n_cols)
{
    const PackedLayout *layout = packed_layout(type);
    ASSERT(n_cols > 0 && n_cols % dtype_info(type)->block_len == 0);
    size_t n_records =
        ((size_t)n_cols + (size_t)layout->record_cols - 1) / (size_t)layout->record_cols;
    return n_records * (size_t)layout->record_bytes;
}

int packed_n_tiles(int n_rows) { return n_rows / TILE_ROWS + (n_rows % TILE_ROWS != 0); }

/* ---- The quants of 32 columns of one row ------------------------------------------------------
 */

static void put_quants(int bits, uint8_t *block, int row, const uint8_t u[BLOCK_COLS])
{
    for (int c = 0; c < GROUP_COLS; c++) {
        uint8_t *at = block + GROUP_COLS * row + c;
        if (bits == 8) {
            for (int g = 0; g < GROUPS; g++)
                at[VECTOR_BYTES * g] = u[GROUP_COLS * g + c];
            continue;
        }
        for (int g = 0; g < GROUPS / 2; g++)
            at[VECTOR_BYTES * g] = (uint8_t)((u[GROUP_COLS * g + c] & 15) |
                                             (u[GROUP_COLS * (g + GROUPS / 2) + c] & 15) << 4);
        unsigned high = 0; /* the bits above the nibbles of all eight groups */
        for (int g = 0; g < GROUPS; g++)
            high |= (unsigned)(u[GROUP_COLS * g + c] >> 4) << (bits - 4) * g;
        for (int plane = 0; plane < bits - 4; plane++)
            at[VECTOR_BYTES * (4 + plane)] = (uint8_t)(high >> 8 * plane);
    }
}

static void get_quants(int bits, const uint8_t *block, int row, uint8_t u[BLOCK_COLS])
{
    for (int c = 0; c < GROUP_COLS; c++) {
        const uint8_t *at = block + GROUP_COLS * row + c;
        if (bits == 8) {
            for (int g = 0; g < GROUPS; g++)
                u[GROUP_COLS * g + c] = at[VECTOR_BYTES * g];
            continue;
        }
        unsigned high = 0;
        for (int plane = 0; plane < bits - 4; plane++)
            high |= (unsigned)at[VECTOR_BYTES * (4 + plane)] << 8 * plane;
        unsigned high_mask = (1u << (bits - 4)) - 1;
        for (int g = 0; g < GROUPS; g++) {
            unsigned low = at[VECTOR_BYTES * (g % 4)] >> 4 * (g / 4) & 15;
            u[GROUP_COLS * g + c] = (uint8_t)(low | (high >> (bits - 4) * g & high_mask) << 4);
        }
    }
}

/* ---- Types of 32 columns a block ---------------------------------------------------------------
 */

/* In the file: d, then m for the MIN form, then four bytes of fifth bits, then 16 bytes of nibbles
 * (columns j and j + 16) or 32 signed bytes. */

static void put_small(DType type, uint8_t *record, int row, const uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    uint8_t u[BLOCK_COLS];
    for (int at = 0; at < layout->header_bytes; at += 2 * TILE_ROWS, file += 2)
        memcpy(record + at + 2 * row, file, 2);
    if (layout->bits == 8) {
        for (int j = 0; j < BLOCK_COLS; j++)
            u[j] = file[j] ^ 0x80;
    } else {
        uint32_t fifth = 0;
        if (layout->bits == 5) {
            memcpy(&fifth, file, sizeof fifth);
            file += sizeof fifth;
        }
        for (int j = 0; j < BLOCK_COLS; j++)
            u[j] = (uint8_t)((file[j % 16] >> 4 * (j / 16) & 15) | (fifth >> j & 1) << 4);
    }
    put_quants(layout->bits, record + layout->header_bytes, row, u);
}

static void get_small(DType type, const uint8_t *record, int row, uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    uint8_t u[BLOCK_COLS];
    for (int at = 0; at < layout->header_bytes; at += 2 * TILE_ROWS, file += 2)
        memcpy(file, record + at + 2 * row, 2);
    get_quants(layout->bits, record + layout->header_bytes, row, u);
    if (layout->bits == 8) {
        for (int j = 0; j < BLOCK_COLS; j++)
            file[j] = u[j] ^ 0x80;
        return;
    }
    uint32_t fifth = 0;
    for (int j = 0; j < BLOCK_COLS; j++)
        fifth |= (uint32_t)(u[j] >> 4 & 1) << j;
    if (layout->bits == 5) {
        memcpy(file, &fifth, sizeof fifth);
        file += sizeof fifth;
    }
    for (int j = 0; j < BLOCK_COLS / 2; j++)
        file[j] = (uint8_t)((u[j] & 15) | (u[j + 16] & 15) << 4);
}

/* ---- Types of 256 columns a block --------------------------------------------------------------
 */

/* Q4_K: d, dmin, scales[12], nibbles[128]; Q5_K has fifth bits[32] before the nibbles. Every 32
 * bytes of nibbles are two sub-blocks: low, then high. */
static void put_k45(DType type, uint8_t *record, int row, const uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    const uint8_t *fifth = file + 16, *nibbles = file + (layout->bits == 5 ? 48 : 16);
    memcpy(record + KD + 2 * row, file, 2);
    memcpy(record + KDMIN + 2 * row, file + 2, 2);
    for (int j = 0; j < 12; j++)
        record[KSCALES + TILE_ROWS * j + row] = file[4 + j];
    for (int s = 0; s < SUPER_BLOCKS; s++) {
        uint8_t u[BLOCK_COLS];
        for (int j = 0; j < BLOCK_COLS; j++) {
            u[j] = nibbles[BLOCK_COLS * (s / 2) + j] >> 4 * (s % 2) & 15;
            if (layout->bits == 5)
                u[j] |= (uint8_t)((fifth[j] >> s & 1) << 4);
        }
        put_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * s, row, u);
    }
}

static void get_k45(DType type, const uint8_t *record, int row, uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    uint8_t *fifth = file + 16, *nibbles = file + (layout->bits == 5 ? 48 : 16);
    memset(file + 16, 0, layout->bits == 5 ? 160 : 128);
    memcpy(file, record + KD + 2 * row, 2);
    memcpy(file + 2, record + KDMIN + 2 * row, 2);
    for (int j = 0; j < 12; j++)
        file[4 + j] = record[KSCALES + TILE_ROWS * j + row];
    for (int s = 0; s < SUPER_BLOCKS; s++) {
        uint8_t u[BLOCK_COLS];
        get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * s, row, u);
        for (int j = 0; j < BLOCK_COLS; j++) {
            nibbles[BLOCK_COLS * (s / 2) + j] |= (uint8_t)((u[j] & 15) << 4 * (s % 2));
            if (layout->bits == 5)
                fifth[j] |= (uint8_t)((u[j] >> 4) << s);
        }
    }
}

/* Q6_K: low nibbles[128], high pairs of bits[64], scales[16], d. Each half of the block is 128
 * columns = four sub-blocks s: nibble bytes 32 (s % 2) + j, low for s < 2; bits 2s of byte j. */
static void put_k6(uint8_t *record, int row, const uint8_t *file)
{
    const PackedLayout *layout = &layouts[DTYPE_Q6_K];
    memcpy(record + KD + 2 * row, file + 208, 2);
    for (int j = 0; j < 16; j++)
        record[K6_SCALES + TILE_ROWS * j + row] = file[192 + j];
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        const uint8_t *low = file + 64 * (b / 4), *high = file + 128 + 32 * (b / 4);
        int s = b % 4;
        uint8_t u[BLOCK_COLS];
        for (int j = 0; j < BLOCK_COLS; j++)
            u[j] = (uint8_t)((low[32 * (s % 2) + j] >> 4 * (s / 2) & 15) | (high[j] >> 2 * s & 3)
                                                                               << 4);
        put_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b, row, u);
    }
}

static void get_k6(const uint8_t *record, int row, uint8_t *file)
{
    const PackedLayout *layout = &layouts[DTYPE_Q6_K];
    memset(file, 0, 192);
    memcpy(file + 208, record + KD + 2 * row, 2);
    for (int j = 0; j < 16; j++)
        file[192 + j] = record[K6_SCALES + TILE_ROWS * j + row];
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        uint8_t *low = file + 64 * (b / 4), *high = file + 128 + 32 * (b / 4);
        int s = b % 4;
        uint8_t u[BLOCK_COLS];
        get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b, row, u);
        for (int j = 0; j < BLOCK_COLS; j++) {
            low[32 * (s % 2) + j] |= (uint8_t)((u[j] & 15) << 4 * (s / 2));
            high[j] |= (uint8_t)((u[j] >> 4) << 2 * s);
        }
    }
}

/* ---- All types ---------------------------------------------------------------------------------
 */

static void put_record(DType type, uint8_t *record, int row, const uint8_t *file)
{
    if (layouts[type].record_cols == BLOCK_COLS)
        put_small(type, record, row, file);
    else if (type == DTYPE_Q6_K)
        put_k6(record, row, file);
    else
        put_k45(type, record, row, file);
}

static void get_record(DType type, const uint8_t *record, int row, uint8_t *file)
{
    if (layouts[type].record_cols == BLOCK_COLS)
        get_small(type, record, row, file);
    else if (type == DTYPE_Q6_K)
        get_k6(record, row, file);
    else
        get_k45(type, record, row, file);
}

/* Byte offset of column k of a row in a tile of F32, F16 or BF16. */
static size_t plain_offset(DType type, int row, int k)
{
    if (type == DTYPE_BF16)
        return (size_t)(k / 2) * VECTOR_BYTES + (size_t)(4 * row + 2 * (k % 2));
    size_t bytes = type == DTYPE_F32 ? 4 : 2;
    return ((size_t)k * TILE_ROWS + (size_t)row) * bytes;
}

void packed_put(DType type, void *tile, int row, int first_col, int n, const void *file)
{
    const PackedLayout *layout = packed_layout(type);
    const uint8_t *from = file;
    uint8_t *base = tile;
    if (layout->form == PACKED_PLAIN) {
        size_t bytes = (size_t)dtype_info(type)->block_bytes;
        for (int i = 0; i < n; i++)
            memcpy(base + plain_offset(type, row, first_col + i), from + (size_t)i * bytes, bytes);
        return;
    }
    DEBUG_ASSERT(first_col % layout->record_cols == 0 && n % layout->record_cols == 0);
    uint8_t *record =
        base + (size_t)(first_col / layout->record_cols) * (size_t)layout->record_bytes;
    for (int k = 0; k < n; k += layout->record_cols) {
        put_record(type, record, row, from);
        record += layout->record_bytes;
        from += dtype_info(type)->block_bytes;
    }
}

void packed_get(DType type, const void *tile, int row, int first_col, int n, void *file)
{
    const PackedLayout *layout = packed_layout(type);
    const uint8_t *base = tile;
    uint8_t *to = file;
    if (layout->form == PACKED_PLAIN) {
        size_t bytes = (size_t)dtype_info(type)->block_bytes;
        for (int i = 0; i < n; i++)
            memcpy(to + (size_t)i * bytes, base + plain_offset(type, row, first_col + i), bytes);
        return;
    }
    DEBUG_ASSERT(first_col % layout->record_cols == 0 && n % layout->record_cols == 0);
    const uint8_t *record =
        base + (size_t)(first_col / layout->record_cols) * (size_t)layout->record_bytes;
    for (int k = 0; k < n; k += layout->record_cols) {
        get_record(type, record, row, to);
        record += layout->record_bytes;
        to += dtype_info(type)->block_bytes;
    }
}

/* ---- Taking a block apart ----------------------------------------------------------------------
 */

static float half_at(const uint8_t *header, int row)
{
    uint16_t h;
    memcpy(&h, header + 2 * row, 2);
    return half_to_float(h);
}

/* The six-bit scale and min of sub-block s of Q4_K and Q5_K; q[j * TILE_ROWS] is the row's byte j.
 */
static void k_scale_min(const uint8_t *q, int s, unsigned *scale, unsigned *min)
{
    if (s < 4) {
        *scale = q[s * TILE_ROWS] & 63u;
        *min = q[(s + 4) * TILE_ROWS] & 63u;
    } else {
        *scale = (q[(s + 4) * TILE_ROWS] & 15u) | (unsigned)(q[(s - 4) * TILE_ROWS] >> 6) << 4;
        *min = (unsigned)(q[(s + 4) * TILE_ROWS] >> 4) | (unsigned)(q[s * TILE_ROWS] >> 6) << 4;
    }
}

/* All products here are exact: 11 bits of a half times at most 8 bits. */
static void open_scales(DType type, const uint8_t *record, int s, float *scale, float *extra)
{
    for (int row = 0; row < TILE_ROWS; row++) {
        float d = half_at(record, row);
        unsigned sc, m;
        switch (type) {
        case DTYPE_Q4_K:
        case DTYPE_Q5_K:
            k_scale_min(record + KSCALES + row, s, &sc, &m);
            scale[row] = d * (float)sc;
            extra[row] = -(half_at(record + KDMIN, row) * (float)m);
            break;
        case DTYPE_Q6_K:
            scale[row] = d * (float)(int8_t)record[K6_SCALES + TILE_ROWS * (2 * s) + row];
            extra[row] = d * (float)(int8_t)record[K6_SCALES + TILE_ROWS * (2 * s + 1) + row];
            break;
        default:
            scale[row] = d;
            extra[row] = layouts[type].form == PACKED_MIN ? half_at(record + 32, row) : 0;
        }
    }
}

void packed_open_block(DType type, const void *tile, int b, PackedBlock *out)
{
    const PackedLayout *layout = &layouts[type];
    int per_record = layout->record_cols / BLOCK_COLS;
    const uint8_t *record =
        (const uint8_t *)tile + (size_t)(b / per_record) * (size_t)layout->record_bytes;
    int s = b % per_record;
    open_scales(type, record, s, out->scale, out->extra);
    for (int row = 0; row < TILE_ROWS; row++) {
        uint8_t u[BLOCK_COLS];
        get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * s, row, u);
        for (int j = 0; j < BLOCK_COLS; j++)
            out->quants[VECTOR_BYTES * (j / 4) + GROUP_COLS * row + j % 4] = u[j];
    }
}
