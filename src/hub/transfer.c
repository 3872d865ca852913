/* See transfer.h.
 *
 * One curl multi handle, a slot a connection. A slot has a piece of a file; when its request ends -
 * piece complete, connection cut, redirect - the slot decides what is next for that piece. A file
 * that gained bytes is asked again at once; one that did not waits, each time longer, and ends the
 * pull after options->n_tries. */
#include "hub/transfer.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_sites.h"
#include "hub/verifier.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum {
    SLOTS_MAX = 32,
    CONNECTIONS = 8,
    TRIES = 5,
    REDIRECTS_MAX = 10,
    POLL_MS = 100,
    BAD_HASHES_MAX = 2,
};
#define WAIT_FIRST_S 0.5 /* before the second try without a byte; then twice as long each time */
#define WAIT_MAX_S 30.0
#define EVENT_EVERY_S 0.2
#define RATE_OVER_S 5.0
#define HURRY_AFTER_S 5.0
#define HURRY_FACTOR 5.0 /* slower than the best connection by this */

typedef struct Download {
    PartFile *part; /* NULL: not begun, or finished */
    VerifierJob *job;
    char *url, *direct_url; /* the hub's; where it led, until that fails */
    int n_active, n_failures, n_bad;
    double not_before;
    bool knows_no_ranges;
} Download;

typedef struct Slot {
    CURL *easy;
    Download *download; /* NULL: idle */
    const RepoFile *file;
    uint64_t begin, at, end; /* asked from, received up to, asked to */
    long status;
    int n_redirects;
    bool is_whole_file; /* no range was asked for */
    bool is_direct;     /* asked where the hub had led, not the hub */
    double retry_after_s, asked_at;
    uint64_t asked_from;
    bool is_hurried; /* this piece was taken off a slow connection */
    char error_code[64];
    Error error;   /* what our own callbacks found */
    bool is_fatal; /* error: trying again will not help */
    bool is_changed;
} Slot;

typedef struct Work {
    Transfer *t;
    CURLM *multi;
    Verifier *verifier;
    Download *downloads; /* [files->n] */
    Slot slots[SLOTS_MAX];
    int n_slots, n_tries;
    uint64_t total_bytes, finished_bytes;
    int n_files_done, n_retries;
    double event_at;
    struct {
        double time;
        uint64_t bytes;
    } rate_from; /* where the rate's window begins */
    double bytes_per_s;
    double best_slot_rate; /* bytes a second that one connection has reached */
} Work;

/* ---- What a server answers ------------------------------------------------------------------- */

static size_t slot_fails(Slot *s, bool is_fatal, bool is_changed)
{
    s->is_fatal = is_fatal;
    s->is_changed = is_changed;
    return 0;
}

/* "bytes 0-99/1000": the range that we asked for, of a file of the length that we know. */
static bool check_range(Slot *s, Str value)
{
    char text[96];
    unsigned long long first = 0, last = 0, total = 0;
    snprintf(text, sizeof text, "%.*s", (int)(value.bytes < 95 ? value.bytes : 95), value.data);
    int n = sscanf(text, "bytes %llu-%llu/%llu", &first, &last, &total);
    if (n < 2 || first != s->begin)
        return error_set(&s->error, ERROR_IO,
                         "the server sends another range than it was asked for");
    if (n == 3 && total != s->file->bytes) {
        s->is_changed = true;
        return error_set(&s->error, ERROR_IO, "the server has %llu bytes, the hub's list says %llu",
                         total, (unsigned long long)s->file->bytes);
    }
    return true;
}

static bool check_length(Slot *s, Str value)
{
    unsigned long long bytes = strtoull(value.data, NULL, 10);
    if (s->status != 200 || bytes == s->file->bytes)
        return true;
    s->is_changed = true;
    return error_set(&s->error, ERROR_IO, "the server has %llu bytes, the hub's list says %llu",
                     bytes, (unsigned long long)s->file->bytes);
}

