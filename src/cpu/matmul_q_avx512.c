/* Products with quantized weights, AVX-512 with VNNI. See matmul.h and packed.h.
 *
 * A register holds one group of four columns for 16 rows of W; vpdpbusd multiplies it by four
 * activations broadcast to all lanes. Two ways through the weights, the same sums:
 *
 *  - few rows of x: the tile streams from memory once; each block of 32 columns is unpacked into
 *    eight registers and meets every row of x.
 *  - many rows: PANEL_BLOCKS blocks of two tiles are unpacked into scratch that stays in the first
 *    level cache; 2 tiles x 6 rows of x are 12 integer and 12 float sums in registers. Between
 *    panels the float sums wait in y.
 */
#include "cpu/unpack_avx512.h"

enum {
    PANEL_BLOCKS = 16, /* 512 columns: 2 x 8 KiB of quants and 2 x 2 KiB of scales */
    FEW_ROWS = 8,
#ifndef PF
#define PF 4096
#endif
    PREFETCH_BYTES = PF,
    MANY_ROWS = 6,
    HALVES_ROWS = 4 /* the same for HALVES, which need a third set of sums */
};

/* ---- The arithmetic of one block ---------------------------------------------------------------
 */

INLINE __m512i activations_at(const ActBlock *x, int group)
{
    int32_t four;
    memcpy(&four, x->quants + 4 * group, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE bool is_halves(PackedLayout s)
{
    return s.form == PACKED_HALVES || s.form == PACKED_HALVES_MIN;
}

/* Where the integer sums of a block start: what the offset of the weights adds too much. */
INLINE __m512i first_sum(PackedLayout s, const ActBlock *x)
{
    if (s.offset_shift == 0)
        return _mm512_setzero_si512();
    int32_t minus_sum = is_halves(s) ? x->minus_sum - x->minus_second : x->minus_sum;
    return _mm512_slli_epi32(_mm512_set1_epi32(minus_sum), (unsigned)s.offset_shift);
}

INLINE __m512i second_sum(PackedLayout s, const ActBlock *x)
{
    if (s.offset_shift == 0)
        return _mm512_setzero_si512();
    return _mm512_slli_epi32(_mm512_set1_epi32(x->minus_second), (unsigned)s.offset_shift);
}

/* acc + the block's share of the product, OFFSET and MIN. */
INLINE __m512 add_block(PackedLayout s, __m512 acc, const ActBlock *x, __m512i isum,
                        const BlockScales *w)
{
    __m512 t = _mm512_mul_ps(w->scale, _mm512_cvtepi32_ps(isum));
    if (s.form == PACKED_MIN)
        t = _mm512_fmadd_ps(w->extra, _mm512_set1_ps(x->sum), t);
    return _mm512_fmadd_ps(_mm512_set1_ps(x->scale), t, acc);
}

/* The same for HALVES; half: the first half's integer sum times its scale. */
INLINE __m512 add_halves(PackedLayout s, __m512 acc, const ActBlock *x, __m512 half, __m512i isum,
                         const BlockScales *w)
{
    __m512 t = _mm512_fmadd_ps(w->extra, _mm512_cvtepi32_ps(isum), half);
    if (s.form == PACKED_HALVES_MIN) {
        float first = (float)(x->minus_second - x->minus_sum), second = (float)-x->minus_second;
        t = _mm512_fmadd_ps(w->min[0], _mm512_set1_ps(first), t);
        t = _mm512_fmadd_ps(w->min[1], _mm512_set1_ps(second), t);
    }
    return _mm512_fmadd_ps(_mm512_set1_ps(x->scale), t, acc);
}

/* Asks for `bytes` bytes from `at` on; addresses past the weights do no harm. */
INLINE void prefetch(const uint8_t *at, int bytes)
{
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)at + i, _MM_HINT_T0);
}

/* ---- Few rows of x ------------------------------------------------------------------------------
 */

