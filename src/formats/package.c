/* See package.h. This file opens, and finds tensors by their Hugging Face names in whichever shape
 * the files store them; package_folder.c and package_gguf.c read the two kinds. */
#include "formats/package.h"

#include "base/bug.h"
#include "formats/names.h"
#include "formats/package_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static Package *package_new(const char *path)
{
    Package *p = mem_alloc(sizeof *p);
    p->path = mem_strdup(path);
    p->tensors = tensor_table_new();
    p->text.bos_id = p->text.eos_id = p->text.pad_id = -1;
    return p;
}

Package *package_open(const char *path, bool need_weights, Error *err)
{
    if (!file_exists(path)) {
        error_set(err, ERROR_IO, "%s: no such file or folder", path);
        return NULL;
    }
    Package *p = package_new(path);
    if (file_is_dir(path) ? package_read_folder(p, need_weights, err)
                          : package_read_gguf(p, need_weights, err))
        return p;
    package_close(p);
    return NULL;
}

Package *package_open_memory(Str bytes, const char *name, Error *err)
{
    Package *p = package_new(name);
    p->memory = bytes;
    if (package_read_gguf(p, true, err))
        return p;
    package_close(p);
    return NULL;
}

void package_close(Package *p)
{
    if (!p)
        return;
    json_decref(p->config);
    json_decref(p->generation);
    json_decref(p->tokenizer_config);
    for (int i = 0; i < p->n_text_files; i++)
        file_unmap(&p->text_files[i]);
    buf_free(&p->tiktoken_vocab);
    buf_free(&p->tiktoken_merges);
    buf_free(&p->tiktoken_added);
    arena_close(&p->arena);
    gguf_close(p->gguf);
    prequantized_free(p->quantized);
    tensor_table_free(p->tensors);
    mem_free(p->path);
    mem_free(p);
}

const char *package_path(const Package *p) { return p->path; }
const Gguf *package_gguf(const Package *p) { return p->gguf; }
const TensorTable *package_tensors(const Package *p) { return p->tensors; }
json_t *package_config(const Package *p) { return p->config; }
json_t *package_generation_config(const Package *p) { return p->generation; }
const PackageText *package_text(const Package *p) { return &p->text; }

/* Where a Hugging Face name leads: a stored tensor, or the part of it that starts at row `row` of
 * every expert's `n_rows` (fused gate and up), or one expert of it. */
typedef struct Place {
    const NamedTensor *stored;
    int expert;    /* -1: all of it */
    bool is_half;  /* one half of the rows of each expert */
    bool is_upper; /* the second half */
} Place;

static const NamedTensor *find_stored(const Package *p, const char *name)
{
    const NamedTensor *made = prequantized_tensor(p->quantized, name);
    return made ? made : tensor_table_find(p->tensors, name);
}

/* Banks in safetensors: "experts.gate_up_proj" and "experts.down_proj", [n_experts, out, in], as
 * transformers 5 may save them; also one bank a projection. */
static bool find_bank(const Package *p, const TensorName *name, Place *place)
{
    char text[TENSOR_NAME_BYTES];
    TensorName bank = *name;
    bank.expert = -1;
    name_print_hf(text, &bank);
    place->stored = find_stored(p, text);
    if (!place->stored) {
        *strrchr(text, '.') = '\0'; /* without ".weight" */
        place->stored = find_stored(p, text);
    }
    if (!place->stored && name->part != PART_DOWN_EXPERTS) {
        snprintf(text, sizeof text, "model.layers.%d.mlp.experts.gate_up_proj", name->layer);
        place->stored = find_stored(p, text);
        place->is_half = place->stored != NULL;
        place->is_upper = name->part == PART_UP_EXPERTS;
    }
    place->expert = name->expert;
    /* Half of every expert is no contiguous bank. */
    return place->stored && !(place->is_half && name->expert < 0);
}

static bool find(const Package *p, const char *text, Place *place)
{
    TensorName name;
    char stored_as[TENSOR_NAME_BYTES];
    bool is_known = name_parse_hf(text, &name);
    *place = (Place){.expert = -1};
    if (p->gguf) {
        if (!is_known)
            return false;
        name_print_gguf(stored_as, &name);
        place->stored = find_stored(p, stored_as);
        place->expert = name.expert;
    } else {
        /* Embedding models are saved without their language model's head, and without "model.". */
        place->stored = find_stored(p, text);
        if (!place->stored && strncmp(text, "model.", 6) == 0)
            place->stored = find_stored(p, text + 6);
        if (!place->stored && is_known && name.part >= PART_GATE_EXPERTS)
            return find_bank(p, &name, place);
    }
    if (!place->stored && is_known && name.part == PART_OUTPUT && p->is_tied)
        return find(p, "model.embed_tokens.weight", place);
    return place->stored != NULL;
}

bool package_has_tensor(const Package *p, const char *name)
{
    Place place;
    return find(p, name, &place);
}

bool package_is_part(const Package *p, const char *name)
{
    return prequantized_owns(p->quantized, name);
}

/* The expert's slice of a bank; the hidden size tells [out, in] from its transpose. */
static bool slice_bank(const Package *p, const char *name, const Place *place, Tensor *t,
                       Error *err)
{
    const NamedTensor *stored = place->stored;
    if (t->n_dims != 3 || place->expert >= t->dims[0] || (place->is_half && t->dims[1] % 2 != 0))
        return error_set(err, ERROR_FORMAT, "%s: tensor %s has no place for %s", stored->file,
                         stored->name, name);
    json_int_t hidden = json_integer_value(json_object_get(p->config, "hidden_size"));
    if (place->is_half && t->dims[2] != hidden)
        return error_set(err, ERROR_UNSUPPORTED,
                         "%s: tensor %s: rows of %" PRId64
                         " elements, not hidden_size %" JSON_INTEGER_FORMAT,
                         stored->file, stored->name, t->dims[2], hidden);
    size_t expert_bytes = t->bytes / (size_t)t->dims[0];
    int64_t n_rows = t->dims[1] / (place->is_half ? 2 : 1);
    size_t bytes = expert_bytes / (place->is_half ? 2 : 1);
    size_t at = (size_t)place->expert * expert_bytes + (place->is_upper ? bytes : 0);
    int64_t first_row = place->expert * t->dims[1] + (place->is_upper ? n_rows : 0);
    *t = (Tensor){.type = t->type,
                  .n_dims = 2,
                  .dims = {n_rows, t->dims[2]},
                  .bytes = bytes,
                  .data = t->data ? (const uint8_t *)t->data + at : NULL,
                  .rows = t->rows,
                  .first_row = first_row};
    return true;
}

bool package_tensor(const Package *p, const char *name, Tensor *out, Error *err)
{
    Place place;
    if (!find(p, name, &place))
        return error_set(err, ERROR_FORMAT, "%s: tensor %.200s is missing", p->path, name);
    if (place.stored->tensor.rows && !prequantized_check(place.stored, err))
        return false;
    if (!place.stored->tensor.data && !place.stored->tensor.rows)
        return error_set(err, ERROR_UNSUPPORTED, "%s: tensor %.200s: type %s cannot be read",
                         place.stored->file, place.stored->name, place.stored->type_name);
    *out = place.stored->tensor;
    return place.expert < 0 || slice_bank(p, name, &place, out, err);
}
