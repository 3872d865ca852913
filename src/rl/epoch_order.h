/* The order in which a stage goes through its items: each epoch a shuffle of its own. The n-th draw
 * is a function of the seed, n, and the number of items, so a resumed run needs only n. */
#ifndef WEN_RL_EPOCH_ORDER_H
#define WEN_RL_EPOCH_ORDER_H

#include "base/mem.h"

typedef struct EpochOrder {
    uint64_t seed;
    int n;
    int32_t *items; /* [n], of this epoch */
    int64_t epoch;  /* -1: none yet */
} EpochOrder;

/* Its memory is in `arena`; n is at least 1. */
EpochOrder epoch_order(uint64_t seed, int n, Arena *arena);
/* Which item the draw-th one is, draw from 0. */
int epoch_order_at(EpochOrder *order, int64_t draw);

#endif
