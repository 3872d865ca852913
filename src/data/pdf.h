/* Documents from PDF files: the text layer page by page (pages.h), tidied, and then, if wanted,
 * cleaned by a model, as Qwen3's report has Qwen2.5 clean what Qwen2.5-VL read. Each page is one
 * question; an answer that is cut off, empty, or far from the page in length (it left out, or made
 * up) is a failure, and the page stays as it was.
 *
 *     prompt: |                 # the model's instruction; the page is the user's message
 *       The text comes from a PDF. Repair ... and answer with the text alone.
 *     max_tokens: 3000
 *     temperature: 0
 *     think: false
 *     seed: 1
 *     min_ratio: 0.5            # bytes of the answer to bytes of the page
 *     max_ratio: 1.3
 *     max_failed: 0.5           # share of failures from which the run counts as failed
 *
 * A line of the output: {"text", "source": the file, "pages"}. A file without any text (scanned
 * pages) is left out and counted. */
#ifndef WEN_DATA_PDF_H
#define WEN_DATA_PDF_H

#include "data/ask.h"

typedef struct PdfConfig {
    const char *prompt;
    int64_t max_tokens, seed;
    double temperature, min_ratio, max_ratio, max_failed;
    bool thinks;
    json_t *json; /* owned; prompt is its */
} PdfConfig;

bool pdf_config_read(PdfConfig *c, const char *path, Error *err) MUST_USE;
void pdf_config_close(PdfConfig *c);

typedef struct PdfOptions {
    const char *const *paths; /* [n_paths] */
    int n_paths;
    const char *out;
    const PdfConfig *config; /* of the cleaning; NULL: none, and no asker */
    Asker asker;
    void (*progress)(void *context, int64_t n_done, int64_t n_failed); /* NULL: silent */
    const volatile int *stop;                                          /* see ask.h */
} PdfOptions;

typedef struct PdfReport {
    int64_t n_pages, n_blank, n_written, n_without_text; /* pages, and files */
    AskReport asked;
} PdfReport;

bool pdf_run(const PdfOptions *options, PdfReport *report, Error *err) MUST_USE;

#endif
