/* See decontaminate.h. */
#include "data/decontaminate.h"

#include "data/gram_table.h"
#include "data/records.h"

#include <stdlib.h>

/* What a document has in common with a text. */
typedef struct Match {
    uint32_t text;
    uint32_t n;      /* grams */
    size_t from, to; /* the first one's bytes */
} Match;

typedef struct Run {
    const DecontaminateOptions *options;
    DecontaminateReport *report;
    GramTable table;
    RecordReader reader;
    FileWriter *out, *log;
    Units units;
    Buf text;
    Match *matches; /* of the document at hand, by text */
    size_t n_matches, n_matches_max;
} Run;

static bool add_match(Run *r, uint32_t text, size_t i, int length, Error *err)
{
    for (size_t k = r->n_matches; k-- > 0;) {
        if (r->matches[k].text == text) {
            r->matches[k].n++;
            return true;
        }
    }
    if (r->n_matches == r->n_matches_max) {
        const size_t more = r->n_matches_max ? 2 * r->n_matches_max : 64;
        Match *grown = mem_try_grow(r->matches, r->n_matches * sizeof *grown, more * sizeof *grown,
                                    "matches", err);
        if (!grown)
            return false;
        r->matches = grown;
        r->n_matches_max = more;
    }
    const Unit *units = r->units.items + i;
    r->matches[r->n_matches++] = (Match){text, 1, units[0].from, units[length - 1].to};
    return true;
}

static double share_of(const Run *r, const Match *m)
{
    const double share = (double)m->n / r->table.texts[m->text].n_grams;
    return share < 1 ? share : 1;
}

/* The text that most of the document's grams point at, or NULL when it may stay. Without `share`
 * the first gram decides. */
static bool find_match(Run *r, const Match **match, Error *err)
{
    *match = NULL;
    r->n_matches = 0;
    for (int length = 1; length <= r->table.gram; length++) {
        if (!r->table.has_length[length])
            continue;
        for (size_t i = 0; i + (size_t)length <= r->units.n; i++) {
            const int64_t text = gram_table_find(&r->table, &r->units, i, length);
            if (text >= 0 && !add_match(r, (uint32_t)text, i, length, err))
                return false;
            if (text >= 0 && r->options->share <= 0) {
                *match = &r->matches[0];
                return true;
            }
        }
    }
    for (size_t i = 0; i < r->n_matches; i++) {
        const Match *m = &r->matches[i];
        if (share_of(r, m) >= r->options->share &&
            (!*match || share_of(r, m) > share_of(r, *match)))
            *match = m;
    }
    return true;
}

static bool drop(Run *r, const Record *record, const Match *match, Error *err)
{
    r->report->n_dropped++;
    if (!r->log)
        return true;
    const GramText *text = &r->table.texts[match->text];
    Buf dropped = {0}, like = {0};
    buf_printf(&dropped, "%s:%lld", r->reader.path, (long long)record->number);
    buf_printf(&like, "%s:%lld", text->path, (long long)text->line);
    json_t *line = json_pack("{s: s, s: s, s: f, s: s%}", "dropped", dropped.data, "text",
                             like.data, "share", share_of(r, match), "passage",
                             r->text.data + match->from, match->to - match->from);
    const bool ok = record_write_json(line, r->log, err);
    json_decref(line);
    buf_free(&dropped);
    buf_free(&like);
    return ok;
}

static bool take(Run *r, const Record *record, Error *err)
{
    const Match *match;
    r->report->n_read++;
    buf_clear(&r->text);
    if (!record_text(record->json, &r->text, err))
        return records_error(&r->reader, err);
    if (!units_split(&r->units, buf_str(&r->text), err) || !find_match(r, &match, err))
        return false;
    if (match)
        return drop(r, record, match, err);
    r->report->n_kept++;
    return record_write(record, r->out, err);
}

static bool take_file(Run *r, const char *path, Error *err)
{
    const Record *record = NULL;
    bool ok = records_open(&r->reader, path, err);
    do
        ok = ok && records_next(&r->reader, &record, err) && (!record || take(r, record, err));
    while (ok && record);
    records_close(&r->reader);
    return ok;
}

static bool read_evaluation(Run *r, Error *err)
{
    const DecontaminateOptions *o = r->options;
    r->table = (GramTable){
        .gram = o->gram, .short_words = o->short_words, .keys = o->keys, .n_keys = o->n_keys};
    for (int i = 0; i < o->n_against; i++)
        if (!gram_table_add(&r->table, o->against[i], err))
            return false;
    r->report->n_texts = (int64_t)r->table.n_texts;
    r->report->n_grams = (int64_t)r->table.n_grams;
    r->report->n_files = r->table.n_files;
    r->report->n_skipped = r->table.n_skipped;
    return r->table.n_texts > 0 ||
           error_set(err, ERROR_FORMAT, "the evaluation data has no text of %d words or more",
                     o->short_words < o->gram ? o->short_words : o->gram);
}

bool decontaminate_run(const DecontaminateOptions *options, DecontaminateReport *report, Error *err)
{
    Run r = {.options = options, .report = report};
    *report = (DecontaminateReport){0};
    if (options->gram < 1 || options->gram > UNITS_GRAM_MAX || options->short_words < 1)
        return error_set(err, ERROR_ARGUMENT, "n-grams of 1 to %d words are possible",
                         UNITS_GRAM_MAX);
    bool ok = read_evaluation(&r, err);
    r.out = ok ? file_writer_open(options->out, err) : NULL;
    r.log = r.out && options->report ? file_writer_open(options->report, err) : NULL;
    ok = r.out && (!options->report || r.log);
    for (int i = 0; ok && i < options->n_paths; i++)
        ok = take_file(&r, options->paths[i], err);
    ok = file_writer_finish(r.log, ok, err);
    ok = file_writer_finish(r.out, ok, err);
    gram_table_close(&r.table);
    units_free(&r.units);
    buf_free(&r.text);
    mem_free(r.matches);
    return ok;
}
