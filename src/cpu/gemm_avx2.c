/* gemm.h on AVX2: blocks of 4 x 16 in eight registers. */
#include "cpu/gemm_panels.h"

#include <immintrin.h>

static void block_4x16(int n_k, const float *a, const float *b, float *c, size_t stride)
{
    __m256 acc[4][2];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            acc[i][j] = _mm256_loadu_ps(c + (size_t)i * stride + 8 * j);
    for (int k = 0; k < n_k; k++, a += GEMM_ROWS, b += GEMM_COLS) {
        const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
        for (int i = 0; i < 4; i++) {
            const __m256 x = _mm256_broadcast_ss(a + i);
            acc[i][0] = _mm256_fmadd_ps(x, b0, acc[i][0]);
            acc[i][1] = _mm256_fmadd_ps(x, b1, acc[i][1]);
        }
    }
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 2; j++)
            _mm256_storeu_ps(c + (size_t)i * stride + 8 * j, acc[i][j]);
}

static void block_f32(int n_k, const void *a, const void *b, float *c, size_t c_stride)
{
    for (int j = 0; j < GEMM_COLS; j += 16)
        for (int i = 0; i < GEMM_ROWS; i += 4)
            block_4x16(n_k, (const float *)a + i, (const float *)b + j,
                       c + (size_t)i * c_stride + j, c_stride);
}

void gemm_kernels_avx2(GemmKernels *kernels)
{
    kernels->pack = gemm_pack_as_f32;
    kernels->block_f32 = block_f32;
}
