/* See hash_index.h. At most half of the slots are used. */
#include "base/hash_index.h"

#include "base/mem.h"
#include "base/rng.h"

#include <string.h>

enum { FIRST_SLOTS = 64 };

static uint32_t fold(uint64_t hash) { return (uint32_t)(hash ^ hash >> 32); }

int64_t hash_index_next(const HashIndex *index, uint64_t hash, size_t *step)
{
    uint32_t folded = fold(hash);
    while (index->n_slots) {
        const HashSlot *slot = &index->slots[(folded + (*step)++) & (index->n_slots - 1)];
        if (slot->id == 0)
            break;
        if (slot->hash == folded)
            return (int64_t)slot->id - 1;
    }
    return -1;
}

static void index_place(HashSlot *slots, size_t n_slots, HashSlot slot)
{
    size_t at = slot.hash;
    while (slots[at & (n_slots - 1)].id)
        at++;
    slots[at & (n_slots - 1)] = slot;
}

void hash_index_add(HashIndex *index, uint64_t hash, uint32_t id)
{
    if (2 * index->n >= index->n_slots) {
        size_t n_slots = index->n_slots ? 2 * index->n_slots : FIRST_SLOTS;
        HashSlot *slots = mem_alloc(sizeof *slots * n_slots);
        for (size_t i = 0; i < index->n_slots; i++)
            if (index->slots[i].id)
                index_place(slots, n_slots, index->slots[i]);
        mem_free(index->slots);
        index->slots = slots;
        index->n_slots = n_slots;
    }
    index_place(index->slots, index->n_slots, (HashSlot){fold(hash), id + 1});
    index->n++;
}

void hash_index_clear(HashIndex *index)
{
    if (index->n)
        memset(index->slots, 0, sizeof *index->slots * index->n_slots);
    index->n = 0;
}

void hash_index_close(HashIndex *index)
{
    mem_free(index->slots);
    *index = (HashIndex){0};
}

static PairSlot *pair_slot(PairSlot *slots, size_t n_slots, uint64_t key)
{
    size_t at = rng_mix(key);
    while (slots[at & (n_slots - 1)].key && slots[at & (n_slots - 1)].key != key + 1)
        at++;
    return &slots[at & (n_slots - 1)];
}

bool pair_map_find(const PairMap *map, uint64_t key, uint32_t *value)
{
    if (map->n_slots == 0)
        return false;
    const PairSlot *slot = pair_slot(map->slots, map->n_slots, key);
    *value = slot->value;
    return slot->key != 0;
}

void pair_map_put(PairMap *map, uint64_t key, uint32_t value)
{
    if (2 * map->n >= map->n_slots) {
        size_t n_slots = map->n_slots ? 2 * map->n_slots : FIRST_SLOTS;
        PairSlot *slots = mem_alloc(sizeof *slots * n_slots);
        for (size_t i = 0; i < map->n_slots; i++)
            if (map->slots[i].key)
                *pair_slot(slots, n_slots, map->slots[i].key - 1) = map->slots[i];
        mem_free(map->slots);
        map->slots = slots;
        map->n_slots = n_slots;
    }
    PairSlot *slot = pair_slot(map->slots, map->n_slots, key);
    map->n += slot->key == 0;
    *slot = (PairSlot){key + 1, value};
}

void pair_map_clear(PairMap *map)
{
    if (map->n)
        memset(map->slots, 0, sizeof *map->slots * map->n_slots);
    map->n = 0;
}

void pair_map_close(PairMap *map)
{
    mem_free(map->slots);
    *map = (PairMap){0};
}
