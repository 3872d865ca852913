/* gemm.h with vdpbf16ps: panels of pairs of k, two bfloat16 in 32 bits. */
#include "cpu/gemm_avx512.h"
#include "cpu/gemm_panels.h"

static void block_bf16(int n_k, const void *pa, const void *pb, float *c, size_t c_stride)
{
    const uint32_t *a = pa, *b = pb;
    __m512 acc[GEMM_ROWS][2];
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int j = 0; j < 2; j++)
            acc[i][j] = _mm512_loadu_ps(c + (size_t)i * c_stride + 16 * j);
    for (int k = 0; k < n_k; k += 2, a += GEMM_ROWS, b += GEMM_COLS) {
        const __m512bh b0 = (__m512bh)_mm512_loadu_si512(b);
        const __m512bh b1 = (__m512bh)_mm512_loadu_si512(b + 16);
        for (int i = 0; i < GEMM_ROWS; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_epi32((int)a[i]);
            acc[i][0] = _mm512_dpbf16_ps(acc[i][0], x, b0);
            acc[i][1] = _mm512_dpbf16_ps(acc[i][1], x, b1);
        }
    }
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int j = 0; j < 2; j++)
            _mm512_storeu_ps(c + (size_t)i * c_stride + 16 * j, acc[i][j]);
}

/* The rounded numbers of 16 lanes in the high halves of 32 bits, as vcvtneps2bf16 rounds, but
 * without taking small numbers as zeros. */
static inline __m512i rounded(__m512i u)
{
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i sum = _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i magnitude = _mm512_and_si512(u, _mm512_set1_epi32(0x7fffffff));
    const __mmask16 is_nan = _mm512_cmpgt_epi32_mask(magnitude, _mm512_set1_epi32(0x7f800000));
    return _mm512_mask_or_epi32(sum, is_nan, u, _mm512_set1_epi32(0x400000));
}

/* Pairs (even k, odd k) of 16 lanes. */
static inline __m512i pair_up(__m512i even, __m512i odd)
{
    const __m512i high = _mm512_and_si512(rounded(odd), _mm512_set1_epi32((int)0xffff0000u));
    return _mm512_or_si512(_mm512_srli_epi32(rounded(even), 16), high);
}

static void pack_across(const GemmSide *side, int width, int from_i, int n_i, int from_k, int n_k,
                        uint32_t *out)
{
    const float *data = (const float *)side->data + from_i;
    for (int k = 0; k < n_k; k += 2) {
        const float *even = data + (size_t)(from_k + k) * side->stride;
        const float *odd = even + side->stride;
        for (int i0 = 0; i0 < width; i0 += 16) {
            const int left = n_i - i0 < 0 ? 0 : n_i - i0 < 16 ? n_i - i0 : 16;
            const __mmask16 lanes = (__mmask16)((1u << left) - 1);
            const __mmask16 store = width - i0 >= 16 ? 0xffff : (__mmask16)0xff;
            const __m512i e = _mm512_maskz_loadu_epi32(lanes, even + i0);
            const __m512i o =
                k + 1 < n_k ? _mm512_maskz_loadu_epi32(lanes, odd + i0) : _mm512_setzero_si512();
            _mm512_mask_storeu_epi32(out + (size_t)(k / 2) * (size_t)width + i0, store,
                                     pair_up(e, o));
        }
    }
}

/* Sixteen k of a row are rounded to eight pairs; two such halves make the sixteen columns that are
 * then transposed. */
