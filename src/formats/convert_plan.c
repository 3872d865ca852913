/* Which tensors a conversion writes, in which order and type.
 *
 * The mixes are llama.cpp's (llama-quant.cpp, llama_tensor_get_type): the tensors that hurt most
 * when coarse (values, down projections, the head) get more bits in some layers. Its rules for
 * other architectures are left out. */
#include "formats/convert_parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { N_LAYERS_MAX = 100000, N_EXPERTS_MAX = 100000, N_HEADS_MAX = 100000 };

typedef enum MixKind {
    MIX_PLAIN,
    MIX_SMALL,
    MIX_MEDIUM,
    MIX_Q2, /* from here on low_bit_type */
    MIX_Q3_SMALL,
    MIX_Q3_MEDIUM,
    MIX_Q3_LARGE,
    MIX_IQ4,
    MIX_MXFP4
} MixKind;

static const struct Mix {
    const char *name;
    DType base;
    MixKind kind;
    uint32_t file_type; /* llama.h, enum llama_ftype */
} mixes[] = {
    {"F32", DTYPE_F32, MIX_PLAIN, 0},         {"F16", DTYPE_F16, MIX_PLAIN, 1},
    {"BF16", DTYPE_BF16, MIX_PLAIN, 32},      {"Q4_0", DTYPE_Q4_0, MIX_PLAIN, 2},
    {"Q4_1", DTYPE_Q4_1, MIX_PLAIN, 3},       {"Q5_0", DTYPE_Q5_0, MIX_PLAIN, 8},
    {"Q5_1", DTYPE_Q5_1, MIX_PLAIN, 9},       {"Q8_0", DTYPE_Q8_0, MIX_PLAIN, 7},
    {"Q4_K_S", DTYPE_Q4_K, MIX_SMALL, 14},    {"Q4_K_M", DTYPE_Q4_K, MIX_MEDIUM, 15},
    {"Q5_K_S", DTYPE_Q5_K, MIX_SMALL, 16},    {"Q5_K_M", DTYPE_Q5_K, MIX_MEDIUM, 17},
    {"Q6_K", DTYPE_Q6_K, MIX_PLAIN, 18},      {"Q4_K", DTYPE_Q4_K, MIX_MEDIUM, 15},
    {"Q5_K", DTYPE_Q5_K, MIX_MEDIUM, 17},     {"Q2_K", DTYPE_Q2_K, MIX_Q2, 10},
    {"Q3_K_S", DTYPE_Q3_K, MIX_Q3_SMALL, 11}, {"Q3_K_M", DTYPE_Q3_K, MIX_Q3_MEDIUM, 12},
    {"Q3_K_L", DTYPE_Q3_K, MIX_Q3_LARGE, 13}, {"Q3_K", DTYPE_Q3_K, MIX_Q3_MEDIUM, 12},
    {"IQ4_NL", DTYPE_IQ4_NL, MIX_IQ4, 25},    {"IQ4_XS", DTYPE_IQ4_XS, MIX_IQ4, 30},
    {"MXFP4", DTYPE_MXFP4, MIX_MXFP4, 38},
};

static const struct Mix *find_mix(const char *name)
{
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (strcasecmp(mixes[i].name, name) == 0)
            return &mixes[i];
    return NULL;
}

uint32_t convert_file_type(DType type)
{
    for (size_t i = 0; i < sizeof mixes / sizeof *mixes; i++)
        if (mixes[i].base == type)
            return mixes[i].file_type;
    return 0;
}

bool package_convert_knows(const char *type) { return find_mix(type) != NULL; }

typedef struct Planner {
    ConvertPlan *plan;
    const Package *in;
    const ConvertOptions *options;
    const struct Mix *mix;
    bool is_shared; /* four queries or more share a value */
    Error *err;
} Planner;

/* A K type needs rows of 256; the stand-ins have blocks of 32, the last resort any length. */
static DType type_for_rows(DType type, int64_t n_cols)
{
    if (n_cols % dtype_info(type)->block_len == 0)
        return type;
    type = type == DTYPE_Q4_K                         ? DTYPE_Q5_0
           : type == DTYPE_Q5_K                       ? DTYPE_Q5_1
           : type == DTYPE_Q2_K || type == DTYPE_Q3_K ? DTYPE_Q4_0
           : type == DTYPE_IQ4_XS                     ? DTYPE_IQ4_NL
                                                      : DTYPE_Q8_0;
    return n_cols % dtype_info(type)->block_len == 0 ? type : DTYPE_F16;
}

static bool gets_more_bits(int layer, int n_layers)
{
    return layer < n_layers / 8 || layer >= 7 * n_layers / 8 || (layer - n_layers / 8) % 3 == 2;
}

