/* wen pipeline: the stages of a recipe, one after the other. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/term.h"
#include "cli/train_line.h"
#include "pipeline/runner.h"
#include "pipeline/summary.h"

#include <stdio.h>

/* On a terminal only: elsewhere the stages' lines are in their logs. */
static void show_progress(void *context, const char *text)
{
    (void)context;
    term_progress(text);
}

static bool run(const char *folder, const ArgList *sets, const PipelineOptions *options, Error *err)
{
    Plan plan;
    Buf table = {0};
    if (!plan_read(&plan, folder, sets->items, sets->n, err))
        return false;
    const bool ok = pipeline_run(&plan, options, err);
    term_progress(NULL);
    if (ok && summary_print(&plan, options->out, &table, err))
        fwrite(table.data, 1, table.bytes, stdout);
    buf_free(&table);
    plan_close(&plan);
    return ok;
}

int cmd_pipeline(int argc, char **argv)
{
    ArgList sets = {0};
    int64_t n_threads = 0;
    PipelineOptions options = {.program = "/proc/self/exe",
                               .progress = show_progress,
                               .line = train_print_line,
                               .stop = train_stop_flag()};
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &options.out, "DIR", "where stages write; the same again goes on", 0,
         0},
        {"set", 0, ARG_LIST, &sets, "STAGE.A.B=VALUE", "overrides a key of a stage", 0, 0},
        {"from", 0, ARG_TEXT, &options.from, "STAGE", "begins there, also if it is finished", 0, 0},
        {"until", 0, ARG_TEXT, &options.until, "STAGE", "ends behind it", 0, 0},
        {"threads", 0, ARG_INT, &n_threads, "N", "threads of a stage (one a processor)", 1, 1024},
        {0},
    };
    const ArgSpec spec = {
        .command = "pipeline",
        .usage = "FOLDER --out DIR",
        .about = "Runs the stages that FOLDER/pipeline.yaml names, from data to models\n"
                 "(docs/pipeline.md). Finished stages are skipped, an interrupted one goes on,\n"
                 "one that has changed is made again with all that depends on it.",
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    int status;
    Error err = {0};
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    if (!options.out)
        return term_usage("pipeline", "give --out DIR");
    options.n_threads = (int)n_threads;
    train_catch_signals();
    const bool ok = run(words.words[0], &sets, &options, &err);
    if (!ok && err.code == ERROR_CANCELLED)
        term_note("%s; the same command goes on from there", err.message);
    else if (!ok)
        term_note("%s", err.message);
    return term_finish_output() && ok ? 0 : 1;
}