static void pack_along(const GemmSide *side, int width, int from_i, int n_i, int from_k, int n_k,
                       uint32_t *out)
{
    const float *data = side->data;
    const __m512i evens =
        _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odds =
        _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    for (int i0 = 0; i0 < width; i0 += 16) {
        const __mmask16 store = width - i0 >= 16 ? 0xffff : (__mmask16)0xff;
        for (int k = 0; k < n_k; k += 32) {
            const int left = n_k - k < 32 ? n_k - k : 32;
            const uint32_t mask = left == 32 ? 0xffffffffu : (1u << left) - 1;
            __m512i r[16];
            for (int i = 0; i < 16; i++) {
                r[i] = _mm512_setzero_si512();
                if (i0 + i >= n_i)
                    continue;
                const float *row = data + (size_t)(from_i + i0 + i) * side->stride + from_k + k;
                const __m512i low = _mm512_maskz_loadu_epi32((__mmask16)mask, row);
                const __m512i high = _mm512_maskz_loadu_epi32((__mmask16)(mask >> 16), row + 16);
                r[i] = pair_up(_mm512_permutex2var_epi32(low, evens, high),
                               _mm512_permutex2var_epi32(low, odds, high));
            }
            transpose_16x16(r);
            for (int j = 0; j < (left + 1) / 2; j++)
                _mm512_mask_storeu_epi32(out + (size_t)(k / 2 + j) * (size_t)width + i0, store,
                                         r[j]);
        }
    }
}

/* A tile holds pairs of columns of its 16 rows. Transposed, a register is a row of 32 columns; the
 * words of two rows (k, k + 1) are then interleaved. Columns beyond the weight's are masked. */
static void pack_tiles(const GemmSide *side, int from_i, int n_i, int from_k, int n_k,
                       uint32_t *out)
{
    const int n_pairs = (n_i + 1) / 2; /* of columns in this panel */
    const uint32_t exists = n_i >= 32 ? 0xffffffffu : (1u << n_i) - 1;
    __m512i first, second; /* words (i of even row, i of odd row), i = 0..15 and 16..31 */
    uint16_t index[2][32];
    for (int i = 0; i < 32; i++) {
        index[i / 16][2 * (i % 16)] = (uint16_t)i;
        index[i / 16][2 * (i % 16) + 1] = (uint16_t)(32 + i);
    }
    first = _mm512_loadu_si512(index[0]);
    second = _mm512_loadu_si512(index[1]);
    for (int k = 0; k < n_k; k += TILE_ROWS) {
        const uint32_t *tile =
            (const uint32_t *)side->data + (size_t)((from_k + k) / TILE_ROWS) * (side->stride / 4);
        const int left = n_k - k < TILE_ROWS ? n_k - k : TILE_ROWS;
        __m512i r[16];
        for (int i = 0; i < 16; i++)
            r[i] = i < n_pairs ? _mm512_loadu_si512(tile + (size_t)(from_i / 2 + i) * TILE_ROWS)
                               : _mm512_setzero_si512();
        transpose_16x16(r);
        for (int j = 0; j < left; j += 2) {
            const __m512i even = _mm512_maskz_mov_epi16(exists, r[j]);
            const __m512i odd =
                j + 1 < left ? _mm512_maskz_mov_epi16(exists, r[j + 1]) : _mm512_setzero_si512();
            uint32_t *to = out + (size_t)((k + j) / 2) * GEMM_COLS;
            _mm512_storeu_si512(to, _mm512_permutex2var_epi16(even, first, odd));
            _mm512_storeu_si512(to + 16, _mm512_permutex2var_epi16(even, second, odd));
        }
    }
}

static void pack(const GemmSide *side, GemmMode mode, int width, int from_i, int n_i, int from_k,
                 int n_k, void *panel)
{
    if (mode != GEMM_BF16)
        gemm_pack_avx512(side, mode, width, from_i, n_i, from_k, n_k, panel);
    else if (side->layout == GEMM_ACROSS)
        pack_across(side, width, from_i, n_i, from_k, n_k, panel);
    else if (side->layout == GEMM_ALONG)
        pack_along(side, width, from_i, n_i, from_k, n_k, panel);
    else
        pack_tiles(side, from_i, n_i, from_k, n_k, panel);
}

void gemm_kernels_avx512bf16(GemmKernels *kernels)
{
    kernels->pack = pack;
    kernels->block_bf16 = block_bf16;
    kernels->has_bf16 = true;
}
