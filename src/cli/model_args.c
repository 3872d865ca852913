/* See model_args.h. */
#include "cli/model_args.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/model_find.h"
#include "cli/term.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PROGRESS_AFTER_MS = 500 };

ModelArgs model_args_defaults(void) { return (ModelArgs){.device = "auto"}; }

int model_args_put(ModelArgs *a, int which, Arg *options, int n)
{
    const Arg weights[] = {
        {"device", 0, ARG_TEXT, &a->device, "NAME", "cpu, cuda or auto", 0, 0},
        {"threads", 0, ARG_INT, &a->n_threads, "N", "compute threads (one a processor)", 1, 256},
        {"yarn", 0, ARG_TEXT, &a->yarn, "FACTOR[:ORIGINAL]",
         "stretch the context with YaRN; 1 switches it off", 0, 0},
        {"pull", 0, ARG_FLAG, &a->pulls, NULL, "fetch a model that is not here without asking", 0,
         0},
    };
    const Arg cache[] = {
        /* --ctx and --kv, then --kv-memory */
        {"ctx", 0, ARG_INT, &a->context, "N", "context in tokens (the model's maximum)", 1,
         1 << 24},
        {"kv", 0, ARG_TEXT, &a->kv_type, "TYPE",
         "f32, f16, bf16 or q8_0: type of the keys and values", 0, 0},
        {"kv-memory", 0, ARG_TEXT, &a->kv_memory, "SIZE",
         "at most this for keys and values: 8G, 512M (half of free memory)", 0, 0},
    };
    const Arg chat[] = {
        {"template", 0, ARG_TEXT, &a->template_file, "FILE",
         "a Jinja chat template in place of the model's", 0, 0},
    };
    const Arg adapters[] = {
        {"lora", 0, ARG_LIST, &a->loras, "DIR[:SCALE]",
         "a low-rank adapter, PEFT's folder; may be repeated", 0, 0},
    };
    const Arg speculation[] = {
        {"speculate", 0, ARG_TEXT, &a->speculate, "HOW",
         "auto, off, lookup or draft: try tokens ahead; changes the speed, not the text", 0, 0},
        {"draft", 0, ARG_TEXT, &a->draft, "MODEL",
         "a smaller model with the same tokenizer, to try its tokens ahead", 0, 0},
    };
    const Arg profile[] = {
        {"profile", 0, ARG_FLAG, &a->profiles, NULL,
         "at the end, where the time of a step went, operation by operation", 0, 0},
    };
    const struct {
        int bit, n;
        const Arg *items;
    } groups[] = {{MODEL_ARGS_TEMPLATE, 1, chat},         {MODEL_ARGS_CONTEXT, 2, cache},
                  {MODEL_ARGS_MEMORY, 1, cache + 2},      {MODEL_ARGS_LORA, 1, adapters},
                  {MODEL_ARGS_SPECULATE, 2, speculation}, {MODEL_ARGS_PROFILE, 1, profile},
                  {MODEL_ARGS_WEIGHTS, 4, weights}};
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (int i = 0; i < groups[g].n && (which & groups[g].bit); i++)
            options[n++] = groups[g].items[i];
    return n;
}

bool size_from_text(const char *text, size_t *bytes)
{
    static const char units[] = "KMGT";
    char *end;
    double value = strtod(text, &end);
    if (end == text || !(value > 0))
        return false;
    const char *unit = *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
    if (*end && !unit)
        return false;
    for (const char *u = units; unit && u <= unit; u++)
        value *= 1024;
    const char *rest = unit ? end + 1 : end; /* "8G", "8GB", "8GiB" are all eight times 2^30 */
    if (value > 0x1p60 || (*rest && strcasecmp(rest, "b") != 0 && strcasecmp(rest, "ib") != 0))
        return false;
    *bytes = (size_t)value;
    return *bytes > 0;
}

static bool read_yarn(ModelArgs *a, Error *err)
{
    char *end;
    a->yarn_factor = strtod(a->yarn, &end);
    long original = 0;
    bool ok = end != a->yarn && a->yarn_factor >= 1 && a->yarn_factor <= 1024;
    if (ok && *end == ':') {
        const char *number = end + 1;
        original = strtol(number, &end, 10);
        ok = end != number && original > 0 && original <= 1 << 24;
    }
    a->yarn_original = (int)original;
    return (ok && !*end) ||
           error_set(err, ERROR_ARGUMENT,
                     "--yarn %s: not FACTOR or FACTOR:ORIGINAL, such as 4 or 4:32768", a->yarn);
}

bool lora_from_text(const char *text, char **dir, float *scale, Error *err)
{
    const char *colon = strrchr(text, ':');
    *scale = 1;
    if (!colon || file_is_dir(text)) {
        *dir = mem_strdup(text);
        return true;
    }
    char *end;
    *scale = strtof(colon + 1, &end);
    if (end == colon + 1 || *end || !isfinite(*scale) || colon == text)
        return error_set(err, ERROR_ARGUMENT,
                         "--lora %s: neither a folder nor FOLDER:SCALE, such as adapter:0.5", text);
    *dir = mem_strndup(text, (size_t)(colon - text));
    return true;
}

static bool check_loras(const ModelArgs *a, Error *err)
{
    for (int i = 0; i < a->loras.n; i++) {
        char *dir = NULL;
        float scale;
        if (!lora_from_text(a->loras.items[i], &dir, &scale, err))
            return false;
        mem_free(dir);
    }
    return true;
}

