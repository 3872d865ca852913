/* See transfer.h.
 *
 * One curl multi handle, a slot a connection. A slot has a piece of a file until its request ends;
 * what is missing then is claimed by the next idle slot. A file that gained bytes is asked again at
 * once; one that did not waits, each time longer, and ends the pull after options->n_tries. */
#include "hub/transfer.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "hub/hub_sites.h"
#include "hub/slot.h"

#include <sys/stat.h>

enum {
    SLOTS_MAX = 32,
    CONNECTIONS = 8,
    TRIES = 5,
    POLL_MS = 100,
    BAD_HASHES_MAX = 2,
};
#define WAIT_FIRST_S 0.5 /* before the second try without a byte; then twice as long each time */
#define WAIT_MAX_S 30.0
#define EVENT_EVERY_S 0.2
#define RATE_OVER_S 5.0
#define HURRY_AFTER_S 3.0
#define RATE_BYTES_MIN ((uint64_t)1 << 20) /* less says nothing of a connection's rate */
#define HURRY_FACTOR 5.0                   /* slower than the best connection by this */

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

/* ---- Requests -------------------------------------------------------------------------------- */

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

/* A request that ended without its piece: again at once if it gained bytes, later if not (then it
 * is said). */
static bool retry(Work *w, Download *d, bool has_gained, double wait_s, const Error *why,
                  Error *err)
{
    w->n_retries++;
    const double now = clock_seconds();
    if (has_gained) {
        d->n_failures = 0;
        d->not_before = 0;
        return true;
    }
    if (d->not_before > now) /* connections that fail together are one failure */
        return true;
    double pause_s = WAIT_FIRST_S * (double)(1u << (d->n_failures < 8 ? d->n_failures : 8));
    pause_s = pause_s > wait_s ? pause_s : wait_s;
    d->not_before = now + (pause_s < WAIT_MAX_S ? pause_s : WAIT_MAX_S);
    if (++d->n_failures >= w->n_tries)
        return error_set(err, why->code,
                         "%s (%d tries); what was fetched stays, the next pull goes on from there",
                         why->message, d->n_failures);
    return emit(w, HUB_EVENT_RETRY, why->message, err);
}

static bool ask(Work *w, Slot *s, Error *err)
{
    slot_prepare(s, w->t->access);
    return curl_multi_add_handle(w->multi, s->easy) == CURLM_OK ||
           error_set(err, ERROR_MEMORY, "libcurl has no memory");
}

static double slot_rate(Work *w, const Slot *s)
{
    const double age_s = clock_seconds() - s->asked_at;
    const double rate = age_s > 0 ? (double)(s->at - s->asked_from) / age_s : 0;
    if (s->at - s->asked_from >= RATE_BYTES_MIN && rate > w->best_slot_rate)
        w->best_slot_rate = rate;
    return rate;
}

/* A request is over. */
static bool take_end(Work *w, Slot *s, CURLcode code, Error *err)
{
    Download *d = s->download;
    const bool has_gained = s->at > s->begin;
    Error why = {0};
    curl_multi_remove_handle(w->multi, s->easy);
    slot_rate(w, s);
    const SlotEnd end = slot_end(s, w->t->access, w->t->name->repo, code, &why);
    if (end == SLOT_REDIRECTED)
        return ask(w, s, err);
    slot_release(s);
    w->t->is_changed |= end == SLOT_CHANGED;
    if (end == SLOT_FATAL || (end == SLOT_CHANGED && w->t->stops_at_change)) {
        *err = why;
        return false;
    }
    if (end == SLOT_COMPLETE)
        d->n_failures = 0;
    return end == SLOT_COMPLETE || retry(w, d, has_gained, s->retry_after_s, &why, err);
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
            if (d->part && d->not_before <= now && slot_claim(&w->slots[i], d) &&
                !ask(w, &w->slots[i], err))
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
        if (!s->download || now - s->asked_at < HURRY_AFTER_S)
            continue;
        const double rate = slot_rate(w, s);
        if (!has_idle || s->is_hurried || s->download->knows_no_ranges ||
            rate * HURRY_FACTOR > w->best_slot_rate ||
            (double)(s->end - s->at) < rate * HURRY_AFTER_S)
            continue;
        curl_multi_remove_handle(w->multi, s->easy);
        s->begin = s->at;
        s->is_hurried = true;
        w->n_retries++;
        s->is_whole_file = false;
        if (!ask(w, s, err))
            return false;
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
        if (m->msg == CURLMSG_DONE && !take_end(w, slot, code, err))
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
