/* What a model is and what memory it takes, as JSON; the shape is in wen.h. */
#include "api/api.h"

#include "engine/assets.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool kv_type_from_name(const wen_model *m, const char *name, DType *type, Error *err)
{
    if (!name) {
        *type = m->matrix_type == DTYPE_F32 || m->matrix_type == DTYPE_BF16 ? m->matrix_type
                                                                            : DTYPE_F16;
        return true;
    }
    if (!dtype_from_name(str_from(name), type) ||
        (dtype_info(*type)->block_len != 1 && *type != DTYPE_Q8_0))
        return error_set(err, ERROR_ARGUMENT,
                         "keys and values of type %.40s: use f32, f16, bf16 or q8_0", name);
    return true;
}

static json_t *number(double value)
{
    /* Floats as a person wrote them: 0.95, not 0.949999988. */
    return json_real(round(value * 1e6) / 1e6);
}

static json_t *describe_sampling(const wen_model *m, bool thinks)
{
    wen_sampling unset = wen_request_defaults().sampling;
    Sampling s = sampling_resolve(m, &unset, thinks);
    return json_pack("{s:o, s:o, s:i, s:o, s:o}", "temperature", number((double)s.temperature),
                     "top_p", number((double)s.top_p), "top_k", s.top_k, "min_p",
                     number((double)s.min_p), "repetition_penalty",
                     number((double)s.repetition_penalty));
}

static void put_sampling(json_t *info, const wen_model *m)
{
    bool can_think = m->think_kind == THINK_HYBRID || m->think_kind == THINK_ALWAYS;
    json_t *sampling = json_object();
    if (can_think)
        json_object_set_new(sampling, "thinking", describe_sampling(m, true));
    if (m->think_kind != THINK_ALWAYS)
        json_object_set_new(sampling, "not_thinking", describe_sampling(m, false));
    json_object_set_new(info, "sampling", sampling);
}

static json_t *id_or_null(int32_t id) { return id >= 0 ? json_integer(id) : json_null(); }

static void put_text(json_t *info, const wen_model *m)
{
    static const char *const kinds[] = {"none", "plain", "hybrid", "thinking"};
    const Tokenizer *t = m->tokenizer;
    json_object_set_new(info, "template", json_string(kinds[m->think_kind]));
    json_object_set_new(
        info, "tokenizer",
        json_pack("{s:i, s:o, s:o, s:o}", "n_tokens", tokenizer_n_tokens(t), "bos_id",
                  tokenizer_adds_bos(t) ? id_or_null(tokenizer_bos_id(t)) : json_null(),
                  "suffix_id", id_or_null(tokenizer_suffix_id(t)), "pad_id",
                  id_or_null(tokenizer_pad_id(t))));
}

static void put_architecture(json_t *info, const wen_model *m)
{
    const Config *c = &m->config;
    json_object_set_new(info, "architecture", json_string(c->family));
    json_object_set_new(info, "parameters", json_integer(config_n_parameters(c)));
    json_object_set_new(info, "active_parameters", json_integer(config_n_active_parameters(c)));
    const struct {
        const char *name;
        int value;
    } numbers[] = {
        {"n_layers", c->n_layers},
        {"d_model", c->d_model},
        {"n_heads", c->n_heads},
        {"n_kv_heads", c->n_kv_heads},
        {"head_dim", c->head_dim},
        {"d_ff", c->d_ff},
        {"n_vocab", c->n_vocab},
        {"n_experts", c->n_experts},
        {"n_experts_used", c->n_experts_used},
        {"d_expert", c->d_expert},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_set_new(info, numbers[i].name, json_integer(numbers[i].value));
    json_object_set_new(info, "is_tied", json_boolean(c->is_tied));
    json_t *types = json_array();
    for (int i = 0; i < m->n_types; i++)
        json_array_append_new(types, json_pack("{s:s, s:i, s:I}", "type", m->types[i].name,
                                               "n_tensors", m->types[i].n_tensors, "bytes",
                                               (json_int_t)m->types[i].bytes));
    json_object_set_new(info, "types", types);
    json_object_set_new(info, "type", json_string(dtype_name(m->matrix_type)));
}

static void put_context(json_t *info, const wen_model *m)
{
    const RopeScaling *yarn = &m->config.rope_scaling;
    json_object_set_new(info, "context", json_integer(m->config.context_max));
    json_object_set_new(info, "yarn",
                        yarn->kind == ROPE_YARN
                            ? json_pack("{s:o, s:i}", "factor", number(yarn->factor), "original",
                                        yarn->original_context)
                            : json_null());
}

static void append_once(json_t *list, int32_t id)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_integer_value(json_array_get(list, i)) == id)
            return;
    json_array_append_new(list, json_integer(id));
}

