/* Products with quantized weights on ARM, written once; matmul_q_<isa>.c say what the level has and
 * include it. See matmul.h and packed.h.
 *
 * A tile is four quarters of four rows, a register each; a row's four columns are what one dot
 * product takes.
 *
 *   WEN_DOT  the level has dot products of four bytes. Without them bytes become products of 16
 *            bits, of which some may be added before they are widened, as many as the largest
 *            number allows (31 * 127 * 8 < 2^15).
 *   WEN_MM   the level has products of small matrices, 2 x 8 times 8 x 2: many rows of x take two
 *            groups of columns, two rows of W and two of x at a time.
 *
 *  - few rows of x: each block is unpacked into registers and meets every row of x.
 *  - many rows: PANEL_BLOCKS blocks of a tile are unpacked into scratch that stays in the first
 *    level cache; between panels the float sums wait in y. */
#include "cpu/unpack_neon.h"

enum { PANEL_BLOCKS = 16, FEW_ROWS = 3, MANY_ROWS = 4 };

/* ---- The arithmetic of one block ---------------------------------------------------------------
 */

/* What the products leave out or take too much of: u's offset of the weights, or the 128 taken away
 * from those that have none. */
INLINE int32_t offset_sum(PackedLayout s, int32_t minus_sum)
{
    if (is_signed(s))
        return s.offset_shift == 0 ? -minus_sum * 128 : 0;
    return s.offset_shift == 0 ? 0 : minus_sum * (1 << s.offset_shift);
}

INLINE bool is_halves(PackedLayout s)
{
    return s.form == PACKED_HALVES || s.form == PACKED_HALVES_MIN;
}

/* Sums of u * x over groups from .. to-1: four rows of W, a row of x. */
#ifdef WEN_DOT
INLINE int32x4_t multiply_groups(PackedLayout s, const int8x16_t q[GROUPS], const ActBlock *x,
                                 int from, int to)
{
    const int8x16_t columns[2] = {vld1q_s8(x->quants), vld1q_s8(x->quants + 16)};
    int32x4_t sum = vdupq_n_s32(0);
    (void)s;
    for (int g = from; g < to; g += 4) {
        sum = vdotq_laneq_s32(sum, q[g], columns[g / 4], 0);
        sum = vdotq_laneq_s32(sum, q[g + 1], columns[g / 4], 1);
        sum = vdotq_laneq_s32(sum, q[g + 2], columns[g / 4], 2);
        sum = vdotq_laneq_s32(sum, q[g + 3], columns[g / 4], 3);
    }
    return sum;
}
#else
INLINE int8x8_t columns_of(const ActBlock *x, int group)
{
    int32_t four;
    memcpy(&four, x->quants + 4 * group, sizeof four);
    return vreinterpret_s8_s32(vdup_n_s32(four));
}

