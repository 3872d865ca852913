/* The kernels of attention.h on the vectors of vec_<isa>.h; included by attention_<isa>.c.
 *
 * Both halves of attention are small matrix products with a register tile of rows x vectors: scores
 * [rows, keys] = q keys, with one chain over the dimensions, and acc [rows, dimensions] += weights
 * values, with one chain over the keys. Narrow pages are widened in registers. */
#ifndef WEN_CPU_ATTENTION_VECTOR_H
#define WEN_CPU_ATTENTION_VECTOR_H

#include "cpu/attention.h"
#include "cpu/vec_ops.h"

#include <string.h>

/* TILE_ROWS_MAX: rows that share the loads of a page. tile_vecs: as many vectors as fill the
 * registers, or the latency of a multiply-add, with so many rows. */
enum { TILE_ROWS_MAX = 6, PAGE_VECS = KV_PAGE_TOKENS / VEC_LANES, TILE_ACC_MAX = 24 };

static ALWAYS_INLINE int tile_vecs(int rows)
{
    if (VEC_LANES == 16)
        return 4;
    return rows >= 4 ? 2 : rows == 2 ? 4 : 8;
}

/* Keys or values of a page: rows of KV_PAGE_TOKENS keys or of v_cols dimensions. */
typedef struct PageHalf {
    bool is_keys;
    const void *numbers;
    size_t stride;          /* numbers of a row */
    const uint16_t *scales; /* of Q8_0 */
    size_t scales_stride;   /* keys: of KV_BLOCK rows; values: of one row */
} PageHalf;

static ALWAYS_INLINE PageHalf page_keys(const AttentionPage *p)
{
    const size_t n = (size_t)p->head_dim * KV_PAGE_TOKENS;
    return (PageHalf){true, p->keys, KV_PAGE_TOKENS, (const void *)((const char *)p->keys + n),
                      KV_PAGE_TOKENS};
}

static ALWAYS_INLINE PageHalf page_values(const AttentionPage *p)
{
    const size_t n = (size_t)p->v_cols * KV_PAGE_TOKENS;
    return (PageHalf){false, p->values, (size_t)p->v_cols,
                      (const void *)((const char *)p->values + n), (size_t)kv_blocks(p->v_cols)};
}

/* A vector of numbers from column `col` on of a row; `scales` if the type has them. */
static ALWAYS_INLINE Vec load_page(const DType type, PageHalf half, size_t row, size_t col)
{
    const size_t i = row * half.stride + col;
    if (type == DTYPE_F32)
        return vec_load((const float *)half.numbers + i);
    if (type == DTYPE_F16)
        return vec_load_f16((const uint16_t *)half.numbers + i);
    if (type == DTYPE_BF16)
        return vec_load_bf16((const uint16_t *)half.numbers + i);
    Vec codes = vec_load_i8((const int8_t *)half.numbers + i);
    if (half.is_keys)
        return vec_mul(codes,
                       vec_load_f16(half.scales + row / KV_BLOCK * half.scales_stride + col));
    return vec_mul(codes, vec_set_f16(half.scales[row * half.scales_stride + col / KV_BLOCK]));
}

static ALWAYS_INLINE int number_bytes(const DType type)
{
    return type == DTYPE_F32 ? 4 : type == DTYPE_Q8_0 ? 1 : 2;
}

/* Asks for the lines of the next page (keys while at keys, values while at values) that are as far
 * into it as element i is into this one. The processor's own prefetcher stops at every system page,
 * and a page of 16-bit numbers is read in the time that its arithmetic takes: without overlap the
 * two add up. */
static ALWAYS_INLINE void fetch_ahead(int element_bytes, const void *next, size_t i, int n)
{
    for (int byte = 0; byte < n * element_bytes; byte += 64)
        __builtin_prefetch((const char *)next + i * (size_t)element_bytes + byte, 0, 2);
}

/* acc[rows][vecs] += a[rows][from .. to-1] b[from .. to-1][vecs], the columns of b from `col` on.
 * rows, vecs and type are constants wherever this is inlined. */
static ALWAYS_INLINE void multiply(const int rows, const int vecs, const DType type, const float *a,
                                   size_t a_stride, PageHalf b, size_t col, int from, int to,
                                   const void *next, int next_element_bytes, Vec acc[TILE_ACC_MAX])
{
    for (int k = from; k < to; k++) {
        if (next)
            fetch_ahead(type == DTYPE_F32 ? next_element_bytes : number_bytes(type), next,
                        (size_t)k * b.stride + col, vecs * VEC_LANES);
        Vec column[8];
        for (int v = 0; v < vecs; v++)
            column[v] = load_page(type, b, (size_t)k, col + (size_t)(v * VEC_LANES));
        for (int r = 0; r < rows; r++) {
            Vec scalar = vec_set(a[(size_t)r * a_stride + (size_t)k]);
            for (int v = 0; v < vecs; v++)
                acc[r * vecs + v] = vec_fma(scalar, column[v], acc[r * vecs + v]);
        }
    }
}

