/* See metrics.h. Names and buckets: vllm/v1/metrics/loggers.py. */
#include "server/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const double first_token_bounds[] = {.001, .005, .01, .02, .04, .06, .08, .1,
                                            .25,  .5,   .75, 1,   2.5, 5,   7.5, 10,
                                            20,   40,   80,  160, 640, 2560};
static const double inter_token_bounds[] = {.01, .025, .05, .075, .1,  .15, .2, .3, .4, .5,
                                            .75, 1,    2.5, 5,    7.5, 10,  20, 40, 80};
static const double request_bounds[] = {.3, .5, .8, 1,  1.5, 2,   2.5, 5,   10,   15,  20,
                                        30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680};
static const double count_bounds[] = {1,    2,    5,    10,    20,    50,    100,    200,   500,
                                      1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000};
static const double n_bounds[] = {1, 2, 5, 10, 20};

#define BOUNDS(b) b, (int)(sizeof(b) / sizeof *(b))
static const struct {
    const char *name, *help;
    const double *bounds;
    int n_bounds;
} descriptions[N_HISTOGRAMS] = {
    [HISTOGRAM_FIRST_TOKEN] = {"time_to_first_token_seconds", "Time to the first token",
                               BOUNDS(first_token_bounds)},
    [HISTOGRAM_INTER_TOKEN] = {"inter_token_latency_seconds", "Mean time between tokens",
                               BOUNDS(inter_token_bounds)},
    [HISTOGRAM_TOTAL] = {"e2e_request_latency_seconds", "From the question to the last token",
                         BOUNDS(request_bounds)},
    [HISTOGRAM_QUEUE] = {"request_queue_time_seconds", "Waiting", BOUNDS(request_bounds)},
    [HISTOGRAM_INFERENCE] = {"request_inference_time_seconds", "Running", BOUNDS(request_bounds)},
    [HISTOGRAM_PREFILL] = {"request_prefill_time_seconds", "Reading the prompt",
                           BOUNDS(request_bounds)},
    [HISTOGRAM_DECODE] = {"request_decode_time_seconds", "Writing the answer",
                          BOUNDS(request_bounds)},
    [HISTOGRAM_PROMPT_TOKENS] = {"request_prompt_tokens", "Tokens of a prompt",
                                 BOUNDS(count_bounds)},
    [HISTOGRAM_GENERATED_TOKENS] = {"request_generation_tokens", "Tokens of an answer",
                                    BOUNDS(count_bounds)},
    [HISTOGRAM_MAX_TOKENS] = {"request_params_max_tokens", "max_tokens of a request",
                              BOUNDS(count_bounds)},
    [HISTOGRAM_N] = {"request_params_n", "n of a request", BOUNDS(n_bounds)},
};

void metrics_open(Metrics *m)
{
    *m = (Metrics){0};
    pthread_mutex_init(&m->mutex, NULL);
    for (int i = 0; i < N_HISTOGRAMS; i++) {
        m->histograms[i].bounds = descriptions[i].bounds;
        m->histograms[i].n_bounds = descriptions[i].n_bounds;
    }
}

void metrics_close(Metrics *m) { pthread_mutex_destroy(&m->mutex); }

static void observe(Histogram *h, double value)
{
    int i = 0;
    while (i < h->n_bounds && value > h->bounds[i])
        i++;
    h->counts[i]++;
    h->n++;
    h->sum += value;
}

void metrics_observe(Metrics *m, HistogramId id, double value)
{
    pthread_mutex_lock(&m->mutex);
    observe(&m->histograms[id], value);
    pthread_mutex_unlock(&m->mutex);
}

void metrics_add_reply(Metrics *m, const wen_usage *u, wen_finish finish, double total_seconds)
{
    double running = u->prefill_seconds + u->decode_seconds;
    double queued = total_seconds > running ? total_seconds - running : 0;
    pthread_mutex_lock(&m->mutex);
    m->finished[finish]++;
    if (u->completion_tokens > 0)
        observe(&m->histograms[HISTOGRAM_FIRST_TOKEN], queued + u->prefill_seconds);
    if (u->completion_tokens > 1)
        observe(&m->histograms[HISTOGRAM_INTER_TOKEN],
                u->decode_seconds / (u->completion_tokens - 1));
    observe(&m->histograms[HISTOGRAM_TOTAL], total_seconds);
    observe(&m->histograms[HISTOGRAM_QUEUE], queued);
    observe(&m->histograms[HISTOGRAM_INFERENCE], running);
    observe(&m->histograms[HISTOGRAM_PREFILL], u->prefill_seconds);
    observe(&m->histograms[HISTOGRAM_DECODE], u->decode_seconds);
    observe(&m->histograms[HISTOGRAM_PROMPT_TOKENS], u->prompt_tokens);
    observe(&m->histograms[HISTOGRAM_GENERATED_TOKENS], u->completion_tokens);
    pthread_mutex_unlock(&m->mutex);
}

void metrics_add_http(Metrics *m, const char *path, const char *method, int status, double seconds)
{
    pthread_mutex_lock(&m->mutex);
    int i = 0;
    while (i < m->n_http &&
           (m->http[i].path != path || m->http[i].method != method || m->http[i].status != status))
        i++;
    if (i == m->n_http && i < METRICS_ROUTES_MAX)
        m->http[m->n_http++] = (HttpCount){.path = path, .method = method, .status = status};
    if (i < m->n_http) {
        m->http[i].n++;
        m->http[i].seconds += seconds;
    }
    pthread_mutex_unlock(&m->mutex);
}

/* ---- Text ------------------------------------------------------------------------------------ */

