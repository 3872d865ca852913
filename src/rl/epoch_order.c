/* See epoch_order.h. */
#include "rl/epoch_order.h"

#include "base/rng.h"

EpochOrder epoch_order(uint64_t seed, int n, Arena *arena)
{
    return (EpochOrder){seed, n, ARENA_ARRAY(arena, int32_t, n), -1};
}

static void shuffle(EpochOrder *order, int64_t epoch)
{
    Rng rng = {rng_counter(order->seed, (uint64_t)epoch, 0)};
    for (int i = 0; i < order->n; i++)
        order->items[i] = i;
    for (int i = order->n - 1; i > 0; i--) {
        const int j = (int)rng_below(&rng, (uint64_t)i + 1);
        const int32_t kept = order->items[i];
        order->items[i] = order->items[j];
        order->items[j] = kept;
    }
    order->epoch = epoch;
}

int epoch_order_at(EpochOrder *order, int64_t draw)
{
    if (order->epoch != draw / order->n)
        shuffle(order, draw / order->n);
    return order->items[draw % order->n];
}
