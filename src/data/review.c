/* See review.h. */
#include "data/review.h"

#include "base/bug.h"
#include "base/mem.h"
#include "data/journal.h"

#include <stdlib.h>
#include <string.h>

/* Where a document's line begins, and its number. */
typedef struct Place {
    size_t at;
    int64_t number;
} Place;

struct Review {
    RecordReader reader;
    char *out;
    Place *places; /* [n] */
    size_t n, n_max;
    Journal journal;
    FileWriter *writer; /* while finishing */
    ReviewReport *report;
};

static const char *const verdicts[] = {"keep", "drop", "edit"};

static bool find_places(Review *r, Error *err)
{
    const Record *record;
    for (;;) {
        if (!records_next(&r->reader, &record, err))
            return false;
        if (!record)
            return r->n > 0 ||
                   error_set(err, ERROR_FORMAT, "%s: there is no document in it", r->reader.path);
        if (r->n == r->n_max) {
            const size_t more = r->n_max ? 2 * r->n_max : 1024;
            Place *grown = mem_try_grow(r->places, r->n * sizeof *grown, more * sizeof *grown,
                                        "documents", err);
            if (!grown)
                return false;
            r->places = grown;
            r->n_max = more;
        }
        r->places[r->n++] = (Place){record->at, record->number};
    }
}

Review *review_open(const char *in, const char *out, Error *err)
{
    Review *r = mem_alloc(sizeof *r);
    Buf run = {0};
    r->out = mem_strdup(out);
    const bool ok = records_open(&r->reader, in, err) && find_places(r, err) &&
                    journal_describe(NULL, &in, 1, &run, err) &&
                    journal_open(&r->journal, out, buf_str(&run), err);
    buf_free(&run);
    if (ok)
        return r;
    review_close(r);
    return NULL;
}

void review_close(Review *r)
{
    if (!r)
        return;
    journal_close(&r->journal);
    records_close(&r->reader);
    mem_free(r->places);
    mem_free(r->out);
    mem_free(r);
}

int64_t review_n_documents(const Review *r) { return (int64_t)r->n; }

int64_t review_n_decided(const Review *r) { return r->journal.n; }

bool review_current(Review *r, const Record **record, Error *err)
{
    *record = NULL;
    if (r->journal.n == (int64_t)r->n)
        return true;
    const Place *place = &r->places[r->journal.n];
    return records_at(&r->reader, place->at, place->number, record, err);
}

bool review_decide(Review *r, ReviewVerdict verdict, const json_t *edited, Error *err)
{
    ASSERT(r->journal.n < (int64_t)r->n && (verdict == REVIEW_EDIT) == (edited != NULL));
    json_t *line = json_pack("{s: s}", "verdict", verdicts[verdict]);
    if (edited)
        json_object_set(line, "document", (json_t *)edited);
    const bool ok = journal_add(&r->journal, line, err) && journal_flush(&r->journal, err);
    json_decref(line);
    return ok;
}

bool review_undo(Review *r, Error *err) { return journal_undo(&r->journal, err); }

static bool write_document(void *context, int64_t number, json_t *line, Error *err)
{
    Review *r = context;
    const Record *record;
    const char *verdict = json_string_value(json_object_get(line, "verdict"));
    const json_t *edited = json_object_get(line, "document");
    if (!verdict)
        return error_set(err, ERROR_FORMAT, "%s.part:%lld: no verdict", r->out,
                         (long long)number + 2);
    if (strcmp(verdict, verdicts[REVIEW_DROP]) == 0) {
        r->report->n_dropped++;
        return true;
    }
    if (edited) {
        r->report->n_edited++;
        return record_write_json(edited, r->writer, err);
    }
    r->report->n_kept++;
    return records_at(&r->reader, r->places[number].at, r->places[number].number, &record, err) &&
           record_write(record, r->writer, err);
}

bool review_finish(Review *r, ReviewReport *report, Error *err)
{
    *report = (ReviewReport){0};
    r->report = report;
    if (r->journal.n != (int64_t)r->n)
        return error_set(err, ERROR_ARGUMENT, "%lld of %zu documents are decided",
                         (long long)r->journal.n, r->n);
    r->writer = file_writer_open(r->out, err);
    const bool ok = r->writer && journal_read(&r->journal, write_document, r, err);
    if (!file_writer_finish(r->writer, ok, err))
        return false;
    journal_remove(&r->journal);
    return true;
}

void review_to_text(const json_t *document, Buf *out)
{
    const json_t *text = json_object_get(document, "text");
    if (json_is_string(text)) {
        buf_append(out, json_string_value(text), json_string_length(text));
        return;
    }
    char *json = json_dumps(document, JSON_INDENT(2));
    buf_puts(out, json);
    free(json);
}

json_t *review_from_text(const json_t *document, Str text, Error *err)
{
    json_t *edited = NULL;
    if (json_is_string(json_object_get(document, "text"))) {
        json_t *string = json_stringn(text.data ? text.data : "", text.bytes);
        if (!string) {
            error_set(err, ERROR_FORMAT, "the text is not UTF-8");
            return NULL;
        }
        edited = json_copy((json_t *)document);
        json_object_set_new(edited, "text", string);
        return edited;
    }
    json_error_t why;
    edited = json_loadb(text.data, text.bytes, JSON_ALLOW_NUL, &why);
    if (json_is_object(edited) && json_is_array(json_object_get(edited, "messages")))
        return edited;
    if (!edited)
        error_set(err, ERROR_FORMAT, "line %d: %s", why.line, why.text);
    else
        error_set(err, ERROR_FORMAT, "it is not an object with messages");
    json_decref(edited);
    return NULL;
}
