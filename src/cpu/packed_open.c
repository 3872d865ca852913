/* Taking packed blocks apart, in plain C. See packed.h. */
#include "base/bug.h"
#include "base/half.h"
#include "cpu/packed.h"

#include <string.h>

/* Where the parts of a record's header are. */
enum { KDMIN = 32, KSCALES = 64, K6_SCALES = 32, Q3_SCALES = 32, XS_HIGH = 32, XS_LOW = 64 };

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

/* The six-bit scale of sub-block s (16 columns) of Q3_K. */
static int q3_scale(const uint8_t *q, int s)
{
    int low = q[s % 8 * TILE_ROWS] >> s / 8 * 4 & 15;
    return (low | (q[(8 + s % 4) * TILE_ROWS] >> s / 4 * 2 & 3) << 4) - 32;
}

static int xs_scale(const uint8_t *record, int row, int s)
{
    uint16_t high;
    memcpy(&high, record + XS_HIGH + 2 * row, sizeof high);
    int low = record[XS_LOW + TILE_ROWS * (s / 2) + row] >> s % 2 * 4 & 15;
    return (low | (high >> 2 * s & 3) << 4) - 32;
}

static void open_line(const uint8_t *record, PackedBlock *out)
{
    memcpy(out->scale, record, sizeof out->scale);
    memcpy(out->extra, record + sizeof out->scale, sizeof out->extra);
}

/* Of one row. All products here are exact: 11 bits of a half times at most 8 bits. */
static void open_scales(const PackedLayout *layout, const uint8_t *record, int s, int row,
                        PackedBlock *out)
{
    float d = layout->scales == PACKED_E8M0 ? e8m0_half(record[row]) : half_at(record, row);
    const uint8_t *bytes = record + KSCALES + TILE_ROWS * 2 * s + row;
    unsigned sc, m;
    out->scale[row] = d;
    out->extra[row] = 0;
    switch (layout->scales) {
    case PACKED_HALF:
        if (layout->form == PACKED_MIN)
            out->extra[row] = half_at(record + 32, row);
        break;
    case PACKED_Q45_K:
        k_scale_min(record + KSCALES + row, s, &sc, &m);
        out->scale[row] = d * (float)sc;
        out->extra[row] = -(half_at(record + KDMIN, row) * (float)m);
        break;
    case PACKED_Q6_K:
        bytes = record + K6_SCALES + TILE_ROWS * 2 * s + row;
        out->scale[row] = d * (float)(int8_t)bytes[0];
        out->extra[row] = d * (float)(int8_t)bytes[TILE_ROWS];
        break;
    case PACKED_Q2_K:
        out->scale[row] = d * (float)(bytes[0] & 15);
        out->extra[row] = d * (float)(bytes[TILE_ROWS] & 15);
        out->min[0][row] = -(half_at(record + KDMIN, row) * (float)(bytes[0] >> 4));
        out->min[1][row] = -(half_at(record + KDMIN, row) * (float)(bytes[TILE_ROWS] >> 4));
        break;
    case PACKED_Q3_K:
        out->scale[row] = d * (float)q3_scale(record + Q3_SCALES + row, 2 * s);
        out->extra[row] = d * (float)q3_scale(record + Q3_SCALES + row, 2 * s + 1);
        break;
    case PACKED_IQ4_XS:
        out->scale[row] = d * (float)xs_scale(record, row, s);
        break;
    case PACKED_E8M0:
    case PACKED_LINE:
        break;
    }
}

/* What code u of the file stands for, offset added. */
static uint8_t number_of(PackedCodes codes, uint8_t u, int offset)
{
    return codes == PACKED_IQ4    ? (uint8_t)(IQ4_VALUES[u] + offset)
           : codes == PACKED_E2M1 ? (uint8_t)(E2M1_VALUES[u] + offset)
                                  : u;
}

void packed_open_block(DType type, const void *tile, int b, PackedBlock *out)
{
    const PackedLayout *layout = packed_layout(type);
    const uint8_t *record =
        (const uint8_t *)tile + (size_t)(b / layout->blocks) * (size_t)layout->record_bytes;
    int s = b % layout->blocks;
    const uint8_t *block = record + layout->header_bytes + layout->block_bytes * s;
    if (layout->scales == PACKED_LINE)
        open_line(record, out);
    for (int row = 0; row < TILE_ROWS; row++) {
        uint8_t u[BLOCK_COLS];
        if (layout->scales != PACKED_LINE)
            open_scales(layout, record, s, row, out);
        packed_get_quants(layout->bits, block, row, u);
        for (int j = 0; j < BLOCK_COLS; j++)
            out->quants[VECTOR_BYTES * (j / 4) + 4 * row + j % 4] =
                number_of(layout->codes, u[j], 1 << layout->offset_shift);
    }
}
