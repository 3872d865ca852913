/* See seen.h. */
#include "data/seen.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

void seen_close(Seen *seen)
{
    mem_free(seen->slots);
    *seen = (Seen){0};
}

static SeenText key_of(Str text)
{
    uint64_t low = text.bytes, high = ~low;
    for (size_t i = 0; i < text.bytes; i += 8) {
        uint64_t word = 0;
        memcpy(&word, text.data + i, text.bytes - i < 8 ? text.bytes - i : 8);
        low = rng_mix(low ^ word);
        high = rng_mix(high + word + 0x9e3779b97f4a7c15u);
    }
    return (SeenText){low | 1, high, -1};
}

static SeenText *find_slot(const Seen *seen, const SeenText *key)
{
    const size_t mask = seen->n_slots - 1;
    for (size_t i = key->high & mask;; i = (i + 1) & mask) {
        SeenText *slot = &seen->slots[i];
        if ((slot->low == key->low && slot->high == key->high) || !slot->low)
            return slot;
    }
}

static bool grow(Seen *seen, Error *err)
{
    SeenText *old = seen->slots;
    const size_t n_old = seen->n_slots, n = n_old ? 2 * n_old : 4096;
    SeenText *slots = mem_try_alloc(n * sizeof *slots, "hashes of texts", err);
    if (!slots)
        return false;
    seen->slots = slots;
    seen->n_slots = n;
    for (size_t i = 0; i < n_old; i++)
        if (old[i].low)
            *find_slot(seen, &old[i]) = old[i];
    mem_free(old);
    return true;
}

int64_t *seen_number(Seen *seen, Str text, Error *err)
{
    if (2 * (seen->n + 1) > seen->n_slots && !grow(seen, err))
        return NULL;
    const SeenText key = key_of(text);
    SeenText *slot = find_slot(seen, &key);
    if (!slot->low) {
        *slot = key;
        seen->n++;
    }
    return &slot->number;
}
