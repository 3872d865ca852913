/* What `wen bench` measures: kinds of work, each a few times, and the same of another engine. */
#ifndef WEN_CLI_BENCH_H
#define WEN_CLI_BENCH_H

#include "base/error.h"
#include "base/str.h"
#include "wen.h"

typedef enum BenchKind {
    BENCH_PREFILL,  /* a prompt, tokens per second */
    BENCH_DECODE,   /* tokens behind a short prompt, one after the other */
    BENCH_DEPTH,    /* the same behind `depth` tokens */
    BENCH_TOGETHER, /* n_together answers side by side, all their tokens per second */
    N_BENCH_KINDS,
} BenchKind;

enum {
    BENCH_REPEATS_MAX = 64,
    BENCH_FIRST_PROMPT = 16, /* tokens before the first one of `first_token` */
    /* Of the prompts whose answers are computed side by side; a multiple of what prompts share. */
    BENCH_TOGETHER_DEPTH = 128,
};

/* Repeats of one figure. */
typedef struct Series {
    double values[BENCH_REPEATS_MAX];
    int n;
} Series;
void series_add(Series *s, double value);
double series_median(const Series *s); /* 0 when empty, as all three */
double series_min(const Series *s);
double series_max(const Series *s);

typedef struct BenchSizes {
    int n_prompt, n_generate;
    int depth;      /* 0: not measured */
    int n_together; /* 1: not measured */
} BenchSizes;

/* ---- bench_run.c --------------------------------------------------------------------------- */

/* Measures one kind once; tokens per second, or 0 and an error. Prompts are never found computed:
 * `repeat` makes them differ. */
double bench_run(wen_engine *engine, BenchKind kind, const BenchSizes *sizes, int repeat,
                 wen_error *err);
/* Positions that the longest of the measurements needs. */
int bench_context(const BenchSizes *sizes);

/* ---- bench_peer.c -------------------------------------------------------------------------- */

/* Runs another engine's bench with /bin/sh and reads its tokens per second: a figure for each kind
 * that its output has, 0 for the others. What is understood: llama-bench's table and its JSON (-o
 * json), and the JSON of wen bench. */
bool bench_peer_run(const char *command, double figures[N_BENCH_KINDS], Error *err) MUST_USE;
/* The same from text. False: there is no figure in it. */
bool bench_peer_read(Str output, double figures[N_BENCH_KINDS]);

#endif
