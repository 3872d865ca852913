/* Products with quantized weights in 256 bits, written once; matmul_q_<isa>.c say what the level
 * has and include it. See matmul.h and packed.h.
 *
 * A tile is taken in two halves of eight rows, a register each.
 *
 *   WEN_VNNI  vpdpbusd multiplies unsigned quants by activations and adds four products to 32 bits.
 *   without   vpmaddubsw adds pairs in 16 bits; how many groups of four columns may be added there
 *             before they are widened follows from the largest quant (15 * 127 * 2 * 8 groups <
 *             2^15 for four bits). Eight-bit quants are too large for that and go in as magnitudes,
 *             their signs moved to the activations.
 *
 *  - few rows of x: each block is unpacked into registers and meets every row of x.
 *  - many rows: PANEL_BLOCKS blocks of a tile are unpacked into scratch that stays in the first
 *    level cache; between panels the float sums wait in y. */
#include "cpu/unpack_avx2.h"

enum { PANEL_BLOCKS = 16, FEW_ROWS = 3, MANY_ROWS = 4 };

/* ---- The arithmetic of one block ---------------------------------------------------------------
 */

INLINE __m256i activations_at(const ActBlock *x, int group)
{
    int32_t four;
    memcpy(&four, x->quants + 4 * group, sizeof four);
    return _mm256_set1_epi32(four);
}

/* Where an integer sum starts: what the offset of the weights adds too much, or, of wide numbers
 * that have none, what taking 128 away from them has left out. */
INLINE __m256i offset_sum(PackedLayout s, int32_t minus_sum)
{
    if (is_wide(s) && s.offset_shift == 0)
        return _mm256_slli_epi32(_mm256_set1_epi32(-minus_sum), 7);
    if (is_wide(s) || s.offset_shift == 0)
        return _mm256_setzero_si256();
    return _mm256_slli_epi32(_mm256_set1_epi32(minus_sum), s.offset_shift);
}

INLINE bool is_halves(PackedLayout s)
{
    return s.form == PACKED_HALVES || s.form == PACKED_HALVES_MIN;
}

#ifdef WEN_VNNI
INLINE __m256i add_fours(__m256i isum, __m256i q, __m256i x)
{
#ifdef __AVXVNNI__
    return _mm256_dpbusd_avx_epi32(isum, q, x);
#else
    return _mm256_dpbusd_epi32(isum, q, x);
#endif
}

/* isum + the products of groups from .. to-1 with q, quants in registers. */
INLINE __m256i multiply_groups(PackedLayout s, __m256i isum, const __m256i q[8], const ActBlock *x,
                               int from, int to)
{
    (void)s;
    for (int g = from; g < to; g++)
        isum = add_fours(isum, q[g], activations_at(x, g));
    return isum;
}
#else
/* Groups whose products may be added in 16 bits. E2M1's numbers take five bits with their offset.
 */
INLINE int groups_in_16_bits(PackedLayout s)
{
    int bits = is_wide(s) ? 8 : s.codes == PACKED_E2M1 ? 5 : s.bits;
    return bits <= 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1;
}

INLINE __m256i multiply_group(PackedLayout s, __m256i q, __m256i x)
{
    if (is_wide(s))
        return _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
    return _mm256_maddubs_epi16(q, x);
}

