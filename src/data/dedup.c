/* See dedup.h. */
#include "data/dedup.h"

#include "base/mem.h"
#include "data/minhash.h"
#include "data/records.h"
#include "data/seen.h"

/* A document that stays. */
typedef struct Kept {
    int path;
    int64_t line, n_copies;
} Kept;

typedef struct Dedup {
    const DedupOptions *options;
    DedupReport *report;
    RecordReader reader;
    FileWriter *out, *log;
    Kept *kept; /* [report->n_kept] */
    size_t n_kept_max;
    Seen seen;            /* texts of documents that stay -> index in kept */
    int64_t *signed_kept; /* [index.n]: a signature's index in kept */
    size_t n_signed_max;
    MinhashIndex index;
    Units units;
    Buf text;
} Dedup;

static void *reserve(void *array, size_t n, size_t *n_max, size_t size, Error *err)
{
    if (n < *n_max)
        return array;
    const size_t more = *n_max ? 2 * *n_max : 1024;
    void *grown = mem_try_grow(array, n * size, more * size, "documents", err);
    if (grown)
        *n_max = more;
    return grown;
}

static bool keep(Dedup *d, int path, const Record *record, Error *err)
{
    Kept *kept = reserve(d->kept, (size_t)d->report->n_kept, &d->n_kept_max, sizeof *kept, err);
    if (!kept)
        return false;
    d->kept = kept;
    kept[d->report->n_kept++] = (Kept){path, record->number, 0};
    return record_write(record, d->out, err);
}

static bool drop(Dedup *d, const Record *record, int64_t like, bool is_exact, double similarity,
                 Error *err)
{
    DedupReport *r = d->report;
    Kept *kept = &d->kept[like];
    r->n_clusters += kept->n_copies++ == 0;
    if (kept->n_copies + 1 > r->largest)
        r->largest = kept->n_copies + 1;
    *(is_exact ? &r->n_exact : &r->n_near) += 1;
    if (!d->log)
        return true;
    Buf dropped = {0}, first = {0};
    buf_printf(&dropped, "%s:%lld", d->reader.path, (long long)record->number);
    buf_printf(&first, "%s:%lld", d->options->paths[kept->path], (long long)kept->line);
    json_t *line =
        json_pack("{s: s, s: s, s: s, s: f}", "dropped", dropped.data, "like", first.data, "kind",
                  is_exact ? "exact" : "near", "similarity", similarity);
    const bool ok = record_write_json(line, d->log, err);
    json_decref(line);
    buf_free(&dropped);
    buf_free(&first);
    return ok;
}

/* Finds or adds the document's signature; *like -1: nothing near. A text without words has none. */
static bool find_near(Dedup *d, int64_t number, int64_t *like, double *similarity, Error *err)
{
    const DedupOptions *o = d->options;
    uint32_t signature[MINHASH_MAX];
    *like = -1;
    if (!units_split(&d->units, buf_str(&d->text), err))
        return false;
    if (!minhash_sign(&d->units, o->gram, signature, o->n_hashes))
        return true;
    const int64_t found = minhash_find(&d->index, signature, o->threshold, similarity);
    if (found >= 0) {
        *like = d->signed_kept[found];
        return true;
    }
    int64_t *signed_kept =
        reserve(d->signed_kept, d->index.n, &d->n_signed_max, sizeof *signed_kept, err);
    if (!signed_kept)
        return false;
    d->signed_kept = signed_kept;
    signed_kept[d->index.n] = number;
    return minhash_add(&d->index, signature, err);
}

static bool take(Dedup *d, int path, const Record *record, Error *err)
{
    double similarity = 1;
    d->report->n_read++;
    buf_clear(&d->text);
    if (!record_text(record->json, &d->text, err))
        return records_error(&d->reader, err);
    int64_t *number = seen_number(&d->seen, buf_str(&d->text), err), like = -1;
    if (!number)
        return false;
    if (*number >= 0)
        return drop(d, record, *number, true, 1, err);
    if (!d->options->is_exact && !find_near(d, d->report->n_kept, &like, &similarity, err))
        return false;
    *number = like >= 0 ? like : d->report->n_kept;
    return like >= 0 ? drop(d, record, like, false, similarity, err) : keep(d, path, record, err);
}

static bool take_file(Dedup *d, int path, Error *err)
{
    const Record *record = NULL;
    bool ok = records_open(&d->reader, d->options->paths[path], err);
    do
        ok =
            ok && records_next(&d->reader, &record, err) && (!record || take(d, path, record, err));
    while (ok && record);
    records_close(&d->reader);
    return ok;
}

static bool open_parts(Dedup *d, Error *err)
{
    const DedupOptions *o = d->options;
    if (!o->is_exact) {
        minhash_open(&d->index, o->n_hashes, o->threshold);
        d->report->n_bands = d->index.n_bands;
        d->report->n_rows = d->index.n_rows;
    }
    d->out = file_writer_open(o->out, err);
    d->log = d->out && o->report ? file_writer_open(o->report, err) : NULL;
    return d->out && (!o->report || d->log);
}

bool dedup_run(const DedupOptions *options, DedupReport *report, Error *err)
{
    Dedup d = {.options = options, .report = report};
    *report = (DedupReport){0};
    if (options->n_hashes < 16 || options->n_hashes > MINHASH_MAX || options->gram < 1 ||
        options->gram > UNITS_GRAM_MAX || !(options->threshold > 0 && options->threshold <= 1))
        return error_set(err, ERROR_ARGUMENT,
                         "a threshold above 0 and at most 1, n-grams of 1 to "
                         "%d words and 16 to %d hashes are possible",
                         UNITS_GRAM_MAX, MINHASH_MAX);
    bool ok = open_parts(&d, err);
    for (int i = 0; ok && i < options->n_paths; i++)
        ok = take_file(&d, i, err);
    ok = file_writer_finish(d.log, ok, err);
    ok = file_writer_finish(d.out, ok, err);
    mem_free(d.kept);
    mem_free(d.signed_kept);
    seen_close(&d.seen);
    minhash_close(&d.index);
    units_free(&d.units);
    buf_free(&d.text);
    return ok;
}
