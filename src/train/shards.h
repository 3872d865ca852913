/* How the flat arrays of a training run (params.h) are divided over the ranks: a part of
 * consecutive elements each, nearly equal. Masters and the optimizer's state live in parts;
 * gradients are summed into them, and new weights gathered out of them.
 *
 * A part begins where a matrix does or, where the optimizer treats elements one by one, a whole
 * number of SQUARES_PIECE elements into one. So the pieces in which squares are summed for a norm
 * are the same for any number of parts, and the norm is too, to the bit. */
#ifndef WEN_TRAIN_SHARDS_H
#define WEN_TRAIN_SHARDS_H

#include "train/params.h"

typedef struct Shards {
    const Params *params;
    int n, mine;        /* parts, and which is this rank's; 1 and 0: nothing is divided */
    size_t *cuts;       /* [n + 1], elements: part r is cuts[r] .. cuts[r+1]-1 */
    size_t *byte_cuts;  /* the same in bytes of f32 */
    size_t *piece_cuts; /* [n + 1], in bytes of the list of pieces' sums */
    size_t n_pieces;
    double *squares, *host_squares; /* [n_pieces]: device, host */
    Arena arena;
} Shards;

/* is_whole: whether a parameter's matrices may not be cut (param_is_inner: Muon's); NULL: all may.
 * n is 1, or the backend's number of ranks. */
bool shards_open(Shards *s, const Params *p, int n, bool (*is_whole)(const Param *),
                 Error *err) MUST_USE;
void shards_close(Shards *s); /* a zeroed one is fine */

/* Elements of this rank's part. */
size_t shards_size(const Shards *s);
/* Places from .. to-1 that this part has of the elements first .. first+n-1; false: none. */
bool shards_overlap(const Shards *s, size_t first, size_t n, size_t *from, size_t *to);
/* The sum of squares of the whole array whose part is `x` (device), in double; the same on every
 * rank. All ranks call it. */
double shards_sum_squares(const Shards *s, const float *x);
/* The same of one matrix of n elements, by this rank alone. */
double shards_matrix_squares(const Shards *s, const float *x, size_t n);

#endif
