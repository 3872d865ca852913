/* See corpus.h. The files are cut into jobs of whole documents; a batch of jobs goes over the
 * threads, each of which counts into a table of its own. Sums do not depend on who counts. */
#include "train/corpus.h"

#include "base/file.h"
#include "base/pool.h"
#include "base/rng.h"
#include "text/added.h"
#include "text/chat.h"
#include "text/qwen_tokens.h"
#include "train/blocks.h"

#include <math.h>
#include <string.h>

enum { JOB_BYTES = 256 << 10, BLOCK_BYTES = 64 << 10, JOBS_MAX = 128 };

/* Whole lines of a .jsonl, or one block of a .txt. */
typedef struct Job {
    Str text;
    int64_t first; /* number of its first line, from 1; of the block, from 0 */
    int source;
    bool is_lines;
    Error err;
} Job;

typedef struct Worker {
    PieceCounts counts;
    JinjaOutput rendered;
    CorpusReport report;
} Worker;

typedef struct Corpus {
    const CorpusOptions *options;
    double scale; /* of all weights */
    CharTable table;
    ChatTemplate *chat;
    Vocab added_vocab;
    AddedSet added;
    Pool *pool;
    Worker *workers;
    Job jobs[JOBS_MAX];
    int n_jobs;
} Corpus;

/* How often a document counts. */
static uint64_t times(const Corpus *c, int source, int64_t document)
{
    const double weight = c->options->sources[source].weight * c->scale, whole = floor(weight);
    const double u =
        rng_unit(rng_counter((uint64_t)c->options->seed, (uint64_t)source, (uint64_t)document));
    return (uint64_t)whole + (u < weight - whole);
}

static bool count_text(const Corpus *c, Worker *w, Str text, uint64_t n, Error *err)
{
    w->report.n_bytes += (int64_t)(text.bytes * n);
    return piece_counts_add_text(&w->counts, &c->table, text, n, err);
}

/* A conversation as its model sees it, less the added tokens. */
static bool count_chat(const Corpus *c, Worker *w, const json_t *document, uint64_t n, Error *err)
{
    const ChatRender request = {.messages = json_object_get(document, "messages"),
                                .tools = json_object_get(document, "tools"),
                                .enable_thinking = -1};
    if (!chat_render(c->chat, &request, &w->rendered, err))
        return false;
    const Str text = buf_str(&w->rendered.text);
    AddedScan scan = {
        &c->added, &c->added_vocab, text, w->rendered.untrusted, w->rendered.n_untrusted, 0};
    size_t done = 0, from;
    while (added_scan_next(&scan, &from) >= 0) {
        if (!count_text(c, w, str_slice(text, done, from), n, err))
            return false;
        done = scan.at;
    }
    return count_text(c, w, str_slice(text, done, text.bytes), n, err);
}

static bool count_line(const Corpus *c, Worker *w, Str line, uint64_t n, Error *err)
{
    json_error_t why;
    json_t *document = json_loadb(line.data, line.bytes, JSON_ALLOW_NUL, &why);
    const json_t *text = json_object_get(document, "text");
    bool ok;
    if (!document)
        ok = error_set(err, ERROR_FORMAT, "%s", why.text);
    else if (json_is_string(text))
        ok = count_text(c, w, (Str){json_string_value(text), json_string_length(text)}, n, err);
    else if (json_is_array(json_object_get(document, "messages")))
        ok = count_chat(c, w, document, n, err);
    else
        ok = error_set(err, ERROR_FORMAT, "neither \"text\" nor \"messages\" in this line");
    json_decref(document);
    w->report.n_documents += (int64_t)n;
    return ok;
}

static bool count_lines(const Corpus *c, Worker *w, Job *job)
{
    int64_t number = job->first;
    for (size_t at = 0, end; at < job->text.bytes; at = end + 1, number++) {
        const char *newline = memchr(job->text.data + at, '\n', job->text.bytes - at);
        end = newline ? (size_t)(newline - job->text.data) : job->text.bytes;
        const Str line = str_slice(job->text, at, end);
        const uint64_t n = times(c, job->source, number);
        if (n > 0 && line.bytes > 0 && !count_line(c, w, line, n, &job->err))
            return error_add(&job->err, "%s:%lld", c->options->sources[job->source].path,
                             (long long)number);
    }
    return true;
}

static void run_job(void *context, int task, int worker)
{
    Corpus *c = context;
    Job *job = &c->jobs[task];
    Worker *w = &c->workers[worker];
    if (job->is_lines) {
        if (!count_lines(c, w, job))
            return;
    } else {
        const uint64_t n = times(c, job->source, job->first);
        if (n > 0 && !count_text(c, w, job->text, n, &job->err))
            error_add(&job->err, "%s: block %lld", c->options->sources[job->source].path,
                      (long long)job->first);
        w->report.n_documents += (int64_t)n;
    }
}

