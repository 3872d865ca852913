/* See names.h. Spellings: huggingface/transformers modeling_qwen3*.py and llama.cpp's gguf-py
 * constants.py. */
#include "formats/names.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *hf, *gguf; /* behind "model.layers.N." and "blk.N." in a layer; '#' is an expert */
    bool is_in_layer;
} spellings[PART_COUNT] = {
    [PART_TOKEN_EMBD] = {"model.embed_tokens.weight", "token_embd.weight", false},
    [PART_OUTPUT_NORM] = {"model.norm.weight", "output_norm.weight", false},
    [PART_OUTPUT] = {"lm_head.weight", "output.weight", false},
    [PART_ATTN_NORM] = {"input_layernorm.weight", "attn_norm.weight", true},
    [PART_ATTN_Q] = {"self_attn.q_proj.weight", "attn_q.weight", true},
    [PART_ATTN_K] = {"self_attn.k_proj.weight", "attn_k.weight", true},
    [PART_ATTN_V] = {"self_attn.v_proj.weight", "attn_v.weight", true},
    [PART_ATTN_OUTPUT] = {"self_attn.o_proj.weight", "attn_output.weight", true},
    [PART_ATTN_Q_NORM] = {"self_attn.q_norm.weight", "attn_q_norm.weight", true},
    [PART_ATTN_K_NORM] = {"self_attn.k_norm.weight", "attn_k_norm.weight", true},
    [PART_ATTN_Q_BIAS] = {"self_attn.q_proj.bias", "attn_q.bias", true},
    [PART_ATTN_K_BIAS] = {"self_attn.k_proj.bias", "attn_k.bias", true},
    [PART_ATTN_V_BIAS] = {"self_attn.v_proj.bias", "attn_v.bias", true},
    [PART_FFN_NORM] = {"post_attention_layernorm.weight", "ffn_norm.weight", true},
    [PART_FFN_GATE] = {"mlp.gate_proj.weight", "ffn_gate.weight", true},
    [PART_FFN_UP] = {"mlp.up_proj.weight", "ffn_up.weight", true},
    [PART_FFN_DOWN] = {"mlp.down_proj.weight", "ffn_down.weight", true},
    [PART_ROUTER] = {"mlp.gate.weight", "ffn_gate_inp.weight", true},
    [PART_GATE_EXPERTS] = {"mlp.experts.#gate_proj.weight", "ffn_gate_exps.weight", true},
    [PART_UP_EXPERTS] = {"mlp.experts.#up_proj.weight", "ffn_up_exps.weight", true},
    [PART_DOWN_EXPERTS] = {"mlp.experts.#down_proj.weight", "ffn_down_exps.weight", true},
};

static const char *skip_prefix(const char *text, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* "12." -> 12 and what follows; NULL when there is no such number. */
static const char *skip_index(const char *text, int *index)
{
    int value = 0, digits = 0;
    while (text[digits] >= '0' && text[digits] <= '9' && digits < 6)
        value = value * 10 + (text[digits++] - '0');
    if (digits == 0 || (digits > 1 && text[0] == '0') || text[digits] != '.')
        return NULL;
    *index = value;
    return text + digits + 1;
}

/* Compares a rest of a name with a spelling; '#' matches "12." or nothing. */
static bool matches(const char *text, const char *spelling, int *expert)
{
    *expert = -1;
    const char *hash = strchr(spelling, '#');
    if (!hash)
        return strcmp(text, spelling) == 0;
    if (strncmp(text, spelling, (size_t)(hash - spelling)) != 0)
        return false;
    text += hash - spelling;
    const char *rest = skip_index(text, expert);
    return strcmp(rest ? rest : text, hash + 1) == 0;
}

static bool parse(const char *text, const char *layer_prefix, bool is_hf, TensorName *name)
{
    int layer = -1;
    const char *in_layer = skip_prefix(text, layer_prefix);
    if (in_layer)
        text = skip_index(in_layer, &layer);
    for (int i = 0; text && i < PART_COUNT; i++) {
        int expert;
        if (spellings[i].is_in_layer == (in_layer != NULL) &&
            matches(text, is_hf ? spellings[i].hf : spellings[i].gguf, &expert)) {
            *name = (TensorName){(TensorPart)i, layer, expert};
            return true;
        }
    }
    return false;
}

bool name_parse_hf(const char *text, TensorName *name)
{
    return parse(text, "model.layers.", true, name);
}

bool name_parse_gguf(const char *text, TensorName *name)
{
    return parse(text, "blk.", false, name);
}

void name_print_hf(char out[TENSOR_NAME_BYTES], const TensorName *name)
{
    char layer[32] = "", expert[16] = "";
    const char *spelling = spellings[name->part].hf, *hash = strchr(spelling, '#');
    if (name->layer >= 0)
        snprintf(layer, sizeof layer, "model.layers.%d.", name->layer);
    if (name->expert >= 0)
        snprintf(expert, sizeof expert, "%d.", name->expert);
    if (hash)
        snprintf(out, TENSOR_NAME_BYTES, "%s%.*s%s%s", layer, (int)(hash - spelling), spelling,
                 expert, hash + 1);
    else
        snprintf(out, TENSOR_NAME_BYTES, "%s%s", layer, spelling);
}

void name_print_gguf(char out[TENSOR_NAME_BYTES], const TensorName *name)
{
    if (name->layer >= 0)
        snprintf(out, TENSOR_NAME_BYTES, "blk.%d.%s", name->layer, spellings[name->part].gguf);
    else
        snprintf(out, TENSOR_NAME_BYTES, "%s", spellings[name->part].gguf);
}

bool name_is_small(TensorPart part)
{
    switch (part) {
    case PART_OUTPUT_NORM:
    case PART_ATTN_NORM:
    case PART_ATTN_Q_NORM:
    case PART_ATTN_K_NORM:
    case PART_ATTN_Q_BIAS:
    case PART_ATTN_K_BIAS:
    case PART_ATTN_V_BIAS:
    case PART_FFN_NORM:
    case PART_ROUTER:
        return true;
    default:
        return false;
    }
}