/* weights[rows][first vectors' keys] = q keys. */
static ALWAYS_INLINE void score_vectors(const int rows, const int vecs, const DType type,
                                        const AttentionPage *p, int row, int first,
                                        float (*weights)[KV_PAGE_TOKENS])
{
    const size_t head_dim = (size_t)p->head_dim;
    Vec acc[TILE_ACC_MAX];
    for (int i = 0; i < rows * vecs; i++)
        acc[i] = vec_set(0);
    multiply(rows, vecs, type, p->q + (size_t)row * head_dim, head_dim, page_keys(p),
             (size_t)(first * VEC_LANES), 0, p->head_dim, row == 0 ? p->next_keys : NULL,
             p->next_element_bytes, acc);
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++)
            vec_store(&weights[r][(first + v) * VEC_LANES], acc[r * vecs + v]);
}

/* weights[rows][KV_PAGE_TOKENS] = q keys, as far as any of the rows sees them. */
static ALWAYS_INLINE void score_tile(const int rows, const DType type, const AttentionPage *p,
                                     int row, float (*weights)[KV_PAGE_TOKENS])
{
    const int vecs = tile_vecs(rows), half = vecs / 2;
    const int wanted = (p->n_keys[row + rows - 1] + VEC_LANES - 1) / VEC_LANES;
    int first = 0;
    for (; first + half < wanted; first += vecs)
        score_vectors(rows, vecs, type, p, row, first, weights);
    if (first < wanted)
        score_vectors(rows, half, type, p, row, first, weights);
}

/* Columns col .. col + vecs * VEC_LANES - 1 of rows' weighted values. The keys that all rows see
 * come first, together; the last rows' others follow, row by row, in the same chain. */
static ALWAYS_INLINE void mix_columns(const int rows, const int vecs, const DType type,
                                      const AttentionPage *p, int row, int col,
                                      float (*weights)[KV_PAGE_TOKENS], const float *corrections)
{
    const size_t v_cols = (size_t)p->v_cols;
    const int common = p->n_keys[row];
    float *out = p->state.acc + (size_t)row * v_cols + col;
    Vec acc[TILE_ACC_MAX];
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vecs; v++)
            acc[r * vecs + v] = vec_mul(vec_load(out + (size_t)r * v_cols + v * VEC_LANES),
                                        vec_set(corrections[r]));
    multiply(rows, vecs, type, weights[0], KV_PAGE_TOKENS, page_values(p), (size_t)col, 0, common,
             row == 0 ? p->next_values : NULL, p->next_element_bytes, acc);
    for (int r = 0; r < rows; r++) {
        if (r > 0 && p->n_keys[row + r] > common)
            multiply(1, vecs, type, weights[r], KV_PAGE_TOKENS, page_values(p), (size_t)col, common,
                     p->n_keys[row + r], NULL, 0, acc + r * vecs);
        for (int v = 0; v < vecs; v++)
            vec_store(out + (size_t)r * v_cols + v * VEC_LANES, acc[r * vecs + v]);
    }
}

static ALWAYS_INLINE void mix_tile(const int rows, const DType type, const AttentionPage *p,
                                   int row, float (*weights)[KV_PAGE_TOKENS],
                                   const float *corrections)
{
    const int wide = tile_vecs(rows) * VEC_LANES;
    int col = 0;
    for (; col + wide <= p->v_cols; col += wide)
        mix_columns(rows, tile_vecs(rows), type, p, row, col, weights, corrections);
    for (; col < p->v_cols; col += VALUE_COLS_STEP)
        mix_columns(rows, VALUE_COLS_STEP / VEC_LANES, type, p, row, col, weights, corrections);
}

/* From scores to weights, row by row; corrections[r]: what the row's weighted values so far are to
 * be multiplied with. */
