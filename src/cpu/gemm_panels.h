/* Packing for gemm.h, compiled once for each instruction-set level by the file that includes it. */
#ifndef WEN_CPU_GEMM_PANELS_H
#define WEN_CPU_GEMM_PANELS_H

#include "base/half.h"
#include "cpu/gemm.h"
#include "cpu/packed.h"

static inline float round_bf16(float x)
{
    uint32_t u = float_bits(x);
    uint32_t rounded = (u + 0x7fffu + (u >> 16 & 1u)) & 0xffff0000u;
    return float_from_bits((u & 0x7fffffffu) > 0x7f800000u ? u | 0x400000u : rounded);
}

static inline float gemm_tile_value(const GemmSide *side, int row, int col)
{
    const uint8_t *tile = (const uint8_t *)side->data + (size_t)(row / TILE_ROWS) * side->stride;
    const int r = row % TILE_ROWS;
    if (side->layout == GEMM_TILES_F32)
        return ((const float *)(const void *)tile)[(size_t)col * TILE_ROWS + (size_t)r];
    const uint16_t *pairs = (const uint16_t *)(const void *)tile;
    return bf16_to_float(pairs[(size_t)(col / 2) * 2 * TILE_ROWS + (size_t)(2 * r + col % 2)]);
}

/* A side that lies across, row after row through all panels. */
static inline void gemm_pack_across_plain(const GemmSide *side, int width, int from_i, int n_i,
                                          int from_k, int n_k, float *restrict out)
{
    const size_t step = gemm_panel_bytes(width) / sizeof(float);
    for (int k = 0; k < n_k; k++) {
        const float *row = (const float *)side->data + (size_t)(from_k + k) * side->stride + from_i;
        float *to = out + (size_t)k * (size_t)width;
        for (int i = 0; i < n_i; i += width, to += step) {
            if (n_i - i < width) {
                memset(to, 0, sizeof(float) * (size_t)width);
                memcpy(to, row + i, sizeof(float) * (size_t)(n_i - i));
            } else if (width == GEMM_ROWS) {
                memcpy(to, row + i, sizeof(float) * GEMM_ROWS);
            } else {
                memcpy(to, row + i, sizeof(float) * GEMM_COLS);
            }
        }
    }
}

/* One panel as f32 in the order of k: [n_k][width]; n_i at most width. */
static inline void gemm_pack_plain(const GemmSide *side, int width, int from_i, int n_i, int from_k,
                                   int n_k, float *restrict out)
{
    const float *data = side->data;
    if (n_i < width)
        memset(out, 0, sizeof(float) * (size_t)n_k * (size_t)width);
    for (int i = 0; i < n_i; i++)
        for (int k = 0; k < n_k; k++)
            out[k * width + i] =
                side->layout == GEMM_ALONG
                    ? data[(size_t)(from_i + i) * side->stride + (size_t)(from_k + k)]
                    : gemm_tile_value(side, from_k + k, from_i + i);
}

/* Rounds a panel; in pairs it also swaps the two of each pair, so that a chain in the order of the
 * panel is the instruction's. The panel has an even number of rows then. */
static inline void gemm_round_panel(float *panel, int width, int n_k, bool swaps)
{
    if (!swaps) {
        for (int i = 0; i < n_k * width; i++)
            panel[i] = round_bf16(panel[i]);
        return;
    }
    for (int k = 0; k < n_k; k += 2) {
        float *even = panel + (size_t)k * (size_t)width, *odd = even + width;
        for (int i = 0; i < width; i++) {
            float e = round_bf16(even[i]);
            even[i] = round_bf16(odd[i]);
            odd[i] = e;
        }
    }
}

/* `pack` of a level without bfloat16 products. */
static inline void gemm_pack_as_f32(const GemmSide *side, GemmMode mode, int width, int from_i,
                                    int n_i, int from_k, int n_k, void *panels)
{
    const int n_pairs = mode == GEMM_BF16 ? n_k + n_k % 2 : n_k;
    if (side->layout == GEMM_ACROSS)
        gemm_pack_across_plain(side, width, from_i, n_i, from_k, n_k, panels);
    for (int i = 0; i < n_i; i += width) {
        float *panel =
            (float *)(void *)((char *)panels + (size_t)(i / width) * gemm_panel_bytes(width));
        if (side->layout != GEMM_ACROSS)
            gemm_pack_plain(side, width, from_i + i, n_i - i < width ? n_i - i : width, from_k, n_k,
                            panel);
        if (mode == GEMM_F32)
            continue;
        memset(panel + (size_t)n_k * (size_t)width, 0,
               sizeof(float) * (size_t)(n_pairs - n_k) * (size_t)width);
        gemm_round_panel(panel, width, n_pairs, mode == GEMM_BF16);
    }
}

#endif
