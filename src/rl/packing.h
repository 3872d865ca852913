/* Documents packed into rows of a batch: first-fit, the longest first. */
#ifndef WEN_RL_PACKING_H
#define WEN_RL_PACKING_H

#include "base/mem.h"

/* Row r holds items first[r], next[first[r]], ... up to -1. */
typedef struct Packing {
    int n_rows;
    int *first, *next;
} Packing;

/* n items of lengths [n], none longer than row_tokens. The number of rows is a multiple of
 * `grains`; false when n items cannot be divided so. Memory is in `arena`. */
bool packing_make(Packing *p, const int *lengths, int n, int row_tokens, int grains, Arena *arena);

#endif
