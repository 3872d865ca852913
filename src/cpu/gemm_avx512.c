/* gemm.h on AVX-512: blocks of 8 x 32 in sixteen registers; transposing packs in registers. */
#include "cpu/gemm_avx512.h"
#include "cpu/gemm_panels.h"

static void block_f32(int n_k, const void *pa, const void *pb, float *c, size_t c_stride)
{
    const float *a = pa, *b = pb;
    __m512 acc[GEMM_ROWS][2];
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int j = 0; j < 2; j++)
            acc[i][j] = _mm512_loadu_ps(c + (size_t)i * c_stride + 16 * j);
    for (int k = 0; k < n_k; k++, a += GEMM_ROWS, b += GEMM_COLS) {
        const __m512 b0 = _mm512_loadu_ps(b), b1 = _mm512_loadu_ps(b + 16);
        for (int i = 0; i < GEMM_ROWS; i++) {
            const __m512 x = _mm512_set1_ps(a[i]);
            acc[i][0] = _mm512_fmadd_ps(x, b0, acc[i][0]);
            acc[i][1] = _mm512_fmadd_ps(x, b1, acc[i][1]);
        }
    }
    for (int i = 0; i < GEMM_ROWS; i++)
        for (int j = 0; j < 2; j++)
            _mm512_storeu_ps(c + (size_t)i * c_stride + 16 * j, acc[i][j]);
}

/* Rows i of 16 consecutive k become 16 rows of the panels. */
static void pack_along(const GemmSide *side, int width, int from_i, int n_i, int from_k, int n_k,
                       void *panels)
{
    const float *data = (const float *)side->data + (size_t)from_i * side->stride + from_k;
    for (int i = 0; i < gemm_steps_end(width, n_i); i += 16)
        for (int k = 0; k < n_k; k += 16) {
            const int left = n_k - k < 16 ? n_k - k : 16;
            const __mmask16 mask = (__mmask16)((1u << left) - 1);
            __m512i r[16];
            for (int j = 0; j < 16; j++)
                r[j] =
                    i + j < n_i
                        ? _mm512_maskz_loadu_epi32(mask, data + (size_t)(i + j) * side->stride + k)
                        : _mm512_setzero_si512();
            transpose_16x16(r);
            gemm_store_16(r, left, panels, width, i, n_i, k);
        }
}

/* A tile holds, column after column, its 16 rows: columns i become lanes, rows k rows. */
static void pack_tiles_f32(const GemmSide *side, int width, int from_i, int n_i, int from_k,
                           int n_k, void *panels)
{
    for (int k = 0; k < n_k; k += TILE_ROWS) {
        const float *tile = (const float *)side->data +
                            (size_t)((from_k + k) / TILE_ROWS) * (side->stride / sizeof(float));
        const int left = n_k - k < TILE_ROWS ? n_k - k : TILE_ROWS;
        for (int i = 0; i < gemm_steps_end(width, n_i); i += 16) {
            __m512i r[16];
            for (int j = 0; j < 16; j++)
                r[j] = i + j < n_i ? _mm512_loadu_si512(tile + (size_t)(from_i + i + j) * TILE_ROWS)
                                   : _mm512_setzero_si512();
            transpose_16x16(r);
            gemm_store_16(r, left, panels, width, i, n_i, k);
        }
    }
}

void gemm_pack_avx512(const GemmSide *side, GemmMode mode, int width, int from_i, int n_i,
                      int from_k, int n_k, void *panels)
{
    if (mode == GEMM_F32 && side->layout == GEMM_ALONG)
        pack_along(side, width, from_i, n_i, from_k, n_k, panels);
    else if (mode == GEMM_F32 && side->layout == GEMM_TILES_F32)
        pack_tiles_f32(side, width, from_i, n_i, from_k, n_k, panels);
    else
        gemm_pack_as_f32(side, mode, width, from_i, n_i, from_k, n_k, panels);
}

void gemm_kernels_avx512(GemmKernels *kernels)
{
    kernels->pack = gemm_pack_avx512;
    kernels->block_f32 = block_f32;
}
