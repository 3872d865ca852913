/* Sampling: the order of the edits against hand computations, the draws against exact
 * probabilities, and log-probabilities against double. */
#include "support.h"

#include "base/mem.h"
#include "base/rng.h"
#include "cpu/cpu_backend.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_VOCAB = 60, ROWS = 100 };

static Backend *open_backend(int n_threads, int n_vocab)
{
    Error err = {0};
    Backend *b = cpu_backend_open(n_threads, &err);
    assert_ok(b);
    assert_ok(b->reserve(b, 8, n_vocab, &err));
    return b;
}

static SampleRow plain(float temperature, int n_allowed)
{
    return (SampleRow){
        .temperature = temperature, .top_p = 1, .repetition_penalty = 1, .n_allowed = n_allowed};
}

static int draw_one(Backend *b, float *logits, int n, const SampleRow *row)
{
    Sampled out;
    uint64_t before = mem_count();
    b->sample(b, (Mat){logits, 1, n, n}, row, &out);
    assert_int_equal(mem_count(), before);
    return out.id;
}

static void greedy_takes_the_lowest_of_the_largest(void **state)
{
    (void)state;
    Backend *b = open_backend(1, N_VOCAB);
    float x[N_VOCAB] = {0};
    SampleRow row = plain(0, N_VOCAB);
    x[7] = x[40] = x[55] = 3;
    assert_int_equal(draw_one(b, x, N_VOCAB, &row), 7);
    x[5] = NAN;
    x[40] = 4;
    assert_int_equal(draw_one(b, x, N_VOCAB, &row), 40);
    row.n_allowed = 40;
    assert_int_equal(draw_one(b, x, N_VOCAB, &row), 7);
    uint32_t mask[2] = {1u << 3 | 1u << 9, 0};
    row.mask = mask;
    assert_int_equal(draw_one(b, x, N_VOCAB, &row), 3);
    /* Zeros of either sign are equal. */
    float zeros[] = {-1, -0.0f, 0.0f};
    row = plain(0, 3);
    assert_int_equal(draw_one(b, zeros, 3, &row), 1);
    b->close(b);
}

static void odd_logits_do_no_harm(void **state)
{
    (void)state;
    Backend *b = open_backend(1, N_VOCAB);
    static const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f};
    for (int kind = 0; kind < 5; kind++)
        for (int config = 0; config < 24; config++) {
            float x[N_VOCAB];
            for (int i = 0; i < N_VOCAB; i++)
                x[i] = config % 2 && i % 3 ? (float)i : odd[kind];
            SampleRow row = plain(config % 3 == 0 ? 0 : config % 3 == 1 ? 0.6f : 1e-30f, N_VOCAB);
            row.top_k = config / 6 % 2 ? 5 : 0;
            row.top_p = config / 12 % 2 ? 0.9f : 1;
            row.min_p = config % 5 == 4 ? 0.1f : 0;
            row.n_top = 10;
            Sampled out;
            b->sample(b, (Mat){x, 1, N_VOCAB, N_VOCAB}, &row, &out);
            assert_in_range(out.id, 0, N_VOCAB - 1);
            assert_int_equal(out.n_top, 10);
        }
    /* Nothing allowed. */
    uint32_t mask[2] = {0};
    float x[N_VOCAB] = {0};
    SampleRow row = plain(1, N_VOCAB);
    row.mask = mask;
    assert_int_equal(draw_one(b, x, N_VOCAB, &row), 0);
    /* The only one that may be drawn is drawn, however unlikely. */
    mask[1] = 1u << 10;
    x[42] = -1e30f;
    assert_int_equal(draw_one(b, x, N_VOCAB, &row), 42);
    b->close(b);
}

