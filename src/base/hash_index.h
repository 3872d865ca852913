/* Two small hash tables, open addressing, growing: HashIndex finds things that the caller keeps in
 * arrays, PairMap maps a 64-bit key to a number. Zeroed ones are ready. */
#ifndef WEN_BASE_HASH_INDEX_H
#define WEN_BASE_HASH_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_join(uint64_t hash, uint64_t x)
{
    hash = (hash ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

typedef struct HashSlot {
    uint32_t hash; /* folded */
    uint32_t id;   /* plus 1; 0: empty */
} HashSlot;

typedef struct HashIndex {
    HashSlot *slots;
    size_t n, n_slots;
} HashIndex;

/* Goes through the ids whose hash may be this one, then gives -1:
 *     for (size_t step = 0; (id = hash_index_next(index, hash, &step)) >= 0;) */
int64_t hash_index_next(const HashIndex *index, uint64_t hash, size_t *step);
void hash_index_add(HashIndex *index, uint64_t hash, uint32_t id);
void hash_index_clear(HashIndex *index);
void hash_index_close(HashIndex *index);

typedef struct PairSlot {
    uint64_t key; /* plus 1; 0: empty */
    uint32_t value;
} PairSlot;

typedef struct PairMap {
    PairSlot *slots;
    size_t n, n_slots;
} PairMap;

/* key is not UINT64_MAX. */
bool pair_map_find(const PairMap *map, uint64_t key, uint32_t *value);
void pair_map_put(PairMap *map, uint64_t key, uint32_t value);
void pair_map_clear(PairMap *map);
void pair_map_close(PairMap *map);

#endif
