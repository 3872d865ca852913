/* Random numbers. Two kinds: a stream (seeded state, for making data and weights) and a counter
 * (a pure function of its keys, for sampling noise, so that an answer depends on its seed and
 * position and on nothing else). Not for cryptography. */
#ifndef WEN_BASE_RNG_H
#define WEN_BASE_RNG_H

#include <math.h>
#include <stdint.h>

/* splitmix64's finaliser (Steele, Lea, Flood 2014; constants of Stafford's mix 13). */
static inline uint64_t rng_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* 64 random bits for three keys. With the first two fixed, what is left for each c is one mix. */
static inline uint64_t rng_counter_key(uint64_t a, uint64_t b)
{
    uint64_t h = rng_mix(a + 0x9e3779b97f4a7c15u);
    return rng_mix(h ^ (b + 0x9e3779b97f4a7c15u));
}

static inline uint64_t rng_counter_at(uint64_t key, uint64_t c)
{
    return rng_mix(key ^ (c + 0xd1b54a32d192ed03u));
}

static inline uint64_t rng_counter(uint64_t a, uint64_t b, uint64_t c)
{
    return rng_counter_at(rng_counter_key(a, b), c);
}

typedef struct Rng {
    uint64_t state;
} Rng;

static inline uint64_t rng_next(Rng *rng)
{
    rng->state += 0x9e3779b97f4a7c15u;
    return rng_mix(rng->state);
}

/* Uniform in (0, 1): never 0, never 1. */
static inline double rng_unit(uint64_t bits) { return ((double)(bits >> 12) + 0.5) * 0x1p-52; }

static inline double rng_uniform(Rng *rng) { return rng_unit(rng_next(rng)); }

/* Uniform in 0 .. n-1. */
static inline uint64_t rng_below(Rng *rng, uint64_t n)
{
    __extension__ typedef unsigned __int128 Wide;
    return (uint64_t)(((Wide)rng_next(rng) * n) >> 64);
}

/* Standard normal (Box-Muller, one of the pair). */
static inline double rng_normal(Rng *rng)
{
    double r = sqrt(-2.0 * log(rng_uniform(rng)));
    return r * cos(6.283185307179586 * rng_uniform(rng));
}

#endif
