/* See model_find.h. */
#include "cli/model_find.h"

#include "base/file.h"
#include "base/mem.h"
#include "cli/hub_show.h"
#include "cli/term.h"
#include "hub/hub_made.h"

#include <stdio.h>
#include <string.h>

bool model_is_stored(const char *word)
{
    HubName name;
    HubMade *made = hub_made_find(word);
    char *path = !made && hub_name_parse(&name, word, NULL) ? hub_find(&name) : NULL;
    bool is_stored = made || path;
    hub_made_free(made);
    mem_free(path);
    return is_stored;
}

/* "./x", "/x", "x.gguf": never a name on a hub. */
static bool is_path(const char *model)
{
    return model[0] == '.' || model[0] == '/' || str_ends(str_from(model), STR(".gguf"));
}

static char *pull(HubName *name, const char *model, bool pulls, Error *err)
{
    static const HubPullOptions options;
    bool has_person = term_input_kind() == INPUT_TERMINAL && term_is_terminal(stderr);
    if (pulls || has_person)
        return show_pull(name, &options, pulls ? PULL_ASKED_FOR : PULL_CONFIRMED, err);
    error_set(err, ERROR_IO,
              "%s: no such model here; \"wen pull %s\" fetches it, or --pull in this command",
              model, model);
    return NULL;
}

char *model_find(const char *model, bool pulls, Error *err)
{
    HubName name;
    if (strcmp(model, "builtin") == 0 || file_exists(model))
        return mem_strdup(model);
    if (is_path(model)) {
        error_set(err, ERROR_IO,
                  "%s: no such model file or folder here; give the path of a .gguf file or of a "
                  "folder with config.json, a name such as qwen3:8b, or \"builtin\"",
                  model);
        return NULL;
    }
    HubMade *made = hub_made_find(model);
    if (made) {
        error_set(err, ERROR_ARGUMENT,
                  "%s was made of %s, with settings that only run and serve know; give the latter",
                  made->name, json_string_value(json_object_get(made->settings, "from")));
        hub_made_free(made);
        return NULL;
    }
    if (!hub_name_parse(&name, model, err))
        return NULL;
    char *path = hub_find(&name);
    return path ? path : pull(&name, model, pulls, err);
}
