/* wen pull: models from the hubs into the store. */
#include "cli/commands.h"

#include "base/mem.h"
#include "cli/args.h"
#include "cli/hub_show.h"
#include "cli/term.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct PullArgs {
    const char *hub;
    int64_t n_connections, n_tries;
} PullArgs;

static bool pull_one(const PullArgs *args, const char *text)
{
    const HubPullOptions options = {.n_connections = (int)args->n_connections,
                                    .n_tries = (int)args->n_tries};
    HubName name;
    Error err = {0};
    bool ok = hub_name_parse(&name, text, &err);
    if (ok && args->hub && name.is_any_site)
        ok = hub_site_parse(&name.site, args->hub) ||
             error_set(&err, ERROR_ARGUMENT, "--hub %s: not huggingface or modelscope", args->hub);
    char *path = ok ? show_pull(&name, &options, PULL_ASKED_FOR, &err) : NULL;
    if (path)
        printf("%s\n", path);
    else
        term_note("%s", err.message);
    mem_free(path);
    return path != NULL;
}

int cmd_pull(int argc, char **argv)
{
    PullArgs args = {0};
    const Arg options[] = {
        {"hub", 0, ARG_TEXT, &args.hub, "NAME",
         "huggingface or modelscope, for names without one ($WEN_HUB, else huggingface)", 0, 0},
        {"connections", 0, ARG_INT, &args.n_connections, "N", "side by side (8)", 1, 32},
        {"tries", 0, ARG_INT, &args.n_tries, "N", "give up when so many in a row bring no byte (5)",
         1, 1000000},
        {0},
    };
    const ArgSpec spec = {
        .command = "pull",
        .usage = "NAME...",
        .about =
            "Fetches models into the store and prints where each lies. NAME is a repository\n"
            "(Qwen/Qwen3-0.6B), one quantization of a GGUF repository\n"
            "(Qwen/Qwen3-8B-GGUF:Q4_K_M), either behind modelscope.cn/, or short (qwen3:8b).\n"
            "One that was cut goes on where it stopped; one that is here is compared with the\n"
            "hub, and what is new is fetched. Every file is checked against the hub's hash,\n"
            "and a model appears when all of it is there. docs/hub.md lists the environment\n"
            "variables.",
        .options = options,
        .n_words_min = 1,
        .n_words_max = INT_MAX,
    };
    ArgWords words;
    int status;
    if (!args_parse(&spec, argc, argv, &words, &status))
        return status;
    status = 0;
    for (int i = 0; i < words.n; i++)
        status |= pull_one(&args, words.words[i]) ? 0 : 1;
    return term_finish_output() ? status : 1;
}
