/* See packed.h. Packing goes one row of one record at a time: the row's quants are spread out to a
 * byte each, then stored in the packed order, so every type is a pair of short functions. */
#include "cpu/packed.h"

#include "base/bug.h"

#include <string.h>

enum { SUPER_COLS = 256, GROUPS = 8, GROUP_COLS = 4 };

#define LAYOUT(TYPE, ...) [DTYPE_##TYPE] = {__VA_ARGS__},
#define GROUP(TYPE, code_bits, n_blocks)                                                           \
    [DTYPE_##TYPE] = {.form = PACKED_MIN,                                                          \
                      .scales = PACKED_LINE,                                                       \
                      .bits = (code_bits),                                                         \
                      .blocks = (n_blocks),                                                        \
                      .record_bytes = GROUP_HEADER_BYTES + (n_blocks) * (code_bits)*64,            \
                      .header_bytes = GROUP_HEADER_BYTES,                                          \
                      .block_bytes = (code_bits)*64},
static const PackedLayout layouts[DTYPE_COUNT] = {
    [DTYPE_F32] = {.form = PACKED_PLAIN, .bits = 32, .record_bytes = 64},
    [DTYPE_F16] = {.form = PACKED_PLAIN, .bits = 16, .record_bytes = 32},
    [DTYPE_BF16] = {.form = PACKED_PLAIN, .bits = 16, .record_bytes = 64},
    [DTYPE_F8_128] = {.form = PACKED_FLOAT8,
                      .bits = 8,
                      .blocks = 4,
                      .record_bytes = 2112,
                      .header_bytes = 64,
                      .block_bytes = 512},
    PACKED_LAYOUTS(LAYOUT) PACKED_GROUPS(GROUP)};
#undef LAYOUT
#undef GROUP

/* Where the parts of a 256-column record's header are. */
enum {
    KD = 0,
    KDMIN = 32,
    KSCALES = 64,
    K6_SCALES = 32,
    Q3_SCALES = 32,
    XS_HIGH = 32,
    XS_LOW = 64
};

const PackedLayout *packed_layout(DType type)
{
    ASSERT((unsigned)type < DTYPE_COUNT);
    return &layouts[type];
}

static int record_cols(DType type)
{
    return layouts[type].blocks ? layouts[type].blocks * BLOCK_COLS : type == DTYPE_BF16 ? 2 : 1;
}

size_t packed_tile_bytes(DType type, int n_cols)
{
    const PackedLayout *layout = packed_layout(type);
    ASSERT(n_cols > 0 && n_cols % dtype_info(type)->block_len == 0);
    const size_t cols = (size_t)record_cols(type);
    size_t n_records = ((size_t)n_cols + cols - 1) / cols;
    return n_records * (size_t)layout->record_bytes;
}

int packed_n_tiles(int n_rows) { return n_rows / TILE_ROWS + (n_rows % TILE_ROWS != 0); }

/* ---- The quants of 32 columns of one row ------------------------------------------------------
 */

/* Two or three bits; u: one column of each group, GROUP_COLS apart. */
static void put_low_bits(int bits, uint8_t *at, const uint8_t *u)
{
    unsigned pairs = 0, third = 0;
    for (int g = 0; g < GROUPS; g++) {
        pairs |= (unsigned)(u[GROUP_COLS * g] & 3) << 2 * g;
        third |= (unsigned)(u[GROUP_COLS * g] >> 2) << g;
    }
    at[0] = (uint8_t)pairs;
    at[VECTOR_BYTES] = (uint8_t)(pairs >> 8);
    if (bits == 3)
        at[2 * VECTOR_BYTES] = (uint8_t)third;
}

static void get_low_bits(int bits, const uint8_t *at, uint8_t *u)
{
    unsigned pairs = at[0] | (unsigned)at[VECTOR_BYTES] << 8;
    unsigned third = bits == 3 ? at[2 * VECTOR_BYTES] : 0;
    for (int g = 0; g < GROUPS; g++)
        u[GROUP_COLS * g] = (uint8_t)((pairs >> 2 * g & 3) | (third >> g & 1) << 2);
}

