/* A model as one thing, whether a folder of safetensors or a GGUF file.
 *
 * Tensors are found by their Hugging Face names ("model.layers.3.self_attn.q_proj.weight",
 * "model.layers.3.mlp.experts.5.up_proj.weight", "lm_head.weight"), configuration by config.json's
 * keys: a GGUF is seen through the same names (docs/formats.md has the table). */
#ifndef WEN_FORMATS_PACKAGE_H
#define WEN_FORMATS_PACKAGE_H

#include "formats/adapter_package.h"
#include "formats/gguf.h"
#include "formats/importance.h"
#include "formats/tensor_table.h"

#include <jansson.h>

typedef struct Package Package;

/* path: a .gguf file, or a folder with config.json. `need_weights` false: tokenizer and templates
 * are enough (a folder with only these opens). */
Package *package_open(const char *path, bool need_weights, Error *err) MUST_USE;
/* A GGUF file that lies in memory, which stays the caller's until close. `name` is its path. */
Package *package_open_memory(Str bytes, const char *name, Error *err) MUST_USE;
void package_close(Package *package); /* NULL is fine */

const char *package_path(const Package *package);
/* NULL for a folder; for `info`. */
const Gguf *package_gguf(const Package *package);
const TensorTable *package_tensors(const Package *package);

/* config.json: as it is, or rebuilt from GGUF keys (model_type, architectures, hidden_size,
 * num_hidden_layers, num_attention_heads, num_key_value_heads, head_dim, intermediate_size,
 * vocab_size (rows of the embedding), rms_norm_eps, rope_theta, rope_scaling, tie_word_embeddings,
 * max_position_embeddings, num_experts, num_experts_per_tok, moe_intermediate_size, norm_topk_prob,
 * eos/bos ids ...). Borrowed; NULL only if need_weights was false and there is none. */
json_t *package_config(const Package *package);
/* generation_config.json, or NULL. A GGUF's general.sampling.* keys, if any, are seen so too. */
json_t *package_generation_config(const Package *package);

/* The tensor of that Hugging Face name, shape as Hugging Face has it. Experts of a bank (GGUF, or
 * fused safetensors) are found one by one: data points into the bank. Matrices that a folder holds
 * in the layout of FP8, GPTQ, AWQ or MLX have rows instead of data (tensor.h). False and a message
 * naming tensor (and type) when it is missing or unreadable. */
bool package_tensor(const Package *package, const char *name, Tensor *out, Error *err) MUST_USE;
bool package_has_tensor(const Package *package, const char *name);
/* Whether a tensor of the files is a part of a quantized matrix that is found under another name.
 */
bool package_is_part(const Package *package, const char *name);

/* What the tokenizer is made from; absent parts are empty. Borrowed from the package. */
typedef struct PackageText {
    Str tokenizer_json, vocab_json, merges_txt; /* whole files; qwen.tiktoken as the last two */
    Str tokenizer_config_json, added_tokens_json;
    Str chat_template; /* Jinja source: chat_template.jinja, else tokenizer_config's, else GGUF's */
    /* From GGUF (n_tokens 0 otherwise). */
    const Str *tokens, *merges;
    const int32_t *token_types; /* ggml: 1 normal 3 control 4 user-defined 5 unused 6 byte */
    int n_tokens, n_merges;
    Str pre;                        /* tokenizer.ggml.pre: "qwen2", "deepseek-r1-qwen" */
    int32_t bos_id, eos_id, pad_id; /* -1: not given */
    bool add_bos;
} PackageText;
const PackageText *package_text(const Package *package);

/* Writes tokenizer files, chat template and generation_config.json to a folder, as far as the
 * package has them: a folder's as they are, a GGUF's anew, in the layout that transformers saves.
 */
bool package_write_texts(const Package *in, const char *dir, Error *err) MUST_USE;

/* What became of one tensor. */
typedef struct ConvertedTensor {
    TensorInfo info; /* as written */
    DType from;
    uint64_t bytes_in, bytes_out;
    /* Of the values written against those read; only if measured. */
    double rms_error, relative_error; /* the second over the values' own RMS */
    double weighted_error;            /* as relative, by importance; -1 where that is not known */
} ConvertedTensor;

/* A low-rank adapter to merge in: W becomes W + scale * (what the adapter says). */
typedef struct MergedAdapter {
    const AdapterPackage *package;
    float scale;
} MergedAdapter;

/* A new safetensors folder or GGUF from any package: `wen quantize`. */
typedef struct ConvertOptions {
    /* An element type ("F32" "F16" "BF16" "Q8_0" "Q4_0" "Q4_1" "Q5_0" "Q5_1" "Q6_K") or a mix
     * ("Q4_K_M" "Q4_K_S" "Q5_K_M" "Q5_K_S" "Q3_K_L" "Q3_K_M" "Q3_K_S" "Q2_K" "IQ4_NL" "IQ4_XS"
     * "MXFP4"; "Q3_K", "Q4_K" and "Q5_K" mean _M). Any case. NULL with target_bytes. */
    const char *type;
    /* Not 0: matrices get the types that leave the least error in a GGUF of at most so many bytes,
     * as measured on a sample of each one's rows. Too few for any choice is ERROR_LIMIT. */
    uint64_t target_bytes;
    const Importance *importance;  /* what encoders and the choice weight errors by; NULL: none */
    bool as_safetensors;           /* folder out; type F32, F16, BF16 */
    const MergedAdapter *adapters; /* [n_adapters], added in this order; borrowed */
    int n_adapters;
    bool measure_error;
    int n_threads; /* 0: all */
    /* Called between pieces of work, many times for a large tensor; NULL: silent. Bytes of input.
     * False stops the conversion: ERROR_CANCELLED. */
    bool (*progress)(void *context, const char *tensor, uint64_t done_bytes, uint64_t total_bytes);
    void (*tensor_done)(void *context, const ConvertedTensor *tensor); /* may be NULL */
    void *context;
} ConvertOptions;
/* True for a name that ConvertOptions.type may have. */
bool package_convert_knows(const char *type);
/* Streams: a few MiB of any tensor are in memory at a time. Writes atomically: what was at out_path
 * stays until all is done (a folder must not be there, or be empty). A NaN or infinity in a source
 * tensor, or a value that the type cannot hold, is an error that names tensor and element. The
 * result does not depend on n_threads. */
bool package_convert(const Package *in, const char *out_path, const ConvertOptions *options,
                     Error *err) MUST_USE;

#endif
