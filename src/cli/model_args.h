/* MODEL and the options that say how to open it: the same for every command that has a model. */
#ifndef WEN_CLI_MODEL_ARGS_H
#define WEN_CLI_MODEL_ARGS_H

#include "cli/args.h"
#include "wen.h"

typedef struct ModelArgs {
    const char *device, *template_file, *yarn, *kv_type, *kv_memory;
    int64_t n_threads, context;
    bool pulls;                    /* a model that is not here is fetched without a question */
    ArgList loras;                 /* DIR[:SCALE] */
    const char *speculate, *draft; /* how, and the draft model's path */
    /* Read from these by model_args_check. */
    double yarn_factor;
    int yarn_original;
    size_t kv_bytes;
    wen_speculation speculation;
    bool profiles;
} ModelArgs;

ModelArgs model_args_defaults(void);

/* Which of the options a command has. */
enum {
    MODEL_ARGS_WEIGHTS = 1,    /* --device --threads --yarn --pull */
    MODEL_ARGS_CONTEXT = 2,    /* --ctx --kv */
    MODEL_ARGS_MEMORY = 4,     /* --kv-memory */
    MODEL_ARGS_TEMPLATE = 8,   /* --template */
    MODEL_ARGS_LORA = 16,      /* --lora */
    MODEL_ARGS_SPECULATE = 32, /* --speculate --draft */
    MODEL_ARGS_ALL = 63,
    MODEL_ARGS_PROFILE = 64, /* --profile, not of all */
};
/* Writes their entries, at most 13, to options[n] and on; returns the new n. */
int model_args_put(ModelArgs *args, int which, Arg *options, int n);

/* The options that hold more than a number. False: wrong usage, in words. */
bool model_args_check(ModelArgs *args, Error *err) MUST_USE;

/* Whether the first word of `wen run` is a model and not the beginning of the prompt: "builtin", a
 * word that ends in .gguf or contains / or :, a folder with config.json, a name of the store. */
bool model_args_is_model(const char *word);

/* Opens the model, with progress on a terminal and a word about the built-in one. NULL: it failed,
 * and said so. */
wen_model *model_args_open(const ModelArgs *args, const char *name, wen_load load);
/* With the adapters of --lora for all requests and scores. NULL: likewise. */
wen_engine *model_args_open_engine(const ModelArgs *args, wen_model *model, int max_sequences);

/* "DIR" or "DIR:SCALE", the folder of a low-rank adapter and how strongly it counts (1): *dir is to
 * be freed with mem_free. */
bool lora_from_text(const char *text, char **dir, float *scale, Error *err) MUST_USE;

/* "512M", "1.5G", "4096" (bytes). */
bool size_from_text(const char *text, size_t *bytes);

#endif
