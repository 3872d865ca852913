/* See export_parts.h. The keys are those of Qwen's releases; values that a run was not given are
 * what Transformers takes for absent ones. */
#include "train/export_parts.h"

#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES_MAX = 64 << 20 };

/* The first version of Transformers that knows Qwen3. */
static const char TRANSFORMERS_VERSION[] = "4.51.0";

/* Numbers are written as people wrote them: 15 digits give 1e-06 where 17 give
 * 9.9999999999999995e-07. */
static bool write_json(const char *folder, const char *name, const json_t *json, size_t flags,
                       Error *err)
{
    char *path = file_join(folder, name);
    char *dump = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(15) | flags);
    Buf text = {0};
    buf_puts(&text, dump ? dump : "");
    buf_putc(&text, '\n');
    const bool ok = dump ? file_write(path, buf_str(&text), err)
                         : error_set(err, ERROR_FORMAT, "%s: not representable as JSON", path);
    free(dump);
    buf_free(&text);
    mem_free(path);
    return ok;
}

/* Takes over `value`. */
static void put_absent(json_t *object, const char *key, json_t *value)
{
    if (json_object_get(object, key))
        json_decref(value);
    else
        json_object_set_new(object, key, value);
}

/* ---- config.json ----------------------------------------------------------------------------- */

static const char *class_of(const Config *c)
{
    if (strcmp(c->family, "qwen2") == 0)
        return "Qwen2ForCausalLM";
    return c->n_experts > 0 ? "Qwen3MoeForCausalLM" : "Qwen3ForCausalLM";
}

static void put_mixture(json_t *json, const Config *c)
{
    put_absent(json, "decoder_sparse_step", json_integer(1));
    put_absent(json, "mlp_only_layers", json_array());
    put_absent(json, "norm_topk_prob", json_boolean(c->normalizes_experts));
    put_absent(json, "output_router_logits", json_false());
    put_absent(json, "router_aux_loss_coef", json_real(0.001));
}

static void put_id(json_t *json, const char *key, int32_t id)
{
    if (id >= 0)
        put_absent(json, key, json_integer(id));
}

static int32_t bos_id(const Export *e)
{
    const int32_t id = tokenizer_bos_id(e->tokenizer);
    return id >= 0 ? id : tokenizer_added_id(e->tokenizer, "<|endoftext|>");
}

static bool write_config(const char *folder, const Export *e, Error *err)
{
    const Config *c = &e->params->model->config;
    json_t *json = json_deep_copy(e->config);
    const bool is_bf16 = e->params->model->matrix_type == DTYPE_BF16;
    json_object_set_new(json, "torch_dtype", json_string(is_bf16 ? "bfloat16" : "float32"));
    json_object_del(json, "dtype"); /* the newer name of the same */
    if (e->answer_end >= 0)
        json_object_set_new(json, "eos_token_id", json_integer(e->answer_end));
    put_id(json, "eos_token_id", tokenizer_eos_id(e->tokenizer));
    put_id(json, "bos_token_id", bos_id(e));
    put_absent(json, "architectures", json_pack("[s]", class_of(c)));
    put_absent(json, "attention_dropout", json_real(0));
    put_absent(json, "hidden_act", json_string("silu"));
    put_absent(json, "initializer_range", json_real(0.02));
    put_absent(json, "max_position_embeddings", json_integer(c->context_max));
    put_absent(json, "max_window_layers", json_integer(c->n_layers));
    put_absent(json, "num_key_value_heads", json_integer(c->n_kv_heads));
    put_absent(json, "rms_norm_eps", json_real(c->rms_eps));
    if (!json_object_get(json, "rope_parameters"))
        put_absent(json, "rope_theta", json_real(c->rope_theta));
    put_absent(json, "sliding_window", json_null());
    put_absent(json, "tie_word_embeddings", json_boolean(c->is_tied));
    put_absent(json, "transformers_version", json_string(TRANSFORMERS_VERSION));
    put_absent(json, "use_cache", json_true());
    put_absent(json, "use_sliding_window", json_false());
    if (c->has_qk_norm) { /* Qwen3 */
        put_absent(json, "attention_bias", json_false());
        put_absent(json, "head_dim", json_integer(c->head_dim));
        if (!json_object_get(json, "rope_parameters"))
            put_absent(json, "rope_scaling", json_null());
    }
    if (c->n_experts > 0)
        put_mixture(json, c);
    const bool ok = write_json(folder, "config.json", json, JSON_SORT_KEYS, err);
    json_decref(json);
    return ok;
}

/* ---- What ends an answer --------------------------------------------------------------------- */

/* [first, the others without it]; a new reference. */
static json_t *put_first(int32_t first, const json_t *others)
{
    json_t *list = json_pack("[i]", (int)first);
    const size_t n = json_is_integer(others) ? 1 : json_array_size(others);
    for (size_t i = 0; i < n; i++) {
        json_t *other =
            json_is_integer(others) ? (json_t *)(uintptr_t)others : json_array_get(others, i);
        if (json_integer_value(other) != first)
            json_array_append(list, other);
    }
    return list;
}

/* The package's file, or one that says which ids begin and end texts. */
static bool write_generation_config(const char *folder, const Export *e, Error *err)
{
    const json_t *given = package_generation_config(e->text);
    if (given && e->answer_end < 0)
        return true;
    json_t *json = given ? json_deep_copy(given) : json_object();
    const int32_t text_end = tokenizer_added_id(e->tokenizer, "<|endoftext|>");
    put_id(json, "bos_token_id", bos_id(e));
    put_id(json, "eos_token_id", text_end >= 0 ? text_end : tokenizer_eos_id(e->tokenizer));
    put_id(json, "pad_token_id", tokenizer_pad_id(e->tokenizer));
    put_absent(json, "transformers_version", json_string(TRANSFORMERS_VERSION));
    if (e->answer_end >= 0) {
        json_object_set_new(json, "eos_token_id",
                            put_first(e->answer_end, json_object_get(json, "eos_token_id")));
        json_object_del(json, "max_new_tokens"); /* a base model's, which never stops by itself */
    }
    const bool ok = write_json(folder, "generation_config.json", json, 0, err);
    json_decref(json);
    return ok;
}

/* Names the answer's end as eos_token where the written file names another. */
static bool adjust_tokenizer_config(const char *folder, const Export *e, Error *err)
{
    char *path = file_join(folder, "tokenizer_config.json");
    const Str end = e->answer_end >= 0 ? tokenizer_bytes(e->tokenizer, e->answer_end) : (Str){0};
    Buf text = {0};
    json_t *json = NULL;
    json_error_t where;
    bool ok = true;
    if (end.bytes > 0 && tokenizer_eos_id(e->tokenizer) != e->answer_end && file_exists(path)) {
        ok = file_read(&text, path, TEXT_BYTES_MAX, err);
        if (ok && !(json = json_loadb(text.data, text.bytes, 0, &where)))
            ok = error_set(err, ERROR_FORMAT, "%s:%d: %s", path, where.line, where.text);
        if (ok) {
            json_object_set_new(json, "eos_token", json_stringn(end.data, end.bytes));
            ok = write_json(folder, "tokenizer_config.json", json, 0, err);
        }
    }
    json_decref(json);
    buf_free(&text);
    mem_free(path);
    return ok;
}

bool export_texts(const char *folder, const Export *e, Error *err)
{
    return package_write_texts(e->text, folder, err) && write_config(folder, e, err) &&
           write_generation_config(folder, e, err) && adjust_tokenizer_config(folder, e, err);
}