/* Greedy over two candidates shows which edited logit is larger. */
static void edits_come_in_order(void **state)
{
    (void)state;
    Backend *b = open_backend(1, 8);
    const int32_t id = 0, once = 1, twice = 2, in_prompt = 0;
    const float bias = 3;
    static const struct {
        float x, rival, repetition, frequency, presence;
        int count, has_bias; /* count: 0 in the prompt only, -1 not seen */
        int expected;
    } cases[] = {
        {5, 4.5f, 1.2f, 0, 0, 0, 0, 1},    /* 5 / 1.2 = 4.17 */
        {5, 4.1f, 1.2f, 0, 0, 0, 0, 0},    /* */
        {-1, -1.1f, 1.2f, 0, 0, 0, 0, 1},  /* -1 * 1.2 */
        {5, 4.5f, 1.2f, 0, 0, -1, 0, 0},   /* not seen */
        {5, 4.5f, 1, 0.2f, 0, 2, 0, 0},    /* 5 - 0.4 */
        {5, 4.5f, 1, 0.3f, 0, 2, 0, 1},    /* 5 - 0.6 */
        {5, 4.5f, 1, 0.3f, 0.6f, 0, 0, 0}, /* the prompt does not count for these */
        {5, 4.5f, 1, 0, 0.6f, 2, 0, 1},    /* 5 - 0.6 */
        {5, 4.5f, 1, 0, 0.4f, 2, 0, 0},    /* 5 - 0.4, once */
        {4, 1.6f, 2, 0, 0.5f, 1, 0, 1},    /* 4 / 2 - 0.5 = 1.5, not (4 - 0.5) / 2 = 1.75 */
        {1, 3, 2, 0, 0, 1, 1, 1},          /* (1 + 3) / 2 = 2, not 1 / 2 + 3 */
        {1, 3.9f, 1, 0, 0, -1, 1, 0},      /* 1 + 3 */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float x[2] = {cases[i].x, cases[i].rival};
        SampleRow row = plain(0, 2);
        row.repetition_penalty = cases[i].repetition;
        row.frequency_penalty = cases[i].frequency;
        row.presence_penalty = cases[i].presence;
        row.seen_ids = &id;
        row.n_seen = cases[i].count >= 0;
        row.seen_counts = cases[i].count == 2 ? &twice : cases[i].count == 1 ? &once : &in_prompt;
        row.bias_ids = &id;
        row.bias = &bias;
        row.n_bias = cases[i].has_bias;
        if (draw_one(b, x, 2, &row) != cases[i].expected)
            fail_msg("case %zu", i);
    }
    b->close(b);
}

/* Exact probabilities of the draw, the slow way. */
static void exact_probabilities(const float *logits, int n, const SampleRow *row, double *p)
{
    int order[5000], n_left = 0;
    double x[5000], sum = 0, mass = 0;
    for (int i = 0; i < n; i++) {
        x[i] = (double)logits[i];
        for (int j = 0; j < row->n_bias; j++)
            x[i] += row->bias_ids[j] == i ? (double)row->bias[j] : 0;
        for (int j = 0; j < row->n_seen; j++)
            if (row->seen_ids[j] == i) {
                double r = (double)row->repetition_penalty;
                x[i] = x[i] > 0 ? x[i] / r : x[i] * r;
                x[i] -= row->seen_counts[j] * (double)row->frequency_penalty;
                x[i] -= row->seen_counts[j] > 0 ? (double)row->presence_penalty : 0;
            }
        x[i] /= (double)row->temperature;
        p[i] = 0;
        if (i < row->n_allowed && (!row->mask || row->mask[i / 32] >> (i % 32) & 1)) {
            int at = n_left++;
            for (; at > 0 && x[order[at - 1]] < x[i]; at--)
                order[at] = order[at - 1];
            order[at] = i;
        }
    }
    double best = x[order[0]];
    while (row->min_p > 0 && exp(x[order[n_left - 1]] - best) < (double)row->min_p)
        n_left--;
    if (row->top_k > 0 && row->top_k < n_left)
        n_left = row->top_k;
    for (int i = 0; i < n_left; i++)
        sum += exp(x[order[i]] - best);
    for (int i = 0; i < n_left && mass < (double)row->top_p * sum; i++)
        mass += p[order[i]] = exp(x[order[i]] - best);
    for (int i = 0; i < n; i++)
        p[i] /= mass;
}

static void check_draws(Backend *b, const float *logits, int n, SampleRow row, int n_draws,
                        const char *what)
{
    static double p[5000];
    static int counts[5000];
    static Sampled out[ROWS];
    static float many[ROWS * 5000];
    SampleRow rows[ROWS];
    exact_probabilities(logits, n, &row, p);
    memset(counts, 0, sizeof counts);
    for (int at = 0; at < n_draws; at += ROWS) {
        for (int i = 0; i < ROWS; i++) {
            memcpy(many + i * n, logits, sizeof(float) * (size_t)n);
            rows[i] = row;
            rows[i].position = (uint64_t)(at + i);
        }
        b->sample(b, (Mat){many, ROWS, n, n}, rows, out);
        for (int i = 0; i < ROWS; i++)
            counts[out[i].id]++;
    }
    double chi = 0, rest_p = 0, rest_count = 0;
    int freedom = -1;
    for (int i = 0; i < n; i++) {
        double expected = p[i] * n_draws;
        if (p[i] == 0 && counts[i] > 0)
            fail_msg("%s: drew %d, which has no probability", what, i);
        if (expected < 8) {
            rest_p += p[i];
            rest_count += counts[i];
            continue;
        }
        chi += (counts[i] - expected) * (counts[i] - expected) / expected;
        freedom++;
    }
    if (rest_p * n_draws > 1) {
        chi += pow(rest_count - rest_p * n_draws, 2) / (rest_p * n_draws);
        freedom++;
    }
    /* About 1 in 30,000 by chance; the seeds are fixed. */
    if (chi > freedom + 4.5 * sqrt(2.0 * freedom) + 8)
        fail_msg("%s: chi-square %.1f at %d degrees of freedom", what, chi, freedom);
}

