/* Work that is timed, through wen.h; see bench.h. */
#include "cli/bench.h"

#include "base/mem.h"
#include "base/rng.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    IDS = 256, /* prompts are of the first ids: bytes in every vocabulary */
};

/* ---- Series ---------------------------------------------------------------------------------- */

void series_add(Series *s, double value)
{
    if (s->n < BENCH_REPEATS_MAX)
        s->values[s->n++] = value;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double series_median(const Series *s)
{
    Series sorted = *s;
    if (s->n == 0)
        return 0;
    qsort(sorted.values, (size_t)s->n, sizeof *sorted.values, ascending);
    return 0.5 * (sorted.values[(s->n - 1) / 2] + sorted.values[s->n / 2]);
}

double series_min(const Series *s)
{
    double least = s->n ? s->values[0] : 0;
    for (int i = 1; i < s->n; i++)
        least = s->values[i] < least ? s->values[i] : least;
    return least;
}

double series_max(const Series *s)
{
    double most = 0;
    for (int i = 0; i < s->n; i++)
        most = s->values[i] > most ? s->values[i] : most;
    return most;
}

/* ---- Work ------------------------------------------------------------------------------------ */

static wen_reply *ask(wen_engine *engine, int n_prompt, int n_generate, uint64_t seed,
                      wen_error *err)
{
    int32_t *ids = mem_alloc(sizeof *ids * (size_t)n_prompt);
    Rng rng = {seed};
    for (int i = 0; i < n_prompt; i++)
        ids[i] = (int32_t)rng_below(&rng, IDS);
    char salt[32];
    snprintf(salt, sizeof salt, "%llu", (unsigned long long)seed);
    wen_request request = wen_request_defaults();
    request.ids = ids;
    request.n_ids = n_prompt;
    request.max_tokens = n_generate;
    request.sampling.temperature = 0;
    request.sampling.seed = 1;
    request.ignores_eos = true;
    request.cache_salt = salt;
    wen_reply *reply = wen_ask(engine, &request, err);
    mem_free(ids);
    return reply;
}

/* Waits for the end and frees the reply. False: it did not get all its tokens. */
static bool finish(wen_reply *reply, wen_usage *usage, wen_error *err)
{
    wen_event event = {0};
    while (wen_next(reply, -1, &event) == WEN_NEXT_EVENT)
        if (event.kind == WEN_EVENT_DONE) {
            *usage = event.usage;
            if (event.finish != WEN_FINISH_LENGTH)
                snprintf(err->message, sizeof err->message, "an answer ended with \"%s\"%s%s",
                         wen_finish_name(event.finish), *event.text ? ": " : "", event.text);
            if (event.finish != WEN_FINISH_LENGTH)
                err->code = WEN_ERROR_DEVICE;
        }
    wen_reply_free(reply);
    return err->code == WEN_ERROR_NONE;
}

static bool answer(wen_engine *engine, int n_prompt, int n_generate, uint64_t seed,
                   wen_usage *usage, wen_error *err)
{
    wen_reply *reply = ask(engine, n_prompt, n_generate, seed, err);
    return reply && finish(reply, usage, err);
}

/* All answer one prompt that is computed before, but for its last token: they run side by side from
 * the first step. */
static double together(wen_engine *engine, const BenchSizes *sizes, uint64_t seed, wen_error *err)
{
    const int n = sizes->n_together;
    wen_reply **replies = mem_alloc(sizeof *replies * (size_t)n);
    wen_usage usage = {0};
    double rate = 0;
    int n_asked = 0;
    bool ok = answer(engine, BENCH_TOGETHER_DEPTH + 1, 1, seed, &usage, err);
    while (ok && n_asked < n) {
        replies[n_asked] = ask(engine, BENCH_TOGETHER_DEPTH + 1, sizes->n_generate, seed, err);
        ok = replies[n_asked] != NULL;
        n_asked += ok;
    }
    for (int i = 0; i < n_asked; i++) {
        ok = finish(replies[i], &usage, err) && ok;
        if (usage.decode_seconds > 0)
            rate += (usage.completion_tokens - 1) / usage.decode_seconds;
    }
    mem_free(replies);
    return ok ? rate : 0;
}

double bench_run(wen_engine *engine, BenchKind kind, const BenchSizes *sizes, int repeat,
                 wen_error *err)
{
    const uint64_t seed = (uint64_t)(1 + repeat * N_BENCH_KINDS + (int)kind);
    wen_usage usage = {0};
    *err = (wen_error){0};
    switch (kind) {
    case BENCH_PREFILL:
        if (!answer(engine, sizes->n_prompt, 1, seed, &usage, err))
            return 0;
        return sizes->n_prompt / usage.prefill_seconds;
    case BENCH_DECODE:
    case BENCH_DEPTH:
        if (!answer(engine, kind == BENCH_DEPTH ? sizes->depth : 1, sizes->n_generate + 1, seed,
                    &usage, err))
            return 0;
        return sizes->n_generate / usage.decode_seconds;
    case BENCH_TOGETHER:
        return together(engine, sizes, seed, err);
    case N_BENCH_KINDS:
        break;
    }
    return 0;
}

int bench_context(const BenchSizes *s)
{
    int prompt = s->n_prompt > s->depth ? s->n_prompt : s->depth;
    prompt = prompt > BENCH_FIRST_PROMPT ? prompt : BENCH_FIRST_PROMPT;
    if (s->n_together > 1)
        prompt = prompt > BENCH_TOGETHER_DEPTH ? prompt : BENCH_TOGETHER_DEPTH;
    return prompt + s->n_generate + 2;
}
