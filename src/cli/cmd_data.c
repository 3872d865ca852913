/* wen data: training data; each of its commands is in data_NAME.c. */
#include "cli/args.h"
#include "cli/commands.h"
#include "cli/data_commands.h"
#include "cli/term.h"

#include <stdio.h>
#include <string.h>

typedef struct DataCommand {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} DataCommand;

static const DataCommand commands[] = {
    {"make", data_make, "documents and problems of the task families"},
    {"families", data_families, "the task families, with an example each"},
    {"inspect", data_inspect, "counts, lengths, families and duplicates of a file"},
    {"dedup", data_dedup, "without exact and near copies"},
    {"decontaminate", data_decontaminate, "without passages of evaluation sets"},
    {"label", data_label, "quality, field, ... of documents, by a model"},
    {"sample", data_sample, "a model's replies to problems, the right ones, as conversations"},
    {"synth", data_synth, "textbooks, questions, code, by a model"},
    {"pdf", data_pdf, "documents from PDF files, cleaned by a model"},
    {"review", data_review, "keep, drop or edit by hand"},
    {"mix", data_mix, "several files in one, by shares and labels"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    fprintf(out, "usage: wen data COMMAND ...\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n\"wen data COMMAND --help\" tells more about one of them.\n");
}

int cmd_data(int argc, char **argv)
{
    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
        print_help(stdout);
        return 0;
    }
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(argc - 1, argv + 1);
    const char *nearest = args_nearest(argv[1], &commands[0].name, sizeof *commands, N_COMMANDS);
    char message[160];
    snprintf(message, sizeof message,
             nearest ? "no command %.60s; did you mean %s?"
                     : "no command %.60s (\"wen data --help\" lists them)",
             argv[1], nearest);
    return term_usage("data", message);
}
