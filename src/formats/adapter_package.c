/* See adapter_package.h. */
#include "formats/adapter_package.h"

#include "formats/package_parts.h"
#include "formats/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "base_model.model."

/* ---- adapter_config.json ----------------------------------------------------------------------
 */

/* Keys that change what the adapter computes, and the value that changes nothing. */
static const struct {
    const char *key, *plain; /* plain: "false", "none", "empty" */
    const char *what;
} unsupported[] = {
    {"use_dora", "false", "DoRA"},
    {"use_qalora", "false", "QA-LoRA"},
    {"bias", "none", "trained biases"},
    {"lora_bias", "false", "biases of B"},
    {"fan_in_fan_out", "false", "transposed weights"},
    {"modules_to_save", "empty", "whole modules"},
    {"rank_pattern", "empty", "ranks that differ"},
    {"alpha_pattern", "empty", "scales that differ"},
    {"layer_replication", "empty", "repeated layers"},
    {"target_parameters", "empty", "targets that are not layers"},
    {"trainable_token_indices", "empty", "trained tokens"},
};

static bool is_plain(const json_t *value, const char *plain)
{
    if (!value || json_is_null(value))
        return true;
    if (strcmp(plain, "false") == 0)
        return json_is_false(value);
    if (strcmp(plain, "none") == 0)
        return json_is_string(value) && strcmp(json_string_value(value), "none") == 0;
    return (json_is_array(value) || json_is_object(value)) &&
           json_array_size(value) + json_object_size(value) == 0;
}

static bool read_config(AdapterPackage *p, const json_t *config, Error *err)
{
    const char *type = json_string_value(json_object_get(config, "peft_type"));
    if (!type || strcmp(type, "LORA") != 0)
        return error_set(err, ERROR_UNSUPPORTED, "peft_type is %s; only LORA adapters are read",
                         type ? type : "missing");
    for (size_t i = 0; i < sizeof unsupported / sizeof *unsupported; i++)
        if (!is_plain(json_object_get(config, unsupported[i].key), unsupported[i].plain))
            return error_set(err, ERROR_UNSUPPORTED, "%s: adapters with %s are not read",
                             unsupported[i].key, unsupported[i].what);
    const json_t *rank = json_object_get(config, "r"),
                 *alpha = json_object_get(config, "lora_alpha");
    if (!json_is_integer(rank) || json_integer_value(rank) < 1 ||
        json_integer_value(rank) > ADAPTER_RANK_MAX)
        return error_set(err, ERROR_FORMAT, "r: the rank is not a whole number from 1 to %d",
                         ADAPTER_RANK_MAX);
    if (!json_is_number(alpha))
        return error_set(err, ERROR_FORMAT, "lora_alpha: it is not a number");
    p->rank = (int)json_integer_value(rank);
    const bool is_rs = json_is_true(json_object_get(config, "use_rslora"));
    p->scale = (float)(json_number_value(alpha) / (is_rs ? sqrt(p->rank) : p->rank));
    return true;
}

/* ---- Tensors ----------------------------------------------------------------------------------
 */

static void print_shape(const Tensor *t, char text[64])
{
    Buf shape = {0};
    for (int i = 0; i < t->n_dims; i++)
        buf_printf(&shape, "%s%lld", i ? ", " : "", (long long)t->dims[i]);
    snprintf(text, 64, "[%s]", shape.data ? shape.data : "");
    buf_free(&shape);
}

/* Takes one tensor in: an A, with the B that goes with it, or nothing more than a look at a B. */
static bool add_tensor(AdapterPackage *p, const NamedTensor *t, Error *err)
{
    const Str name = str_from(t->name), a = STR(".lora_A.weight"), b = STR(".lora_B.weight");
    const bool is_a = str_ends(name, a), is_b = str_ends(name, b);
    if (!str_starts(name, STR(PREFIX)) || !(is_a || is_b))
        return error_set(err, ERROR_UNSUPPORTED,
                         "tensor %.200s: its name is not " PREFIX "....lora_A.weight or lora_B",
                         t->name);
    if (!t->tensor.data)
        return error_set(err, ERROR_UNSUPPORTED, "tensor %.200s: type %s is not read", t->name,
                         t->type_name);
    char shape[64];
    print_shape(&t->tensor, shape);
    if (t->tensor.n_dims != 2 || t->tensor.dims[is_a ? 0 : 1] != p->rank)
        return error_set(err, ERROR_FORMAT, "tensor %.200s is %s, but the rank is %d", t->name,
                         shape, p->rank);
    if (is_b)
        return true;
    AdapterPair *pair = &p->pairs[p->n++];
    Buf text = {0};
    buf_add(&text, str_slice(name, sizeof PREFIX - 1, name.bytes - a.bytes));
    buf_puts(&text, ".weight");
    pair->name = arena_strndup(&p->names, text.data, text.bytes);
    pair->a = t;
    buf_clear(&text);
    buf_add(&text, str_slice(name, 0, name.bytes - a.bytes));
    buf_add(&text, b);
    pair->b = tensor_table_find(p->tensors, text.data);
    buf_free(&text);
    return pair->b ||
           error_set(err, ERROR_FORMAT, "tensor %.200s has no lora_B beside it", t->name);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const AdapterPair *)a)->name, ((const AdapterPair *)b)->name);
}

