/* wen train rl: reinforcement learning on the model's own answers. */
#include "cli/train_stages.h"

#include "cli/term.h"
#include "cli/train_run.h"
#include "rl/rl_stage.h"

static bool run(const RlConfig *config, const TrainArgs *args, Error *err)
{
    RlStage *stage = rl_stage_open(config, err);
    if (!stage)
        return false;
    TrainerOptions options = args->options;
    options.state = rl_stage_state(stage);
    Trainer *t = trainer_open(&config->train, &options, err);
    const bool ok = t && train_run(t, rl_stage_steps(stage), err);
    rl_stage_close(stage); /* its models are on the trainer's backend */
    trainer_close(t);
    return ok;
}

int train_rl(int argc, char **argv)
{
    TrainArgs args;
    int status;
    if (!train_args(&args, "train rl",
                    "Trains a model on its own answers to problems, by what a verifier says of\n"
                    "them (GRPO and relatives). The YAML file CONFIG says how (docs/rl.md);\n"
                    "log.csv, rollouts.jsonl, checkpoints and the model itself go to DIR.",
                    argc, argv, &status))
        return status;
    Error err = {0};
    RlConfig config;
    bool ok = rl_config_read(&config, args.config, args.sets.items, args.sets.n, &err);
    if (ok) {
        ok = run(&config, &args, &err);
        rl_config_close(&config);
    }
    if (!ok)
        term_note("%s", err.message);
    return ok ? 0 : 1;
}
