/* Looking through documents by hand: keep, drop, edit, one after the other, as the people of
 * Qwen3's report did with the cold start's data. Decisions go into a journal (journal.h) at once,
 * so a review can be left and taken up at any time; the last one can be taken back. */
#ifndef WEN_DATA_REVIEW_H
#define WEN_DATA_REVIEW_H

#include "data/records.h"

typedef struct Review Review;

typedef enum ReviewVerdict { REVIEW_KEEP, REVIEW_DROP, REVIEW_EDIT } ReviewVerdict;

/* Reads all of `in` once, so that a broken line is found before anybody has read a thing. */
Review *review_open(const char *in, const char *out, Error *err) MUST_USE;
void review_close(Review *r); /* NULL is fine; decisions stay in OUT.part */

int64_t review_n_documents(const Review *r);
int64_t review_n_decided(const Review *r);

/* The first document that is not decided; *record NULL: all are. Valid until the next call. */
bool review_current(Review *r, const Record **record, Error *err) MUST_USE;
/* Decides it. `edited`: with REVIEW_EDIT, what takes its place. */
bool review_decide(Review *r, ReviewVerdict verdict, const json_t *edited, Error *err) MUST_USE;
/* The last decision was not made. */
bool review_undo(Review *r, Error *err) MUST_USE;

typedef struct ReviewReport {
    int64_t n_kept, n_dropped, n_edited;
} ReviewReport;

/* When all are decided: writes OUT and removes OUT.part. */
bool review_finish(Review *r, ReviewReport *report, Error *err) MUST_USE;

/* The document as a text to edit, and back, a new reference or NULL: a plain text where it has
 * "text", else its JSON, indented. */
void review_to_text(const json_t *document, Buf *out);
json_t *review_from_text(const json_t *document, Str text, Error *err) MUST_USE;

#endif