static void put_quants(int bits, uint8_t *block, int row, const uint8_t u[BLOCK_COLS])
{
    for (int c = 0; c < GROUP_COLS; c++) {
        uint8_t *at = block + GROUP_COLS * row + c;
        if (bits == 8) {
            for (int g = 0; g < GROUPS; g++)
                at[VECTOR_BYTES * g] = u[GROUP_COLS * g + c];
            continue;
        }
        if (bits < 4) {
            put_low_bits(bits, at, u + c);
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

void packed_get_quants(int bits, const uint8_t *block, int row, uint8_t u[BLOCK_COLS])
{
    for (int c = 0; c < GROUP_COLS; c++) {
        const uint8_t *at = block + GROUP_COLS * row + c;
        if (bits == 8) {
            for (int g = 0; g < GROUPS; g++)
                u[GROUP_COLS * g + c] = at[VECTOR_BYTES * g];
            continue;
        }
        if (bits < 4) {
            get_low_bits(bits, at, u + c);
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

/* In the file: d, then m for the MIN form (MXFP4: a byte), then four bytes of fifth bits, then 16
 * bytes of nibbles (columns j and j + 16) or 32 signed bytes. */

static void put_small(DType type, uint8_t *record, int row, const uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    uint8_t u[BLOCK_COLS];
    if (layout->scales == PACKED_E8M0)
        record[row] = *file++;
    else
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
    if (layout->scales == PACKED_E8M0)
        *file++ = record[row];
    else
        for (int at = 0; at < layout->header_bytes; at += 2 * TILE_ROWS, file += 2)
            memcpy(file, record + at + 2 * row, 2);
    packed_get_quants(layout->bits, record + layout->header_bytes, row, u);
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
        packed_get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * s,
                          row, u);
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
        packed_get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b,
                          row, u);
        for (int j = 0; j < BLOCK_COLS; j++) {
            low[32 * (s % 2) + j] |= (uint8_t)((u[j] & 15) << 4 * (s / 2));
            high[j] |= (uint8_t)((u[j] >> 4) << 2 * s);
        }
    }
}

/* Q2_K: scales[16], pairs of bits[64], d, dmin; Q3_K: third bits[32], pairs[64], scales[12], d.
 * Each half of the block has 32 bytes of pairs: bits 2s of byte j are column 32 s + j. */
static void put_k23(DType type, uint8_t *record, int row, const uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    const bool is_3 = type == DTYPE_Q3_K;
    const uint8_t *pairs = file + (is_3 ? 32 : 16), *scales = file + (is_3 ? 96 : 0);
    memcpy(record + KD + 2 * row, file + (is_3 ? 108 : 80), 2);
    if (!is_3)
        memcpy(record + KDMIN + 2 * row, file + 82, 2);
    for (int j = 0; j < (is_3 ? 12 : 16); j++)
        record[(is_3 ? Q3_SCALES : KSCALES) + TILE_ROWS * j + row] = scales[j];
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        uint8_t u[BLOCK_COLS];
        for (int j = 0; j < BLOCK_COLS; j++) {
            u[j] = pairs[BLOCK_COLS * (b / 4) + j] >> 2 * (b % 4) & 3;
            if (is_3)
                u[j] |= (uint8_t)((file[j] >> b & 1) << 2);
        }
        put_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b, row, u);
    }
}

static void get_k23(DType type, const uint8_t *record, int row, uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    const bool is_3 = type == DTYPE_Q3_K;
    uint8_t *pairs = file + (is_3 ? 32 : 16), *scales = file + (is_3 ? 96 : 0);
    memset(file, 0, (size_t)dtype_info(type)->block_bytes);
    memcpy(file + (is_3 ? 108 : 80), record + KD + 2 * row, 2);
    if (!is_3)
        memcpy(file + 82, record + KDMIN + 2 * row, 2);
    for (int j = 0; j < (is_3 ? 12 : 16); j++)
        scales[j] = record[(is_3 ? Q3_SCALES : KSCALES) + TILE_ROWS * j + row];
    for (int b = 0; b < SUPER_BLOCKS; b++) {
        uint8_t u[BLOCK_COLS];
        packed_get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b,
                          row, u);
        for (int j = 0; j < BLOCK_COLS; j++) {
            pairs[BLOCK_COLS * (b / 4) + j] |= (uint8_t)((u[j] & 3) << 2 * (b % 4));
            if (is_3)
                file[j] |= (uint8_t)((u[j] >> 2) << b);
        }
    }
}

/* ---- IQ4_XS and the groups: a header, then the nibbles (columns j and j + 16) or bytes ----------
 */

static void copy_header(DType type, uint8_t *record, int row, uint8_t *file, bool is_put)
{
    static const struct Field {
        int at, bytes;
    } line[] = {{0, 4}, {64, 4}, {0, 0}},
      xs[] = {{KD, 2},          {XS_HIGH, 2},     {XS_LOW, 1}, {XS_LOW + 16, 1},
              {XS_LOW + 32, 1}, {XS_LOW + 48, 1}, {0, 0}};
    for (const struct Field *f = type == DTYPE_IQ4_XS ? xs : line; f->bytes; f++) {
        uint8_t *at = record + f->at + f->bytes * row;
        memcpy(is_put ? at : file, is_put ? file : at, (size_t)f->bytes);
        file += f->bytes;
    }
}

