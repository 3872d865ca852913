/* Counters and histograms in Prometheus' text form, under vLLM's names, so that dashboards made
 * for vLLM work unchanged. */
#ifndef WEN_SERVER_METRICS_H
#define WEN_SERVER_METRICS_H

#include "base/str.h"
#include "wen.h"

#include <pthread.h>
#include <stdint.h>

enum { BUCKETS_MAX = 24, METRICS_ROUTES_MAX = 96 };

typedef struct Histogram {
    const double *bounds; /* ascending; static */
    int n_bounds;
    uint64_t counts[BUCKETS_MAX + 1], n;
    double sum;
} Histogram;

typedef enum HistogramId {
    HISTOGRAM_FIRST_TOKEN,
    HISTOGRAM_INTER_TOKEN,
    HISTOGRAM_TOTAL,
    HISTOGRAM_QUEUE,
    HISTOGRAM_INFERENCE,
    HISTOGRAM_PREFILL,
    HISTOGRAM_DECODE,
    HISTOGRAM_PROMPT_TOKENS,
    HISTOGRAM_GENERATED_TOKENS,
    HISTOGRAM_MAX_TOKENS,
    HISTOGRAM_N,
    N_HISTOGRAMS,
} HistogramId;

typedef struct HttpCount {
    const char *path, *method; /* static: the route's */
    int status;
    uint64_t n;
    double seconds;
} HttpCount;

typedef struct Metrics {
    pthread_mutex_t mutex;
    Histogram histograms[N_HISTOGRAMS];
    uint64_t finished[8]; /* by wen_finish */
    HttpCount http[METRICS_ROUTES_MAX];
    int n_http;
} Metrics;

void metrics_open(Metrics *metrics);
void metrics_close(Metrics *metrics);

void metrics_observe(Metrics *metrics, HistogramId id, double value);
/* One reply that ended. total_seconds: since it was asked for. */
void metrics_add_reply(Metrics *metrics, const wen_usage *usage, wen_finish finish,
                       double total_seconds);
void metrics_add_http(Metrics *metrics, const char *path, const char *method, int status,
                      double seconds);

/* The engines' own counters, [n] loaded models. */
void metrics_put_engines(Buf *out, const char *const *models, const wen_engine_stats *stats, int n);
/* All others, under one model's name: the server's first. */
void metrics_put(Metrics *metrics, const char *model, Buf *out);

#endif
