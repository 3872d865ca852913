/* Time of drawing one token from a vocabulary of 151,936, and of its log-probabilities, on one
 * thread (processor time). */
#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_backend.h"

#include <math.h>
#include <stdio.h>
#include <time.h>

enum { N_VOCAB = 151936, ROWS = 8, REPEATS = 25 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static float logits[ROWS * N_VOCAB], logprob[ROWS];
static Sampled out[ROWS];

static void time_sample(Backend *b, const char *what, SampleRow row)
{
    SampleRow rows[ROWS];
    double best = HUGE_VAL;
    row.repetition_penalty = 1;
    row.n_allowed = 151669;
    for (int i = 0; i < REPEATS; i++) {
        for (int r = 0; r < ROWS; r++) {
            rows[r] = row;
            rows[r].position = (uint64_t)(i * ROWS + r);
        }
        double start = now();
        b->sample(b, (Mat){logits, ROWS, N_VOCAB, N_VOCAB}, rows, out);
        best = fmin(best, now() - start);
    }
    printf("%-44s %7.3f ms a row\n", what, best * 1e3 / ROWS);
}

int main(void)
{
    Error err;
    Backend *b = cpu_backend_open(1, &err);
    if (!b || !b->reserve(b, ROWS, N_VOCAB, &err)) {
        fprintf(stderr, "bench_sample: %s\n", err.message);
        return 1;
    }
    Rng rng = {3};
    for (int i = 0; i < ROWS * N_VOCAB; i++)
        logits[i] = (float)(rng_normal(&rng) * 3);
    printf("%s\n", b->isa);
    time_sample(b, "greedy", (SampleRow){.temperature = 0, .top_p = 1});
    time_sample(b, "temperature 0.6, top_k 20, top_p 0.95",
                (SampleRow){.temperature = 0.6f, .top_k = 20, .top_p = 0.95f});
    time_sample(b, "the same, 20 alternatives",
                (SampleRow){.temperature = 0.6f, .top_k = 20, .top_p = 0.95f, .n_top = 20});
    time_sample(b, "temperature 1, top_p 0.95", (SampleRow){.temperature = 1, .top_p = 0.95f});
    time_sample(b, "temperature 1, min_p 0.05",
                (SampleRow){.temperature = 1, .top_p = 1, .min_p = 0.05f});
    time_sample(b, "temperature 1, the whole vocabulary",
                (SampleRow){.temperature = 1, .top_p = 1});
    int32_t targets[ROWS] = {0};
    double best = HUGE_VAL;
    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        b->logprobs(b, (Mat){logits, ROWS, N_VOCAB, N_VOCAB}, targets, logprob, 0, NULL, NULL,
                    NULL);
        best = fmin(best, now() - start);
    }
    printf("%-44s %7.3f ms a row\n", "log-probability", best * 1e3 / ROWS);
    b->close(b);
    return 0;
}
