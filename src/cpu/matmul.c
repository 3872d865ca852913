/* The matrix products in plain C: what the fast versions must equal, bit for bit. See matmul.h. */
#include "cpu/matmul.h"

#include "base/bug.h"
#include "base/half.h"

#include <math.h>

enum { ROWS_AT_ONCE = 8 }; /* rows of activations that share an unpacked block */

/* isum[row] += sum over columns of u * x, for groups from .. to-1. */
static void add_products(const PackedBlock *w, const int8_t *x, int from, int to,
                         int32_t isum[TILE_ROWS])
{
    for (int g = from; g < to; g++)
        for (int row = 0; row < TILE_ROWS; row++)
            for (int c = 0; c < 4; c++)
                isum[row] += w->quants[VECTOR_BYTES * g + 4 * row + c] * x[4 * g + c];
}

/* acc[row] += the product of the tile's block and 32 activations. */
static void add_block(const PackedLayout *layout, const PackedBlock *w, const ActBlock *b,
                      float acc[TILE_ROWS])
{
    int32_t first[TILE_ROWS], second[TILE_ROWS];
    const bool has_mins = layout->form == PACKED_HALVES_MIN,
               is_halves = layout->form == PACKED_HALVES || has_mins;
    const int offset = layout->offset_shift ? 1 << layout->offset_shift : 0;
    const float in_halves[2] = {(float)(b->minus_second - b->minus_sum), (float)-b->minus_second};
    for (int row = 0; row < TILE_ROWS; row++) {
        int32_t in_first = is_halves ? b->minus_sum - b->minus_second : b->minus_sum;
        first[row] = offset * in_first;
        second[row] = offset * b->minus_second;
    }
    add_products(w, b->quants, 0, is_halves ? 4 : 8, first);
    if (is_halves)
        add_products(w, b->quants, 4, 8, second);
    for (int row = 0; row < TILE_ROWS; row++) {
        float t = w->scale[row] * (float)first[row];
        if (is_halves)
            t = fmaf(w->extra[row], (float)second[row], t);
        if (has_mins)
            t = fmaf(w->min[1][row], in_halves[1], fmaf(w->min[0][row], in_halves[0], t));
        if (layout->form == PACKED_MIN)
            t = fmaf(w->extra[row], b->sum, t);
        acc[row] = fmaf(b->scale, t, acc[row]);
    }
}

static int tile_rows(const Product *p, int tile)
{
    int left = p->n_rows - tile * TILE_ROWS;
    return left < TILE_ROWS ? left : TILE_ROWS;
}

static void store(const Product *p, int tile, int t, const float acc[TILE_ROWS])
{
    float *y = p->y + (size_t)t * p->y_stride + (size_t)tile * TILE_ROWS;
    memcpy(y, acc, sizeof(float) * (size_t)tile_rows(p, tile));
}

static void product_quantized(const Product *p)
{
    const PackedLayout *layout = packed_layout(p->type);
    int n_blocks = p->acts.n_cols / BLOCK_COLS;
    for (int tile = 0; tile < p->n_tiles; tile++) {
        const uint8_t *data = p->tiles + (size_t)tile * p->tile_bytes;
        for (int t0 = 0; t0 < p->acts.n_rows; t0 += ROWS_AT_ONCE) {
            float acc[ROWS_AT_ONCE][TILE_ROWS] = {{0}};
            int t1 = t0 + ROWS_AT_ONCE < p->acts.n_rows ? t0 + ROWS_AT_ONCE : p->acts.n_rows;
            for (int b = 0; b < n_blocks; b++) {
                PackedBlock w;
                packed_open_block(p->type, data, b, &w);
                for (int t = t0; t < t1; t++) {
                    size_t at = (size_t)t * (size_t)n_blocks + (size_t)b;
                    add_block(layout, &w, &p->acts.blocks[at], acc[t - t0]);
                }
            }
            for (int t = t0; t < t1; t++)
                store(p, tile, t, acc[t - t0]);
        }
    }
}