INLINE __m256i widen(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

/* isum + the products of groups from .. to-1 with q, quants in registers. */
INLINE __m256i multiply_groups(PackedLayout s, __m256i isum, const __m256i q[8], const ActBlock *x,
                               int from, int to)
{
    int step = groups_in_16_bits(s) < to - from ? groups_in_16_bits(s) : to - from;
    for (int g = from; g < to; g += step) {
        __m256i sums = multiply_group(s, q[g], activations_at(x, g));
        for (int i = 1; i < step; i++)
            sums = _mm256_add_epi16(sums, multiply_group(s, q[g + i], activations_at(x, g + i)));
        isum = _mm256_add_epi32(isum, widen(sums));
    }
    return isum;
}
#endif

/* acc + the block's share of the product; first and second as PackedForm has them. */
INLINE __m256 add_block(PackedLayout s, __m256 acc, const ActBlock *x, __m256i first,
                        __m256i second, const BlockScales *w, int half)
{
    const int row = HALF_ROWS * half;
    __m256 t = _mm256_mul_ps(_mm256_loadu_ps(w->scale + row), _mm256_cvtepi32_ps(first));
    if (is_halves(s))
        t = _mm256_fmadd_ps(_mm256_loadu_ps(w->extra + row), _mm256_cvtepi32_ps(second), t);
    if (s.form == PACKED_HALVES_MIN) {
        float in_first = (float)(x->minus_second - x->minus_sum),
              in_second = (float)-x->minus_second;
        t = _mm256_fmadd_ps(_mm256_loadu_ps(w->min[0] + row), _mm256_set1_ps(in_first), t);
        t = _mm256_fmadd_ps(_mm256_loadu_ps(w->min[1] + row), _mm256_set1_ps(in_second), t);
    }
    if (s.form == PACKED_MIN)
        t = _mm256_fmadd_ps(_mm256_loadu_ps(w->extra + row), _mm256_set1_ps(x->sum), t);
    return _mm256_fmadd_ps(_mm256_set1_ps(x->scale), t, acc);
}

INLINE __m256 multiply_block(PackedLayout s, __m256 acc, const __m256i q[8], const ActBlock *x,
                             const BlockScales *w, int half)
{
    if (!is_halves(s)) {
        __m256i isum = multiply_groups(s, offset_sum(s, x->minus_sum), q, x, 0, 8);
        return add_block(s, acc, x, isum, isum, w, half);
    }
    __m256i first = multiply_groups(s, offset_sum(s, x->minus_sum - x->minus_second), q, x, 0, 4);
    __m256i second = multiply_groups(s, offset_sum(s, x->minus_second), q, x, 4, 8);
    return add_block(s, acc, x, first, second, w, half);
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
        __m256 acc[2][FEW_ROWS];
        for (int t = 0; t < rows; t++)
            acc[0][t] = acc[1][t] = _mm256_setzero_ps();
        for (int r = 0; r < n_records; r++, record += s.record_bytes) {
            BlockScales scales[SUPER_BLOCKS];
            load_scales(s, record, scales);
            for (int b = 0; b < s.blocks; b++, x++) {
                for (int half = 0; half < 2; half++) {
                    __m256i q[8];
                    load_quants(s, record + s.header_bytes + s.block_bytes * b + HALF_BYTES * half,
                                q);
                    for (int t = 0; t < rows; t++)
                        acc[half][t] = multiply_block(s, acc[half][t], q, x + (size_t)t * stride,
                                                      &scales[b], half);
                }
            }
        }
        for (int t = 0; t < rows; t++)
            store_sums(p->y + (size_t)t * p->y_stride + (size_t)tile * TILE_ROWS,
                       tile_rows(p, tile), acc[0][t], acc[1][t]);
    }
}

/* ---- Many rows of x -----------------------------------------------------------------------------
 */

/* Some blocks of a tile, unpacked. */
typedef struct Panel {
    uint8_t quants[PANEL_BLOCKS][2][8][HALF_BYTES];
    BlockScales scales[PANEL_BLOCKS];
} Panel;

_Static_assert(sizeof(Panel) <= PRODUCT_SCRATCH_BYTES, "a panel must fit");
_Static_assert(PANEL_BLOCKS % SUPER_BLOCKS == 0, "a panel is made of whole records");

INLINE void fill_panel(PackedLayout s, const uint8_t *record, int n_blocks, Panel *panel)
{
    for (int b = 0; b < n_blocks; b += s.blocks, record += s.record_bytes) {
        load_scales(s, record, &panel->scales[b]);
        for (int i = 0; i < s.blocks; i++) {
            for (int half = 0; half < 2; half++) {
                __m256i q[8];
                load_quants(s, record + s.header_bytes + s.block_bytes * i + HALF_BYTES * half, q);
                for (int g = 0; g < 8; g++)
                    _mm256_storeu_si256((__m256i *)(void *)panel->quants[b + i][half][g], q[g]);
            }
        }
    }
}

