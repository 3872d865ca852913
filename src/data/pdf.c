/* See pdf.h. The files are read twice: for the questions, and again to put the answers, which the
 * journal holds, into documents. */
#include "data/pdf.h"

#include "base/file.h"
#include "data/pages.h"
#include "data/records.h"
#include "data/settings.h"

#include <string.h>

bool pdf_config_read(PdfConfig *c, const char *path, Error *err)
{
    *c = (PdfConfig){.json = settings_read(path, err),
                     .max_tokens = 3000,
                     .seed = 1,
                     .min_ratio = 0.5,
                     .max_ratio = 1.3,
                     .max_failed = 0.5};
    if (!c->json)
        return false;
    if (!settings_check(c->json,
                        "prompt max_tokens temperature think seed min_ratio max_ratio max_failed",
                        "the cleaning", err) ||
        !settings_text(c->json, "prompt", &c->prompt, err) ||
        !settings_int(c->json, "max_tokens", 1, 1 << 20, &c->max_tokens, err) ||
        !settings_int(c->json, "seed", 0, INT64_MAX / 2, &c->seed, err) ||
        !settings_real(c->json, "temperature", 0, 100, &c->temperature, err) ||
        !settings_real(c->json, "min_ratio", 0, 1, &c->min_ratio, err) ||
        !settings_real(c->json, "max_ratio", 1, 1000, &c->max_ratio, err) ||
        !settings_real(c->json, "max_failed", 0, 1, &c->max_failed, err) ||
        !settings_bool(c->json, "think", &c->thinks, err))
        return error_add(err, "%s", path);
    return c->prompt || error_set(err, ERROR_FORMAT, "%s: prompt is missing", path);
}

void pdf_config_close(PdfConfig *c)
{
    json_decref(c->json);
    *c = (PdfConfig){0};
}

/* A walk over all pages of all files that are not blank. */
typedef struct Walk {
    const PdfOptions *options;
    PdfReport *report;
    Pages pages;
    int path, page; /* the next one */
    bool is_open;
    Buf text; /* of the page at hand, tidied */
    Buf document;
    FileWriter *out;
    size_t *asked_bytes; /* [ASK_MAX]: lengths of the pages of a batch, by number */
} Walk;

/* The next page's text is in w->text; false in *is_page: the file at w->path is over (or all are,
 * w->path == n_paths). */
static bool next_page(Walk *w, bool *is_page, Error *err)
{
    *is_page = false;
    if (w->path == w->options->n_paths)
        return true;
    if (!w->is_open && !pages_read(&w->pages, w->options->paths[w->path], err))
        return false;
    w->is_open = true;
    while (w->page < w->pages.n && !*is_page) {
        buf_clear(&w->text);
        pages_tidy(&w->pages, w->page++, &w->text);
        *is_page = w->text.bytes > 0;
    }
    return true;
}

static void close_file(Walk *w)
{
    pages_close(&w->pages);
    w->is_open = false;
    w->page = 0;
    w->path++;
}

static bool next_question(void *context, int64_t i, json_t **question, Error *err)
{
    Walk *w = context;
    bool is_page = false;
    while (!is_page && w->path < w->options->n_paths) {
        if (!next_page(w, &is_page, err))
            return false;
        if (!is_page)
            close_file(w);
    }
    if (!is_page)
        return true;
    w->asked_bytes[i % ASK_MAX] = w->text.bytes;
    *question = json_pack("{s: s, s: s%}", "system", w->options->config->prompt, "user",
                          w->text.data, w->text.bytes);
    return true;
}

static json_t *judge(void *context, int64_t i, Str answer, bool is_whole)
{
    const Walk *w = context;
    const PdfConfig *c = w->options->config;
    const double ratio = (double)answer.bytes / (double)w->asked_bytes[i % ASK_MAX];
    if (!is_whole)
        return ask_failed("the answer was cut off");
    if (answer.bytes == 0 || ratio < c->min_ratio || ratio > c->max_ratio)
        return ask_failed("the answer is %.2f times as long as the page", ratio);
    json_t *text = json_stringn(answer.data, answer.bytes);
    return text ? json_pack("{s: o}", "text", text) : ask_failed("the answer is not UTF-8");
}

/* ---- Documents --------------------------------------------------------------------------------
 */

static bool finish_document(Walk *w, Error *err)
{
    PdfReport *r = w->report;
    const char *path = w->options->paths[w->path];
    bool ok = true;
    if (w->document.bytes > 0) {
        json_t *line = json_pack("{s: s%, s: s, s: i}", "text", w->document.data, w->document.bytes,
                                 "source", path, "pages", w->pages.n);
        ok = line ? record_write_json(line, w->out, err)
                  : error_set(err, ERROR_FORMAT, "%s: its name is not UTF-8", path);
        json_decref(line);
        r->n_written++;
    } else {
        r->n_without_text++;
    }
    r->n_pages += w->pages.n;
    buf_clear(&w->document);
    close_file(w);
    return ok;
}

/* Adds the page that is next, as `cleaned` (NULL: as it is); files that are over are written. False
 * in *is_page: there is none. */
static bool add_page(Walk *w, const json_t *cleaned, bool *is_page, Error *err)
{
    *is_page = false;
    while (!*is_page && w->path < w->options->n_paths) {
        if (!next_page(w, is_page, err) || (!*is_page && !finish_document(w, err)))
            return false;
    }
    if (!*is_page)
        return true;
    w->report->n_blank--; /* what is left of all pages is blank */
    buf_puts(&w->document, w->document.bytes > 0 ? "\n\n" : "");
    if (cleaned)
        buf_append(&w->document, json_string_value(cleaned), json_string_length(cleaned));
    else
        buf_add(&w->document, buf_str(&w->text));
    return true;
}

static bool add_answer(void *context, int64_t number, json_t *line, Error *err)
{
    bool is_page;
    (void)number;
    return add_page(context, json_object_get(line, "text"), &is_page, err);
}

/* `journal` NULL: nothing was cleaned. */
static bool write_documents(Walk *w, Journal *journal, Error *err)
{
    w->path = w->page = 0;
    w->out = file_writer_open(w->options->out, err);
    bool ok = w->out && (!journal || journal_read(journal, add_answer, w, err)), is_page = true;
    while (ok && is_page)
        ok = add_page(w, NULL, &is_page, err);
    w->report->n_blank += w->report->n_pages;
    return file_writer_finish(w->out, ok, err);
}

static bool clean_and_write(Walk *w, Error *err)
{
    const PdfOptions *o = w->options;
    const AskJob job = {w, next_question, judge, o->progress, o->stop};
    Journal journal;
    Buf run = {0};
    bool ok = journal_describe(o->config->json, o->paths, o->n_paths, &run, err) &&
              journal_open(&journal, o->out, buf_str(&run), err);
    buf_free(&run);
    if (!ok)
        return false;
    ok = ask_all(&o->asker, &job, &journal, &w->report->asked, err) &&
         ask_check(&w->report->asked, o->config->max_failed, o->out, err) &&
         write_documents(w, &journal, err);
    if (ok)
        journal_remove(&journal);
    else
        journal_close(&journal);
    return ok;
}

bool pdf_run(const PdfOptions *options, PdfReport *report, Error *err)
{
    size_t asked_bytes[ASK_MAX] = {0};
    Walk w = {.options = options, .report = report, .asked_bytes = asked_bytes};
    *report = (PdfReport){0};
    const bool ok = options->config ? clean_and_write(&w, err) : write_documents(&w, NULL, err);
    pages_close(&w.pages);
    buf_free(&w.text);
    buf_free(&w.document);
    return ok;
}
