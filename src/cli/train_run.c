/* See train_run.h; and the stages that train on data. */
#include "cli/train_run.h"

#include "cli/term.h"
#include "cli/train_line.h"
#include "cli/train_stages.h"
#include "rl/judge.h"
#include "rl/live.h"

#include <stdio.h>

bool train_run(Trainer *t, StageSteps steps, Error *err)
{
    const RunOptions run_options = {
        .steps = steps,
        .stop = train_stop_flag(),
        .progress = train_print_progress,
        .line = train_print_line,
        .hooks = {.asker = live_asker(t), .judge = {.score = judge_reply, .follow = judge_follow}}};
    bool is_done = false;
    if (trainer_is_first(t) && trainer_progress(t)->step > 0)
        fprintf(stderr, "resuming after step %lld\n", (long long)trainer_progress(t)->step);
    const bool ok = run_stage(t, &run_options, &is_done, err);
    if (!trainer_is_first(t))
        return ok;
    term_progress(NULL);
    if (ok && !is_done)
        fprintf(stderr, "stopped after step %lld; the same command goes on from there\n",
                (long long)trainer_progress(t)->step);
    return ok;
}

bool train_args(TrainArgs *args, const char *command, const char *about, int argc, char **argv,
                int *status)
{
    int64_t n_threads = 0, n_ranks = 0;
    *args = (TrainArgs){.options = {.line = train_print_line}};
    TrainerOptions *options = &args->options;
    const Arg table[] = {
        {"out", 'o', ARG_TEXT, &options->out, "DIR", "the run's folder; resumed if it holds one", 0,
         0},
        {"set", 0, ARG_LIST, &args->sets, "A.B=VALUE", "overrides a key of the configuration", 0,
         0},
        {"fresh", 0, ARG_FLAG, &options->is_fresh, NULL, "forget what the folder holds", 0, 0},
        {"threads", 0, ARG_INT, &n_threads, "N", "threads of all ranks (one a processor)", 1, 1024},
        {"ranks", 0, ARG_INT, &n_ranks, "N", "ranks that share the work (run.ranks)", 1, 256},
        {0},
    };
    const ArgSpec spec = {
        .command = command,
        .usage = "CONFIG --out DIR",
        .about = about,
        .options = table,
        .n_words_min = 1,
        .n_words_max = 1,
    };
    ArgWords words;
    if (!args_parse(&spec, argc, argv, &words, status))
        return false;
    if (!options->out) {
        *status = term_usage(command, "give --out DIR");
        return false;
    }
    args->config = words.words[0];
    options->n_threads = (int)n_threads;
    snprintf(args->ranks, sizeof args->ranks, "run.ranks=%d", (int)n_ranks);
    if (n_ranks > 0 && args->sets.n == ARG_LIST_MAX) {
        *status = term_usage(command, "too many --set");
        return false;
    }
    if (n_ranks > 0)
        args->sets.items[args->sets.n++] = args->ranks;
    train_catch_signals();
    return true;
}

/* A stage by its name and what it trains on. */
typedef struct RunStage {
    TrainStage stage;
    const char *command, *about;
} RunStage;

/* What each rank does; the first one speaks. */
static bool run_rank(void *context, Trainer *t, Error *err)
{
    (void)context;
    return train_run(t, (StageSteps){0}, err);
}

static int run_command(const RunStage *stage, int argc, char **argv)
{
    TrainArgs args;
    int status;
    if (!train_args(&args, stage->command, stage->about, argc, argv, &status))
        return status;
    Error err = {0};
    TrainConfig config;
    bool ok =
        train_config_read(&config, stage->stage, args.config, args.sets.items, args.sets.n, &err);
    if (ok) {
        ok = trainer_run_ranks(&config, &args.options, run_rank, NULL, &err);
        train_config_close(&config);
    }
    if (!ok)
        term_note("%s", err.message);
    return ok ? 0 : 1;
}

int train_pretrain(int argc, char **argv)
{
    static const RunStage stage = {
        STAGE_PRETRAIN, "train pretrain",
        "Trains a model on documents as the YAML file CONFIG says (docs/training.md), and\n"
        "writes log.csv, checkpoints and the model itself to DIR."};
    return run_command(&stage, argc, argv);
}

int train_sft(int argc, char **argv)
{
    static const RunStage stage = {
        STAGE_SFT, "train sft",
        "Trains a model to answer as the assistant does in conversations: JSONL, one\n"
        "{\"messages\": [...]} a line. The YAML file CONFIG says how (docs/training.md);\n"
        "log.csv, checkpoints and the model itself go to DIR."};
    return run_command(&stage, argc, argv);
}