static void product_f32(const Product *p)
{
    for (int tile = 0; tile < p->n_tiles; tile++) {
        for (int t = 0; t < p->acts.n_rows; t++) {
            const float *w = (const float *)(const void *)(p->tiles + (size_t)tile * p->tile_bytes);
            const float *x = p->acts.f32 + (size_t)t * p->acts.f32_stride;
            float acc[TILE_ROWS] = {0};
            for (int k = 0; k < p->acts.n_cols; k++, w += TILE_ROWS)
                for (int row = 0; row < TILE_ROWS; row++)
                    acc[row] = fmaf(w[row], x[k], acc[row]);
            store(p, tile, t, acc);
        }
    }
}

static void product_f16(const Product *p)
{
    for (int tile = 0; tile < p->n_tiles; tile++) {
        for (int t = 0; t < p->acts.n_rows; t++) {
            const uint16_t *w =
                (const uint16_t *)(const void *)(p->tiles + (size_t)tile * p->tile_bytes);
            const float *x = p->acts.f32 + (size_t)t * p->acts.f32_stride;
            float acc[TILE_ROWS] = {0};
            for (int k = 0; k < p->acts.n_cols; k++, w += TILE_ROWS)
                for (int row = 0; row < TILE_ROWS; row++)
                    acc[row] = fmaf(half_to_float(w[row]), x[k], acc[row]);
            store(p, tile, t, acc);
        }
    }
}

/* The odd column of a pair first: the order of the instruction vdpbf16ps. */
static void product_bf16(const Product *p)
{
    for (int tile = 0; tile < p->n_tiles; tile++) {
        for (int t = 0; t < p->acts.n_rows; t++) {
            const uint16_t *w =
                (const uint16_t *)(const void *)(p->tiles + (size_t)tile * p->tile_bytes);
            const uint16_t *x = p->acts.bf16 + (size_t)t * p->acts.bf16_stride;
            float acc[TILE_ROWS] = {0};
            for (int k = 0; k < p->acts.n_cols; k += 2, w += 2 * TILE_ROWS) {
                float even = bf16_to_float(x[k]), odd = bf16_to_float(x[k + 1]);
                for (int row = 0; row < TILE_ROWS; row++) {
                    acc[row] = fmaf(bf16_to_float(w[2 * row + 1]), odd, acc[row]);
                    acc[row] = fmaf(bf16_to_float(w[2 * row]), even, acc[row]);
                }
            }
            store(p, tile, t, acc);
        }
    }
}

/* 128 columns are summed as those of BF16, then scaled. */
static void product_f8(const Product *p)
{
    const PackedLayout *layout = packed_layout(DTYPE_F8_128);
    const int cols = layout->blocks * BLOCK_COLS;
    for (int tile = 0; tile < p->n_tiles; tile++) {
        for (int t = 0; t < p->acts.n_rows; t++) {
            const uint8_t *record = p->tiles + (size_t)tile * p->tile_bytes;
            const uint16_t *x = p->acts.bf16 + (size_t)t * p->acts.bf16_stride;
            float acc[TILE_ROWS] = {0}, scale[TILE_ROWS];
            for (int k = 0; k < p->acts.n_cols; k += cols, record += layout->record_bytes) {
                const uint8_t *w = record + layout->header_bytes;
                float sum[TILE_ROWS] = {0};
                for (int j = 0; j < cols; j += 2, w += 2 * TILE_ROWS)
                    for (int row = 0; row < TILE_ROWS; row++)
                        for (int odd = 1; odd >= 0; odd--)
                            sum[row] = fmaf(e4m3_to_float(w[2 * row + odd]),
                                            bf16_to_float(x[k + j + odd]), sum[row]);
                memcpy(scale, record, sizeof scale);
                for (int row = 0; row < TILE_ROWS; row++)
                    acc[row] = fmaf(scale[row], sum[row], acc[row]);
            }
            store(p, tile, t, acc);
        }
    }
}

void matmul_kernels_ref(MatmulKernels *kernels)
{
    for (int type = 0; type < DTYPE_COUNT; type++)
        kernels->product[type] = product_quantized;
    kernels->product[DTYPE_F32] = product_f32;
    kernels->product[DTYPE_F16] = product_f16;
    kernels->product[DTYPE_BF16] = product_bf16;
    kernels->product[DTYPE_F8_128] = product_f8;
    kernels->acts = (ActsKernels){acts_quantize, acts_round_bf16};
}
