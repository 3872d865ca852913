/* gemm.h on NEON: blocks of 8 x 8 in sixteen registers. */
#include "cpu/gemm_panels.h"

#include <arm_neon.h>

static inline __attribute__((always_inline)) void add_row(float32x4_t acc[2], float32x4_t b0,
                                                          float32x4_t b1, float x)
{
    acc[0] = vfmaq_n_f32(acc[0], b0, x);
    acc[1] = vfmaq_n_f32(acc[1], b1, x);
}

static void block_8x8(int n_k, const float *a, const float *b, float *c, size_t stride)
{
    float32x4_t acc[8][2];
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 2; j++)
            acc[i][j] = vld1q_f32(c + (size_t)i * stride + 4 * j);
    for (int k = 0; k < n_k; k++, a += GEMM_ROWS, b += GEMM_COLS) {
        const float32x4_t b0 = vld1q_f32(b), b1 = vld1q_f32(b + 4);
        const float32x4_t low = vld1q_f32(a), high = vld1q_f32(a + 4);
        add_row(acc[0], b0, b1, vgetq_lane_f32(low, 0));
        add_row(acc[1], b0, b1, vgetq_lane_f32(low, 1));
        add_row(acc[2], b0, b1, vgetq_lane_f32(low, 2));
        add_row(acc[3], b0, b1, vgetq_lane_f32(low, 3));
        add_row(acc[4], b0, b1, vgetq_lane_f32(high, 0));
        add_row(acc[5], b0, b1, vgetq_lane_f32(high, 1));
        add_row(acc[6], b0, b1, vgetq_lane_f32(high, 2));
        add_row(acc[7], b0, b1, vgetq_lane_f32(high, 3));
    }
    for (int i = 0; i < 8; i++)
        for (int j = 0; j < 2; j++)
            vst1q_f32(c + (size_t)i * stride + 4 * j, acc[i][j]);
}

static void block_f32(int n_k, const void *a, const void *b, float *c, size_t c_stride)
{
    _Static_assert(GEMM_ROWS == 8, "a block has all rows of a panel");
    for (int j = 0; j < GEMM_COLS; j += 8)
        block_8x8(n_k, a, (const float *)b + j, c + j, c_stride);
}

void gemm_kernels_neon(GemmKernels *kernels)
{
    kernels->pack = gemm_pack_as_f32;
    kernels->block_f32 = block_f32;
}
