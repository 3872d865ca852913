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

/* Sixteen numbers of two rows, rounded, as pairs (even, odd). */
static inline __m512i pair_up(__m512 even, __m512 odd)
{
    uint16_t order[32];
    for (int i = 0; i < 16; i++) {
        order[2 * i] = (uint16_t)i;
        order[2 * i + 1] = (uint16_t)(16 + i);
    }
    return _mm512_permutexvar_epi16(_mm512_loadu_si512(order),
                                    (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}

/* Pairs of the two rows k and k + 1 from row `even` on, n_k - k of which exist. */
static inline __m512i pairs_across(const float *even, size_t stride, int left_k, __mmask16 lanes)
{
    const __m512 e = left_k > 0 ? _mm512_maskz_loadu_ps(lanes, even) : _mm512_setzero_ps();
    const __m512 o = left_k > 1 ? _mm512_maskz_loadu_ps(lanes, even + stride) : _mm512_setzero_ps();
    return pair_up(e, o);
}

/* Four rows of k at a time, through all panels: of width GEMM_ROWS that is a line of each. */
static void pack_across(const GemmSide *side, int width, int from_i, int n_i, int from_k, int n_k,
                        void *panels)
{
    for (int k = 0; k < n_k; k += 4) {
        const float *row = (const float *)side->data + (size_t)(from_k + k) * side->stride + from_i;
        for (int i = 0; i < gemm_steps_end(width, n_i); i += 16) {
            const int left = n_i - i < 0 ? 0 : n_i - i < 16 ? n_i - i : 16;
            const __mmask16 lanes = (__mmask16)((1u << left) - 1);
            __m512i r[16];
            r[0] = pairs_across(row + i, side->stride, n_k - k, lanes);
            r[1] = pairs_across(row + i + 2 * side->stride, side->stride, n_k - k - 2, lanes);
            gemm_store_16(r, n_k - k > 2 ? 2 : 1, panels, width, i, n_i, k / 2);
        }
    }
}

/* Thirty-two k of a row are rounded to sixteen pairs; those of sixteen rows are transposed. */
static void pack_along(const GemmSide *side, int width, int from_i, int n_i, int from_k, int n_k,
                       void *panels)
{
    const float *data = (const float *)side->data + (size_t)from_i * side->stride + from_k;
    for (int i = 0; i < gemm_steps_end(width, n_i); i += 16)
        for (int k = 0; k < n_k; k += 32) {
            const int left = n_k - k < 32 ? n_k - k : 32;
            const uint32_t mask = left == 32 ? 0xffffffffu : (1u << left) - 1;
            __m512i r[16];
            for (int j = 0; j < 16; j++) {
                r[j] = _mm512_setzero_si512();
                if (i + j >= n_i)
                    continue;
                const float *row = data + (size_t)(i + j) * side->stride + k;
                r[j] = (__m512i)_mm512_cvtne2ps_pbh(
                    _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), row + 16),
                    _mm512_maskz_loadu_ps((__mmask16)mask, row));
            }
            transpose_16x16(r);
            gemm_store_16(r, (left + 1) / 2, panels, width, i, n_i, k / 2);
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
                 int n_k, void *panels)
{
    if (mode != GEMM_BF16)
        gemm_pack_avx512(side, mode, width, from_i, n_i, from_k, n_k, panels);
    else if (side->layout == GEMM_ACROSS)
        pack_across(side, width, from_i, n_i, from_k, n_k, panels);
    else if (side->layout == GEMM_ALONG)
        pack_along(side, width, from_i, n_i, from_k, n_k, panels);
    else
        for (int i = 0; i < n_i; i += GEMM_COLS)
            pack_tiles(side, from_i + i, n_i - i, from_k, n_k, gemm_place(panels, GEMM_COLS, i, 0));
}

void gemm_kernels_avx512bf16(GemmKernels *kernels)
{
    kernels->pack = pack;
    kernels->block_bf16 = block_bf16;
    kernels->has_bf16 = true;
}
