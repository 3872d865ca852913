/* wen rm: a model out of the store. */
#include "cli/commands.h"

#include "cli/args.h"
#include "cli/hub_show.h"
#include "cli/term.h"
#include "hub/hub_made.h"

#include <limits.h>
#include <stdlib.h>

static bool remove_one(const char *text)
{
    HubName name;
    Error err = {0};
    uint64_t bytes = 0;
    char size[SHOWN_MAX];
    HubMade *made = hub_made_find(text);
    if (made && hub_made_remove(text, &err)) {
        term_note("%s removed; what it was made of stays", made->name);
        hub_made_free(made);
        return true;
    }
    const bool was_made = made != NULL;
    hub_made_free(made);
    if (was_made || !hub_name_parse(&name, text, &err) || !hub_remove(&name, &bytes, &err)) {
        term_note("%s", err.message);
        return false;
    }
    term_note("%s removed, %s freed", text, show_bytes(bytes, size));
    return true;
}

int cmd_rm(int argc, char **argv)
{
    const Arg options[] = {{0}};
    const ArgSpec spec = {
        .command = "rm",
        .usage = "NAME...",
        .about = "Removes models from the store, or what an unfinished pull left. Models in the\n"
                 "caches of huggingface_hub and modelscope are theirs, and stay.",
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
        status |= remove_one(words.words[i]) ? 0 : 1;
    return status;
}
