/* See ask.h. */
#include "data/ask.h"

#include "base/mem.h"
#include "base/utf8.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- A model ----------------------------------------------------------------------------------
 */

static char *messages_of(const json_t *question)
{
    const json_t *system = json_object_get(question, "system");
    json_t *messages = json_array();
    if (system)
        json_array_append_new(
            messages, json_pack("{s: s, s: O}", "role", "system", "content", (json_t *)system));
    json_array_append_new(messages, json_pack("{s: s, s: O}", "role", "user", "content",
                                              json_object_get(question, "user")));
    char *text = json_dumps(messages, JSON_COMPACT);
    json_decref(messages);
    return text;
}

static wen_reply *send(const AskModel *m, int64_t i, const json_t *question, Error *err)
{
    wen_error why;
    wen_request request = wen_request_defaults();
    char *messages = messages_of(question);
    request.messages = messages;
    request.think = m->think;
    request.max_tokens = m->max_tokens;
    request.sampling.temperature = (float)m->temperature;
    request.sampling.seed = m->seed + i;
    wen_reply *reply = wen_ask(m->engine, &request, &why);
    if (!reply)
        error_set(err, ERROR_ARGUMENT, "question %lld: %s", (long long)i, why.message);
    free(messages);
    return reply;
}

static bool receive(wen_reply *reply, AskAnswer *answer, Error *err)
{
    wen_event event;
    while (wen_next(reply, -1, &event) == WEN_NEXT_EVENT) {
        if (event.kind == WEN_EVENT_TEXT)
            buf_append(&answer->text, event.text, event.text_bytes);
        if (event.kind != WEN_EVENT_DONE)
            continue;
        answer->is_whole = event.finish == WEN_FINISH_STOP;
        if (event.finish == WEN_FINISH_ERROR || event.finish == WEN_FINISH_NO_MEMORY)
            return error_set(err, ERROR_DEVICE, "the model: %s", event.text);
    }
    return true;
}

static bool ask_many(void *context, int64_t first, json_t *const *questions, int n,
                     AskAnswer *answers, Error *err)
{
    const AskModel *m = context;
    wen_reply *replies[ASK_MAX] = {NULL};
    bool ok = true;
    for (int i = 0; ok && i < n; i++) {
        replies[i] = send(m, first + i, questions[i], err);
        ok = replies[i] != NULL;
    }
    for (int i = 0; i < n; i++) {
        ok = ok && receive(replies[i], &answers[i], err);
        wen_reply_free(replies[i]);
    }
    return ok;
}

Asker ask_model(AskModel *model, int n_at_once) { return (Asker){ask_many, model, n_at_once}; }

/* ---- All questions ----------------------------------------------------------------------------
 */

typedef struct Batch {
    json_t *questions[ASK_MAX];
    AskAnswer answers[ASK_MAX];
    int n;
} Batch;

static void count(AskReport *report, const json_t *noted)
{
    const char *failed = json_string_value(json_object_get(noted, "failed"));
    report->n_asked++;
    if (!failed)
        return;
    if (report->n_failed++ == 0)
        snprintf(report->first_failure, sizeof report->first_failure, "%s", failed);
}

static bool count_resumed(void *context, int64_t number, json_t *line, Error *err)
{
    (void)number, (void)err;
    count(context, line);
    return true;
}

static bool answer_batch(const Asker *asker, const AskJob *job, Journal *journal, Batch *batch,
                         AskReport *report, Error *err)
{
    bool ok =
        asker->many(asker->context, journal->n, batch->questions, batch->n, batch->answers, err);
    for (int i = 0; i < batch->n; i++) {
        AskAnswer *answer = &batch->answers[i];
        if (ok) {
            json_t *noted =
                job->judge(job->context, journal->n, buf_str(&answer->text), answer->is_whole);
            count(report, noted);
            ok = journal_add(journal, noted, err);
            json_decref(noted);
        }
        json_decref(batch->questions[i]);
        buf_free(&answer->text);
        answer->is_whole = false;
    }
    batch->n = 0;
    if (ok && job->progress)
        job->progress(job->context, report->n_asked, report->n_failed);
    return ok && journal_flush(journal, err);
}

bool ask_all(const Asker *asker, const AskJob *job, Journal *journal, AskReport *report, Error *err)
{
    Batch *batch = mem_alloc(sizeof *batch);
    const int64_t n_done = journal->n;
    *report = (AskReport){.n_resumed = n_done};
    bool ok = journal_read(journal, count_resumed, report, err), is_over = false;
    for (int64_t i = 0; ok && !is_over; i++) {
        json_t *question = NULL;
        ok = job->next(job->context, i, &question, err);
        is_over = !question;
        if (question && i < n_done)
            json_decref(question);
        else if (question)
            batch->questions[batch->n++] = question;
        if (ok && batch->n > 0 && (is_over || batch->n == asker->n_at_once))
            ok = answer_batch(asker, job, journal, batch, report, err);
        if (ok && !is_over && batch->n == 0 && job->stop && *job->stop)
            ok = error_set(err, ERROR_CANCELLED,
                           "stopped after %lld answers; the same command goes on from there",
                           (long long)journal->n);
    }
    for (int i = 0; i < batch->n; i++)
        json_decref(batch->questions[i]);
    mem_free(batch);
    return ok;
}

bool ask_check(const AskReport *report, double max_failed, const char *out, Error *err)
{
    return (double)report->n_failed <= max_failed * (double)report->n_asked ||
           error_set(err, ERROR_FORMAT,
                     "%lld of %lld answers cannot be used (the first: %s), more than max_failed; "
                     "remove %s.part to ask again",
                     (long long)report->n_failed, (long long)report->n_asked, report->first_failure,
                     out);
}

json_t *ask_failed(const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    Buf valid = {0};
    utf8_append_lossy(&valid, str_from(text));
    json_t *failed = json_pack("{s: s}", "failed", valid.data ? valid.data : "");
    buf_free(&valid);
    return failed;
}

Str ask_cut(Str text, size_t max_bytes)
{
    size_t tail;
    if (text.bytes <= max_bytes)
        return text;
    text.bytes = max_bytes;
    if (utf8_is_cut(text, &tail))
        text.bytes -= tail;
    return text;
}