INLINE void few_rows(PackedLayout s, int rows, const Product *p, int first_row)
{
    int n_records = p->acts.n_cols / (BLOCK_COLS * s.blocks);
    size_t stride = (size_t)(p->acts.n_cols / BLOCK_COLS);
    const ActBlock *x0 = p->acts.blocks + (size_t)first_row * stride;
    for (int tile = 0; tile < p->n_tiles; tile++) {
        const uint8_t *record = p->tiles + (size_t)tile * p->tile_bytes;
        const ActBlock *x = x0;
        __m512 acc[FEW_ROWS];
        for (int t = 0; t < rows; t++)
            acc[t] = _mm512_setzero_ps();
        for (int r = 0; r < n_records; r++) {
            BlockScales scales[SUPER_BLOCKS];
            load_scales(s, record, scales);
            for (int b = 0; b < s.blocks; b++, x++) {
                __m512i q[8];
                prefetch(record + s.header_bytes + s.block_bytes * b + PREFETCH_BYTES,
                         s.block_bytes + (b == 0 ? s.header_bytes : 0));
                load_quants(s, record + s.header_bytes + s.block_bytes * b, q);
                for (int t = 0; t < rows; t++) {
                    const ActBlock *xt = x + (size_t)t * stride;
                    __m512i isum = first_sum(s, xt);
                    for (int g = 0; g < 4; g++)
                        isum = _mm512_dpbusd_epi32(isum, q[g], activations_at(xt, g));
                    __m512 half = _mm512_setzero_ps();
                    if (is_halves(s)) {
                        half = _mm512_mul_ps(scales[b].scale, _mm512_cvtepi32_ps(isum));
                        isum = second_sum(s, xt);
                    }
                    for (int g = 4; g < 8; g++)
                        isum = _mm512_dpbusd_epi32(isum, q[g], activations_at(xt, g));
                    if (is_halves(s))
                        acc[t] = add_halves(s, acc[t], xt, half, isum, &scales[b]);
                    else
                        acc[t] = add_block(s, acc[t], xt, isum, &scales[b]);
                }
            }
            record += s.record_bytes;
        }
        for (int t = 0; t < rows; t++)
            _mm512_mask_storeu_ps(p->y + (size_t)(first_row + t) * p->y_stride +
                                      (size_t)tile * TILE_ROWS,
                                  tile_mask(p, tile), acc[t]);
    }
}

/* ---- Many rows of x -----------------------------------------------------------------------------
 */

/* Some blocks of a tile, unpacked. */
typedef struct Panel {
    uint8_t quants[PANEL_BLOCKS][QUANT_BYTES];
    BlockScales scales[PANEL_BLOCKS];
} Panel;

_Static_assert(2 * sizeof(Panel) <= PRODUCT_SCRATCH_BYTES, "two panels must fit");
_Static_assert(PANEL_BLOCKS % SUPER_BLOCKS == 0, "a panel is made of whole records");

/* As much of them as the form has. */
INLINE void copy_scales(PackedLayout s, BlockScales *to, const BlockScales *from)
{
    to->scale = from->scale;
    if (s.form != PACKED_OFFSET)
        to->extra = from->extra;
    if (s.form == PACKED_HALVES_MIN) {
        to->min[0] = from->min[0];
        to->min[1] = from->min[1];
    }
}

/* Eight-bit quants at even distances are multiplied where they are. */
INLINE bool is_in_place(PackedLayout s) { return s.bits == 8 && s.scales == PACKED_HALF; }

/* Unpacks n_blocks blocks. */
INLINE void fill_panel(PackedLayout s, const uint8_t *record, int n_blocks, Panel *panel)
{
    for (int b = 0; b < n_blocks; b += s.blocks, record += s.record_bytes) {
        BlockScales scales[SUPER_BLOCKS];
        load_scales(s, record, scales);
        for (int i = 0; i < s.blocks; i++) {
            copy_scales(s, &panel->scales[b + i], &scales[i]);
            if (is_in_place(s))
                continue;
            __m512i q[8];
            load_quants(s, record + s.header_bytes + s.block_bytes * i, q);
            for (int g = 0; g < 8; g++)
                _mm512_store_si512(panel->quants[b + i] + VECTOR_BYTES * g, q[g]);
        }
    }
}

/* The float sums of up to 2 tiles x 6 rows of x, in y between panels. */
typedef struct Sums {
    float *y;
    size_t y_stride;
    __mmask16 mask[2];
    bool is_first;
} Sums;

/* tiles x rows of y += n_blocks blocks. quants[i]: the unpacked quants of tile i, block_step apart.
 */