static void draws_follow_the_probabilities(void **state)
{
    (void)state;
    Backend *b = open_backend(2, N_VOCAB);
    float x[N_VOCAB];
    Rng rng = {12};
    for (int i = 0; i < N_VOCAB; i++)
        x[i] = (float)(rng_normal(&rng) * 2);
    uint32_t mask[2] = {0xf0f0ff0f, 0x0ff0ffff};
    const int32_t ids[] = {3, 10, 11, 12, 13}, counts[] = {1, 0, 2, 5, 1}, bias_ids[] = {2, 59};
    const float bias[] = {3, -4};
    for (int config = 0; config < 48; config++) {
        SampleRow row = plain(config % 2 ? 0.7f : 1.3f, config % 7 == 6 ? 50 : N_VOCAB);
        row.seed = (uint64_t)config;
        row.top_k = config / 2 % 2 ? 12 : 0;
        row.top_p = config / 4 % 2 ? 0.85f : 1;
        row.min_p = config / 8 % 3 == 2 ? 0.05f : 0;
        if (config >= 24) {
            row.repetition_penalty = 1.3f;
            row.frequency_penalty = 0.2f;
            row.presence_penalty = 0.4f;
            row.seen_ids = ids;
            row.seen_counts = counts;
            row.n_seen = 5;
            row.bias_ids = bias_ids;
            row.bias = bias;
            row.n_bias = 2;
            row.mask = config % 3 ? mask : NULL;
        }
        char what[32];
        snprintf(what, sizeof what, "configuration %d", config);
        check_draws(b, x, N_VOCAB, row, 10000, what);
    }
    b->close(b);
}

/* Flat logits: the nucleus is most of the vocabulary. */
static void wide_nuclei_are_exact(void **state)
{
    (void)state;
    Backend *b = open_backend(2, 3000);
    static float x[3000];
    Rng rng = {13};
    for (int i = 0; i < 3000; i++)
        x[i] = (float)(rng_normal(&rng) * (i % 2 ? 0.01 : 30));
    SampleRow row = plain(40, 3000);
    row.top_p = 0.7f;
    check_draws(b, x, 3000, row, 3000, "a wide nucleus");
    row.top_p = 0.999f;
    check_draws(b, x, 3000, row, 3000, "nearly all");
    b->close(b);
}

static void fill_rows(float *x, int rows, int n)
{
    Rng rng = {14};
    for (int i = 0; i < rows * n; i++)
        x[i] = (float)(rng_normal(&rng) * 3);
}

static SampleRow some_row(int i, int n)
{
    SampleRow row = plain(i % 4 == 3 ? 0 : 0.5f + 0.1f * (float)i, n - 5);
    row.top_k = i % 3 ? 0 : 20;
    row.top_p = i % 2 ? 0.95f : 1;
    row.min_p = i % 5 == 2 ? 0.02f : 0;
    row.seed = 77;
    row.position = (uint64_t)(1000 + i);
    row.n_top = i % 3 * 20;
    return row;
}

static void rows_do_not_depend_on_company_or_level(void **state)
{
    (void)state;
    enum { N = 10007, R = 16 };
    float *x = mem_alloc(sizeof(float) * N * R);
    Sampled *first = mem_alloc(sizeof(Sampled) * R), *again = mem_alloc(sizeof(Sampled) * R);
    SampleRow rows[R];
    for (int level = 0; level <= (int)isa_detect(); level++)
        for (int n_threads = 1; n_threads <= 3; n_threads += 2) {
            setenv("WEN_ISA", isa_name((IsaLevel)level), 1);
            Backend *b = open_backend(n_threads, N);
            bool is_first = level == 0 && n_threads == 1;
            fill_rows(x, R, N);
            for (int i = 0; i < R; i++)
                rows[i] = some_row(i, N);
            memset(again, 0, sizeof(Sampled) * R);
            if (is_first)
                b->sample(b, (Mat){x, R, N, N}, rows, first);
            fill_rows(x, R, N);
            for (int i = 0; i < R && is_first; i++)
                b->sample(b, (Mat){x + i * N, 1, N, N}, rows + i, again + i);
            if (!is_first)
                b->sample(b, (Mat){x, R, N, N}, rows, again);
            for (int i = 0; i < R; i++) {
                assert_int_equal(again[i].id, first[i].id);
                assert_memory_equal(&again[i].logprob, &first[i].logprob, sizeof(float));
                size_t n = (size_t)first[i].n_top;
                assert_memory_equal(again[i].top_ids, first[i].top_ids, 4 * n);
                assert_memory_equal(again[i].top_logprobs, first[i].top_logprobs, 4 * n);
            }
            b->close(b);
        }
    unsetenv("WEN_ISA");
    mem_free(x);
    mem_free(first);
    mem_free(again);
}

