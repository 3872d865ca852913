/* Products with F32, F16 and BF16 weights, AVX2: one tile (two registers) times up to six rows of x
 * are twelve sums in registers. With many rows the columns are taken in panels that stay in the
 * caches while all rows pass; between panels the sums wait in y. See matmul.h. */
#include "cpu/matmul_avx2.h"

enum { PLAIN_ROWS = 6, PLAIN_PANEL_BYTES = 16 * 1024 };

typedef enum PlainKind { PLAIN_F32, PLAIN_F16, PLAIN_BF16 } PlainKind;

/* Some columns of a tile, and where their sums are. A step is what 4 bytes of x hold: a column, or
 * a pair of columns of BF16. */
typedef struct PlainPanel {
    const uint8_t *w;
    const uint8_t *x; /* rows x_stride bytes apart */
    size_t x_stride;
    int n_steps, n_rows; /* n_rows: of W */
    float *y;
    size_t y_stride;
    bool is_first;
} PlainPanel;

/* Bytes of a step in a tile. */
INLINE size_t plain_step_bytes(PlainKind kind) { return kind == PLAIN_F16 ? 32 : 64; }

INLINE __m256 plain_load(PlainKind kind, const uint8_t *w, int half)
{
    if (kind == PLAIN_F16)
        return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(w + 16 * half)));
    return _mm256_loadu_ps((const float *)(const void *)(w + 32 * half));
}

INLINE __m256 odd_of(__m256 pair)
{
    return _mm256_and_ps(pair, _mm256_castsi256_ps(_mm256_set1_epi32((int32_t)0xffff0000)));
}

INLINE __m256 even_of(__m256 pair)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(pair), 16));
}

INLINE void plain_panel(PlainKind kind, int rows, const PlainPanel *p)
{
    __m256 acc[2][PLAIN_ROWS];
    for (int t = 0; t < rows; t++) {
        acc[0][t] = acc[1][t] = _mm256_setzero_ps();
        if (!p->is_first)
            load_sums(p->y + (size_t)t * p->y_stride, p->n_rows, &acc[0][t], &acc[1][t]);
    }
    const uint8_t *w = p->w, *x = p->x;
    for (int s = 0; s < p->n_steps; s++, w += plain_step_bytes(kind), x += 4) {
        __m256 a = plain_load(kind, w, 0), b = plain_load(kind, w, 1);
        for (int t = 0; t < rows; t++) {
            __m256 v =
                _mm256_broadcast_ss((const float *)(const void *)(x + (size_t)t * p->x_stride));
            if (kind == PLAIN_BF16) {
                acc[0][t] = _mm256_fmadd_ps(odd_of(a), odd_of(v), acc[0][t]);
                acc[1][t] = _mm256_fmadd_ps(odd_of(b), odd_of(v), acc[1][t]);
                acc[0][t] = _mm256_fmadd_ps(even_of(a), even_of(v), acc[0][t]);
                acc[1][t] = _mm256_fmadd_ps(even_of(b), even_of(v), acc[1][t]);
            } else {
                acc[0][t] = _mm256_fmadd_ps(a, v, acc[0][t]);
                acc[1][t] = _mm256_fmadd_ps(b, v, acc[1][t]);
            }
        }
    }
    for (int t = 0; t < rows; t++)
        store_sums(p->y + (size_t)t * p->y_stride, p->n_rows, acc[0][t], acc[1][t]);
}

INLINE void plain_rows(PlainKind kind, int rows, const PlainPanel *p)
{
#define ROWS(n)                                                                                    \
    case n:                                                                                        \
        plain_panel(kind, n, p);                                                                   \
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

INLINE void plain_product(PlainKind kind, const Product *p)
{
    bool is_bf16 = kind == PLAIN_BF16;
    const uint8_t *x = (const uint8_t *)(is_bf16 ? (const void *)p->acts.bf16 : p->acts.f32);
    size_t x_stride = is_bf16 ? p->acts.bf16_stride * 2 : p->acts.f32_stride * 4;
    int n_steps = is_bf16 ? (p->acts.n_cols + 1) / 2 : p->acts.n_cols;
    int n_groups = (p->acts.n_rows + PLAIN_ROWS - 1) / PLAIN_ROWS;
    int steps = n_groups == 1 ? n_steps : (int)(PLAIN_PANEL_BYTES / plain_step_bytes(kind));
    for (int tile = 0; tile < p->n_tiles; tile++) {
        const uint8_t *w = p->tiles + (size_t)tile * p->tile_bytes;
        for (int s = 0; s < n_steps; s += steps) {
            PlainPanel panel = {.w = w + (size_t)s * plain_step_bytes(kind),
                                .x_stride = x_stride,
                                .n_steps = n_steps - s < steps ? n_steps - s : steps,
                                .n_rows = tile_rows(p, tile),
                                .y_stride = p->y_stride,
                                .is_first = s == 0};
            for (int group = 0; group < n_groups; group++) {
                int from = p->acts.n_rows * group / n_groups;
                int rows = p->acts.n_rows * (group + 1) / n_groups - from;
                panel.x = x + (size_t)from * x_stride + (size_t)s * 4;
                panel.y = p->y + (size_t)from * p->y_stride + (size_t)tile * TILE_ROWS;
                plain_rows(kind, rows, &panel);
            }
        }
    }
}

static void product_f32_avx2(const Product *p) { plain_product(PLAIN_F32, p); }

static void product_f16_avx2(const Product *p) { plain_product(PLAIN_F16, p); }

static void product_bf16_avx2(const Product *p) { plain_product(PLAIN_BF16, p); }

void matmul_kernels_avx2(MatmulKernels *kernels)
{
    matmul_q_kernels_avx2(kernels);
    kernels->product[DTYPE_F32] = product_f32_avx2;
    kernels->product[DTYPE_F16] = product_f16_avx2;
    kernels->product[DTYPE_BF16] = product_bf16_avx2;
    kernels->product[DTYPE_F8_128] = product_f8_avx2;
    kernels->acts = (ActsKernels){acts_quantize_avx2, acts_round_bf16_avx2};
}
