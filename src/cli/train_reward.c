/* wen train reward: a reward model, from pairs of answers. */
#include "cli/train_stages.h"

#include "cli/term.h"
#include "cli/train_line.h"
#include "cli/train_run.h"
#include "rl/reward_stage.h"

static bool run(const RewardConfig *config, const TrainArgs *args, Error *err)
{
    RewardStage *stage = reward_stage_open(config, train_print_line, NULL, err);
    if (!stage)
        return false;
    TrainerOptions options = args->options;
    options.state = reward_stage_state(stage);
    Trainer *t = trainer_open(&config->train, &options, err);
    const bool ok = t && train_run(t, reward_stage_steps(stage), err);
    reward_stage_close(stage);
    trainer_close(t);
    return ok;
}

int train_reward(int argc, char **argv)
{
    TrainArgs args;
    int status;
    if (!train_args(
            &args, "train reward",
            "Trains a model to score answers, from pairs of which one is preferred: JSONL,\n"
            "{\"prompt\", \"chosen\", \"rejected\"} a line. The YAML file CONFIG says how\n"
            "(docs/rl.md); log.csv, checkpoints and the model itself go to DIR.",
            argc, argv, &status))
        return status;
    Error err = {0};
    RewardConfig config;
    bool ok = reward_config_read(&config, args.config, args.sets.items, args.sets.n, &err);
    if (ok) {
        ok = run(&config, &args, &err);
        reward_config_close(&config);
    }
    if (!ok)
        term_note("%s", err.message);
    return ok ? 0 : 1;
}