static void check_logprobs_row(const float *x, int n, int target, float logprob, int n_top,
                               const int32_t *ids, const float *logits, const float *logprobs)
{
    double max = -HUGE_VAL, sum = 0;
    for (int i = 0; i < n; i++)
        max = (double)x[i] > max ? (double)x[i] : max;
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    double lse = max + log(sum);
    if (target < 0)
        assert_true(logprob == 0);
    else
        assert_true(fabs((double)logprob - ((double)x[target] - lse)) < 3e-6);
    for (int i = 0; i < n_top; i++) {
        assert_true(logits[i] == x[ids[i]]);
        if (isfinite(logits[i]))
            assert_true(fabs((double)logprobs[i] - ((double)x[ids[i]] - lse)) < 3e-6);
        if (i > 0)
            assert_true(logits[i] < logits[i - 1] ||
                        (logits[i] == logits[i - 1] && ids[i] > ids[i - 1]));
    }
}

static void logprobs_agree_with_double(void **state)
{
    (void)state;
    enum { N = 3001, R = 5 };
    static float x[R * N], logprob[R], top_logits[R * N], top_logprobs[R * N];
    static int32_t top_ids[R * N];
    const int32_t targets[R] = {0, -1, 3000, 77, 1500};
    static const int n_tops[] = {0, 1, 20, 1000, N};
    Backend *b = open_backend(2, N);
    fill_rows(x, R, N);
    x[N + 5] = x[N + 6] = x[N + 2000] = 50; /* ties */
    x[2 * N] = x[2 * N + 1] = -INFINITY;
    for (int i = 0; i < 5; i++) {
        int n_top = n_tops[i];
        uint64_t before = mem_count();
        b->logprobs(b, (Mat){x, R, N, N}, targets, logprob, n_top, top_ids, top_logits,
                    top_logprobs);
        assert_int_equal(mem_count(), before);
        for (int r = 0; r < R; r++)
            check_logprobs_row(x + r * N, N, targets[r], logprob[r], n_top, top_ids + r * n_top,
                               top_logits + r * n_top, top_logprobs + r * n_top);
        if (n_top >= 3)
            assert_true(top_ids[n_top] == 5 && top_ids[n_top + 1] == 6 &&
                        top_ids[n_top + 2] == 2000);
    }
    b->close(b);
}

/* What the sampler reports for its token is what the scorer gives for it, to the bit. */
static void sampler_and_scorer_agree(void **state)
{
    (void)state;
    enum { N = 5000, R = 12 };
    static float x[R * N], logprob[R];
    static Sampled out[R];
    SampleRow rows[R];
    int32_t ids[R];
    Backend *b = open_backend(2, N);
    fill_rows(x, R, N);
    for (int i = 0; i < R; i++)
        rows[i] = some_row(i, N);
    b->sample(b, (Mat){x, R, N, N}, rows, out);
    fill_rows(x, R, N);
    for (int i = 0; i < R; i++)
        ids[i] = out[i].id;
    b->logprobs(b, (Mat){x, R, N, N}, ids, logprob, 0, NULL, NULL, NULL);
    for (int i = 0; i < R; i++)
        assert_memory_equal(&logprob[i], &out[i].logprob, sizeof(float));
    b->close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_lowest_of_the_largest),
        cmocka_unit_test(odd_logits_do_no_harm),
        cmocka_unit_test(edits_come_in_order),
        cmocka_unit_test(draws_follow_the_probabilities),
        cmocka_unit_test(wide_nuclei_are_exact),
        cmocka_unit_test(rows_do_not_depend_on_company_or_level),
        cmocka_unit_test(logprobs_agree_with_double),
        cmocka_unit_test(sampler_and_scorer_agree),
    };
    return TEST_MAIN("sample", tests);
}