INLINE void multiply_panel(PackedLayout s, int tiles, int rows, const uint8_t *const quants[2],
                           size_t block_step, const Panel panel[2], const ActBlock *x,
                           size_t x_stride, int n_blocks, const Sums *sums)
{
    __m512 acc[2][MANY_ROWS];
    for (int i = 0; i < tiles; i++)
        for (int t = 0; t < rows; t++)
            acc[i][t] =
                sums->is_first
                    ? _mm512_setzero_ps()
                    : _mm512_maskz_loadu_ps(sums->mask[i],
                                            sums->y + (size_t)t * sums->y_stride + i * TILE_ROWS);
    const uint8_t *q0 = quants[0], *q1 = quants[tiles - 1];
    for (int b = 0; b < n_blocks; b++, x++, q0 += block_step, q1 += block_step) {
        __m512i isum[2][MANY_ROWS];
        __m512 half[2][MANY_ROWS];
        for (int t = 0; t < rows; t++)
            isum[0][t] = isum[1][t] = first_sum(s, x + (size_t)t * x_stride);
        for (int g = 0; g < 8; g++) {
            __m512i w[2] = {_mm512_loadu_si512(q0 + VECTOR_BYTES * g),
                            _mm512_loadu_si512(q1 + VECTOR_BYTES * g)};
            if (is_halves(s) && g == 4) {
                for (int t = 0; t < rows; t++) {
                    for (int i = 0; i < tiles; i++)
                        half[i][t] =
                            _mm512_mul_ps(panel[i].scales[b].scale, _mm512_cvtepi32_ps(isum[i][t]));
                    isum[0][t] = isum[1][t] = second_sum(s, x + (size_t)t * x_stride);
                }
            }
            for (int t = 0; t < rows; t++) {
                __m512i four = activations_at(x + (size_t)t * x_stride, g);
                for (int i = 0; i < tiles; i++)
                    isum[i][t] = _mm512_dpbusd_epi32(isum[i][t], w[i], four);
            }
        }
        for (int i = 0; i < tiles; i++) {
            const BlockScales *w = &panel[i].scales[b];
            for (int t = 0; t < rows; t++) {
                if (is_halves(s))
                    acc[i][t] = add_halves(s, acc[i][t], x + (size_t)t * x_stride, half[i][t],
                                           isum[i][t], w);
                else
                    acc[i][t] = add_block(s, acc[i][t], x + (size_t)t * x_stride, isum[i][t], w);
            }
        }
    }
    for (int i = 0; i < tiles; i++)
        for (int t = 0; t < rows; t++)
            _mm512_mask_storeu_ps(sums->y + (size_t)t * sums->y_stride + i * TILE_ROWS,
                                  sums->mask[i], acc[i][t]);
}

INLINE void multiply_rows(PackedLayout s, int tiles, int rows, const uint8_t *const quants[2],
                          size_t block_step, const Panel panel[2], const ActBlock *x,
                          size_t x_stride, int n_blocks, const Sums *sums)
{
#define ROWS(n)                                                                                    \
    case n:                                                                                        \
        multiply_panel(s, tiles, n, quants, block_step, panel, x, x_stride, n_blocks, sums);       \
        break
    switch (rows) {
        ROWS(1);
        ROWS(2);
        ROWS(3);
        ROWS(4);
        ROWS(5);
        ROWS(6);
    }
#undef ROWS
}

/* The packed weights of the next panel, fetched little by little while this one is multiplied. */
typedef struct Ahead {
    const uint8_t *at[2];
    int left, step; /* bytes of each tile */
} Ahead;

INLINE Ahead look_ahead(PackedLayout s, const Product *p, int tile, int b, int n_groups)
{
    int n_blocks = p->acts.n_cols / BLOCK_COLS;
    b += PANEL_BLOCKS;
    if (b >= n_blocks) {
        b = 0;
        tile += 2;
    }
    const uint8_t *at =
        p->tiles + (size_t)tile * p->tile_bytes + (size_t)(b / s.blocks) * (size_t)s.record_bytes;
    int n = n_blocks - b < PANEL_BLOCKS ? n_blocks - b : PANEL_BLOCKS;
    int bytes = n / s.blocks * s.record_bytes;
    int step = (bytes / n_groups + 63) / 64 * 64;
    return (Ahead){{at, at + p->tile_bytes}, bytes, step};
}