/* The mixes below four and a half bits. */
static DType low_bit_type(const Planner *p, const TensorName *name, bool is_down)
{
    const MixKind kind = p->mix->kind;
    const DType base = p->mix->base;
    const int layer = name->layer, n_layers = p->plan->n_layers;
    const bool is_value = name->part == PART_ATTN_V, is_output = name->part == PART_ATTN_OUTPUT;
    if (is_output && p->plan->n_experts == 8)
        return kind == MIX_Q3_LARGE ? base : DTYPE_Q5_K;
    switch (kind) {
    case MIX_Q2:
        if (is_value && p->is_shared)
            return n_layers == 80 ? DTYPE_Q5_K : DTYPE_Q4_K;
        return is_value && n_layers == 80         ? DTYPE_Q5_K
               : is_value || is_down || is_output ? DTYPE_Q3_K
                                                  : base;
    case MIX_Q3_SMALL:
        return is_value && n_layers == 80 ? DTYPE_Q5_K : base;
    case MIX_Q3_MEDIUM:
        if (is_value)
            return layer < 2 || n_layers == 80 ? DTYPE_Q5_K : DTYPE_Q4_K;
        if (is_down)
            return layer < n_layers / 16 ? DTYPE_Q5_K : DTYPE_Q4_K;
        return is_output ? DTYPE_Q4_K : base;
    case MIX_Q3_LARGE:
        return is_value || is_down || is_output ? DTYPE_Q5_K : base;
    case MIX_IQ4:
        return (is_value && p->is_shared) || (is_down && layer < n_layers / 8) ? DTYPE_Q5_K : base;
    default: /* MXFP4 is for experts, and for models without them */
        return p->plan->n_experts > 0 && name->part < PART_GATE_EXPERTS ? DTYPE_Q8_0 : base;
    }
}

static DType choose_type(const Planner *p, const TensorName *name, int64_t n_cols)
{
    const struct Mix *mix = p->mix;
    int layer = name->layer, n_layers = p->plan->n_layers, n_experts = p->plan->n_experts;
    bool is_head = name->part == PART_OUTPUT || (name->part == PART_TOKEN_EMBD && p->plan->is_tied);
    bool is_down = name->part == PART_FFN_DOWN || name->part == PART_DOWN_EXPERTS;
    DType type = mix->base;
    if (p->options->as_safetensors)
        return type;
    if (name_is_small(name->part))
        return DTYPE_F32;
    if (dtype_info(type)->block_len == 1)
        return type;
    if (is_head) {
        type = type == DTYPE_Q8_0 || mix->kind == MIX_MXFP4 ? DTYPE_Q8_0 : DTYPE_Q6_K;
    } else if (n_experts == 8 && mix->kind != MIX_MXFP4 &&
               (name->part == PART_ATTN_V || name->part == PART_ATTN_K)) {
        type = DTYPE_Q8_0;
    } else if (mix->kind >= MIX_Q2) {
        type = low_bit_type(p, name, is_down);
    } else if (n_experts == 8 && name->part == PART_ATTN_OUTPUT && type == DTYPE_Q4_K) {
        type = DTYPE_Q5_K;
    } else if (mix->kind == MIX_MEDIUM && (is_down || name->part == PART_ATTN_V)) {
        if (gets_more_bits(layer, n_layers))
            type = DTYPE_Q6_K;
        else if (name->part == PART_ATTN_V && n_layers == 80 && type == DTYPE_Q4_K)
            type = DTYPE_Q5_K; /* the 72B model: eight heads share a value */
    } else if (mix->kind == MIX_SMALL && type == DTYPE_Q4_K) {
        if ((name->part == PART_ATTN_V && (layer < 4 || n_layers == 80)) ||
            (is_down && layer < n_layers / 8))
            type = DTYPE_Q5_K;
    }
    return type_for_rows(type, n_cols);
}

void convert_piece_name(char text[TENSOR_NAME_BYTES], const PlannedTensor *t, int i)
{
    TensorName name = t->name;
    if (t->is_stacked)
        name.expert = i;
    name_print_hf(text, &name);
}

bool convert_piece(const Package *in, const PlannedTensor *t, int i, Tensor *out, Error *err)
{
    char text[TENSOR_NAME_BYTES];
    convert_piece_name(text, t, i);
    if (!package_tensor(in, text, out, err))
        return false;
    /* All experts are as the first one. */
    int64_t n_cols = t->info.dims[t->info.n_dims - 1];
    int64_t n_rows = 1;
    for (int d = t->is_stacked; d + 1 < t->info.n_dims; d++)
        n_rows *= t->info.dims[d];
    if (tensor_n_cols(out) == n_cols && tensor_n_rows(out) == n_rows)
        return true;
    return error_set(err, ERROR_FORMAT,
                     "%s: tensor %s is [%" PRId64 ", %" PRId64 "], the others of its bank [%" PRId64
                     ", %" PRId64 "]",
                     package_path(in), text, tensor_n_rows(out), tensor_n_cols(out), n_rows,
                     n_cols);
}

