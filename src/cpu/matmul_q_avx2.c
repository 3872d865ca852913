/* Products with quantized weights, AVX2. See matmul.h and packed.h.
 *
 * A tile is taken in two halves of eight rows, a register each. vpmaddubsw multiplies unsigned
 * quants by activations and adds pairs in 16 bits; how many groups of four columns may be added
 * there before they are widened follows from the largest quant (15 * 127 * 2 * 8 groups < 2^15 for
 * four bits). Eight-bit quants are too large for that and go in as magnitudes, their signs moved to
 * the activations.
 *
 *  - few rows of x: each block is unpacked into registers and meets every row of x.
 *  - many rows: PANEL_BLOCKS blocks of a tile are unpacked into scratch that stays in the first
 * level cache; between panels the float sums wait in y.
 */
#include "cpu/matmul_avx2.h"

enum { PANEL_BLOCKS = 16, FEW_ROWS = 3, MANY_ROWS = 4, HALF_BYTES = 32, HALF_ROWS = 8 };

/* What the compiler must know of a type to unroll its kernels. */
typedef struct Shape {
    PackedForm form;
    int bits, offset_shift, blocks; /* blocks of 32 columns in a record */
    int record_bytes, header_bytes, block_bytes;
} Shape;

/* ---- Unpacking ---------------------------------------------------------------------------------
 */

INLINE __m256i load(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* The eight groups of one half of a tile; p: the block's quants, plus HALF_BYTES for rows 8-15.
 * Eight-bit quants come out signed. */
INLINE void load_quants(int bits, const uint8_t *p, __m256i q[8])
{
    if (bits == 8) {
        const __m256i sign = _mm256_set1_epi8((char)0x80);
        for (int g = 0; g < 8; g++)
            q[g] = _mm256_xor_si256(load(p + VECTOR_BYTES * g), sign);
        return;
    }
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int g = 0; g < 4; g++) {
        __m256i v = load(p + VECTOR_BYTES * g);
        q[g] = _mm256_and_si256(v, nibble);
        q[g + 4] = _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble);
    }
    if (bits == 5) {
        const __m256i bit = _mm256_set1_epi8(16);
        __m256i v = load(p + 256);
        for (int g = 0; g < 8; g++) {
            __m256i high = g < 4 ? _mm256_slli_epi16(v, 4 - g) : _mm256_srli_epi16(v, g - 4);
            q[g] = _mm256_or_si256(q[g], _mm256_and_si256(high, bit));
        }
    }
    if (bits == 6) {
        const __m256i pair = _mm256_set1_epi8(48);
        for (int g = 0; g < 8; g++) {
            __m256i v = load(p + 256 + VECTOR_BYTES * (g / 4));
            int left = 4 - 2 * (g % 4);
            __m256i high = left >= 0 ? _mm256_slli_epi16(v, left) : _mm256_srli_epi16(v, -left);
            q[g] = _mm256_or_si256(q[g], _mm256_and_si256(high, pair));
        }
    }
}

