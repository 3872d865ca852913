/* See low_rank.h. */
#include "tensor/low_rank.h"

#include <string.h>

enum { PIECE_COLS = 512 };

/* Columns col .. col+n-1 of one row. */
static void add_piece(const LowRankUpdate *u, int64_t row, int64_t col, int64_t n, float *w)
{
    float sums[PIECE_COLS];
    memset(sums, 0, sizeof *sums * (size_t)n);
    for (int r = 0; r < u->rank; r++) {
        const float *a = u->a + r * u->n_cols + col, factor = u->b[row * u->rank + r];
        for (int64_t i = 0; i < n; i++)
            sums[i] += factor * a[i];
    }
    for (int64_t i = 0; i < n; i++)
        w[i] += u->scale * sums[i];
}

void low_rank_add(const LowRankUpdate *u, int64_t first, int64_t n, float *w)
{
    for (int64_t done = 0; done < n;) {
        const int64_t row = (first + done) / u->n_cols, col = (first + done) % u->n_cols;
        int64_t piece = u->n_cols - col < n - done ? u->n_cols - col : n - done;
        piece = piece < PIECE_COLS ? piece : PIECE_COLS;
        add_piece(u, row, col, piece, w + done);
        done += piece;
    }
}
