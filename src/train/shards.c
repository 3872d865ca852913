/* See shards.h. */
#include "train/shards.h"

#include <string.h>

static size_t n_pieces_of(size_t n) { return (n + SQUARES_PIECE - 1) / SQUARES_PIECE; }

static size_t matrix_size(const Param *p) { return (size_t)p->n_rows * (size_t)p->n_cols; }

static size_t param_pieces(const Param *p)
{
    return (size_t)p->n_mats * n_pieces_of(matrix_size(p));
}

/* ---- Cutting
 * ----------------------------------------------------------------------------------------- */

/* The parameter that holds element `at`, padding included, and the pieces before it. */
static const Param *param_at(const Params *p, size_t at, size_t *n_pieces)
{
    int i = 0;
    *n_pieces = 0;
    for (; i + 1 < p->n && p->items[i + 1].offset <= at; i++)
        *n_pieces += param_pieces(&p->items[i]);
    return &p->items[i];
}

/* The place nearest to `target` where a part may begin, and the pieces before it. */
static size_t nearest_cut(const Params *p, size_t target, bool (*is_whole)(const Param *),
                          size_t *n_pieces)
{
    const Param *param = param_at(p, target, n_pieces);
    const size_t one = matrix_size(param), inside = target - param->offset;
    const size_t end =
        param == &p->items[p->n - 1] ? p->size - param->offset : param[1].offset - param->offset;
    size_t mat = inside / one;
    if (mat >= (size_t)param->n_mats) /* in the padding */
        mat = (size_t)param->n_mats - 1;
    const size_t step = is_whole && is_whole(param) ? one : SQUARES_PIECE;
    const size_t steps = (inside - mat * one + step / 2) / step;
    if (steps * step < one) {
        *n_pieces += mat * n_pieces_of(one) + (step == one ? 0 : steps);
        return param->offset + mat * one + steps * step;
    }
    *n_pieces += (mat + 1) * n_pieces_of(one);
    return param->offset + (mat + 1 < (size_t)param->n_mats ? (mat + 1) * one : end);
}

bool shards_open(Shards *s, const Params *p, int n, bool (*is_whole)(const Param *), Error *err)
{
    Backend *b = p->model->backend;
    *s = (Shards){.params = p, .n = n, .mine = n > 1 ? b->rank : 0};
    s->cuts = ARENA_ARRAY(&s->arena, size_t, n + 1);
    s->byte_cuts = ARENA_ARRAY(&s->arena, size_t, n + 1);
    s->piece_cuts = ARENA_ARRAY(&s->arena, size_t, n + 1);
    for (int i = 0; i < p->n; i++)
        s->n_pieces += param_pieces(&p->items[i]);
    for (int r = 0; r <= n; r++) {
        size_t n_pieces = 0;
        s->cuts[r] = r == 0 ? 0
                     : r == n
                         ? p->size
                         : nearest_cut(p, p->size / (size_t)n * (size_t)r, is_whole, &n_pieces);
        s->byte_cuts[r] = s->cuts[r] * sizeof(float);
        s->piece_cuts[r] = (r == n ? s->n_pieces : n_pieces) * sizeof(double);
    }
    const size_t bytes = s->n_pieces * sizeof(double);
    s->squares = b->alloc(b, bytes, "the gradient's norm", err);
    s->host_squares = s->squares ? mem_try_alloc(bytes, "the gradient's norm", err) : NULL;
    if (s->host_squares)
        return true;
    shards_close(s);
    return false;
}

void shards_close(Shards *s)
{
    if (!s->params)
        return;
    Backend *b = s->params->model->backend;
    if (s->squares)
        b->free(b, s->squares, s->n_pieces * sizeof(double));
    mem_free(s->host_squares);
    arena_close(&s->arena);
    *s = (Shards){0};
}

/* ---- Using
 * ------------------------------------------------------------------------------------------- */

size_t shards_size(const Shards *s) { return s->cuts[s->mine + 1] - s->cuts[s->mine]; }

bool shards_overlap(const Shards *s, size_t first, size_t n, size_t *from, size_t *to)
{
    const size_t low = s->cuts[s->mine], high = s->cuts[s->mine + 1];
    *from = first > low ? first : low;
    *to = first + n < high ? first + n : high;
    return *from < *to;
}

/* The pieces' sums in order. */
static double fold(const Shards *s, size_t n_pieces)
{
    Backend *b = s->params->model->backend;
    double sum = 0;
    b->fetch(b, s->host_squares, s->squares, n_pieces * sizeof(double));
    for (size_t i = 0; i < n_pieces; i++)
        sum += s->host_squares[i];
    return sum;
}

double shards_sum_squares(const Shards *s, const float *x)
{
    Backend *b = s->params->model->backend;
    size_t piece = 0, from, to;
    for (int i = 0; i < s->params->n; i++) {
        const Param *p = &s->params->items[i];
        const size_t one = matrix_size(p);
        for (int mat = 0; mat < p->n_mats; mat++, piece += n_pieces_of(one)) {
            const size_t start = p->offset + (size_t)mat * one;
            if (shards_overlap(s, start, one, &from, &to))
                b->sum_squares(b, x + (from - s->cuts[s->mine]), to - from,
                               s->squares + piece + (from - start) / SQUARES_PIECE);
        }
    }
    if (s->n > 1)
        b->all_gather(b, (char *)s->squares + s->piece_cuts[s->mine], s->piece_cuts, s->squares);
    return fold(s, s->n_pieces);
}

double shards_matrix_squares(const Shards *s, const float *x, size_t n)
{
    Backend *b = s->params->model->backend;
    b->sum_squares(b, x, n, s->squares);
    return fold(s, n_pieces_of(n));
}
