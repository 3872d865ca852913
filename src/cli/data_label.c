/* wen data label: labels on documents, by a model. */
#include "cli/args.h"
#include "cli/data_ask.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/label.h"

static bool run(DataAsk *ask, const LabelConfig *config, LabelOptions *options)
{
    Error err = {0};
    AskReport report;
    const AskModel model = {NULL, config->max_tokens, config->thinks, config->temperature,
                            config->seed};
    if (!data_ask_open(ask, model, &options->asker))
        return false;
    options->config = config;
    options->progress = data_ask_progress;
    options->stop = data_ask_stop();
    const bool ok = label_run(options, &report, &err);
    term_progress(NULL);
    if (ok)
        data_ask_print(&report);
    else
        term_note("%s", err.message);
    return ok;
}

int data_label(int argc, char **argv)
{
    LabelOptions options = {0};
    DataAsk ask = data_ask_defaults();
    Arg table[DATA_ASK_OPTIONS + 2] = {
        {"out", 'o', ARG_TEXT, &options.out, "FILE", "the documents with labels (.jsonl)", 0, 0},
    };
    table[data_ask_put(&ask, table, 1)] = (Arg){0};
    const ArgSpec spec = {
        .command = "data label",
        .usage = "CONFIG FILE... --out FILE [-m MODEL]",
        .about =
            "Asks a model for labels on every document (CONFIG names the axes; docs/data.md).\n"
            "Stopped and started again, it goes on where it was.",
        .options = table,
        .n_words_min = 2,
        .n_words_max = 1 << 20,
    };
    ArgWords words;
    int status;
    Error err = {0};
    LabelConfig config;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.out)
        return term_usage("data label", "give --out FILE");
    options.paths = (const char *const *)words.words + 1;
    options.n_paths = words.n - 1;
    bool ok = label_config_read(&config, words.words[0], &err);
    if (ok)
        ok = run(&ask, &config, &options);
    else
        term_note("%s", err.message);
    data_ask_close(&ask);
    label_config_close(&config);
    return ok ? 0 : 1;
}