/* A label's value: quotes, backslashes and line ends are escaped. */
static void put_label(Buf *out, const char *text)
{
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            buf_putc(out, '\\');
        if (*c == '\n')
            buf_puts(out, "\\n");
        else
            buf_putc(out, *c);
    }
}

static void put_head(Buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP vllm:%s %s.\n# TYPE vllm:%s %s\n", name, help, name, type);
}

static void put_line(Buf *out, const char *name, const char *model, double value)
{
    buf_printf(out, "vllm:%s{engine=\"0\",model_name=\"", name);
    put_label(out, model);
    buf_printf(out, "\"} %.10g\n", value);
}

typedef struct EngineLine {
    const char *name, *type, *help;
} EngineLine;

static const EngineLine engine_lines[] = {
    {"num_requests_running", "gauge", "Replies being computed"},
    {"num_requests_waiting", "gauge", "Replies waiting for their turn"},
    {"kv_cache_usage_perc", "gauge", "Share of the pages of keys and values in use, 0 to 1"},
    {"prefix_cache_queries_total", "counter", "Prompt tokens looked up in the prefix cache"},
    {"prefix_cache_hits_total", "counter", "Prompt tokens found there"},
    {"num_preemptions_total", "counter", "Replies that gave their pages back for a while"},
    {"prompt_tokens_total", "counter", "Prompt tokens"},
    {"generation_tokens_total", "counter", "Generated tokens"},
    {"spec_decode_num_drafts_total", "counter", "Times that a reply had tokens tried ahead"},
    {"spec_decode_num_draft_tokens_total", "counter", "Tokens tried ahead"},
    {"spec_decode_num_accepted_tokens_total", "counter", "Of these, tokens that came"},
};
enum { N_ENGINE_LINES = sizeof engine_lines / sizeof *engine_lines };

void metrics_put_engines(Buf *out, const char *const *models, const wen_engine_stats *stats, int n)
{
    for (int i = 0; i < N_ENGINE_LINES; i++) {
        put_head(out, engine_lines[i].name, engine_lines[i].type, engine_lines[i].help);
        for (int k = 0; k < n; k++) {
            const wen_engine_stats *s = &stats[k];
            const double values[N_ENGINE_LINES] = {
                s->n_running,
                s->n_waiting,
                s->n_pages ? (double)s->n_pages_held / s->n_pages : 0,
                (double)s->prompt_tokens,
                (double)s->cached_tokens,
                (double)s->n_preemptions,
                (double)s->prompt_tokens,
                (double)s->generated_tokens,
                (double)s->n_drafts,
                (double)s->drafted_tokens,
                (double)s->accepted_tokens,
            };
            put_line(out, engine_lines[i].name, models[k], values[i]);
        }
    }
}

static void put_histogram(Buf *out, int id, const Histogram *h, const char *model)
{
    const char *name = descriptions[id].name;
    uint64_t below = 0;
    put_head(out, name, "histogram", descriptions[id].help);
    for (int i = 0; i <= h->n_bounds; i++) {
        below += h->counts[i];
        buf_printf(out, "vllm:%s_bucket{engine=\"0\",le=\"", name);
        if (i < h->n_bounds)
            buf_printf(out, "%g", h->bounds[i]);
        else
            buf_puts(out, "+Inf");
        buf_puts(out, "\",model_name=\"");
        put_label(out, model);
        buf_printf(out, "\"} %" PRIu64 "\n", below);
    }
    char full[64];
    snprintf(full, sizeof full, "%s_sum", name);
    put_line(out, full, model, h->sum);
    snprintf(full, sizeof full, "%s_count", name);
    put_line(out, full, model, (double)h->n);
}

static void put_finished(Buf *out, const Metrics *m, const char *model)
{
    put_head(out, "request_success_total", "counter", "Finished replies by reason");
    for (int i = WEN_FINISH_STOP; i <= WEN_FINISH_ERROR; i++) {
        buf_printf(out,
                   "vllm:request_success_total{engine=\"0\",finished_reason=\"%s\",model_name=\"",
                   i == WEN_FINISH_CANCELLED ? "abort" : wen_finish_name((wen_finish)i));
        put_label(out, model);
        buf_printf(out, "\"} %" PRIu64 "\n", m->finished[i]);
    }
}

static void put_http(Buf *out, const Metrics *m)
{
    buf_puts(out, "# HELP http_requests_total Requests by path and status.\n"
                  "# TYPE http_requests_total counter\n");
    for (int i = 0; i < m->n_http; i++) {
        const HttpCount *c = &m->http[i];
        buf_printf(out,
                   "http_requests_total{handler=\"%s\",method=\"%s\",status=\"%d\"} %" PRIu64 "\n",
                   c->path, c->method, c->status, c->n);
    }
    buf_puts(out, "# HELP http_request_duration_seconds Time to answer.\n"
                  "# TYPE http_request_duration_seconds summary\n");
    for (int i = 0; i < m->n_http; i++) {
        const HttpCount *c = &m->http[i];
        buf_printf(out,
                   "http_request_duration_seconds_sum{handler=\"%s\",method=\"%s\",status=\"%d\"} "
                   "%.6f\n"
                   "http_request_duration_seconds_count{handler=\"%s\",method=\"%s\",status=\"%d\"}"
                   " %" PRIu64 "\n",
                   c->path, c->method, c->status, c->seconds, c->path, c->method, c->status, c->n);
    }
}

void metrics_put(Metrics *m, const char *model, Buf *out)
{
    pthread_mutex_lock(&m->mutex);
    for (int i = 0; i < N_HISTOGRAMS; i++)
        put_histogram(out, i, &m->histograms[i], model);
    put_finished(out, m, model);
    put_http(out, m);
    pthread_mutex_unlock(&m->mutex);
}
