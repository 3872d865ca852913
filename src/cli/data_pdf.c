/* wen data pdf: documents from PDF files. */
#include "cli/args.h"
#include "cli/data_ask.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/pdf.h"

static void print_report(const PdfReport *r, bool is_cleaned)
{
    fprintf(stderr, "%lld documents, %lld pages, %lld of them blank", (long long)r->n_written,
            (long long)r->n_pages, (long long)r->n_blank);
    if (r->n_without_text > 0)
        fprintf(stderr, "; %lld files have no text (scanned pages?)", (long long)r->n_without_text);
    fprintf(stderr, "\n");
    if (is_cleaned)
        data_ask_print(&r->asked);
}

static bool run(DataAsk *ask, const PdfConfig *config, PdfOptions *options)
{
    Error err = {0};
    PdfReport report;
    if (config) {
        const AskModel model = {NULL, (int)config->max_tokens, config->thinks, config->temperature,
                                config->seed};
        if (!data_ask_open(ask, model, &options->asker))
            return false;
        options->progress = data_ask_progress;
        options->stop = data_ask_stop();
    }
    options->config = config;
    const bool ok = pdf_run(options, &report, &err);
    term_progress(NULL);
    if (ok)
        print_report(&report, config != NULL);
    else
        term_note("%s", err.message);
    return ok;
}

int data_pdf(int argc, char **argv)
{
    PdfOptions options = {0};
    DataAsk ask = data_ask_defaults();
    const char *clean = NULL;
    Arg table[DATA_ASK_OPTIONS + 3] = {
        {"out", 'o', ARG_TEXT, &options.out, "FILE", "the documents (.jsonl)", 0, 0},
        {"clean", 0, ARG_TEXT, &clean, "CONFIG", "a model repairs every page as CONFIG says", 0, 0},
    };
    table[data_ask_put(&ask, table, 2)] = (Arg){0};
    const ArgSpec spec = {
        .command = "data pdf",
        .usage = "FILE.pdf... --out FILE [--clean CONFIG -m MODEL]",
        .about =
            "Makes a document of each PDF's text layer (by pdftotext), tidied, and cleaned by\n"
            "a model if wanted (docs/data.md).",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1 << 20,
    };
    ArgWords words;
    int status;
    Error err = {0};
    PdfConfig config = {0};
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.out)
        return term_usage("data pdf", "give --out FILE");
    options.paths = (const char *const *)words.words;
    options.n_paths = words.n;
    bool ok = !clean || pdf_config_read(&config, clean, &err);
    if (ok)
        ok = run(&ask, clean ? &config : NULL, &options);
    else
        term_note("%s", err.message);
    data_ask_close(&ask);
    pdf_config_close(&config);
    return ok ? 0 : 1;
}
