/* Leaf functions on one row of logits: what drawing a token needs over a whole vocabulary. */
#ifndef WEN_CPU_LOGITS_H
#define WEN_CPU_LOGITS_H

#include <stdint.h>

/* Exponential race (docs/numerics.md, "Sampling"): candidate i scores
 *   z_i - log(-log(u_i)),  z_i = (x[i] - max) / temperature,  u_i = rng_unit(rng_counter_at(key,
 * i)) and the largest score wins, the lowest i on ties. */
typedef struct Race {
    uint64_t key;      /* rng_counter_key(seed, position); u_i comes from rng_counter_at(key, i) */
    float max;         /* the largest candidate */
    float temperature; /* above 0 */
    float lowest;      /* candidates have z_i >= lowest and z_i > -inf */
} Race;

typedef struct LogitsKernels {
    /* The largest of n, NaN left out; -INFINITY when there is none. */
    float (*max)(const float *x, int n);
    /* The sum of exp(x[i] - shift), in 16 double lanes. */
    double (*sum_exp)(const float *x, int n, float shift);
    /* The first i >= from with x[i] > threshold; n when there is none. */
    int (*find_above)(const float *x, int from, int n, float threshold);
    /* The winner among 0 .. n-1, or -1 when there is no candidate. No x[i] is NaN or +inf. */
    int (*race)(const float *x, int n, const Race *race);
} LogitsKernels;

/* One candidate's score; all levels use it for those that may win. */
double race_score(const Race *race, float z, int id);

/* Each fills in the entries that its level has, over what is there; call them in this order. */
void logits_kernels_ref(LogitsKernels *kernels);
#if defined(__x86_64__)
void logits_kernels_avx2(LogitsKernels *kernels);
void logits_kernels_avx512(LogitsKernels *kernels);
#elif defined(__aarch64__)
void logits_kernels_neon(LogitsKernels *kernels);
#endif

#endif
