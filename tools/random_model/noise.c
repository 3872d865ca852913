/* See noise.h. One mix of a counter gives 64 bits, that is four indices into the table. */
#include "random_model/noise.h"

#include "base/rng.h"

enum { N_QUANTILES = 1 << 16 };

static float quantile[N_QUANTILES];

uint64_t noise_key(uint64_t seed, Str name)
{
    uint64_t key = rng_mix(seed + 0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < name.bytes; i++)
        key = rng_mix(key ^ (unsigned char)name.data[i]);
    return key;
}

/* Newton's method from the neighbour below: the distribution function is concave above zero, so the
 * steps approach from the left and never pass the root. */
void noise_init(void)
{
    double x = 0;
    for (int k = N_QUANTILES / 2; k < N_QUANTILES; k++) {
        const double upper_tail = (N_QUANTILES - k - 0.5) / N_QUANTILES;
        for (int step = 0; step < 8; step++) {
            const double excess = 0.5 * erfc(x * 0.7071067811865476) - upper_tail;
            x += excess / (0.3989422804014327 * exp(-0.5 * x * x));
        }
        quantile[k] = (float)x;
        quantile[N_QUANTILES - 1 - k] = (float)-x;
    }
}

void noise_fill(uint64_t key, uint64_t first, float mean, float sd, float *out, int64_t n)
{
    int64_t i = 0;
    while (i < n) {
        const uint64_t at = first + (uint64_t)i;
        uint64_t bits = rng_mix(key + (at / 4 + 1) * 0x9e3779b97f4a7c15u) >> 16 * (at % 4);
        for (uint64_t lane = at % 4; lane < 4 && i < n; lane++, i++, bits >>= 16)
            out[i] = mean + sd * quantile[bits & (N_QUANTILES - 1)];
    }
}