bool convert_columns(const ConvertPlan *plan, const ConvertOptions *options, const PlannedTensor *t,
                     int i, float *out)
{
    char name[TENSOR_NAME_BYTES];
    const int64_t n_cols = t->info.dims[t->info.n_dims - 1];
    if (!options->importance || name_is_small(t->name.part) || n_cols > INT32_MAX)
        return false;
    convert_piece_name(name, t, i);
    const bool is_head = t->name.part == PART_TOKEN_EMBD && plan->is_tied;
    return importance_columns(options->importance, is_head ? "lm_head.weight" : name, (int)n_cols,
                              out);
}

static bool append(ConvertPlan *plan, const PlannedTensor *t, Error *err)
{
    if (plan->n == plan->capacity) {
        int capacity = plan->capacity ? plan->capacity * 2 : 256;
        PlannedTensor *grown =
            mem_try_grow(plan->tensors, (size_t)plan->n * sizeof *grown,
                         (size_t)capacity * sizeof *grown, "the list of tensors", err);
        if (!grown)
            return false;
        plan->tensors = grown;
        plan->capacity = capacity;
    }
    plan->tensors[plan->n++] = *t;
    return true;
}

/* Adds one tensor; with `is_stacked`, from n_experts sources. */
static bool add(Planner *p, TensorPart part, int layer, int expert, bool is_stacked)
{
    char source[TENSOR_NAME_BYTES];
    Tensor first, piece;
    PlannedTensor t = {.name = {part, layer, expert},
                       .n_pieces = is_stacked ? p->plan->n_experts : 1,
                       .is_stacked = is_stacked};
    convert_piece_name(source, &t, 0);
    if (!package_tensor(p->in, source, &first, p->err))
        return false;
    if (is_stacked && first.n_dims != 2)
        return error_set(p->err, ERROR_FORMAT, "%s: tensor %s has %d dimensions",
                         package_path(p->in), source, first.n_dims);
    int shift = is_stacked ? 1 : 0;
    t.info.n_dims = first.n_dims + shift;
    t.info.dims[0] = p->plan->n_experts;
    for (int d = 0; d < first.n_dims; d++)
        t.info.dims[d + shift] = first.dims[d];
    t.info.type = choose_type(p, &t.name, tensor_n_cols(&first));
    if (p->options->as_safetensors)
        name_print_hf(t.text, &t.name);
    else
        name_print_gguf(t.text, &t.name);
    for (int i = 0; i < t.n_pieces; i++) {
        if (!convert_piece(p->in, &t, i, &piece, p->err))
            return false;
        p->plan->bytes_in += piece.bytes;
    }
    p->plan->is_quantized |= dtype_info(t.info.type)->block_len > 1;
    return append(p->plan, &t, p->err);
}

static bool has(const Planner *p, TensorPart part, int layer, int expert)
{
    char text[TENSOR_NAME_BYTES];
    TensorName name = {part, layer, expert};
    name_print_hf(text, &name);
    return package_has_tensor(p->in, text);
}

static bool add_bank(Planner *p, TensorPart part, int layer)
{
    /* Adapters' pairs and importance go expert by expert, and the pieces of a bank can, too. */
    if (!p->options->as_safetensors)
        return add(p, part, layer, -1,
                   p->options->n_adapters > 0 || p->options->importance ||
                       !has(p, part, layer, -1));
    for (int e = 0; e < p->plan->n_experts; e++)
        if (!add(p, part, layer, e, false))
            return false;
    return true;
}

static bool add_layer(Planner *p, int l)
{
    static const TensorPart needed[] = {PART_ATTN_NORM, PART_ATTN_Q,      PART_ATTN_K,
                                        PART_ATTN_V,    PART_ATTN_OUTPUT, PART_FFN_NORM};
    static const TensorPart optional[] = {PART_ATTN_Q_NORM, PART_ATTN_K_NORM, PART_ATTN_Q_BIAS,
                                          PART_ATTN_K_BIAS, PART_ATTN_V_BIAS};
    static const TensorPart dense[] = {PART_FFN_GATE, PART_FFN_UP, PART_FFN_DOWN};
    static const TensorPart banks[] = {PART_GATE_EXPERTS, PART_UP_EXPERTS, PART_DOWN_EXPERTS};
    bool ok = true, is_moe = p->plan->n_experts > 0 && has(p, PART_ROUTER, l, -1);
    for (int i = 0; ok && i < 6; i++)
        ok = add(p, needed[i], l, -1, false);
    for (int i = 0; ok && i < 5; i++)
        ok = !has(p, optional[i], l, -1) || add(p, optional[i], l, -1, false);
    if (is_moe)
        ok = ok && add(p, PART_ROUTER, l, -1, false);
    for (int i = 0; ok && i < 3; i++)
        ok = is_moe ? add_bank(p, banks[i], l) : add(p, dense[i], l, -1, false);
    return ok;
}

