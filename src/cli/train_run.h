/* What the stages that run the trainer share: arguments, signals, and what the terminal shows. */
#ifndef WEN_CLI_TRAIN_RUN_H
#define WEN_CLI_TRAIN_RUN_H

#include "cli/args.h"
#include "train/run.h"

typedef struct TrainArgs {
    const char *config; /* the YAML file */
    ArgList sets;
    TrainerOptions options;
    char ranks[32]; /* sets may point here: not to be copied */
} TrainArgs;

/* CONFIG --out DIR and the options of every stage; from here on SIGTERM and Ctrl-C end a run with a
 * checkpoint. False when there is nothing to run: *status is the exit status. */
bool train_args(TrainArgs *args, const char *command, const char *about, int argc, char **argv,
                int *status);

/* Runs the stage to its end or the stop, telling the terminal. */
bool train_run(Trainer *t, StageSteps steps, Error *err) MUST_USE;

#endif
