/* The trained model as other programs read it: a folder in Hugging Face's layout, and a GGUF.
 *
 * The folder has model.safetensors (names and shapes as in Qwen's releases, elements in the compute
 * type), config.json with all of their keys, tokenizer files, chat template and
 * generation_config.json, whatever the run began with: a folder, a GGUF, or a shape and a
 * tokenizer. */
#ifndef WEN_TRAIN_EXPORT_H
#define WEN_TRAIN_EXPORT_H

#include "text/tokenizer.h"
#include "train/params.h"

typedef struct Export {
    const Params *params;
    const float *masters; /* device */
    const json_t *config; /* config.json's keys, as far as the run was given them */
    const char *from;     /* the checkpoint that the run began with; NULL: none */
    double lora_alpha;    /* of the adapter, if there is one */
    bool is_rslora;
    const Package *text; /* where tokenizer and template come from */
    const Tokenizer *tokenizer;
    /* The token with which the model has learned to end its answers: then the files name it first
     * among those that stop generation. -1: they stay as they are. */
    int32_t answer_end;
} Export;

/* With all of the model, frozen tensors too; an adapter is merged in as package_convert merges the
 * one that export_adapter writes: the same bits. */
bool export_model(const char *folder, const Export *e, Error *err) MUST_USE;
/* The adapter in PEFT's layout, in the compute type (formats/adapter_package.h). */
bool export_adapter(const char *folder, const Export *e, Error *err) MUST_USE;
/* The folder's model as one GGUF of any type that package_convert knows. */
bool export_gguf(const char *folder, const char *path, const char *type, int n_threads,
                 Error *err) MUST_USE;

#endif