static bool read_pairs(AdapterPackage *p, Error *err)
{
    const int n = tensor_table_count(p->tensors);
    p->pairs = mem_try_alloc(sizeof *p->pairs * (size_t)(n + 1), "an adapter's list", err);
    for (int i = 0; p->pairs && i < n; i++)
        if (!add_tensor(p, tensor_table_at(p->tensors, i), err))
            return false;
    if (!p->pairs)
        return false;
    if (n != 2 * p->n)
        return error_set(err, ERROR_FORMAT, "%d tensors are not %d pairs of lora_A and lora_B", n,
                         p->n);
    if (n == 0)
        return error_set(err, ERROR_FORMAT, "it holds no tensors");
    qsort(p->pairs, (size_t)p->n, sizeof *p->pairs, compare_names);
    return true;
}

/* Whether `module` ("model.layers.0.self_attn.q_proj.weight") is what a target ("q_proj",
 * "self_attn.q_proj") means. */
static bool is_target(Str module, Str target)
{
    module = str_slice(module, 0, module.bytes - sizeof ".weight" + 1);
    return str_ends(module, target) &&
           (module.bytes == target.bytes || module.data[module.bytes - target.bytes - 1] == '.');
}

/* A list of targets and the tensors say the same. (A text is a pattern, or "all-linear".) */
static bool check_targets(const AdapterPackage *p, const json_t *targets, Error *err)
{
    for (size_t t = 0; t < json_array_size(targets); t++) {
        const json_t *item = json_array_get(targets, t);
        const Str target = {json_string_value(item), json_string_length(item)};
        bool is_there = false;
        for (int i = 0; target.data && i < p->n; i++)
            is_there |= is_target(str_from(p->pairs[i].name), target);
        if (!is_there)
            return error_set(err, ERROR_FORMAT, "target_modules: no tensor belongs to \"%.100s\"",
                             target.data ? target.data : "?");
    }
    for (int i = 0; json_is_array(targets) && i < p->n; i++) {
        bool is_meant = false;
        for (size_t t = 0; t < json_array_size(targets); t++) {
            const json_t *item = json_array_get(targets, t);
            const Str target = {json_string_value(item), json_string_length(item)};
            is_meant |= is_target(str_from(p->pairs[i].name), target);
        }
        if (!is_meant)
            return error_set(err, ERROR_FORMAT, "tensor %.200s is none of the target_modules",
                             p->pairs[i].a->name);
    }
    return true;
}

/* ---- Opening ----------------------------------------------------------------------------------
 */

static bool read_tensors(AdapterPackage *p, const json_t *config, Error *err)
{
    char *file = file_join(p->path, "adapter_model.safetensors");
    char *pickle = file_join(p->path, "adapter_model.bin");
    bool ok =
        file_exists(file) || !file_exists(pickle) ||
        error_set(err, ERROR_UNSUPPORTED,
                  "%s is a pickle, which is not read: save the adapter as safetensors", pickle);
    ok = ok && safetensors_read(p->tensors, file, err);
    if (ok &&
        !(read_pairs(p, err) && check_targets(p, json_object_get(config, "target_modules"), err)))
        ok = error_add(err, "%s", file);
    mem_free(file);
    mem_free(pickle);
    return ok;
}

AdapterPackage *adapter_package_open(const char *path, Error *err)
{
    AdapterPackage *p = mem_alloc(sizeof *p);
    json_t *config = NULL;
    p->path = mem_strdup(path);
    p->tensors = tensor_table_new();
    bool ok = json_file_read(path, "adapter_config.json", &config, err);
    if (ok && !config)
        ok = error_set(err, ERROR_IO,
                       "%s: no adapter here: a folder with adapter_config.json and "
                       "adapter_model.safetensors is needed",
                       path);
    else if (ok && !read_config(p, config, err))
        ok = error_add(err, "%s/adapter_config.json", path);
    ok = ok && read_tensors(p, config, err);
    json_decref(config);
    if (ok)
        return p;
    adapter_package_close(p);
    return NULL;
}

void adapter_package_close(AdapterPackage *p)
{
    if (!p)
        return;
    tensor_table_free(p->tensors);
    arena_close(&p->names);
    mem_free(p->pairs);
    mem_free(p->path);
    mem_free(p);
}

/* ---- Asking -----------------------------------------------------------------------------------
 */

const AdapterPair *adapter_package_find(const AdapterPackage *p, const char *name)
{
    const AdapterPair key = {.name = name};
    return bsearch(&key, p->pairs, (size_t)p->n, sizeof key, compare_names);
}

bool adapter_pair_fits(const AdapterPackage *p, const AdapterPair *pair, int64_t n_rows,
                       int64_t n_cols, Error *err)
{
    const bool a_fits = pair->a->tensor.dims[1] == n_cols,
               b_fits = pair->b->tensor.dims[0] == n_rows;
    if (a_fits && b_fits)
        return true;
    const NamedTensor *wrong = a_fits ? pair->b : pair->a;
    char shape[64];
    print_shape(&wrong->tensor, shape);
    return error_set(err, ERROR_FORMAT,
                     "%s: tensor %.200s is %s, but the model's matrix is [%lld, %lld]: the adapter "
                     "belongs to another model",
                     p->path, wrong->name, shape, (long long)n_rows, (long long)n_cols);
}

bool adapter_pair_misplaced(const AdapterPackage *p, const AdapterPair *pair, Error *err)
{
    return error_set(err, ERROR_UNSUPPORTED,
                     "%s: tensor %.200s: the model has no such matrix to adapt", p->path,
                     pair->a->name);
}
