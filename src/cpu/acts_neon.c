/* Activations for quantized and BF16 weights, NEON. See acts.h. */
#include "cpu/matmul_neon.h"

#include <math.h>

/* Largest magnitude of 32 numbers, as bits: these order numbers, and NaN above infinity. */
INLINE uint32_t largest_magnitude(const float *x)
{
    uint32x4_t largest = vdupq_n_u32(0);
    for (int j = 0; j < BLOCK_COLS; j += 4) {
        uint32x4_t bits = vreinterpretq_u32_f32(vld1q_f32(x + j));
        largest = vmaxq_u32(largest, vandq_u32(bits, vdupq_n_u32(0x7fffffff)));
    }
    return vmaxvq_u32(largest);
}

void acts_quantize_neon(const float *x, int n, ActBlock *blocks)
{
    for (int i = 0; i < n; i += BLOCK_COLS, x += BLOCK_COLS, blocks++) {
        uint32_t largest = largest_magnitude(x);
        float amax;
        memcpy(&amax, &largest, sizeof amax);
        if (!(amax >= ACTS_TINY && amax < INFINITY)) { /* rare: nothing, infinity, NaN */
            acts_quantize(x, BLOCK_COLS, blocks);
            continue;
        }
        const float inverse = 127.0f / amax;
        int sums[2];
        for (int half = 0; half < 2; half++) {
            int32x4_t q[4];
            for (int j = 0; j < 4; j++)
                q[j] = vcvtnq_s32_f32(vmulq_n_f32(vld1q_f32(x + 16 * half + 4 * j), inverse));
            sums[half] = vaddvq_s32(vaddq_s32(vaddq_s32(q[0], q[1]), vaddq_s32(q[2], q[3])));
            int16x8_t low = vcombine_s16(vmovn_s32(q[0]), vmovn_s32(q[1]));
            int16x8_t high = vcombine_s16(vmovn_s32(q[2]), vmovn_s32(q[3]));
            vst1q_s8(blocks->quants + 16 * half, vcombine_s8(vmovn_s16(low), vmovn_s16(high)));
        }
        blocks->scale = amax / 127.0f;
        blocks->sum = (float)(sums[0] + sums[1]);
        blocks->minus_sum = -(sums[0] + sums[1]);
        blocks->minus_second = -sums[1];
    }
}

void acts_round_bf16_neon(const float *x, int n, uint16_t *out)
{
    int i = 0;
    for (; i + 4 <= n; i += 4) {
        float32x4_t v = vld1q_f32(x + i);
        uint32x4_t bits = vreinterpretq_u32_f32(v);
        uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
        uint32x4_t up = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
        uint32x4_t nan = vorrq_u32(bits, vdupq_n_u32(0x400000));
        vst1_u16(out + i, vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), up, nan), 16));
    }
    acts_round_bf16(x + i, n - i, out + i);
}
