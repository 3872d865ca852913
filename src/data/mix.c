/* See mix.h. The first reading checks every line and weighs it; then all copies are drawn and
 * shuffled as (source, place) pairs; the second reading fetches them in that order. */
#include "data/mix.h"

#include "base/mem.h"
#include "base/rng.h"
#include "data/mix_config.h"
#include "data/records.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Document {
    size_t at; /* its line's first byte */
    double weight;
} Document;

typedef struct Source {
    RecordReader reader;
    Document *documents; /* [n] */
    size_t n, n_max;
    double weight, bytes; /* sums; bytes times weight */
} Source;

typedef struct Copy {
    uint32_t source;
    size_t at;
} Copy;

typedef struct Mix {
    MixConfig config;
    MixReport *report;
    Source sources[MIX_SOURCES_MAX];
    Copy *copies;
    size_t n_copies;
} Mix;

static bool weigh_source(Mix *m, int i, Error *err)
{
    Source *s = &m->sources[i];
    const Record *record;
    if (!records_open(&s->reader, m->config.sources[i].path, err))
        return false;
    while (true) {
        if (!records_next(&s->reader, &record, err))
            return false;
        if (!record)
            break;
        if (s->n == s->n_max) {
            const size_t more = s->n_max ? 2 * s->n_max : 1024;
            Document *grown = mem_try_grow(s->documents, s->n * sizeof *grown, more * sizeof *grown,
                                           "documents", err);
            if (!grown)
                return false;
            s->documents = grown;
            s->n_max = more;
        }
        const double weight = mix_config_weight(&m->config, record->json);
        s->documents[s->n++] = (Document){record->at, weight};
        s->weight += weight;
        s->bytes += weight * (double)record->line.bytes;
    }
    return s->weight > 0 ||
           error_set(err, ERROR_FORMAT, "%s: there is no document in it%s", s->reader.path,
                     s->n ? " that the rules leave any weight" : "");
}

/* How many copies a weight of 1 makes in each source, so that the shares come out. */
static bool find_scales(const Mix *m, double scale[MIX_SOURCES_MAX], Error *err)
{
    const MixConfig *c = &m->config;
    const bool in_bytes = c->bytes > 0;
    double shares = 0, total = in_bytes ? (double)c->bytes : (double)c->documents;
    for (int i = 0; i < c->n_sources; i++)
        shares += c->sources[i].share;
    for (int i = 0; i < c->n_sources && c->documents == 0 && !in_bytes; i++) {
        const double most = (double)m->sources[i].n * c->repeats / (c->sources[i].share / shares);
        if (total == 0 || most < total)
            total = most;
    }
    for (int i = 0; i < c->n_sources; i++) {
        const Source *s = &m->sources[i];
        scale[i] = total * c->sources[i].share / shares / (in_bytes ? s->bytes : s->weight);
        const double repeats = scale[i] * s->weight / (double)s->n;
        if (repeats > c->repeats * (1 + 1e-9))
            return error_set(err, ERROR_ARGUMENT,
                             "%s: its share needs each document %.2f times; repeats allows %.2f "
                             "(raise it, or ask for less)",
                             s->reader.path, repeats, c->repeats);
    }
    return true;
}

/* Draws how often each document stands in the output. */
static uint64_t times(const Mix *m, int source, size_t document, double scale)
{
    const double x = m->sources[source].documents[document].weight * scale, whole = floor(x);
    const double u =
        rng_unit(rng_counter((uint64_t)m->config.seed, (uint64_t)source, (uint64_t)document));
    return (uint64_t)whole + (u < x - whole);
}

static bool draw(Mix *m, const double *scale, Error *err)
{
    uint64_t n = 0;
    for (int i = 0; i < m->config.n_sources; i++)
        for (size_t k = 0; k < m->sources[i].n; k++)
            n += times(m, i, k, scale[i]);
    m->copies = mem_try_alloc((n + 1) * sizeof *m->copies, "the mixture", err);
    if (!m->copies)
        return false;
    for (int i = 0; i < m->config.n_sources; i++)
        for (size_t k = 0; k < m->sources[i].n; k++)
            for (uint64_t c = times(m, i, k, scale[i]); c > 0; c--)
                m->copies[m->n_copies++] = (Copy){(uint32_t)i, m->sources[i].documents[k].at};
    Rng rng = {rng_counter((uint64_t)m->config.seed, 0x6d6978, 0)};
    for (size_t i = m->n_copies; i > 1; i--) {
        const size_t other = (size_t)rng_below(&rng, i);
        const Copy copy = m->copies[i - 1];
        m->copies[i - 1] = m->copies[other];
        m->copies[other] = copy;
    }
    return true;
}

static bool write_all(Mix *m, const char *out, Error *err)
{
    FileWriter *w = file_writer_open(out, err);
    bool ok = w != NULL;
    for (size_t i = 0; ok && i < m->n_copies; i++) {
        const Copy *copy = &m->copies[i];
        MixSourceReport *r = &m->report->sources[copy->source];
        const Record *record;
        ok = records_at(&m->sources[copy->source].reader, copy->at, 0, &record, err) &&
             record_write(record, w, err);
        r->n_written++;
        r->bytes_written += ok ? (int64_t)record->line.bytes : 0;
    }
    return file_writer_finish(w, ok, err);
}

static bool mix(Mix *m, const char *config_path, const char *out, Error *err)
{
    double scale[MIX_SOURCES_MAX];
    if (!mix_config_read(&m->config, config_path, err))
        return false;
    for (int i = 0; i < m->config.n_sources; i++) {
        if (!weigh_source(m, i, err))
            return false;
        m->report->sources[m->report->n_sources++] = (MixSourceReport){
            mem_strdup(m->config.sources[i].path), (int64_t)m->sources[i].n, 0, 0};
    }
    return find_scales(m, scale, err) && draw(m, scale, err) && write_all(m, out, err);
}

bool mix_run(const char *config_path, const char *out, MixReport *report, Error *err)
{
    Mix *m = mem_alloc(sizeof *m);
    m->report = report;
    *report = (MixReport){0};
    const bool ok = mix(m, config_path, out, err);
    for (int i = 0; i < MIX_SOURCES_MAX; i++) {
        records_close(&m->sources[i].reader);
        mem_free(m->sources[i].documents);
    }
    mem_free(m->copies);
    mix_config_close(&m->config);
    mem_free(m);
    return ok;
}

void mix_report_free(MixReport *report)
{
    for (int i = 0; i < report->n_sources; i++)
        mem_free(report->sources[i].path);
    *report = (MixReport){0};
}