static size_t on_header(char *data, size_t one, size_t bytes, void *context)
{
    Slot *s = context;
    Str line = {data, one * bytes}, value;
    bool ok = true;
    if (str_starts(line, STR("HTTP/"))) {
        ptrdiff_t blank = str_find(line, STR(" "), 0);
        s->status = blank > 0 ? strtol(line.data + blank, NULL, 10) : 0;
    } else if (s->status == 206 && hub_header_is(line, "Content-Range", &value))
        ok = check_range(s, value);
    else if (hub_header_is(line, "Content-Length", &value))
        ok = check_length(s, value);
    else if (hub_header_is(line, "X-Error-Code", &value))
        snprintf(s->error_code, sizeof s->error_code, "%.*s", STR_ARG(value));
    else if (hub_header_is(line, "Retry-After", &value))
        s->retry_after_s = strtod(value.data, NULL);
    return ok ? line.bytes : slot_fails(s, false, s->is_changed);
}

/* A whole file where a range was asked for: this file goes on as one stream from its beginning. */
static bool take_whole(Slot *s)
{
    Download *d = s->download;
    if (d->n_active > 1 || s->is_whole_file)
        return s->is_whole_file;
    part_release(d->part, s->begin, s->end);
    part_claim_all(d->part, &s->begin, &s->end);
    s->at = s->begin;
    s->is_whole_file = true;
    return true;
}

static size_t on_body(char *data, size_t one, size_t bytes, void *context)
{
    Slot *s = context;
    bytes *= one;
    if (s->status != 200 && s->status != 206)
        return bytes; /* an error's page */
    if (s->status == 200 && !s->is_whole_file)
        s->download->knows_no_ranges = true;
    if (s->status == 200 && !take_whole(s)) {
        error_set(&s->error, ERROR_IO, "the server sends whole files only");
        return slot_fails(s, false, false);
    }
    if (bytes > s->end - s->at) {
        error_set(&s->error, ERROR_IO, "the server sends more than it was asked for");
        return slot_fails(s, false, true);
    }
    if (!part_write(s->download->part, s->at, data, bytes, &s->error))
        return slot_fails(s, true, false);
    s->at += bytes;
    return bytes;
}

/* ---- Slots ----------------------------------------------------------------------------------- */

static bool slot_ask(Work *w, Slot *s)
{
    Download *d = s->download;
    char range[64];
    s->status = 0;
    s->error = (Error){0};
    s->error_code[0] = '\0';
    s->is_fatal = s->is_changed = false;
    s->retry_after_s = 0;
    s->is_direct = d->direct_url != NULL;
    s->asked_at = clock_seconds();
    s->asked_from = s->at;
    curl_easy_reset(s->easy);
    hub_access_prepare(w->t->access, s->easy, d->direct_url ? d->direct_url : d->url);
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)s->begin,
             (unsigned long long)s->end - 1);
    curl_easy_setopt(s->easy, CURLOPT_RANGE, s->is_whole_file ? NULL : range);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(s->easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, (long)s->is_hurried);
    return curl_multi_add_handle(w->multi, s->easy) == CURLM_OK;
}

/* A piece of `d` for an idle slot. */
static bool slot_begin(Work *w, Slot *s, Download *d, Error *err)
{
    uint64_t begin, end;
    if (d->knows_no_ranges && d->n_active > 0)
        return true;
    if (!part_claim(d->part, &begin, &end))
        return true;
    if (d->knows_no_ranges) {
        part_release(d->part, begin, end);
        part_claim_all(d->part, &begin, &end);
    }
    s->download = d;
    s->file = part_file(d->part);
    s->begin = s->at = begin;
    s->end = end;
    s->is_whole_file = begin == 0 && end == s->file->bytes;
    s->n_redirects = 0;
    s->is_hurried = false;
    d->n_active++;
    return slot_ask(w, s) || error_set(err, ERROR_MEMORY, "libcurl has no memory");
}

static void slot_release(Slot *s)
{
    if (!s->download)
        return;
    part_release(s->download->part, s->begin, s->end);
    s->download->n_active--;
    s->download = NULL;
}