/* Integer sums of both halves of a tile and `rows` rows of x over groups from .. to-1. */
#ifdef WEN_VNNI
INLINE void multiply_panel_groups(PackedLayout s, int rows, __m256i isum[2][MANY_ROWS],
                                  const uint8_t (*quants)[8][HALF_BYTES], const ActBlock *x,
                                  size_t x_stride, int from, int to)
{
    (void)s;
    for (int g = from; g < to; g++) {
        __m256i q[2] = {load(quants[0][g]), load(quants[1][g])};
        for (int t = 0; t < rows; t++) {
            __m256i four = activations_at(x + (size_t)t * x_stride, g);
            isum[0][t] = add_fours(isum[0][t], q[0], four);
            isum[1][t] = add_fours(isum[1][t], q[1], four);
        }
    }
}
#else
INLINE void multiply_panel_groups(PackedLayout s, int rows, __m256i isum[2][MANY_ROWS],
                                  const uint8_t (*quants)[8][HALF_BYTES], const ActBlock *x,
                                  size_t x_stride, int from, int to)
{
    int step = groups_in_16_bits(s) < to - from ? groups_in_16_bits(s) : to - from;
    for (int g = from; g < to; g += step) {
        __m256i sums[2][MANY_ROWS];
        for (int i = 0; i < step; i++) {
            for (int half = 0; half < 2; half++) {
                __m256i q = load(quants[half][g + i]);
                for (int t = 0; t < rows; t++) {
                    __m256i four = activations_at(x + (size_t)t * x_stride, g + i);
                    __m256i products = multiply_group(s, q, four);
                    sums[half][t] = i == 0 ? products : _mm256_add_epi16(sums[half][t], products);
                }
            }
        }
        for (int half = 0; half < 2; half++)
            for (int t = 0; t < rows; t++)
                isum[half][t] = _mm256_add_epi32(isum[half][t], widen(sums[half][t]));
    }
}
#endif

INLINE void multiply_panel(PackedLayout s, int rows, const Panel *panel, const ActBlock *x,
                           size_t x_stride, int n_blocks, float *y, size_t y_stride, int y_rows,
                           bool is_first)
{
    __m256 acc[2][MANY_ROWS];
    for (int t = 0; t < rows; t++) {
        acc[0][t] = acc[1][t] = _mm256_setzero_ps();
        if (!is_first)
            load_sums(y + (size_t)t * y_stride, y_rows, &acc[0][t], &acc[1][t]);
    }
    for (int b = 0; b < n_blocks; b++, x++) {
        __m256i first[2][MANY_ROWS], second[2][MANY_ROWS];
        for (int t = 0; t < rows; t++) {
            const ActBlock *xt = x + (size_t)t * x_stride;
            int32_t in_first = is_halves(s) ? xt->minus_sum - xt->minus_second : xt->minus_sum;
            first[0][t] = first[1][t] = offset_sum(s, in_first);
            second[0][t] = second[1][t] = offset_sum(s, xt->minus_second);
        }
        const uint8_t(*quants)[8][HALF_BYTES] = panel->quants[b];
        multiply_panel_groups(s, rows, first, quants, x, x_stride, 0, is_halves(s) ? 4 : 8);
        if (is_halves(s))
            multiply_panel_groups(s, rows, second, quants, x, x_stride, 4, 8);
        for (int half = 0; half < 2; half++)
            for (int t = 0; t < rows; t++)
                acc[half][t] = add_block(s, acc[half][t], x + (size_t)t * x_stride, first[half][t],
                                         second[half][t], &panel->scales[b], half);
    }
    for (int t = 0; t < rows; t++)
        store_sums(y + (size_t)t * y_stride, y_rows, acc[0][t], acc[1][t]);
}

INLINE void many_rows(PackedLayout s, const Product *p)
{
    Panel *panel = p->scratch;
    int n_blocks = p->acts.n_cols / BLOCK_COLS;
    for (int tile = 0; tile < p->n_tiles; tile++) {
        int y_rows = tile_rows(p, tile);
        for (int b = 0; b < n_blocks; b += PANEL_BLOCKS) {
            int n = n_blocks - b < PANEL_BLOCKS ? n_blocks - b : PANEL_BLOCKS;
            fill_panel(s,
                       p->tiles + (size_t)tile * p->tile_bytes +
                           (size_t)(b / s.blocks) * (size_t)s.record_bytes,
                       n, panel);
            for (int t = 0; t < p->acts.n_rows; t += MANY_ROWS) {
                const ActBlock *x = p->acts.blocks + (size_t)t * (size_t)n_blocks + b;
                float *y = p->y + (size_t)t * p->y_stride + (size_t)tile * TILE_ROWS;
                switch (p->acts.n_rows - t) {
                case 1:
                    multiply_panel(s, 1, panel, x, (size_t)n_blocks, n, y, p->y_stride, y_rows,
                                   b == 0);
                    break;
                case 2:
                    multiply_panel(s, 2, panel, x, (size_t)n_blocks, n, y, p->y_stride, y_rows,
                                   b == 0);
                    break;
                case 3:
                    multiply_panel(s, 3, panel, x, (size_t)n_blocks, n, y, p->y_stride, y_rows,
                                   b == 0);
                    break;
                default:
                    multiply_panel(s, 4, panel, x, (size_t)n_blocks, n, y, p->y_stride, y_rows,
                                   b == 0);
                }
            }
        }
    }
}

/* ---- One function a type
 * ------------------------------------------------------------------------- */

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
