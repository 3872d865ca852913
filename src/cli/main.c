/* wen: finds the command and runs it. */
#include "cli/args.h"
#include "cli/commands.h"
#include "wen.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef struct Command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} Command;

static const Command commands[] = {
    {"run", cmd_run, "one answer, or a conversation"},
    {"serve", cmd_serve, "an HTTP server: OpenAI, Anthropic and Ollama dialects"},
    {"pull", cmd_pull, "fetch a model from Hugging Face or ModelScope"},
    {"list", cmd_list, "the models that are here"},
    {"rm", cmd_rm, "remove a model from the store"},
    {"info", cmd_info, "what a model is, what memory it takes"},
    {"quantize", cmd_quantize, "a model's weights in another element type"},
    {"bench", cmd_bench, "how fast a model runs on this machine"},
    {"score", cmd_score, "log-probabilities of given text or ids"},
    {"tokenize", cmd_tokenize, "text to ids, and back"},
    {"render", cmd_render, "messages to the exact prompt text"},
    {"data", cmd_data, "make and inspect training data"},
    {"train", cmd_train, "train a model from a configuration"},
    {"pipeline", cmd_pipeline, "all stages of a recipe, from data to models"},
    {"eval", cmd_eval, "ask a model problems and judge its answers"},
    {"doctor", cmd_doctor, "is this machine ready, and what would help"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

static const Command *find_command(const char *name)
{
    for (int i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *nearest = args_nearest(name, &commands[0].name, sizeof *commands, N_COMMANDS);
    if (nearest)
        fprintf(stderr, "wen: unknown command %.60s; did you mean %s?\n", name, nearest);
    else
        fprintf(stderr, "wen: unknown command %.60s (\"wen help\" lists them)\n", name);
    return 2;
}

static void print_help(FILE *out)
{
    fprintf(out, "wen %s: Qwen3 models on your own machine\n\nusage: wen COMMAND ...\n\n",
            wen_version());
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(out, "  %-12s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n\"wen help COMMAND\" tells more about one of them.\n");
}

static void print_names(const char *label, const json_t *names, const char *key)
{
    printf("%-8s", label);
    for (size_t i = 0; i < json_array_size(names); i++) {
        const json_t *item = json_array_get(names, i);
        printf(" %s", json_string_value(key ? json_object_get(item, key) : item));
    }
}

/* The first line is for scripts. */
static int print_version(void)
{
    char *text = wen_about();
    json_t *about = json_loads(text, 0, NULL);
    const json_t *levels = json_object_get(about, "levels");
    const char *best = "";
    for (size_t i = 0; i < json_array_size(levels); i++)
        if (json_is_true(json_object_get(json_array_get(levels, i), "is_usable")))
            best = json_string_value(json_object_get(json_array_get(levels, i), "name"));
    printf("wen %s\n", wen_version());
    print_names("levels", levels, "name");
    printf("; this processor: %s\n", best);
    print_names("devices", json_object_get(about, "devices"), NULL);
    printf("\nbuild    %s, %s%s\n", json_string_value(json_object_get(about, "compiler")),
           json_string_value(json_object_get(about, "machine")),
           json_is_true(json_object_get(about, "checks")) ? ", with debug checks" : "");
    json_decref(about);
    wen_free(text);
    return 0;
}

/* `wen help [COMMAND [STAGE]]` */
static int help(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stdout);
        return 0;
    }
    const Command *command = find_command(argv[1]);
    if (!command)
        return unknown_command(argv[1]);
    char option[] = "--help";
    char *stage = argc > 2 ? argv[2] : option;
    char *with_help[] = {argv[1], stage, option, NULL};
    return command->run(argc > 2 ? 3 : 2, with_help);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0)
        return print_version();
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(argc - 1, argv + 1);
    const Command *command = find_command(name);
    return command ? command->run(argc - 1, argv + 1) : unknown_command(name);
}