INLINE int32x4_t multiply_groups(PackedLayout s, const int8x16_t q[GROUPS], const ActBlock *x,
                                 int from, int to)
{
    const bool is_wide = s.bits == 8 || s.codes == PACKED_IQ4;
    const int step = is_wide ? 1 : s.bits == 6 ? 4 : to - from; /* groups in 16 bits */
    int32x4_t sum = vdupq_n_s32(0);
    for (int g = from; g < to; g += step) {
        int16x8_t low = vmull_s8(vget_low_s8(q[g]), columns_of(x, g));
        int16x8_t high = vmull_s8(vget_high_s8(q[g]), columns_of(x, g));
        for (int i = 1; i < step; i++) {
            low = vmlal_s8(low, vget_low_s8(q[g + i]), columns_of(x, g + i));
            high = vmlal_s8(high, vget_high_s8(q[g + i]), columns_of(x, g + i));
        }
        sum = vaddq_s32(sum, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
    }
    return sum;
}
#endif

/* acc + the block's share of the product; first and second as PackedForm has them, without their
 * offsets. */
INLINE float32x4_t add_block(PackedLayout s, float32x4_t acc, const ActBlock *x, int32x4_t first,
                             int32x4_t second, const BlockScales *w, int quarter)
{
    const int row = QUARTER_ROWS * quarter;
    const int32_t in_first = is_halves(s) ? x->minus_sum - x->minus_second : x->minus_sum;
    first = vaddq_s32(first, vdupq_n_s32(offset_sum(s, in_first)));
    float32x4_t t = vmulq_f32(vld1q_f32(w->scale + row), vcvtq_f32_s32(first));
    if (is_halves(s)) {
        second = vaddq_s32(second, vdupq_n_s32(offset_sum(s, x->minus_second)));
        t = vfmaq_f32(t, vld1q_f32(w->extra + row), vcvtq_f32_s32(second));
    }
    if (s.form == PACKED_HALVES_MIN) {
        t = vfmaq_n_f32(t, vld1q_f32(w->min[0] + row), (float)(x->minus_second - x->minus_sum));
        t = vfmaq_n_f32(t, vld1q_f32(w->min[1] + row), (float)-x->minus_second);
    }
    if (s.form == PACKED_MIN)
        t = vfmaq_n_f32(t, vld1q_f32(w->extra + row), x->sum);
    return vfmaq_n_f32(acc, t, x->scale);
}

/* A quarter of a tile times up to MANY_ROWS rows of x. */
INLINE void multiply_block(PackedLayout s, int rows, float32x4_t acc[][QUARTERS],
                           const int8x16_t q[GROUPS], const ActBlock *x, size_t x_stride,
                           const BlockScales *w, int quarter)
{
    for (int t = 0; t < rows; t++, x += x_stride) {
        int32x4_t first = multiply_groups(s, q, x, 0, is_halves(s) ? 4 : 8), second = first;
        if (is_halves(s))
            second = multiply_groups(s, q, x, 4, 8);
        acc[t][quarter] = add_block(s, acc[t][quarter], x, first, second, w, quarter);
    }
}

/* ---- Few rows of x ------------------------------------------------------------------------------
 */

INLINE void few_rows(PackedLayout s, int rows, const Product *p)
{
    int n_records = p->acts.n_cols / (BLOCK_COLS * s.blocks);
    size_t stride = (size_t)(p->acts.n_cols / BLOCK_COLS);
    for (int tile = 0; tile < p->n_tiles; tile++) {
        const uint8_t *record = p->tiles + (size_t)tile * p->tile_bytes;
        const ActBlock *x = p->acts.blocks;
        float32x4_t acc[FEW_ROWS][QUARTERS];
        for (int t = 0; t < rows; t++)
            for (int i = 0; i < QUARTERS; i++)
                acc[t][i] = vdupq_n_f32(0);
        for (int r = 0; r < n_records; r++, record += s.record_bytes) {
            BlockScales scales[SUPER_BLOCKS];
            load_scales(s, record, scales);
            for (int b = 0; b < s.blocks; b++, x++) {
                const uint8_t *quants = record + s.header_bytes + s.block_bytes * b;
                for (int i = 0; i < QUARTERS; i++) {
                    int8x16_t q[GROUPS];
                    load_quants(s, quants + QUARTER_BYTES * i, q);
                    multiply_block(s, rows, acc, q, x, stride, &scales[b], i);
                }
            }
        }
        for (int t = 0; t < rows; t++)
            store_sums(p->y + (size_t)t * p->y_stride + (size_t)tile * TILE_ROWS,
                       tile_rows(p, tile), acc[t]);
    }
}

/* ---- Many rows of x -----------------------------------------------------------------------------
 */

/* Some blocks of a tile, unpacked. WEN_MM: of groups 2g and 2g+1 the vectors are rows 0 and 1, then
 * 2 and 3, eight columns each. */
typedef struct Panel {
    int8_t quants[PANEL_BLOCKS][QUARTERS][GROUPS][QUARTER_BYTES];
    BlockScales scales[PANEL_BLOCKS];
} Panel;

_Static_assert(sizeof(Panel) <= PRODUCT_SCRATCH_BYTES, "a panel must fit");
_Static_assert(PANEL_BLOCKS % SUPER_BLOCKS == 0, "a panel is made of whole records");

INLINE void store_panel(const int8x16_t q[GROUPS], int8_t (*out)[QUARTER_BYTES])
{
#ifdef WEN_MM
    for (int g = 0; g < GROUPS; g += 2) {
        int32x4_t even = vreinterpretq_s32_s8(q[g]), odd = vreinterpretq_s32_s8(q[g + 1]);
        vst1q_s8(out[g], vreinterpretq_s8_s32(vzip1q_s32(even, odd)));
        vst1q_s8(out[g + 1], vreinterpretq_s8_s32(vzip2q_s32(even, odd)));
    }
#else
    for (int g = 0; g < GROUPS; g++)
        vst1q_s8(out[g], q[g]);
#endif
}

INLINE void fill_panel(PackedLayout s, const uint8_t *record, int n_blocks, Panel *panel)
{
    for (int b = 0; b < n_blocks; b += s.blocks, record += s.record_bytes) {
        load_scales(s, record, &panel->scales[b]);
        for (int i = 0; i < s.blocks; i++) {
            const uint8_t *quants = record + s.header_bytes + s.block_bytes * i;
            for (int j = 0; j < QUARTERS; j++) {
                int8x16_t q[GROUPS];
                load_quants(s, quants + QUARTER_BYTES * j, q);
                store_panel(q, panel->quants[b + i][j]);
            }
        }
    }
}

#ifdef WEN_MM
/* sums[t] = a quarter's sums over groups from .. to-1 with row t of x; an odd last row is paired
 * with itself. */
INLINE void multiply_pairs(int rows, const int8_t (*q)[QUARTER_BYTES], const ActBlock *x,
                           size_t x_stride, int from, int to, int32x4_t sums[MANY_ROWS])
{
    for (int t = 0; t < rows; t += 2) {
        const int8_t *even = x[(size_t)t * x_stride].quants;
        const int8_t *odd = x[(size_t)(t + 1 < rows ? t + 1 : t) * x_stride].quants;
        int32x4_t low = vdupq_n_s32(0), high = low;
        for (int g = from; g < to; g += 2) {
            int8x16_t columns = vcombine_s8(vld1_s8(even + 4 * g), vld1_s8(odd + 4 * g));
            low = vmmlaq_s32(low, vld1q_s8(q[g]), columns);
            high = vmmlaq_s32(high, vld1q_s8(q[g + 1]), columns);
        }
        sums[t] = vuzp1q_s32(low, high);
        if (t + 1 < rows)
            sums[t + 1] = vuzp2q_s32(low, high);
    }
}

INLINE void multiply_stored(PackedLayout s, int rows, float32x4_t acc[][QUARTERS],
                            const int8_t (*q)[QUARTER_BYTES], const ActBlock *x, size_t x_stride,
                            const BlockScales *w, int quarter)
{
    int32x4_t first[MANY_ROWS], second[MANY_ROWS];
    multiply_pairs(rows, q, x, x_stride, 0, is_halves(s) ? 4 : 8, first);
    if (is_halves(s))
        multiply_pairs(rows, q, x, x_stride, 4, 8, second);
    for (int t = 0; t < rows; t++)
        acc[t][quarter] = add_block(s, acc[t][quarter], x + (size_t)t * x_stride, first[t],
                                    is_halves(s) ? second[t] : first[t], w, quarter);
}
#else
INLINE void multiply_stored(PackedLayout s, int rows, float32x4_t acc[][QUARTERS],
                            const int8_t (*stored)[QUARTER_BYTES], const ActBlock *x,
                            size_t x_stride, const BlockScales *w, int quarter)
{
    int8x16_t q[GROUPS];
    for (int g = 0; g < GROUPS; g++)
        q[g] = vld1q_s8(stored[g]);
    multiply_block(s, rows, acc, q, x, x_stride, w, quarter);
}
#endif

INLINE void multiply_panel(PackedLayout s, int rows, const Panel *panel, const ActBlock *x,
                           size_t x_stride, int n_blocks, float *y, size_t y_stride, int y_rows,
                           bool is_first)
{
    float32x4_t acc[MANY_ROWS][QUARTERS];
    for (int t = 0; t < rows; t++) {
        for (int i = 0; i < QUARTERS; i++)
            acc[t][i] = vdupq_n_f32(0);
        if (!is_first)
            load_sums(y + (size_t)t * y_stride, y_rows, acc[t]);
    }
    for (int b = 0; b < n_blocks; b++, x++)
        for (int i = 0; i < QUARTERS; i++)
            multiply_stored(s, rows, acc, panel->quants[b][i], x, x_stride, &panel->scales[b], i);
    for (int t = 0; t < rows; t++)
        store_sums(y + (size_t)t * y_stride, y_rows, acc[t]);
}

INLINE void many_rows(PackedLayout s, const Product *p)
{
    Panel *panel = p->scratch;
    const int n_blocks = p->acts.n_cols / BLOCK_COLS;
    const size_t stride = (size_t)n_blocks;
    for (int tile = 0; tile < p->n_tiles; tile++) {
        const uint8_t *records = p->tiles + (size_t)tile * p->tile_bytes;
        const int y_rows = tile_rows(p, tile);
        for (int b = 0; b < n_blocks; b += PANEL_BLOCKS) {
            int n = n_blocks - b < PANEL_BLOCKS ? n_blocks - b : PANEL_BLOCKS;
            fill_panel(s, records + (size_t)(b / s.blocks) * (size_t)s.record_bytes, n, panel);
            for (int t = 0; t < p->acts.n_rows; t += MANY_ROWS) {
                const ActBlock *x = p->acts.blocks + (size_t)t * stride + b;
                float *y = p->y + (size_t)t * p->y_stride + (size_t)tile * TILE_ROWS;
                switch (p->acts.n_rows - t) {
                case 1:
                    multiply_panel(s, 1, panel, x, stride, n, y, p->y_stride, y_rows, b == 0);
                    break;
                case 2:
                    multiply_panel(s, 2, panel, x, stride, n, y, p->y_stride, y_rows, b == 0);
                    break;
                case 3:
                    multiply_panel(s, 3, panel, x, stride, n, y, p->y_stride, y_rows, b == 0);
                    break;
                default:
                    multiply_panel(s, 4, panel, x, stride, n, y, p->y_stride, y_rows, b == 0);
                }
            }
        }
    }
}

/* ---- One function a type -----------------------------------------------------------------------
 */

INLINE void product(PackedLayout s, const Product *p)
{
    switch (p->acts.n_rows) {
    case 1:
        few_rows(s, 1, p);
        break;
    case 2:
        few_rows(s, 2, p);
        break;
    case 3:
        few_rows(s, 3, p);
        break;
    default:
        many_rows(s, p);
    }
}

#define PRODUCT(TYPE, ...)                                                                         \
    static void product_##TYPE(const Product *p)                                                   \
    {                                                                                              \
        static const PackedLayout layout = {__VA_ARGS__};                                          \
        product(layout, p);                                                                        \
    }
PACKED_LAYOUTS(PRODUCT)
#undef PRODUCT

/* A group's number of blocks is not unrolled. */
static void product_group_4(const Product *p)
{
    product(packed_group(4, packed_layout(p->type)->blocks), p);
}

static void product_group_8(const Product *p)
{
    product(packed_group(8, packed_layout(p->type)->blocks), p);
}

static void fill_products(MatmulKernels *kernels)
{
#define ENTRY(TYPE, ...) kernels->product[DTYPE_##TYPE] = product_##TYPE;
    PACKED_LAYOUTS(ENTRY)
#undef ENTRY
#define ENTRY(TYPE, bits, blocks) kernels->product[DTYPE_##TYPE] = product_group_##bits;
    PACKED_GROUPS(ENTRY)
#undef ENTRY
}
