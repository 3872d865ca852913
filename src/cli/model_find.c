/* See model_find.h. */
#include "cli/model_find.h"

#include "base/file.h"
#include "base/mem.h"
#include "hub/hub.h"

#include <string.h>

bool model_is_stored(const char *word)
{
    HubName name;
    char *path = hub_name_parse(&name, word, NULL) ? hub_find(&name) : NULL;
    mem_free(path);
    return path != NULL;
}

/* "./x", "/x", "x.gguf": never a name on a hub. */
static bool is_path(const char *model)
{
    return model[0] == '.' || model[0] == '/' || str_ends(str_from(model), STR(".gguf"));
}

char *model_find(const char *model, Error *err)
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
    if (!hub_name_parse(&name, model, err))
        return NULL;
    char *path = hub_find(&name);
    if (!path)
        error_set(err, ERROR_IO, "%s: no such model here (\"wen list\" shows what is)", model);
    return path;
}