static bool emit(Work *w, HubEventKind kind, const char *message, Error *err)
{
    const HubPullOptions *o = w->t->options;
    HubEvent e = {.kind = kind,
                  .name = w->t->name,
                  .n_files = w->t->files->n,
                  .n_files_done = w->n_files_done,
                  .total_bytes = w->total_bytes,
                  .done_bytes = w->finished_bytes,
                  .checked_bytes = w->finished_bytes,
                  .bytes_per_s = w->bytes_per_s,
                  .left_s = -1,
                  .n_retries = w->n_retries,
                  .message = message};
    for (int i = 0; i < w->t->files->n; i++) {
        Download *d = &w->downloads[i];
        if (d->part) {
            e.done_bytes += part_done(d->part);
            e.checked_bytes += verifier_hashed(w->verifier, d->job);
        }
    }
    if (w->bytes_per_s > 0)
        e.left_s = (double)(e.total_bytes - e.done_bytes) / w->bytes_per_s;
    return !o->on_event || o->on_event(o->context, &e) ||
           error_set(err, ERROR_CANCELLED,
                     "stopped; what was fetched stays, the next pull goes on");
}

/* A request that ended without its piece: again at once if it gained bytes, later if not. */
static bool retry(Work *w, Download *d, bool has_gained, double wait_s, const Error *why,
                  Error *err)
{
    w->n_retries++;
    if (has_gained) {
        d->n_failures = 0;
        d->not_before = 0;
    } else {
        const double now = clock_seconds();
        double pause_s = WAIT_FIRST_S * (double)(1u << (d->n_failures < 8 ? d->n_failures : 8));
        pause_s = pause_s > wait_s ? pause_s : wait_s;
        if (d->not_before > now) /* connections that fail together are one failure */
            return true;
        d->not_before = now + (pause_s < WAIT_MAX_S ? pause_s : WAIT_MAX_S);
        if (++d->n_failures >= w->n_tries)
            return error_set(err, why->code,
                             "%s, %d times; what was fetched stays, the next pull "
                             "goes on from there",
                             why->message, d->n_failures);
    }
    return emit(w, HUB_EVENT_RETRY, why->message, err);
}

/* The server's answer was no: what to do about it, and in words. */
static bool slot_refused(Work *w, Slot *s, Error *why)
{
    Download *d = s->download;
    const char *what = w->t->name->repo;
    hub_access_refused(w->t->access, what, s->status, s->error_code, why);
    if (s->is_direct) { /* the address may have been good for a while only */
        mem_free(d->direct_url);
        d->direct_url = NULL;
    } else if (s->status == 416) {
        error_set(why, ERROR_IO, "%s: %s is shorter than the hub's list says", what, s->file->path);
        s->is_changed = true;
    } else if (s->status < 500 && s->status != 429 && s->status != 408) {
        s->is_fatal = true;
    }
    return false;
}

static bool slot_redirected(Work *w, Slot *s, Error *why)
{
    char *next = NULL;
    curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &next);
    if (!next || ++s->n_redirects > REDIRECTS_MAX) {
        error_set(why, ERROR_IO, "%s: %s leads in circles", w->t->name->repo, s->file->path);
        return false;
    }
    char *url = mem_strdup(next);
    mem_free(s->download->direct_url);
    s->download->direct_url = url;
    return true;
}