/* Counts what waits; the first job in order that failed is the one reported. */
static bool flush(Corpus *c, Error *err)
{
    pool_run(c->pool, c->n_jobs, run_job, c);
    const int n = c->n_jobs;
    c->n_jobs = 0;
    for (int i = 0; i < n; i++) {
        if (c->jobs[i].err.code == ERROR_NONE)
            continue;
        if (err)
            *err = c->jobs[i].err;
        return false;
    }
    return true;
}

static bool add_job(Corpus *c, Job job, Error *err)
{
    c->jobs[c->n_jobs++] = job;
    return c->n_jobs < JOBS_MAX || flush(c, err);
}

static bool add_blocks(Corpus *c, int source, Str text, Error *err)
{
    int64_t number = 0;
    for (size_t at = 0, end; at < text.bytes; at = end, number++) {
        end = block_end(text, at, BLOCK_BYTES, false);
        const Job job = {str_slice(text, at, end), number, source, false, {0}};
        if (!add_job(c, job, err))
            return false;
    }
    return true;
}

static bool add_lines(Corpus *c, int source, Str text, Error *err)
{
    int64_t first = 1;
    for (size_t at = 0, end; at < text.bytes; at = end) {
        end = block_end(text, at, JOB_BYTES, true);
        const Job job = {str_slice(text, at, end), first, source, true, {0}};
        if (!add_job(c, job, err))
            return false;
        first += block_lines(job.text);
    }
    return true;
}

static bool count_source(Corpus *c, int source, Error *err)
{
    const char *path = c->options->sources[source].path;
    const bool is_lines = str_ends(str_from(path), STR(".jsonl"));
    FileMap map;
    if (!is_lines && !str_ends(str_from(path), STR(".txt")))
        return error_set(err, ERROR_UNSUPPORTED, "%s: data is .txt or .jsonl", path);
    if (!file_map(&map, path, err))
        return false;
    const Str text = {(const char *)map.data, map.bytes};
    const bool ok = (is_lines ? add_lines(c, source, text, err) : add_blocks(c, source, text, err));
    const bool is_counted = flush(c, ok ? err : NULL); /* before the map goes */
    file_unmap(&map);
    return ok && is_counted;
}

/* Weights shrink when all the files together, as often as they count, are more than wanted. */
static bool find_scale(Corpus *c, Error *err)
{
    double total = 0;
    for (int i = 0; i < c->options->n_sources; i++) {
        FileMap map;
        if (!file_map(&map, c->options->sources[i].path, err))
            return false;
        total += c->options->sources[i].weight * (double)map.bytes;
        file_unmap(&map);
    }
    const double wanted = (double)c->options->bytes;
    c->scale = wanted > 0 && total > wanted ? wanted / total : 1;
    return true;
}

static bool open_parts(Corpus *c, Error *err)
{
    for (int i = 0; i < QWEN_TOKENS; i++)
        if (!vocab_add(&c->added_vocab, i, str_from(qwen_tokens[i].text), TOKEN_ADDED, err))
            return false;
    if (!added_open(&c->added, &c->added_vocab, TOKEN_ADDED, TOKEN_ADDED, err) ||
        !char_table_open(&c->table, err))
        return false;
    c->chat = chat_template_open(c->options->chat_template, STR(""), STR(QWEN_TURN_END), err);
    if (!c->chat)
        return error_add(err, "the chat template");
    c->pool = pool_open(c->options->n_threads, err);
    if (!c->pool)
        return false;
    c->workers = mem_alloc(sizeof *c->workers * (size_t)pool_n_threads(c->pool));
    return find_scale(c, err);
}

static void close_parts(Corpus *c)
{
    for (int i = 0; c->workers && i < pool_n_threads(c->pool); i++) {
        piece_counts_close(&c->workers[i].counts);
        jinja_output_free(&c->workers[i].rendered);
    }
    mem_free(c->workers);
    if (c->pool)
        pool_close(c->pool);
    chat_template_close(c->chat);
    char_table_close(&c->table);
    added_close(&c->added);
    vocab_close(&c->added_vocab);
    mem_free(c);
}

bool corpus_count(const CorpusOptions *options, PieceCounts *counts, CorpusReport *report,
                  Error *err)
{
    Corpus *c = mem_alloc(sizeof *c);
    c->options = options;
    bool ok = open_parts(c, err);
    for (int i = 0; ok && i < options->n_sources; i++)
        ok = count_source(c, i, err);
    *report = (CorpusReport){0};
    for (int i = 0; ok && i < pool_n_threads(c->pool); i++) {
        const Worker *w = &c->workers[i];
        report->n_documents += w->report.n_documents;
        report->n_bytes += w->report.n_bytes;
        ok = piece_counts_add_all(counts, &w->counts, err);
    }
    close_parts(c);
    return ok;
}
