/* The kernels of logits.h on the vectors of vec_<isa>.h; included by logits_<isa>.c. */
#ifndef WEN_CPU_LOGITS_VECTOR_H
#define WEN_CPU_LOGITS_VECTOR_H

#include "cpu/logits.h"
#include "cpu/vec_ops.h"

enum { SUM_EXP_VECS = 16 / VEC_LANES, SCAN_VECS = 4 };

static float max_of(const float *x, int n)
{
    Vec max[SCAN_VECS];
    int i = 0;
    for (int v = 0; v < SCAN_VECS; v++)
        max[v] = vec_set(-INFINITY);
    for (; i + SCAN_VECS * VEC_LANES <= n; i += SCAN_VECS * VEC_LANES)
        for (int v = 0; v < SCAN_VECS; v++)
            max[v] = vec_max(vec_load(x + i + v * VEC_LANES), max[v]);
    for (; i < n; i += VEC_LANES) {
        Vec a = vec_load_n(x + i, vec_piece(n - i));
        max[0] = vec_max(vec_first(a, vec_piece(n - i), max[0]), max[0]);
    }
    for (int v = 1; v < SCAN_VECS; v++)
        max[0] = vec_max(max[v], max[0]);
    return vec_largest(max[0]);
}

static double sum_exp(const float *x, int n, float shift)
{
    Sums sums = sums_zero();
    Vec s = vec_set(shift), e[SUM_EXP_VECS];
    int i = 0;
    for (; i + 16 <= n; i += 16) {
        for (int v = 0; v < SUM_EXP_VECS; v++)
            e[v] = vec_exp(vec_sub(vec_load(x + i + v * VEC_LANES), s));
        sums_add(&sums, e);
    }
    if (i < n) {
        for (int v = 0; v < SUM_EXP_VECS; v++) {
            int left = n - i - v * VEC_LANES, m = left > 0 ? vec_piece(left) : 0;
            Vec a = vec_load_n(x + i + (m ? v * VEC_LANES : 0), m);
            e[v] = vec_first(vec_exp(vec_sub(a, s)), m, vec_set(0));
        }
        sums_add(&sums, e);
    }
    return sums_total(&sums);
}

static int find_above(const float *x, int from, int n, float threshold)
{
    Vec t = vec_set(threshold);
    int i = from;
    for (; i + SCAN_VECS * VEC_LANES <= n; i += SCAN_VECS * VEC_LANES) {
        uint64_t found = 0;
        for (int v = 0; v < SCAN_VECS; v++)
            found |= (uint64_t)vec_greater(vec_load(x + i + v * VEC_LANES), t) << v * VEC_LANES;
        if (found)
            return i + __builtin_ctzll(found);
    }
    for (; i < n; i++)
        if (x[i] > threshold)
            return i;
    return n;
}

/* Candidate i can beat the best score only if -log(u_i) < exp(z_i - best). As -log(u) >= 1 - u, a
 * rough 1 - u rules out nearly all of them; the rest are scored in double. Starting from the
 * largest logit keeps z - best of those that matter small, so that the margin covers its rounding.
 */
static int race_all(const float *x, int n, const Race *race)
{
    const float margin = 1.001f;
    int winner = 0;
    while (winner < n && x[winner] != race->max)
        winner = find_above(x, winner + 1, n, nextafterf(race->max, -INFINITY));
    if (winner >= n || race->max == -INFINITY || race->lowest > 0)
        return -1;
    double best = race_score(race, 0, winner);
    const Vec max = vec_set(race->max), temperature = vec_set(race->temperature);
    for (int i = 0; i < n; i += VEC_LANES) {
        int m = vec_piece(n - i);
        Vec z = vec_div(vec_sub(vec_load_n(x + i, m), max), temperature);
        Vec reach = vec_mul(vec_exp(vec_sub(z, vec_set((float)best))), vec_set(margin));
        uint32_t maybe = vec_less_equal(vec_race_rest(race->key, i), reach) & ((1u << m) - 1);
        for (; maybe; maybe &= maybe - 1) {
            int id = i + __builtin_ctz(maybe);
            float exact = (x[id] - race->max) / race->temperature;
            if (!(exact >= race->lowest && exact > -INFINITY))
                continue;
            double score = race_score(race, exact, id);
            if (score > best || (score == best && id < winner)) {
                winner = id;
                best = score;
            }
        }
    }
    return winner;
}

static const LogitsKernels logits_vector = {max_of, sum_exp, find_above, race_all};

#endif
