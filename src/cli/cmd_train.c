/* wen train STAGE: finds the stage and runs it. */
#include "cli/commands.h"

#include "cli/args.h"
#include "cli/term.h"
#include "cli/train_stages.h"

#include <stdio.h>
#include <string.h>

typedef struct Stage {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} Stage;

static const Stage stages[] = {
    {"tokenizer", train_tokenizer, "a vocabulary, from texts"},
    {"pretrain", train_pretrain, "on documents: every token is predicted"},
    {"sft", train_sft, "on conversations: what the assistant says is predicted"},
    {"reward", train_reward, "on pairs of answers: the better one scores higher"},
    {"rl", train_rl, "on the model's own answers, as they are rewarded"},
    {"distill", train_distill, "towards a teacher's distributions, on its own replies or on data"},
    {"sweep", train_sweep, "short runs that tune learning rate, batch and mixture"},
};
enum { N_STAGES = sizeof stages / sizeof *stages };

static int print_help(void)
{
    printf("usage: wen train STAGE ...\n\nTrains a model (docs/training.md). The stages:\n\n");
    for (int i = 0; i < N_STAGES; i++)
        printf("  %-12s %s\n", stages[i].name, stages[i].help);
    printf("\n\"wen train STAGE --help\" tells more about one of them.\n");
    return 0;
}

static int unknown_stage(const char *name)
{
    char message[256];
    const char *nearest = args_nearest(name, &stages[0].name, sizeof *stages, N_STAGES);
    if (nearest)
        snprintf(message, sizeof message, "there is no stage %.60s; did you mean %s?", name,
                 nearest);
    else
        snprintf(message, sizeof message, "there is no stage %.60s", name);
    return term_usage("train", message);
}

int cmd_train(int argc, char **argv)
{
    if (argc < 2)
        return term_usage("train", "give a stage");
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return print_help();
    for (int i = 0; i < N_STAGES; i++)
        if (strcmp(argv[1], stages[i].name) == 0)
            return stages[i].run(argc - 1, argv + 1);
    return unknown_stage(argv[1]);
}