/* The ids that end an answer, from all places that name some, as the engine takes them. */
static void put_eos(json_t *info, const wen_model *m)
{
    json_t *list = json_array();
    int32_t ids[CONFIG_EOS_MAX];
    int n = assets_generation_eos(m->generation, m->config.n_vocab, ids);
    for (int i = 0; i < n; i++)
        append_once(list, ids[i]);
    for (int i = 0; i < m->config.n_eos; i++)
        append_once(list, m->config.eos_ids[i]);
    if (tokenizer_eos_id(m->tokenizer) >= 0)
        append_once(list, tokenizer_eos_id(m->tokenizer));
    json_object_set_new(info, "eos_ids", list);
}

static size_t matrix_bytes(const wen_model *m, const Weight *w)
{
    return w ? m->backend->weight_bytes(w) : 0;
}

/* Bytes of weights that a step of one token reads: all matrices, of experts those it asks. */
static size_t read_bytes_per_token(const wen_model *m)
{
    const Config *c = &m->config;
    size_t bytes = matrix_bytes(m, m->model->head);
    for (int l = 0; l < c->n_layers; l++) {
        const Layer *layer = &m->model->layers[l];
        size_t ffn = matrix_bytes(m, layer->gate) + matrix_bytes(m, layer->up) +
                     matrix_bytes(m, layer->down);
        if (c->is_moe_layer[l])
            ffn = ffn / (size_t)c->n_experts * (size_t)c->n_experts_used;
        bytes += ffn + matrix_bytes(m, layer->router) + matrix_bytes(m, layer->q) +
                 matrix_bytes(m, layer->k) + matrix_bytes(m, layer->v) + matrix_bytes(m, layer->o);
    }
    return bytes;
}

static bool put_memory(json_t *info, const wen_model *m, int context, const char *kv_type,
                       Error *err)
{
    const Config *c = &m->config;
    DType type;
    if (context == 0)
        context = c->context_max;
    if (context < 1 || context > c->context_max)
        return error_set(err, ERROR_ARGUMENT,
                         "context %d: the model's maximum is %d (stretch it with YaRN)", context,
                         c->context_max);
    if (!kv_type_from_name(m, kv_type, &type, err))
        return false;
    char type_name[16] = {0};
    for (size_t i = 0; i < sizeof type_name - 1 && dtype_name(type)[i]; i++)
        type_name[i] = (char)tolower((unsigned char)dtype_name(type)[i]);
    size_t page = kv_page_bytes(c, type);
    size_t kv = page * (((size_t)context + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    size_t weights = m->model ? m->model->weight_bytes : (size_t)m->file_bytes;
    size_t step = engine_step_bytes(c, ENGINE_BATCH_TOKENS, 1, context);
    size_t available = mem_available_bytes() + (m->model ? weights : 0);
    size_t total = weights + kv + step;
    json_object_set_new(
        info, "memory",
        json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "context", context, "kv_type",
                  type_name, "weights_bytes", (json_int_t)weights, "kv_bytes", (json_int_t)kv,
                  "kv_bytes_per_token", (json_int_t)(page / KV_PAGE_TOKENS), "step_bytes",
                  (json_int_t)step, "total_bytes", (json_int_t)total, "available_bytes",
                  (json_int_t)available, "fits", total <= available));
    if (m->model)
        json_object_set_new(json_object_get(info, "memory"), "read_bytes_per_token",
                            json_integer((json_int_t)read_bytes_per_token(m)));
    return true;
}

static void put_device(json_t *info, const wen_model *m)
{
    json_object_set_new(info, "device",
                        json_pack("{s:s, s:s, s:i}", "name", m->backend->name, "isa",
                                  m->backend->isa, "n_threads", m->backend->n_threads));
}

char *wen_model_info(const wen_model *m, int context, const char *kv_type, wen_error *err)
{
    Error error = {0};
    bool ok = true;
    json_t *info =
        json_pack("{s:s, s:s}", "path", m->path, "format", m->is_gguf ? "gguf" : "safetensors");
    if (m->config.n_layers > 0) {
        put_architecture(info, m);
        put_context(info, m);
    }
    put_text(info, m);
    put_eos(info, m);
    put_sampling(info, m);
    if (m->config.n_layers > 0) {
        ok = put_memory(info, m, context, kv_type, &error);
        put_device(info, m);
    }
    char *text = ok ? json_dumps(info, JSON_REAL_PRECISION(6)) : NULL;
    char *copy = text ? mem_strdup(text) : NULL;
    free(text);
    json_decref(info);
    if (!ok)
        api_fail(err, &error);
    return copy;
}
