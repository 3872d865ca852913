/* Questions to a model, many side by side, answers in order; every answer is judged and noted in a
 * journal (journal.h), so that a run of hours can be stopped and goes on. */
#ifndef WEN_DATA_ASK_H
#define WEN_DATA_ASK_H

#include "data/journal.h"
#include "wen.h"

#include <stdint.h>

enum { ASK_MAX = 256 };

typedef struct AskAnswer {
    Buf text;      /* without the thought */
    bool is_whole; /* the model ended by itself */
} AskAnswer;

/* Who answers: `many` takes n questions, each {"system": ... or absent, "user": ...}, number
 * `first` and on, and fills answers (zeroed). */
typedef struct Asker {
    bool (*many)(void *context, int64_t first, json_t *const *questions, int n, AskAnswer *answers,
                 Error *err);
    void *context;
    int n_at_once; /* 1 .. ASK_MAX */
} Asker;

/* A model as Asker. */
typedef struct AskModel {
    wen_engine *engine; /* borrowed */
    int max_tokens;
    int think;          /* 1, 0, -1: as the model does by itself */
    double temperature; /* NAN: the model's own */
    int64_t seed;       /* question i is answered with seed + i */
} AskModel;
Asker ask_model(AskModel *model, int n_at_once);

typedef struct AskReport {
    int64_t n_asked, n_failed, n_resumed; /* resumed ones count in n_asked too */
    char first_failure[256];              /* the judge's words; empty: none */
} AskReport;

typedef struct AskJob {
    void *context;
    /* The next question, a new reference; *question NULL: there is none. Called for all, in order,
     * those that the journal has answered included. */
    bool (*next)(void *context, int64_t i, json_t **question, Error *err);
    /* What is noted of the answer to question i, a new reference; an object with "failed" (a text)
     * is a failure.
     */
    json_t *(*judge)(void *context, int64_t i, Str answer, bool is_whole);
    void (*progress)(void *context, int64_t n_done, int64_t n_failed); /* NULL: silent */
    const volatile int *stop; /* not 0: ends with ERROR_CANCELLED after the batch; may be NULL */
} AskJob;

bool ask_all(const Asker *asker, const AskJob *job, Journal *journal, AskReport *report,
             Error *err) MUST_USE;

/* An error when more than max_failed of the answers are failures. */
bool ask_check(const AskReport *report, double max_failed, const char *out, Error *err) MUST_USE;

/* {"failed": "..."}, a new reference. */
json_t *ask_failed(const char *format, ...) PRINTF_LIKE(1, 2);
/* At most max_bytes of a text, cut at a character. */
Str ask_cut(Str text, size_t max_bytes);

#endif
