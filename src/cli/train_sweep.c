/* wen train sweep: short runs, and what they say about a long one's learning rate, batch and
 * mixture. */
#include "cli/train_stages.h"

#include "cli/args.h"
#include "cli/term.h"
#include "cli/train_line.h"
#include "train/sweep.h"

#include <stdio.h>

int train_sweep(int argc, char **argv)
{
    ArgList sets = {0};
    int64_t n_threads = 0;
    SweepOptions options = {.trial = {.stop = train_stop_flag(), .progress = train_print_progress},
                            .line = train_print_line};
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &options.trial.out, "DIR",
         "the sweep's folder; finished trials are not run again", 0, 0},
        {"set", 0, ARG_LIST, &sets, "A.B=VALUE", "overrides a key of the sweep's configuration", 0,
         0},
        {"threads", 0, ARG_INT, &n_threads, "N", "threads (one a processor)", 1, 1024},
        {0},
    };
    const ArgSpec spec = {
        .command = "train sweep",
        .usage = "CONFIG --out DIR",
        .about =
            "Tries learning rates, batches and mixtures of sources in short runs, as the YAML\n"
            "file CONFIG says (docs/training.md), fits what they lead to, and writes the tuned\n"
            "configuration, tables and plots to DIR.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.trial.out)
        return term_usage("train sweep", "give --out DIR");
    options.trial.n_threads = (int)n_threads;
    train_catch_signals();
    Error err = {0};
    SweepConfig config;
    bool is_done = false;
    bool ok = sweep_config_read(&config, words.words[0], sets.items, sets.n, &err);
    if (ok) {
        ok = sweep_run(&config, &options, &is_done, &err);
        sweep_config_close(&config);
    }
    term_progress(NULL);
    if (ok && !is_done)
        fprintf(stderr, "stopped; the same command goes on from there\n");
    if (!ok)
        term_note("%s", err.message);
    return ok ? 0 : 1;
}
