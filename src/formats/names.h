/* Inside formats/: the two spellings of a tensor's name, Hugging Face's and GGUF's (docs/formats.md
 * has the table), and the parts that a conversion asks about. */
#ifndef WEN_FORMATS_NAMES_H
#define WEN_FORMATS_NAMES_H

#include <stdbool.h>
#include <stddef.h>

enum { TENSOR_NAME_BYTES = 128 };

typedef enum TensorPart {
    PART_TOKEN_EMBD,
    PART_OUTPUT_NORM,
    PART_OUTPUT,
    PART_ATTN_NORM,
    PART_ATTN_Q,
    PART_ATTN_K,
    PART_ATTN_V,
    PART_ATTN_OUTPUT,
    PART_ATTN_Q_NORM,
    PART_ATTN_K_NORM,
    PART_ATTN_Q_BIAS,
    PART_ATTN_K_BIAS,
    PART_ATTN_V_BIAS,
    PART_FFN_NORM,
    PART_FFN_GATE,
    PART_FFN_UP,
    PART_FFN_DOWN,
    PART_ROUTER,
    PART_GATE_EXPERTS, /* from here on [n_experts, out, in], one tensor or one an expert */
    PART_UP_EXPERTS,
    PART_DOWN_EXPERTS,
    PART_COUNT
} TensorPart;

typedef struct TensorName {
    TensorPart part;
    int layer;  /* -1: not in a layer */
    int expert; /* -1: not an expert's, or the whole bank */
} TensorName;

/* False when the name is none of the table's. */
bool name_parse_hf(const char *text, TensorName *name);
bool name_parse_gguf(const char *text, TensorName *name);
void name_print_hf(char out[TENSOR_NAME_BYTES], const TensorName *name);
/* Experts have no GGUF name of their own: gives the bank's. */
void name_print_gguf(char out[TENSOR_NAME_BYTES], const TensorName *name);

/* Norms, biases and the router: a vector or a tiny matrix that GGUF keeps in F32. */
bool name_is_small(TensorPart part);

#endif