/* Names that a folder may have beside name_parse_hf's: without "model.", fused banks, a table that
 * old checkpoints carry and nobody needs. */
static bool parse_loose_hf(const char *text, TensorName *name)
{
    static const char *const banks[] = {".mlp.experts.gate_up_proj", ".mlp.experts.gate_proj",
                                        ".mlp.experts.up_proj", ".mlp.experts.down_proj"};
    char prefixed[TENSOR_NAME_BYTES];
    snprintf(prefixed, sizeof prefixed, "model.%s", text);
    if (name_parse_hf(text, name) || name_parse_hf(prefixed, name))
        return true;
    *name = (TensorName){PART_GATE_EXPERTS, -1, -1};
    for (size_t i = 0; i < sizeof banks / sizeof *banks; i++)
        if (str_ends(str_from(text), str_from(banks[i])))
            return true;
    return str_ends(str_from(text), STR("rotary_emb.inv_freq"));
}

/* Tensors that no place was found for would be lost without a word: name one. */
static bool check_leftovers(const Planner *p)
{
    const TensorTable *table = package_tensors(p->in);
    for (int i = 0; i < tensor_table_count(table); i++) {
        const NamedTensor *t = tensor_table_at(table, i);
        TensorName name;
        bool is_known =
            package_gguf(p->in) ? name_parse_gguf(t->name, &name) : parse_loose_hf(t->name, &name);
        if (package_is_part(p->in, t->name))
            continue;
        if (!is_known || name.layer >= p->plan->n_layers ||
            (name.expert >= 0 && name.expert >= p->plan->n_experts))
            return error_set(p->err, ERROR_UNSUPPORTED,
                             "%s: tensor %.200s (%s) has no place in this model", t->file, t->name,
                             t->type_name);
    }
    return true;
}

static bool config_int(const Package *in, const char *key, int max, int *value, Error *err)
{
    const json_t *json = json_object_get(package_config(in), key);
    json_int_t number = json_integer_value(json);
    *value = (int)number;
    if (!json || json_is_null(json))
        return true;
    if (!json_is_integer(json) || number < 0 || number > max)
        return error_set(err, ERROR_FORMAT, "%s: config: %s is not a number from 0 to %d",
                         package_path(in), key, max);
    return true;
}

bool convert_plan(ConvertPlan *plan, const Package *in, const ConvertOptions *options, Error *err)
{
    Planner p = {.plan = plan, .in = in, .options = options, .err = err};
    int n_heads = 0, n_kv_heads = 0;
    /* With a size the types are chosen later; till then the plainest that all of them can be. */
    p.mix = find_mix(options->target_bytes ? "F16" : options->type);
    if (!p.mix)
        return error_set(err, ERROR_ARGUMENT, "unknown type \"%s\"", options->type);
    if (options->as_safetensors && dtype_info(p.mix->base)->block_len > 1)
        return error_set(err, ERROR_ARGUMENT, "safetensors hold F32, F16 or BF16, not %s",
                         options->type);
    plan->file_type = p.mix->file_type;
    plan->is_tied = json_is_true(json_object_get(package_config(in), "tie_word_embeddings"));
    if (!config_int(in, "num_hidden_layers", N_LAYERS_MAX, &plan->n_layers, err) ||
        !config_int(in, "num_experts", N_EXPERTS_MAX, &plan->n_experts, err) ||
        !config_int(in, "num_attention_heads", N_HEADS_MAX, &n_heads, err) ||
        !config_int(in, "num_key_value_heads", N_HEADS_MAX, &n_kv_heads, err))
        return false;
    p.is_shared = n_kv_heads > 0 && n_heads / n_kv_heads >= 4;
    bool ok = add(&p, PART_TOKEN_EMBD, -1, -1, false);
    for (int l = 0; ok && l < plan->n_layers; l++)
        ok = add_layer(&p, l);
    ok = ok && add(&p, PART_OUTPUT_NORM, -1, -1, false);
    if (!plan->is_tied)
        ok = ok && add(&p, PART_OUTPUT, -1, -1, false);
    ok = ok && check_leftovers(&p) && merge_check(in, options, err);
    /* Only now, as append may move them. */
    for (int i = 0; i < plan->n; i++)
        plan->tensors[i].info.name = plan->tensors[i].text;
    return ok;
}

void convert_plan_free(ConvertPlan *plan)
{
    mem_free(plan->tensors);
    *plan = (ConvertPlan){0};
}