/* A request is over. */
static bool slot_done(Work *w, Slot *s, CURLcode code, Error *err)
{
    Download *d = s->download;
    const bool has_gained = s->at > s->begin;
    Error why = {0};
    curl_multi_remove_handle(w->multi, s->easy);
    if (s->at == s->end && s->status / 100 == 2 && !s->is_fatal) {
        d->n_failures = 0;
        slot_release(s);
        return true;
    }
    if (code == CURLE_OK && s->status / 100 == 3 && slot_redirected(w, s, &why))
        return slot_ask(w, s) || error_set(err, ERROR_MEMORY, "libcurl has no memory");
    if (s->error.code != ERROR_NONE)
        error_set(&why, s->error.code, "%s: %s", s->file->path, s->error.message);
    else if (code != CURLE_OK)
        hub_access_trouble(w->t->access, w->t->name->repo, code, s->easy, &why);
    else if (s->status / 100 == 2)
        error_set(&why, ERROR_IO, "%s: %s: the connection ended early", w->t->name->repo,
                  s->file->path);
    else if (s->status / 100 != 3)
        slot_refused(w, s, &why);
    const bool is_fatal =
        s->is_fatal || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_UNSUPPORTED_PROTOCOL;
    w->t->is_changed |= s->is_changed;
    if (s->is_fatal && s->error.code != ERROR_NONE) /* the disk's word, not a server's */
        why = s->error;
    slot_release(s);
    if (is_fatal || (s->is_changed && w->t->stops_at_change)) {
        *err = why;
        return false;
    }
    return retry(w, d, has_gained, s->retry_after_s, &why, err);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static bool download_open(Work *w, int i, Error *err)
{
    Download *d = &w->downloads[i];
    const RepoFile *file = &w->t->files->items[i];
    char *path = file_join(w->t->dir, file->path);
    struct stat st;
    bool ok = true;
    if (stat(path, &st) == 0) {
        w->finished_bytes += file->bytes;
        w->n_files_done++;
    } else {
        d->url = hub_sites_url(w->t->access, w->t->name, w->t->files->revision, file->path);
        d->part = part_open(path, file, err);
        ok = d->part != NULL;
        d->job = ok ? verifier_add(w->verifier, d->part) : NULL;
    }
    mem_free(path);
    return ok;
}

/* A file whose bytes are there has a verdict, sooner or later. */
static bool download_check(Work *w, int i, Error *err)
{
    Download *d = &w->downloads[i];
    const RepoFile *file = &w->t->files->items[i];
    switch (verifier_verdict(w->verifier, d->job, err)) {
    case VERDICT_PENDING:
        return true;
    case VERDICT_FAILED:
        return false;
    case VERDICT_GOOD:
        w->finished_bytes += file->bytes;
        w->n_files_done++;
        PartFile *part = d->part;
        d->part = NULL;
        return part_finish(part, err);
    case VERDICT_BAD:
        break;
    }
    Error why;
    error_set(&why, ERROR_FORMAT,
              "%s: %s: the bytes that arrived do not have the %s that the hub gives: not kept",
              w->t->name->repo, file->path, file->sha256[0] ? "SHA-256" : "SHA-1");
    part_reset(d->part);
    mem_free(d->direct_url);
    d->direct_url = NULL;
    w->t->is_changed = true;
    if (w->t->stops_at_change || ++d->n_bad >= BAD_HASHES_MAX) {
        *err = why;
        return false;
    }
    verifier_restart(w->verifier, d->job);
    w->n_retries++;
    return emit(w, HUB_EVENT_RETRY, why.message, err);
}

static bool fill_slots(Work *w, Error *err)
{
    const double now = clock_seconds();
    for (int i = 0; i < w->n_slots; i++)
        for (int k = 0; k < w->t->files->n && !w->slots[i].download; k++) {
            Download *d = &w->downloads[k];
            if (d->part && d->not_before <= now && !slot_begin(w, &w->slots[i], d, err))
                return false;
        }
    return true;
}

/* The last percent hangs on the slowest connection: when others are idle, a piece that crawls is
 * asked for again, from where it is, over a new one. */
static bool hurry_last(Work *w, Error *err)
{
    const double now = clock_seconds();
    bool has_idle = false;
    for (int i = 0; i < w->n_slots; i++)
        has_idle |= !w->slots[i].download;
    for (int i = 0; i < w->n_slots; i++) {
        Slot *s = &w->slots[i];
        const double age_s = now - s->asked_at;
        if (!s->download || age_s < HURRY_AFTER_S)
            continue;
        const double rate = (double)(s->at - s->asked_from) / age_s;
        w->best_slot_rate = rate > w->best_slot_rate ? rate : w->best_slot_rate;
        if (!has_idle || s->download->knows_no_ranges || rate * HURRY_FACTOR > w->best_slot_rate ||
            (double)(s->end - s->at) < rate * HURRY_AFTER_S)
            continue;
        curl_multi_remove_handle(w->multi, s->easy);
        s->begin = s->at;
        s->is_hurried = true;
        s->is_whole_file = false;
        if (!slot_ask(w, s))
            return error_set(err, ERROR_MEMORY, "libcurl has no memory");
    }
    return true;
}

static bool take_messages(Work *w, Error *err)
{
    int n_left;
    for (CURLMsg *m; (m = curl_multi_info_read(w->multi, &n_left));) {
        Slot *slot = NULL;
        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &slot);
        if (m->msg == CURLMSG_DONE && !slot_done(w, slot, code, err))
            return false;
    }
    return true;
}

