/* Products with E4M3 weights and a scale for every 128 columns, AVX2: a record of a tile is turned
 * into f32 in scratch, even columns and odd ones apart, and meets up to four rows of x; its sums
 * are scaled and added to y. */
#include "cpu/matmul_avx2.h"

enum { F8_STEPS = 64, F8_HEADER_BYTES = 64, F8_STEP_BYTES = 32, F8_ROWS = 4 };

/* A pair of columns: [odd, even][rows 0-7, rows 8-15]. */
typedef struct Pair {
    __m256 column[2][2];
} Pair;

/* e4m3_to_float of the low bytes of eight lanes. */
INLINE __m256 e4m3_lanes(__m256i v)
{
    __m256i size = _mm256_slli_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0x7f)), 20);
    __m256i sign = _mm256_slli_epi32(_mm256_and_si256(v, _mm256_set1_epi32(0x80)), 24);
    return _mm256_mul_ps(_mm256_castsi256_ps(_mm256_or_si256(size, sign)),
                         _mm256_set1_ps(0x1p120f));
}

INLINE void unpack(const uint8_t *codes, Pair *out)
{
    for (int s = 0; s < F8_STEPS; s++, codes += F8_STEP_BYTES) {
        for (int half = 0; half < 2; half++) {
            __m256i v = _mm256_cvtepu16_epi32(
                _mm_loadu_si128((const __m128i *)(const void *)(codes + 16 * half)));
            out[s].column[0][half] = e4m3_lanes(_mm256_srli_epi32(v, 8));
            out[s].column[1][half] = e4m3_lanes(v);
        }
    }
}

INLINE void multiply(int rows, const Pair *w, const float *scale, const uint16_t *x,
                     size_t x_stride, float *y, size_t y_stride, int y_rows, bool is_first)
{
    __m256 acc[2][F8_ROWS];
    for (int t = 0; t < rows; t++)
        acc[0][t] = acc[1][t] = _mm256_setzero_ps();
    for (int s = 0; s < F8_STEPS; s++) {
        for (int t = 0; t < rows; t++) {
            const uint16_t *pair = x + (size_t)t * x_stride + 2 * s;
            for (int even = 0; even < 2; even++) {
                __m256i bits = _mm256_set1_epi32((int32_t)((uint32_t)pair[1 - even] << 16));
                __m256 v = _mm256_castsi256_ps(bits);
                acc[0][t] = _mm256_fmadd_ps(w[s].column[even][0], v, acc[0][t]);
                acc[1][t] = _mm256_fmadd_ps(w[s].column[even][1], v, acc[1][t]);
            }
        }
    }
    for (int t = 0; t < rows; t++) {
        __m256 low = _mm256_setzero_ps(), high = low;
        if (!is_first)
            load_sums(y + (size_t)t * y_stride, y_rows, &low, &high);
        low = _mm256_fmadd_ps(_mm256_loadu_ps(scale), acc[0][t], low);
        high = _mm256_fmadd_ps(_mm256_loadu_ps(scale + 8), acc[1][t], high);
        store_sums(y + (size_t)t * y_stride, y_rows, low, high);
    }
}

void product_f8_avx2(const Product *p)
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
