/* The update that a low-rank adapter stands for, in plain C: W + scale * B A. */
#ifndef WEN_TENSOR_LOW_RANK_H
#define WEN_TENSOR_LOW_RANK_H

#include <stdint.h>

/* a [rank, n_cols], b [n_rows, rank]; host memory, borrowed. */
typedef struct LowRankUpdate {
    int64_t n_cols;
    int rank;
    float scale;
    const float *a, *b;
} LowRankUpdate;

/* w[i] += scale * (B A)[first + i] for n elements of the row-major matrix, wherever they are cut:
 * an element is summed over the ranks in order, then scaled, then added. */
void low_rank_add(const LowRankUpdate *update, int64_t first, int64_t n, float *w);

#endif