static bool read_speculation(ModelArgs *a, Error *err)
{
    static const char *const names[] = {"auto", "off", "lookup", "draft"};
    int i = 0;
    while (a->speculate && i < 4 && strcmp(a->speculate, names[i]) != 0)
        i++;
    if (i == 4)
        return error_set(err, ERROR_ARGUMENT, "--speculate %s: not one of auto, off, lookup, draft",
                         a->speculate);
    a->speculation = (wen_speculation)i;
    if (a->speculation == WEN_SPECULATE_DRAFT && !a->draft)
        return error_set(err, ERROR_ARGUMENT, "--speculate draft: --draft MODEL says which");
    if (a->draft && a->speculation != WEN_SPECULATE_DRAFT && a->speculation != WEN_SPECULATE_AUTO)
        return error_set(err, ERROR_ARGUMENT, "--draft and --speculate %s contradict each other",
                         a->speculate);
    return true;
}

bool model_args_check(ModelArgs *a, Error *err)
{
    static const char *const types[] = {"f32", "f16", "bf16", "q8_0"};
    bool is_known = !a->kv_type;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        is_known |= a->kv_type && strcasecmp(a->kv_type, types[i]) == 0;
    if (!is_known)
        return error_set(err, ERROR_ARGUMENT, "--kv %s: not one of f32, f16, bf16, q8_0",
                         a->kv_type);
    if (a->kv_memory && !size_from_text(a->kv_memory, &a->kv_bytes))
        return error_set(err, ERROR_ARGUMENT, "--kv-memory %s: not a size such as 8G or 512M",
                         a->kv_memory);
    return check_loras(a, err) && read_speculation(a, err) && (!a->yarn || read_yarn(a, err));
}

bool model_args_is_model(const char *word)
{
    for (const char *c = word; *c; c++)
        if (isspace((unsigned char)*c))
            return false;
    if (strcmp(word, "builtin") == 0 || str_ends(str_from(word), STR(".gguf")) ||
        strpbrk(word, "/:"))
        return true;
    char *config = file_join(word, "config.json");
    bool is_folder = *word && file_exists(config);
    mem_free(config);
    return is_folder || model_is_stored(word);
}

/* ---- Opening --------------------------------------------------------------------------------- */

typedef struct Loading {
    double started;
    int percent;
} Loading;

static void show_loading(void *context, int done, int total)
{
    Loading *loading = context;
    int percent = total ? 100 * done / total : 0;
    if (clock_seconds() - loading->started < PROGRESS_AFTER_MS / 1000.0 ||
        percent == loading->percent)
        return;
    char text[32];
    loading->percent = percent;
    snprintf(text, sizeof text, "loading %d %%", percent);
    term_progress(text);
}

wen_model *model_args_open(const ModelArgs *a, const char *name, wen_load load)
{
    Error why;
    char *path = model_find(name, a->pulls, &why);
    if (!path) {
        term_note("%s", why.message);
        return NULL;
    }
    Loading loading = {.started = clock_seconds(), .percent = -1};
    wen_model_options options = wen_model_options_defaults();
    wen_error err;
    options.load = load;
    options.device = a->device;
    options.n_threads = (int)a->n_threads;
    options.yarn_factor = a->yarn_factor;
    options.yarn_original = a->yarn_original;
    options.template_file = a->template_file;
    options.profiles = a->profiles;
    options.progress = show_loading;
    options.progress_context = &loading;
    wen_model *model = wen_model_open(path, &options, &err);
    term_progress(NULL);
    mem_free(path);
    if (!model)
        term_note("%s", err.message);
    return model;
}

static bool open_adapter(wen_model *model, const char *text, wen_adapter_use *use, wen_error *err)
{
    Error wrong;
    char *dir = NULL;
    if (!lora_from_text(text, &dir, &use->scale, &wrong)) {
        snprintf(err->message, sizeof err->message, "%s", wrong.message);
        return false;
    }
    use->adapter = wen_adapter_open(model, dir, err);
    mem_free(dir);
    return use->adapter != NULL;
}

wen_engine *model_args_open_engine(const ModelArgs *a, wen_model *model, int max_sequences)
{
    wen_engine_options options = wen_engine_options_defaults();
    wen_adapter_use uses[ARG_LIST_MAX];
    wen_engine *engine = NULL;
    wen_error err;
    options.speculation = a->speculation;
    options.draft = a->draft ? model_args_open(a, a->draft, WEN_LOAD_ALL) : NULL;
    if (a->draft && !options.draft)
        return NULL;
    bool ok = true;
    options.context = (int)a->context;
    options.kv_type = a->kv_type;
    options.kv_bytes = a->kv_bytes;
    options.max_sequences = max_sequences;
    options.adapters = uses;
    for (int i = 0; i < a->loras.n && ok; i++) {
        ok = open_adapter(model, a->loras.items[i], &uses[i], &err);
        options.n_adapters += ok;
    }
    if (ok)
        engine = wen_engine_open(model, &options, &err);
    if (!engine)
        term_note("%s", err.message);
    for (int i = 0; i < options.n_adapters; i++)
        wen_adapter_close(uses[i].adapter); /* the engine has its own reference */
    wen_model_close(options.draft);         /* likewise */
    return engine;
}