static void soften(const AttentionPage *p, int row, int rows, float (*weights)[KV_PAGE_TOKENS],
                   float *corrections)
{
    const Vec scale = vec_set(p->scale), lowest = vec_set(-INFINITY);
    for (int r = 0; r < rows; r++) {
        Vec w[PAGE_VECS], highest = lowest;
        for (int v = 0; v < PAGE_VECS; v++) {
            int n = p->n_keys[row + r] - v * VEC_LANES;
            w[v] = n > 0 ? vec_mul(vec_load(&weights[r][v * VEC_LANES]), scale) : lowest;
            if (n > 0 && n < VEC_LANES)
                w[v] = vec_first(w[v], n, lowest);
            int hidden = p->first_keys ? p->first_keys[row + r] - v * VEC_LANES : 0;
            if (hidden > 0)
                w[v] = hidden < VEC_LANES ? vec_first(lowest, hidden, w[v]) : lowest;
            highest = vec_max(w[v], highest);
        }
        float before = p->state.max[row + r], max = vec_largest(highest);
        max = max > before ? max : before;
        for (int v = 0; v < PAGE_VECS; v++) {
            w[v] = vec_exp(vec_sub(w[v], vec_set(max)));
            vec_store(&weights[r][v * VEC_LANES], w[v]);
        }
        float correction = exp_f32(before - max);
        p->state.max[row + r] = max;
        p->state.sum[row + r] = fmaf(p->state.sum[row + r], correction, vec_sum_lanes(w));
        corrections[r] = correction;
    }
}

static ALWAYS_INLINE void tile(const int rows, const DType type, const AttentionPage *p, int row)
{
    _Alignas(64) float weights[TILE_ROWS_MAX][KV_PAGE_TOKENS];
    float corrections[TILE_ROWS_MAX];
    score_tile(rows, type, p, row, weights);
    soften(p, row, rows, weights, corrections);
    mix_tile(rows, type, p, row, weights, corrections);
}

static ALWAYS_INLINE void page_of(const DType type, const AttentionPage *p)
{
    int row = 0;
    for (; row + 6 <= p->n_rows; row += 6)
        tile(6, type, p, row);
    for (; row + 4 <= p->n_rows; row += 4)
        tile(4, type, p, row);
    for (; row + 2 <= p->n_rows; row += 2)
        tile(2, type, p, row);
    for (; row < p->n_rows; row++)
        tile(1, type, p, row);
}

static void page_f32(const AttentionPage *p) { page_of(DTYPE_F32, p); }
static void page_f16(const AttentionPage *p) { page_of(DTYPE_F16, p); }
static void page_bf16(const AttentionPage *p) { page_of(DTYPE_BF16, p); }
static void page_q8(const AttentionPage *p) { page_of(DTYPE_Q8_0, p); }

static void page(const AttentionPage *p)
{
    if (p->type == DTYPE_F32)
        page_f32(p);
    else if (p->type == DTYPE_F16)
        page_f16(p);
    else if (p->type == DTYPE_BF16)
        page_bf16(p);
    else
        page_q8(p);
}

static ALWAYS_INLINE void widen_half(const DType type, PageHalf half, int n_rows, float *out)
{
    for (size_t row = 0; row < (size_t)n_rows; row++)
        for (size_t col = 0; col < half.stride; col += VEC_LANES)
            vec_store(out + row * half.stride + col, load_page(type, half, row, col));
}

static ALWAYS_INLINE void widen_of(const DType type, const AttentionPage *p, int n, float *keys,
                                   float *values)
{
    widen_half(type, page_keys(p), p->head_dim, keys);
    widen_half(type, page_values(p), n, values);
}

static void widen(const AttentionPage *p, int n, float *keys, float *values)
{
    if (p->type == DTYPE_F32)
        widen_of(DTYPE_F32, p, n, keys, values);
    else if (p->type == DTYPE_F16)
        widen_of(DTYPE_F16, p, n, keys, values);
    else if (p->type == DTYPE_BF16)
        widen_of(DTYPE_BF16, p, n, keys, values);
    else
        widen_of(DTYPE_Q8_0, p, n, keys, values);
}

static void narrow(DType type, const float *in, int n, void *out)
{
    uint16_t *h = out;
    int i = 0;
    if (type == DTYPE_Q8_0) {
        attention_narrow_q8(in, n, out);
        return;
    }
    if (type == DTYPE_F32) {
        memcpy(out, in, sizeof(float) * (size_t)n);
        return;
    }
    for (; i + VEC_LANES <= n; i += VEC_LANES) {
        if (type == DTYPE_F16)
            vec_store_f16(h + i, vec_load(in + i));
        else
            vec_store_bf16(h + i, vec_load(in + i));
    }
    for (; i < n; i++)
        h[i] = type == DTYPE_F16 ? half_from_float(in[i]) : bf16_from_float(in[i]);
}

static const AttentionKernels attention_vector = {page, widen, narrow};

#endif
