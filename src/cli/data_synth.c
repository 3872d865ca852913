/* wen data synth: documents written by a model from a set of prompts. */
#include "cli/args.h"
#include "cli/data_ask.h"
#include "cli/data_commands.h"
#include "cli/term.h"
#include "data/synth.h"

static bool run(DataAsk *ask, const SynthConfig *config, SynthOptions *options)
{
    Error err = {0};
    AskReport report;
    const AskModel model = {NULL, (int)config->max_tokens, config->thinks, config->temperature,
                            config->seed};
    if (!data_ask_open(ask, model, &options->asker))
        return false;
    options->config = config;
    options->progress = data_ask_progress;
    options->stop = data_ask_stop();
    const bool ok = synth_run(options, &report, &err);
    term_progress(NULL);
    if (ok)
        data_ask_print(&report);
    else
        term_note("%s", err.message);
    return ok;
}

int data_synth(int argc, char **argv)
{
    SynthOptions options = {0};
    DataAsk ask = data_ask_defaults();
    Arg table[DATA_ASK_OPTIONS + 2] = {
        {"out", 'o', ARG_TEXT, &options.out, "FILE", "the documents (.jsonl)", 0, 0},
    };
    table[data_ask_put(&ask, table, 1)] = (Arg){0};
    const ArgSpec spec = {
        .command = "data synth",
        .usage = "CONFIG --out FILE [-m MODEL]",
        .about = "Has a model write texts, questions with answers, or code, from the prompts in\n"
                 "CONFIG (docs/data.md). Stopped and started again, it goes on where it was.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    Error err = {0};
    SynthConfig config;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.out)
        return term_usage("data synth", "give --out FILE");
    bool ok = synth_config_read(&config, words.words[0], &err);
    if (ok)
        ok = run(&ask, &config, &options);
    else
        term_note("%s", err.message);
    data_ask_close(&ask);
    synth_config_close(&config);
    return ok ? 0 : 1;
}
