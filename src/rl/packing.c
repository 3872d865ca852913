/* See packing.h. */
#include "rl/packing.h"

#include <stdlib.h>

typedef struct ByLength {
    int n, i;
} ByLength;

static int longer_first(const void *a, const void *b)
{
    const ByLength *x = a, *y = b;
    return x->n != y->n ? (x->n < y->n ? 1 : -1) : (x->i > y->i) - (x->i < y->i);
}

/* Rows in work, [n] each. */
typedef struct Filling {
    int *filled; /* tokens */
    int *last;   /* item; -1: none */
} Filling;

static void put(Packing *p, Filling *f, int row, int item, int n_tokens)
{
    f->filled[row] += n_tokens;
    p->next[item] = -1;
    if (f->last[row] >= 0)
        p->next[f->last[row]] = item;
    else
        p->first[row] = item;
    f->last[row] = item;
    if (row >= p->n_rows)
        p->n_rows = row + 1;
}

/* The first `least` items open a row each, so that no grain is empty. */
static void pack(Packing *p, const ByLength *order, int n, int row_tokens, int least, Arena *arena)
{
    Filling f = {ARENA_ARRAY(arena, int, n), ARENA_ARRAY(arena, int, n)};
    *p = (Packing){0, ARENA_ARRAY(arena, int, n), ARENA_ARRAY(arena, int, n)};
    for (int i = 0; i < n; i++) {
        p->first[i] = f.last[i] = -1;
        f.filled[i] = 0;
    }
    for (int i = 0; i < n; i++) {
        int row = i < least ? i : 0;
        while (f.filled[row] > 0 && f.filled[row] + order[i].n > row_tokens)
            row++;
        put(p, &f, row, order[i].i, order[i].n);
    }
}

bool packing_make(Packing *p, const int *lengths, int n, int row_tokens, int grains, Arena *arena)
{
    if (n < grains)
        return false;
    ByLength *order = ARENA_ARRAY(arena, ByLength, n);
    for (int i = 0; i < n; i++)
        order[i] = (ByLength){lengths[i], i};
    qsort(order, (size_t)n, sizeof *order, longer_first);
    int least = grains;
    do { /* until the rows divide into grains; n of them always do where grains divides n */
        pack(p, order, n, row_tokens, least, arena);
        least = (p->n_rows + grains - 1) / grains * grains;
    } while (p->n_rows % grains != 0 && least <= n);
    return p->n_rows % grains == 0;
}
