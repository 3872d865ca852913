/* See hash.h. Four lanes of multiply and rotate keep the multiplier busy; rng_mix ends it. The
 * rounds are those of xxHash64 (Yann Collet, xxhash_spec.md), the ending is simpler. */
#include "base/hash.h"

#include "base/rng.h"

#include <string.h>

static uint64_t hash_round(uint64_t lane, const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    lane += word * 0xc2b2ae3d27d4eb4fu;
    return (lane << 31 | lane >> 33) * 0x9e3779b185ebca87u;
}

uint64_t hash_bytes(uint64_t seed, Str bytes)
{
    uint64_t lanes[4] = {seed + 1, seed + 2, seed + 3, seed + 4};
    size_t at = 0;
    for (; at + 32 <= bytes.bytes; at += 32)
        for (size_t i = 0; i < 4; i++)
            lanes[i] = hash_round(lanes[i], bytes.data + at + 8 * i);
    char rest[32] = {0};
    if (bytes.bytes > at)
        memcpy(rest, bytes.data + at, bytes.bytes - at);
    uint64_t hash = bytes.bytes;
    for (size_t i = 0; i < 4; i++)
        hash = rng_mix(hash ^ hash_round(lanes[i], rest + 8 * i));
    return hash;
}
