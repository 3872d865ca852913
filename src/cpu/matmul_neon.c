/* Products with F32, F16 and BF16 weights, NEON: one tile (four registers) times up to six rows of
 * x are twenty-four sums in registers. With many rows the columns are taken in panels that stay in
 * the caches while all rows pass; between panels the sums wait in y. See matmul.h. */
#include "cpu/matmul_neon.h"

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

/* A quarter of the rows; of BF16, both columns of a pair. */
INLINE float32x4_t plain_load(PlainKind kind, const uint8_t *w, int quarter)
{
    if (kind == PLAIN_F16)
        return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8(w + 8 * quarter)));
    return vreinterpretq_f32_u8(vld1q_u8(w + 16 * quarter));
}

INLINE float32x4_t odd_of(float32x4_t pair)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(pair), vdupq_n_u32(0xffff0000u)));
}

INLINE float32x4_t even_of(float32x4_t pair)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(pair), 16));
}

INLINE void plain_panel(PlainKind kind, int rows, const PlainPanel *p)
{
    float32x4_t acc[PLAIN_ROWS][QUARTERS];
    for (int t = 0; t < rows; t++) {
        for (int i = 0; i < QUARTERS; i++)
            acc[t][i] = vdupq_n_f32(0);
        if (!p->is_first)
            load_sums(p->y + (size_t)t * p->y_stride, p->n_rows, acc[t]);
    }
    const uint8_t *w = p->w, *x = p->x;
    for (int s = 0; s < p->n_steps; s++, w += plain_step_bytes(kind), x += 4) {
        float32x4_t a[QUARTERS];
        for (int i = 0; i < QUARTERS; i++)
            a[i] = plain_load(kind, w, i);
        for (int t = 0; t < rows; t++) {
            float four;
            memcpy(&four, x + (size_t)t * p->x_stride, sizeof four);
            float32x4_t v = vdupq_n_f32(four);
            for (int i = 0; i < QUARTERS; i++) {
                if (kind == PLAIN_BF16) {
                    acc[t][i] = vfmaq_f32(acc[t][i], odd_of(a[i]), odd_of(v));
                    acc[t][i] = vfmaq_f32(acc[t][i], even_of(a[i]), even_of(v));
                } else {
                    acc[t][i] = vfmaq_f32(acc[t][i], a[i], v);
                }
            }
        }
    }
    for (int t = 0; t < rows; t++)
        store_sums(p->y + (size_t)t * p->y_stride, p->n_rows, acc[t]);
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

static void product_f32_neon(const Product *p) { plain_product(PLAIN_F32, p); }

static void product_f16_neon(const Product *p) { plain_product(PLAIN_F16, p); }

static void product_bf16_neon(const Product *p) { plain_product(PLAIN_BF16, p); }

void matmul_kernels_neon(MatmulKernels *kernels)
{
    matmul_q_kernels_neon(kernels);
    kernels->product[DTYPE_F32] = product_f32_neon;
    kernels->product[DTYPE_F16] = product_f16_neon;
    kernels->product[DTYPE_BF16] = product_bf16_neon;
    kernels->product[DTYPE_F8_128] = product_f8_neon;
    kernels->acts = (ActsKernels){acts_quantize_neon, acts_round_bf16_neon};
}
