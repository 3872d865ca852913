/* A low-rank adapter (LoRA, Hu et al. 2021, arXiv 2106.09685) in PEFT's layout: a folder with
 * adapter_config.json and adapter_model.safetensors.
 *
 * It changes matrices of a base model: W becomes W + scale * B A, with A [rank, in], B [out, rank]
 * and scale = lora_alpha / rank, or lora_alpha / sqrt(rank) where use_rslora is true (arXiv
 * 2312.03732). The tensors of the base's "model.layers.3.self_attn.q_proj.weight" are
 * "base_model.model.model.layers.3.self_attn.q_proj.lora_A.weight" and "... lora_B.weight".
 * Source: huggingface/peft, docs/source/developer_guides/checkpoint.md, src/peft/tuners/lora/.
 *
 * What PEFT can do beside this (DoRA, biases, ranks that differ, whole modules, embeddings) is
 * refused with the name of the key or tensor, never left out silently. */
#ifndef WEN_FORMATS_ADAPTER_PACKAGE_H
#define WEN_FORMATS_ADAPTER_PACKAGE_H

#include "base/mem.h"
#include "formats/tensor_table.h"

enum { ADAPTER_RANK_MAX = 512 };

typedef struct AdapterPair {
    const char *name;         /* of the base's matrix, Hugging Face's */
    const NamedTensor *a, *b; /* their names are the file's, for messages */
} AdapterPair;

typedef struct AdapterPackage {
    char *path;
    int rank;
    float scale;
    AdapterPair *pairs; /* by name */
    int n;
    TensorTable *tensors;
    Arena names;
} AdapterPackage;

/* Every A has its B, both of that rank, in F32, F16 or BF16, and every target of the configuration
 * is there. */
AdapterPackage *adapter_package_open(const char *path, Error *err) MUST_USE;
void adapter_package_close(AdapterPackage *package); /* NULL is fine */

/* The pair of that matrix of the base, or NULL: it is as it was. */
const AdapterPair *adapter_package_find(const AdapterPackage *package, const char *name);
/* Whether a pair fits the base's matrix [n_rows, n_cols]; the error names tensor and shapes. */
bool adapter_pair_fits(const AdapterPackage *package, const AdapterPair *pair, int64_t n_rows,
                       int64_t n_cols, Error *err) MUST_USE;
/* For a pair whose matrix the model has not: false, and an error that names its tensor. */
bool adapter_pair_misplaced(const AdapterPackage *package, const AdapterPair *pair, Error *err);

#endif
