/* Products with E4M3 weights and a scale for every 128 columns, NEON: a record of a tile is turned
 * into f32 in scratch, even columns and odd ones apart, and meets up to four rows of x; its sums
 * are scaled and added to y. */
#include "cpu/matmul_neon.h"

enum { F8_STEPS = 64, F8_HEADER_BYTES = 64, F8_STEP_BYTES = 32, F8_ROWS = 4 };

/* A pair of columns: [odd, even][rows]. */
typedef struct Pair {
    float column[2][TILE_ROWS];
} Pair;

/* e4m3_to_float of the low bytes of four lanes. */
INLINE float32x4_t e4m3_lanes(uint32x4_t v)
{
    uint32x4_t size = vshlq_n_u32(vandq_u32(v, vdupq_n_u32(0x7f)), 20);
    uint32x4_t sign = vshlq_n_u32(vandq_u32(v, vdupq_n_u32(0x80)), 24);
    return vmulq_n_f32(vreinterpretq_f32_u32(vorrq_u32(size, sign)), 0x1p120f);
}

INLINE void unpack(const uint8_t *codes, Pair *out)
{
    for (int s = 0; s < F8_STEPS; s++, codes += F8_STEP_BYTES) {
        for (int i = 0; i < QUARTERS; i++) {
            uint32x4_t v = vmovl_u16(vreinterpret_u16_u8(vld1_u8(codes + 8 * i)));
            vst1q_f32(out[s].column[0] + QUARTER_ROWS * i, e4m3_lanes(vshrq_n_u32(v, 8)));
            vst1q_f32(out[s].column[1] + QUARTER_ROWS * i, e4m3_lanes(v));
        }
    }
}

INLINE void multiply(int rows, const Pair *w, const float *scale, const uint16_t *x,
                     size_t x_stride, float *y, size_t y_stride, int y_rows, bool is_first)
{
    float32x4_t acc[F8_ROWS][QUARTERS];
    for (int t = 0; t < rows; t++)
        for (int i = 0; i < QUARTERS; i++)
            acc[t][i] = vdupq_n_f32(0);
    for (int s = 0; s < F8_STEPS; s++) {
        for (int t = 0; t < rows; t++) {
            const uint16_t *pair = x + (size_t)t * x_stride + 2 * s;
            for (int even = 0; even < 2; even++) {
                uint32_t bits = (uint32_t)pair[1 - even] << 16;
                float32x4_t v = vreinterpretq_f32_u32(vdupq_n_u32(bits));
                for (int i = 0; i < QUARTERS; i++)
                    acc[t][i] =
                        vfmaq_f32(acc[t][i], vld1q_f32(w[s].column[even] + QUARTER_ROWS * i), v);
            }
        }
    }
    for (int t = 0; t < rows; t++) {
        float32x4_t sums[QUARTERS];
        for (int i = 0; i < QUARTERS; i++)
            sums[i] = vdupq_n_f32(0);
        if (!is_first)
            load_sums(y + (size_t)t * y_stride, y_rows, sums);
        for (int i = 0; i < QUARTERS; i++)
            sums[i] = vfmaq_f32(sums[i], vld1q_f32(scale + QUARTER_ROWS * i), acc[t][i]);
        store_sums(y + (size_t)t * y_stride, y_rows, sums);
    }
}

void product_f8_neon(const Product *p)
{
    Pair *w = p->scratch;
    const size_t record_bytes = F8_HEADER_BYTES + F8_STEPS * F8_STEP_BYTES;
    const size_t x_stride = p->acts.bf16_stride;
    _Static_assert(F8_STEPS * sizeof(Pair) <= PRODUCT_SCRATCH_BYTES, "a record must fit");
    for (int tile = 0; tile < p->n_tiles; tile++) {
        const uint8_t *record = p->tiles + (size_t)tile * p->tile_bytes;
        const int y_rows = tile_rows(p, tile);
        for (int k = 0; k < p->acts.n_cols; k += 2 * F8_STEPS, record += record_bytes) {
            float scale[TILE_ROWS];
            memcpy(scale, record, sizeof scale);
            unpack(record + F8_HEADER_BYTES, w);
            for (int t = 0; t < p->acts.n_rows; t += F8_ROWS) {
                const uint16_t *x = p->acts.bf16 + (size_t)t * x_stride + k;
                float *y = p->y + (size_t)t * p->y_stride + (size_t)tile * TILE_ROWS;
                switch (p->acts.n_rows - t) {
                case 1:
                    multiply(1, w, scale, x, x_stride, y, p->y_stride, y_rows, k == 0);
                    break;
                case 2:
                    multiply(2, w, scale, x, x_stride, y, p->y_stride, y_rows, k == 0);
                    break;
                case 3:
                    multiply(3, w, scale, x, x_stride, y, p->y_stride, y_rows, k == 0);
                    break;
                default:
                    multiply(4, w, scale, x, x_stride, y, p->y_stride, y_rows, k == 0);
                }
            }
        }
    }
}
