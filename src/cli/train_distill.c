/* wen train distill: a student learns from a teacher's distributions. */
#include "cli/train_stages.h"

#include "cli/term.h"
#include "cli/train_run.h"
#include "rl/distill_stage.h"

static bool run(const DistillConfig *config, const TrainArgs *args, Error *err)
{
    DistillStage *stage = distill_stage_open(config, err);
    if (!stage)
        return false;
    TrainerOptions options = args->options;
    options.state = distill_stage_state(stage);
    Trainer *t = trainer_open(&config->train, &options, err);
    const bool ok = t && train_run(t, distill_stage_steps(stage), err);
    distill_stage_close(stage);
    trainer_close(t);
    return ok;
}

int train_distill(int argc, char **argv)
{
    TrainArgs args;
    int status;
    if (!train_args(&args, "train distill",
                    "Trains a model to say what a larger one would say, on its own replies to\n"
                    "problems or on texts and conversations. The YAML file CONFIG says how\n"
                    "(docs/distill.md); log.csv, checkpoints and the model itself go to DIR.",
                    argc, argv, &status))
        return status;
    Error err = {0};
    DistillConfig config;
    bool ok = distill_config_read(&config, args.config, args.sets.items, args.sets.n, &err);
    if (ok) {
        ok = run(&config, &args, &err);
        distill_config_close(&config);
    }
    if (!ok)
        term_note("%s", err.message);
    return ok ? 0 : 1;
}
