/* Normal random numbers as a pure function of (key, index): any part of a tensor can be made by any
 * thread, in any order, and comes out the same. */
#ifndef WEN_TOOLS_NOISE_H
#define WEN_TOOLS_NOISE_H

#include "base/str.h"

/* The key of one tensor: its name and the model's seed. */
uint64_t noise_key(uint64_t seed, Str name);

/* out[i] = mean + sd * z(key, first + i), i = 0 .. n-1. z takes 65,536 values, the quantiles of the
 * standard normal at (k + 1/2) / 65536 (so at most 4.27 away from zero), all equally likely. */
void noise_fill(uint64_t key, uint64_t first, float mean, float sd, float *out, int64_t n);

/* Makes the table of quantiles; called once, before any noise_fill. */
void noise_init(void);

#endif