static bool report(Work *w, Error *err)
{
    const double now = clock_seconds();
    uint64_t bytes = w->finished_bytes;
    if (now < w->event_at)
        return true;
    w->event_at = now + EVENT_EVERY_S;
    for (int i = 0; i < w->t->files->n; i++)
        bytes += w->downloads[i].part ? part_done(w->downloads[i].part) : 0;
    if (bytes < w->rate_from.bytes || w->rate_from.time == 0) /* a file was begun anew */
        w->rate_from.time = now, w->rate_from.bytes = bytes;
    double span = now - w->rate_from.time;
    if (span > EVENT_EVERY_S / 2)
        w->bytes_per_s = (double)(bytes - w->rate_from.bytes) / span;
    if (span > RATE_OVER_S) { /* the window moves on, keeping half of what it has seen */
        w->rate_from.time += span / 2;
        w->rate_from.bytes += (bytes - w->rate_from.bytes) / 2;
    }
    return emit(w, HUB_EVENT_PROGRESS, NULL, err);
}

static void wake(void *multi) { curl_multi_wakeup(multi); }

static bool work(Work *w, Error *err)
{
    while (w->n_files_done < w->t->files->n) {
        int n_running;
        if (!fill_slots(w, err) || !hurry_last(w, err))
            return false;
        curl_multi_perform(w->multi, &n_running);
        if (!take_messages(w, err))
            return false;
        verifier_poke(w->verifier);
        for (int i = 0; i < w->t->files->n; i++)
            if (w->downloads[i].part && !download_check(w, i, err))
                return false;
        if (!report(w, err))
            return false;
        if (w->n_files_done < w->t->files->n)
            curl_multi_poll(w->multi, NULL, 0, POLL_MS, NULL);
    }
    w->event_at = 0;
    return report(w, err);
}

static void work_close(Work *w)
{
    verifier_close(w->verifier); /* it wakes the handle and reads the files */
    for (int i = 0; i < w->n_slots; i++) {
        if (w->slots[i].easy)
            curl_multi_remove_handle(w->multi, w->slots[i].easy);
        curl_easy_cleanup(w->slots[i].easy);
    }
    curl_multi_cleanup(w->multi);
    for (int i = 0; i < w->t->files->n; i++) {
        part_close(w->downloads[i].part);
        mem_free(w->downloads[i].url);
        mem_free(w->downloads[i].direct_url);
    }
    mem_free(w->downloads);
}

bool transfer_run(Transfer *t, Error *err)
{
    const int n_wanted = t->options->n_connections;
    Work w = {.t = t, .n_tries = t->options->n_tries > 0 ? t->options->n_tries : TRIES};
    w.n_slots = n_wanted > 0 ? n_wanted < SLOTS_MAX ? n_wanted : SLOTS_MAX : CONNECTIONS;
    w.total_bytes = repo_files_bytes(t->files);
    w.downloads = mem_alloc(sizeof *w.downloads * (size_t)(t->files->n + 1));
    w.multi = curl_multi_init();
    bool ok = w.multi != NULL || error_set(err, ERROR_MEMORY, "libcurl has no memory");
    for (int i = 0; i < w.n_slots && ok; i++) {
        w.slots[i].easy = curl_easy_init();
        ok = w.slots[i].easy != NULL || error_set(err, ERROR_MEMORY, "libcurl has no memory");
    }
    w.verifier = ok ? verifier_open(wake, w.multi, err) : NULL;
    ok = ok && w.verifier;
    for (int i = 0; i < t->files->n && ok; i++)
        ok = download_open(&w, i, err);
    ok = ok && work(&w, err);
    work_close(&w);
    return ok;
}
