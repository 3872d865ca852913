/* A fast 64-bit hash of many bytes, to tell contents apart. Not against an attacker, and not for
 * hash tables of short strings (str_hash). */
#ifndef WEN_BASE_HASH_H
#define WEN_BASE_HASH_H

#include "base/str.h"

/* Of `bytes`, going on from `seed` (0, or the hash of what comes before: then cuts count too). */
uint64_t hash_bytes(uint64_t seed, Str bytes);

#endif
