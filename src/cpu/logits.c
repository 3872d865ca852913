/* Rows of logits in plain C: what the fast versions must equal, bit for bit. */
#include "cpu/logits.h"

#include "base/rng.h"
#include "cpu/vector_math.h"

enum { SUM_EXP_LANES = 16 };

static float max_of(const float *x, int n)
{
    float max = -INFINITY;
    for (int i = 0; i < n; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

static double sum_exp(const float *x, int n, float shift)
{
    double lanes[SUM_EXP_LANES] = {0};
    for (int i = 0; i < n; i++)
        lanes[i % SUM_EXP_LANES] += (double)exp_f32(x[i] - shift);
    for (int width = SUM_EXP_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}

static int find_above(const float *x, int from, int n, float threshold)
{
    for (int i = from; i < n; i++)
        if (x[i] > threshold)
            return i;
    return n;
}

double race_score(const Race *race, float z, int id)
{
    double u = rng_unit(rng_counter_at(race->key, (uint64_t)id));
    return (double)z - log(-log(u));
}

static int race_all(const float *x, int n, const Race *race)
{
    int winner = -1;
    double best = 0;
    for (int i = 0; i < n; i++) {
        float z = (x[i] - race->max) / race->temperature;
        if (!(z >= race->lowest && z > -INFINITY))
            continue;
        double score = race_score(race, z, i);
        if (winner < 0 || score > best) {
            winner = i;
            best = score;
        }
    }
    return winner;
}

void logits_kernels_ref(LogitsKernels *kernels)
{
    *kernels = (LogitsKernels){max_of, sum_exp, find_above, race_all};
}
