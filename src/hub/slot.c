/* See slot.h. */
#include "hub/slot.h"

#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REDIRECTS_MAX = 10 };

/* ---- The answer, as it comes -------------------------------------------------------------------
 */

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

/* ---- The request ----------------------------------------------------------------------------- */

bool slot_claim(Slot *s, Download *d)
{
    uint64_t begin, end;
    if ((d->knows_no_ranges && d->n_active > 0) || !part_claim(d->part, &begin, &end))
        return false;
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
    return true;
}

void slot_release(Slot *s)
{
    if (!s->download)
        return;
    part_release(s->download->part, s->begin, s->end);
    s->download->n_active--;
    s->download = NULL;
}

void slot_prepare(Slot *s, const HubAccess *access)
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
    hub_access_prepare(access, s->easy, d->direct_url ? d->direct_url : d->url);
    snprintf(range, sizeof range, "%llu-%llu", (unsigned long long)s->begin,
             (unsigned long long)s->end - 1);
    curl_easy_setopt(s->easy, CURLOPT_RANGE, s->is_whole_file ? NULL : range);
    curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(s->easy, CURLOPT_HEADERDATA, s);
    curl_easy_setopt(s->easy, CURLOPT_PRIVATE, s);
    curl_easy_setopt(s->easy, CURLOPT_FRESH_CONNECT, (long)s->is_hurried);
}

/* ---- Its end --------------------------------------------------------------------------------- */

/* The server's answer was no: what to do about it, and in words. */
static void refuse(Slot *s, const HubAccess *access, const char *what, Error *why)
{
    Download *d = s->download;
    hub_access_refused(access, what, s->status, s->error_code, why);
    if (s->is_direct) { /* the address may have been good for a while only */
        mem_free(d->direct_url);
        d->direct_url = NULL;
    } else if (s->status == 416) {
        error_set(why, ERROR_IO, "%s: %s is shorter than the hub's list says", what, s->file->path);
        s->is_changed = true;
    } else if (s->status < 500 && s->status != 429 && s->status != 408) {
        s->is_fatal = true;
    }
}

static bool redirect(Slot *s, const char *what, Error *why)
{
    char *next = NULL;
    curl_easy_getinfo(s->easy, CURLINFO_REDIRECT_URL, &next);
    if (!next || ++s->n_redirects > REDIRECTS_MAX)
        return error_set(why, ERROR_IO, "%s: %s leads in circles", what, s->file->path);
    char *url = mem_strdup(next);
    mem_free(s->download->direct_url);
    s->download->direct_url = url;
    return true;
}

SlotEnd slot_end(Slot *s, const HubAccess *access, const char *what, CURLcode code, Error *why)
{
    if (s->at == s->end && s->status / 100 == 2 && !s->is_fatal)
        return SLOT_COMPLETE;
    if (code == CURLE_OK && s->status / 100 == 3 && redirect(s, what, why))
        return SLOT_REDIRECTED;
    if (s->is_fatal) { /* the disk's word, which says where */
        *why = s->error;
        return SLOT_FATAL;
    }
    if (s->error.code != ERROR_NONE)
        error_set(why, s->error.code, "%s: %s: %s", what, s->file->path, s->error.message);
    else if (code != CURLE_OK)
        hub_access_trouble(access, what, code, s->easy, why);
    else if (s->status / 100 == 2)
        error_set(why, ERROR_IO, "%s: %s: the connection ended early", what, s->file->path);
    else if (s->status / 100 != 3)
        refuse(s, access, what, why);
    const bool is_fatal =
        s->is_fatal || code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_UNSUPPORTED_PROTOCOL;
    return is_fatal ? SLOT_FATAL : s->is_changed ? SLOT_CHANGED : SLOT_CUT;
}