enum { FILE_HEADER_BYTES = 8 }; /* of both */

static void put_group(DType type, uint8_t *record, int row, const uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    uint8_t header[FILE_HEADER_BYTES], u[BLOCK_COLS];
    memcpy(header, file, sizeof header);
    copy_header(type, record, row, header, true);
    file += sizeof header;
    for (int b = 0; b < layout->blocks; b++, file += BLOCK_COLS * layout->bits / 8) {
        for (int j = 0; j < BLOCK_COLS; j++)
            u[j] = layout->bits == 8 ? file[j] : file[j % 16] >> 4 * (j / 16) & 15;
        put_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b, row, u);
    }
}

static void get_group(DType type, const uint8_t *record, int row, uint8_t *file)
{
    const PackedLayout *layout = &layouts[type];
    uint8_t u[BLOCK_COLS];
    copy_header(type, (uint8_t *)(uintptr_t)record, row, file, false);
    file += FILE_HEADER_BYTES;
    for (int b = 0; b < layout->blocks; b++, file += BLOCK_COLS * layout->bits / 8) {
        packed_get_quants(layout->bits, record + layout->header_bytes + layout->block_bytes * b,
                          row, u);
        for (int j = 0; j < BLOCK_COLS * layout->bits / 8; j++)
            file[j] = layout->bits == 8 ? u[j] : (uint8_t)(u[j] | u[j + 16] << 4);
    }
}

/* F8_128: scale, then 128 numbers; in the tile pairs of columns, as BF16. */
static size_t float8_at(int row, int k) { return (size_t)(64 + 32 * (k / 2) + 2 * row + k % 2); }

static void put_float8(uint8_t *record, int row, const uint8_t *file)
{
    memcpy(record + 4 * row, file, 4);
    for (int k = 0; k < 4 * BLOCK_COLS; k++)
        record[float8_at(row, k)] = file[4 + k];
}

static void get_float8(const uint8_t *record, int row, uint8_t *file)
{
    memcpy(file, record + 4 * row, 4);
    for (int k = 0; k < 4 * BLOCK_COLS; k++)
        file[4 + k] = record[float8_at(row, k)];
}

/* ---- All types ---------------------------------------------------------------------------------
 */

static void put_record(DType type, uint8_t *record, int row, const uint8_t *file)
{
    switch (layouts[type].scales) {
    case PACKED_HALF:
    case PACKED_E8M0:
        if (type == DTYPE_F8_128)
            put_float8(record, row, file);
        else
            put_small(type, record, row, file);
        break;
    case PACKED_Q45_K:
        put_k45(type, record, row, file);
        break;
    case PACKED_Q6_K:
        put_k6(record, row, file);
        break;
    case PACKED_Q2_K:
    case PACKED_Q3_K:
        put_k23(type, record, row, file);
        break;
    case PACKED_LINE:
    case PACKED_IQ4_XS:
        put_group(type, record, row, file);
        break;
    }
}

static void get_record(DType type, const uint8_t *record, int row, uint8_t *file)
{
    switch (layouts[type].scales) {
    case PACKED_HALF:
    case PACKED_E8M0:
        if (type == DTYPE_F8_128)
            get_float8(record, row, file);
        else
            get_small(type, record, row, file);
        break;
    case PACKED_Q45_K:
        get_k45(type, record, row, file);
        break;
    case PACKED_Q6_K:
        get_k6(record, row, file);
        break;
    case PACKED_Q2_K:
    case PACKED_Q3_K:
        get_k23(type, record, row, file);
        break;
    case PACKED_LINE:
    case PACKED_IQ4_XS:
        get_group(type, record, row, file);
        break;
    }
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
    const int cols = record_cols(type);
    DEBUG_ASSERT(first_col % cols == 0 && n % cols == 0);
    uint8_t *record = base + (size_t)(first_col / cols) * (size_t)layout->record_bytes;
    for (int k = 0; k < n; k += cols) {
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
    const int cols = record_cols(type);
    DEBUG_ASSERT(first_col % cols == 0 && n % cols == 0);
    const uint8_t *record = base + (size_t)(first_col / cols) * (size_t)layout->record_bytes;
    for (int k = 0; k < n; k += cols) {
        get_record(type, record, row, to);
        record += layout->record_bytes;
        to += dtype_info(type)->block_bytes;
    }
}