INLINE void prefetch_ahead(Ahead *ahead)
{
    int bytes = ahead->left < ahead->step ? ahead->left : ahead->step;
    for (int i = 0; i < 2; i++) {
        for (int at = 0; at < bytes; at += 64)
            _mm_prefetch((const char *)ahead->at[i] + at, _MM_HINT_T1);
        ahead->at[i] += bytes;
    }
    ahead->left -= bytes;
}

INLINE void many_rows(PackedLayout s, const Product *p)
{
    Panel *panel = p->scratch;
    int n_blocks = p->acts.n_cols / BLOCK_COLS;
    int rows_max = is_halves(s) ? HALVES_ROWS : MANY_ROWS;
    int n_groups = (p->acts.n_rows + rows_max - 1) / rows_max;
    size_t block_step = is_in_place(s) ? (size_t)s.record_bytes : QUANT_BYTES;
    for (int tile = 0; tile < p->n_tiles; tile += 2) {
        int tiles = p->n_tiles - tile < 2 ? 1 : 2;
        for (int b = 0; b < n_blocks; b += PANEL_BLOCKS) {
            int n = n_blocks - b < PANEL_BLOCKS ? n_blocks - b : PANEL_BLOCKS;
            const uint8_t *quants[2] = {0};
            for (int i = 0; i < tiles; i++) {
                const uint8_t *record = p->tiles + (size_t)(tile + i) * p->tile_bytes +
                                        (size_t)(b / s.blocks) * (size_t)s.record_bytes;
                fill_panel(s, record, n, &panel[i]);
                quants[i] = is_in_place(s) ? record + s.header_bytes : panel[i].quants[0];
            }
            Ahead ahead = look_ahead(s, p, tile, b, n_groups);
            for (int group = 0; group < n_groups; group++) {
                prefetch_ahead(&ahead);
                int from = p->acts.n_rows * group / n_groups;
                int rows = p->acts.n_rows * (group + 1) / n_groups - from;
                const ActBlock *x = p->acts.blocks + (size_t)from * (size_t)n_blocks + b;
                Sums sums = {p->y + (size_t)from * p->y_stride + (size_t)tile * TILE_ROWS,
                             p->y_stride,
                             {tile_mask(p, tile), tiles == 2 ? tile_mask(p, tile + 1) : 0},
                             b == 0};
                if (tiles == 2)
                    multiply_rows(s, 2, rows, quants, block_step, panel, x, (size_t)n_blocks, n,
                                  &sums);
                else
                    multiply_rows(s, 1, rows, quants, block_step, panel, x, (size_t)n_blocks, n,
                                  &sums);
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
        few_rows(s, 1, p, 0);
        break;
    case 2:
        few_rows(s, 2, p, 0);
        break;
    case 3:
        few_rows(s, 3, p, 0);
        break;
    case 4:
        few_rows(s, 4, p, 0);
        break;
    case 5:
        few_rows(s, 5, p, 0);
        break;
    case 6:
        few_rows(s, 6, p, 0);
        break;
    case 7:
        few_rows(s, 7, p, 0);
        break;
    case 8:
        few_rows(s, 8, p, 0);
        break;
    default:
        many_rows(s, p);
    }
}

#define PRODUCT(TYPE, ...)                                                                         \
    static void product_##TYPE##_avx512(const Product *p)                                          \
    {                                                                                              \
        static const PackedLayout layout = {__VA_ARGS__};                                          \
        product(layout, p);                                                                        \
    }
PACKED_LAYOUTS(PRODUCT)
#undef PRODUCT

/* A group's number of blocks is not unrolled. */
static void product_group_4_avx512(const Product *p)
{
    product(packed_group(4, packed_layout(p->type)->blocks), p);
}

static void product_group_8_avx512(const Product *p)
{
    product(packed_group(8, packed_layout(p->type)->blocks), p);
}

void matmul_q_kernels_avx512(MatmulKernels *kernels)
{
#define ENTRY(TYPE, ...) kernels->product[DTYPE_##TYPE] = product_##TYPE##_avx512;
    PACKED_LAYOUTS(ENTRY)
#undef ENTRY
#define ENTRY(TYPE, bits, blocks) kernels->product[DTYPE_##TYPE] = product_group_##bits##_avx512;
    PACKED_GROUPS(ENTRY)
#undef ENTRY
}