INLINE __m256 halves_at(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

INLINE __m128i bytes_at(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* out[0..15] = d[0..15] * the 16 bytes, signed or not. */
INLINE void scale_bytes(const __m256 d[2], __m128i bytes, bool is_signed, float *out)
{
    for (int half = 0; half < 2; half++) {
        __m256i wide = is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes);
        _mm256_storeu_ps(out + HALF_ROWS * half, _mm256_mul_ps(d[half], _mm256_cvtepi32_ps(wide)));
        bytes = _mm_unpackhi_epi64(bytes, bytes);
    }
}

/* The scales of a record's blocks, as packed_open_block has them. */
INLINE void load_scales(Shape s, const uint8_t *record, float (*scale)[TILE_ROWS],
                        float (*extra)[TILE_ROWS])
{
    __m256 d[2] = {halves_at(record), halves_at(record + 16)};
    if (s.blocks == 1) {
        for (int half = 0; half < 2; half++) {
            _mm256_storeu_ps(scale[0] + HALF_ROWS * half, d[half]);
            if (s.form == PACKED_MIN)
                _mm256_storeu_ps(extra[0] + HALF_ROWS * half, halves_at(record + 32 + 16 * half));
        }
    } else if (s.form == PACKED_HALVES) {
        for (int b = 0; b < SUPER_BLOCKS; b++) {
            scale_bytes(d, bytes_at(record + 32 + 32 * b), true, scale[b]);
            scale_bytes(d, bytes_at(record + 48 + 32 * b), true, extra[b]);
        }
    } else {
        const __m128i low6 = _mm_set1_epi8(63), low4 = _mm_set1_epi8(15);
        const __m128i high2 = _mm_set1_epi8(48);
        const __m256 zero = _mm256_setzero_ps();
        __m256 minus_dmin[2] = {_mm256_sub_ps(zero, halves_at(record + 32)),
                                _mm256_sub_ps(zero, halves_at(record + 48))};
        const uint8_t *q = record + 64; /* byte j of the rows' twelve: q + 16 j */
        for (int b = 0; b < 4; b++) {
            __m128i sc = bytes_at(q + 16 * b), m = bytes_at(q + 16 * (b + 4));
            __m128i both = bytes_at(q + 16 * (b + 8));
            __m128i sc_high = _mm_and_si128(_mm_srli_epi16(sc, 2), high2);
            __m128i m_high = _mm_and_si128(_mm_srli_epi16(m, 2), high2);
            __m128i m_low = _mm_and_si128(_mm_srli_epi16(both, 4), low4);
            scale_bytes(d, _mm_and_si128(sc, low6), false, scale[b]);
            scale_bytes(minus_dmin, _mm_and_si128(m, low6), false, extra[b]);
            scale_bytes(d, _mm_or_si128(_mm_and_si128(both, low4), sc_high), false, scale[b + 4]);
            scale_bytes(minus_dmin, _mm_or_si128(m_low, m_high), false, extra[b + 4]);
        }
    }
}

/* ---- The arithmetic of one block ---------------------------------------------------------------
 */

INLINE __m256i activations_at(const ActBlock *x, int group)
{
    int32_t four;
    memcpy(&four, x->quants + 4 * group, sizeof four);
    return _mm256_set1_epi32(four);
}

/* Groups whose products may be added in 16 bits. */
INLINE int groups_in_16_bits(int bits) { return bits == 4 ? 8 : bits == 5 ? 4 : bits == 6 ? 2 : 1; }

INLINE __m256i multiply_group(int bits, __m256i q, __m256i x)
{
    if (bits == 8)
        return _mm256_maddubs_epi16(_mm256_abs_epi8(q), _mm256_sign_epi8(x, q));
    return _mm256_maddubs_epi16(q, x);
}

INLINE __m256i widen(__m256i sums) { return _mm256_madd_epi16(sums, _mm256_set1_epi16(1)); }

/* Where an integer sum starts: what the offset of the weights adds too much. */
INLINE __m256i offset_sum(Shape s, int32_t minus_sum)
{
    if (s.form == PACKED_MIN || s.bits == 8)
        return _mm256_setzero_si256();
    return _mm256_slli_epi32(_mm256_set1_epi32(minus_sum), s.offset_shift);
}

/* isum + the products of groups from .. to-1 with q, quants in registers. */
INLINE __m256i multiply_groups(Shape s, __m256i isum, const __m256i q[8], const ActBlock *x,
                               int from, int to)
{
    int step = groups_in_16_bits(s.bits) < to - from ? groups_in_16_bits(s.bits) : to - from;
    for (int g = from; g < to; g += step) {
        __m256i sums = multiply_group(s.bits, q[g], activations_at(x, g));
        for (int i = 1; i < step; i++)
            sums =
                _mm256_add_epi16(sums, multiply_group(s.bits, q[g + i], activations_at(x, g + i)));
        isum = _mm256_add_epi32(isum, widen(sums));
    }
    return isum;
}

/* acc + the block's share of the product; first and second as PackedForm has them. */
INLINE __m256 add_block(Shape s, __m256 acc, const ActBlock *x, __m256i first, __m256i second,
                        const float *scale, const float *extra)
{
    __m256 t = _mm256_mul_ps(_mm256_loadu_ps(scale), _mm256_cvtepi32_ps(first));
    if (s.form == PACKED_HALVES)
        t = _mm256_fmadd_ps(_mm256_loadu_ps(extra), _mm256_cvtepi32_ps(second), t);
    if (s.form == PACKED_MIN)
        t = _mm256_fmadd_ps(_mm256_loadu_ps(extra), _mm256_set1_ps(x->sum), t);
    return _mm256_fmadd_ps(_mm256_set1_ps(x->scale), t, acc);
}

INLINE __m256 multiply_block(Shape s, __m256 acc, const __m256i q[8], const ActBlock *x,
                             const float *scale, const float *extra)
{
    if (s.form != PACKED_HALVES) {
        __m256i isum = multiply_groups(s, offset_sum(s, x->minus_sum), q, x, 0, 8);
        return add_block(s, acc, x, isum, isum, scale, extra);
    }
    __m256i first = multiply_groups(s, offset_sum(s, x->minus_sum - x->minus_second), q, x, 0, 4);
    __m256i second = multiply_groups(s, offset_sum(s, x->minus_second), q, x, 4, 8);
    return add_block(s, acc, x, first, second, scale, extra);
}

/* ---- Few rows of x ------------------------------------------------------------------------------
 */

INLINE void few_rows(Shape s, int rows, const Product *p)
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
            float scale[SUPER_BLOCKS][TILE_ROWS], extra[SUPER_BLOCKS][TILE_ROWS];
            load_scales(s, record, scale, extra);
            for (int b = 0; b < s.blocks; b++, x++) {
                for (int half = 0; half < 2; half++) {
                    __m256i q[8];
                    load_quants(s.bits,
                                record + s.header_bytes + s.block_bytes * b + HALF_BYTES * half, q);
                    for (int t = 0; t < rows; t++)
                        acc[half][t] = multiply_block(s, acc[half][t], q, x + (size_t)t * stride,
                                                      scale[b] + HALF_ROWS * half,
                                                      extra[b] + HALF_ROWS * half);
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
    float scale[PANEL_BLOCKS][TILE_ROWS], extra[PANEL_BLOCKS][TILE_ROWS];
} Panel;

_Static_assert(sizeof(Panel) <= PRODUCT_SCRATCH_BYTES, "a panel must fit");
_Static_assert(PANEL_BLOCKS % SUPER_BLOCKS == 0, "a panel is made of whole records");

INLINE void fill_panel(Shape s, const uint8_t *record, int n_blocks, Panel *panel)
{
    for (int b = 0; b < n_blocks; b += s.blocks, record += s.record_bytes) {
        load_scales(s, record, panel->scale + b, panel->extra + b);
        for (int i = 0; i < s.blocks; i++) {
            for (int half = 0; half < 2; half++) {
                __m256i q[8];
                load_quants(s.bits, record + s.header_bytes + s.block_bytes * i + HALF_BYTES * half,
                            q);
                for (int g = 0; g < 8; g++)
                    _mm256_storeu_si256((__m256i *)(void *)panel->quants[b + i][half][g], q[g]);
            }
        }
    }
}

/* Integer sums of both halves of a tile and `rows` rows of x over groups from .. to-1. */
INLINE void multiply_panel_groups(Shape s, int rows, __m256i isum[2][MANY_ROWS],
                                  const uint8_t (*quants)[8][HALF_BYTES], const ActBlock *x,
                                  size_t x_stride, int from, int to)
{
    int step = groups_in_16_bits(s.bits) < to - from ? groups_in_16_bits(s.bits) : to - from;
    for (int g = from; g < to; g += step) {
        __m256i sums[2][MANY_ROWS];
        for (int i = 0; i < step; i++) {
            for (int half = 0; half < 2; half++) {
                __m256i q = load(quants[half][g + i]);
                for (int t = 0; t < rows; t++) {
                    __m256i four = activations_at(x + (size_t)t * x_stride, g + i);
                    __m256i products = multiply_group(s.bits, q, four);
                    sums[half][t] = i == 0 ? products : _mm256_add_epi16(sums[half][t], products);
                }
            }
        }
        for (int half = 0; half < 2; half++)
            for (int t = 0; t < rows; t++)
                isum[half][t] = _mm256_add_epi32(isum[half][t], widen(sums[half][t]));
    }
}

INLINE void multiply_panel(Shape s, int rows, const Panel *panel, const ActBlock *x,
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
        bool is_halves = s.form == PACKED_HALVES;
        for (int t = 0; t < rows; t++) {
            const ActBlock *xt = x + (size_t)t * x_stride;
            int32_t in_first = is_halves ? xt->minus_sum - xt->minus_second : xt->minus_sum;
            first[0][t] = first[1][t] = offset_sum(s, in_first);
            second[0][t] = second[1][t] = offset_sum(s, xt->minus_second);
        }
        const uint8_t(*quants)[8][HALF_BYTES] = panel->quants[b];
        multiply_panel_groups(s, rows, first, quants, x, x_stride, 0, is_halves ? 4 : 8);
        if (is_halves)
            multiply_panel_groups(s, rows, second, quants, x, x_stride, 4, 8);
        for (int half = 0; half < 2; half++)
            for (int t = 0; t < rows; t++)
                acc[half][t] = add_block(s, acc[half][t], x + (size_t)t * x_stride, first[half][t],
                                         second[half][t], panel->scale[b] + HALF_ROWS * half,
                                         panel->extra[b] + HALF_ROWS * half);
    }
    for (int t = 0; t < rows; t++)
        store_sums(y + (size_t)t * y_stride, y_rows, acc[0][t], acc[1][t]);
}

INLINE void many_rows(Shape s, const Product *p)
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

INLINE void product(Shape s, const Product *p)
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

#define PRODUCT(name, ...)                                                                         \
    static void product_##name##_avx2(const Product *p)                                            \
    {                                                                                              \
        static const Shape shape = {__VA_ARGS__};                                                  \
        product(shape, p);                                                                         \
    }

PRODUCT(q8_0, PACKED_OFFSET, 8, 7, 1, 544, 32, 512)
PRODUCT(q4_0, PACKED_OFFSET, 4, 3, 1, 288, 32, 256)
PRODUCT(q4_1, PACKED_MIN, 4, 0, 1, 320, 64, 256)
PRODUCT(q5_0, PACKED_OFFSET, 5, 4, 1, 352, 32, 320)
PRODUCT(q5_1, PACKED_MIN, 5, 0, 1, 384, 64, 320)
PRODUCT(q4_k, PACKED_MIN, 4, 0, 8, 2304, 256, 256)
PRODUCT(q5_k, PACKED_MIN, 5, 0, 8, 2816, 256, 320)
PRODUCT(q6_k, PACKED_HALVES, 6, 5, 8, 3360, 288, 384)

void matmul_q_kernels_avx2(MatmulKernels *kernels)
{
    kernels->product[DTYPE_Q8_0] = product_q8_0_avx2;
    kernels->product[DTYPE_Q4_0] = product_q4_0_avx2;
    kernels->product[DTYPE_Q4_1] = product_q4_1_avx2;
    kernels->product[DTYPE_Q5_0] = product_q5_0_avx2;
    kernels->product[DTYPE_Q5_1] = product_q5_1_avx2;
    kernels->product[DTYPE_Q4_K] = product_q4_k_avx2;
    kernels->product[DTYPE_Q5_K] = product_q5_k_avx2;
    kernels->product[DTYPE_Q6_K] = product_q6_k_avx2;
}
