/* formats/package: folders and GGUFs seen through Hugging Face's names and keys; foreign files that
 * are malformed in every way the readers should know. */
#include "formats_fixture.h"

#include <math.h>

static char dir[256];

static const char *fresh_dir(const char *name)
{
    Error err = {0};
    snprintf(dir, sizeof dir, "%s", test_temp(name));
    assert_ok(file_make_dir(dir, &err));
    return dir;
}

static Package *open_ok(const char *path, bool need_weights)
{
    Error err = {0};
    Package *p = package_open(path, need_weights, &err);
    if (!p)
        fail_msg("%s", err.message);
    return p;
}

static void open_error(const char *path, bool need_weights, ErrorCode code, const char *part)
{
    Error err = {0};
    assert_error(package_open(path, need_weights, &err) != NULL, code, part);
}

static void expect_values(const Package *p, const TensorInfo *info)
{
    Error err = {0};
    Tensor t;
    assert_ok(package_tensor(p, info->name, &t, &err));
    assert_true(package_has_tensor(p, info->name));
    assert_int_equal(t.n_dims, info->n_dims);
    assert_memory_equal(t.dims, info->dims, (size_t)info->n_dims * sizeof *t.dims);
    int64_t n = fixture_size(info);
    float *values = mem_alloc((size_t)n * sizeof *values);
    quant_decode(t.type, t.data, values, n);
    for (int64_t i = 0; i < n; i++)
        if (values[i] != fixture_value(info->name, i))
            fail_msg("%s[%d] differs", info->name, (int)i);
    mem_free(values);
}

static int config_int(const Package *p, const char *key)
{
    const json_t *value = json_object_get(package_config(p), key);
    if (!json_is_integer(value))
        fail_msg("%s is not a whole number", key);
    return (int)json_integer_value(value);
}

static void folder_with_one_file_or_shards(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_dense();
    for (int n_shards = 1; n_shards <= 3; n_shards++) {
        char name[32];
        snprintf(name, sizeof name, "dense%d", n_shards);
        fixture_write_folder(f, fresh_dir(name), n_shards);
        Package *p = open_ok(dir, true);
        assert_int_equal(tensor_table_count(package_tensors(p)), f->n);
        for (int i = 0; i < f->n; i++)
            expect_values(p, &f->infos[i]);
        assert_null(package_gguf(p));
        assert_string_equal(package_path(p), dir);
        assert_int_equal(config_int(p, "hidden_size"), 64);
        assert_null(package_generation_config(p));
        Tensor t;
        assert_error(package_tensor(p, "model.layers.2.input_layernorm.weight", &t, &err),
                     ERROR_FORMAT, "layers.2.input_layernorm.weight is missing");
        assert_false(package_has_tensor(p, "model.layers.0.self_attn.q_proj.bias"));
        package_close(p);
    }
    mem_free(f);
}

/* The whole file's tensors declared under other names, the data unchanged. */
static void write_renamed(const Fixture *f, const char *folder, const char *const *names)
{
    Fixture copy = *f;
    for (int i = 0; i < f->n; i++) {
        copy.infos[i].name = copy.names[i];
        if (names[i])
            snprintf(copy.names[i], sizeof copy.names[i], "%s", names[i]);
    }
    Error err = {0};
    char *path = file_join(folder, "model.safetensors");
    SafetensorsWriter *w = safetensors_writer_open(path, copy.infos, copy.n, NULL, &err);
    assert_non_null(w);
    for (int i = 0; i < f->n; i++)
        for (int64_t j = 0; j < fixture_size(&f->infos[i]); j++) {
            uint16_t half = bf16_from_float(fixture_value(f->infos[i].name, j));
            assert_ok(safetensors_writer_write(w, &half, 2, &err));
        }
    assert_ok(safetensors_writer_commit(w, &err));
    mem_free(path);
}

static void head_may_be_tied_or_names_unprefixed(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_dense();
    const char *names[FIXTURE_TENSORS_MAX] = {0};
    f->is_tied = true;
    fixture_plan(f);
    for (int i = 0; i < f->n; i++)
        names[i] = strncmp(f->names[i], "model.", 6) == 0 ? f->names[i] + 6 : NULL;
    fixture_write_config(f, fresh_dir("tied"));
    write_renamed(f, dir, names);
    Package *p = open_ok(dir, true);
    for (int i = 0; i < f->n; i++)
        expect_values(p, &f->infos[i]);
    Tensor head, embedding;
    assert_ok(package_tensor(p, "lm_head.weight", &head, &err));
    assert_ok(package_tensor(p, "model.embed_tokens.weight", &embedding, &err));
    assert_ptr_equal(head.data, embedding.data);
    package_close(p);
    f->is_tied = false; /* now the config says that there is a head, and there is none */
    fixture_write_config(f, dir);
    p = open_ok(dir, true);
    assert_false(package_has_tensor(p, "lm_head.weight"));
    assert_error(package_tensor(p, "lm_head.weight", &head, &err), ERROR_FORMAT, "is missing");
    package_close(p);
    mem_free(f);
}

/* One layer whose experts are saved as transformers 5 may fuse them. */
static void fused_experts_are_found_one_by_one(void **state)
{
    (void)state;
    Error err = {0};
    enum { EXPERTS = 3, FF = 4, HIDDEN = 6 };
    fixture_write_text(fresh_dir("fused"), "config.json", "{\"hidden_size\":6}");
    TensorInfo infos[] = {
        {"model.layers.0.mlp.experts.gate_up_proj", DTYPE_F32, 3, {EXPERTS, 2 * FF, HIDDEN}},
        {"model.layers.0.mlp.experts.down_proj", DTYPE_F32, 3, {EXPERTS, HIDDEN, FF}}};
    char *path = file_join(dir, "model.safetensors");
    SafetensorsWriter *w = safetensors_writer_open(path, infos, 2, NULL, &err);
    for (int i = 0; i < EXPERTS * FF * HIDDEN * 3; i++) {
        float v = (float)i;
        assert_ok(safetensors_writer_write(w, &v, 4, &err));
    }
    assert_ok(safetensors_writer_commit(w, &err));
    mem_free(path);
    Package *p = open_ok(dir, true);
    Tensor t;
    for (int e = 0; e < EXPERTS; e++) {
        static const char *const parts[] = {"gate", "up", "down"};
        for (int part = 0; part < 3; part++) {
            char name[96];
            snprintf(name, sizeof name, "model.layers.0.mlp.experts.%d.%s_proj.weight", e,
                     parts[part]);
            assert_ok(package_tensor(p, name, &t, &err));
            assert_int_equal(t.n_dims, 2);
            assert_int_equal(t.dims[0], part < 2 ? FF : HIDDEN);
            assert_int_equal(t.dims[1], part < 2 ? HIDDEN : FF);
            assert_int_equal(t.bytes, FF * HIDDEN * 4);
            float first;
            memcpy(&first, t.data, 4);
            int at = part < 2 ? e * 2 * FF * HIDDEN + part * FF * HIDDEN
                              : EXPERTS * 2 * FF * HIDDEN + e * FF * HIDDEN;
            assert_true(first == (float)at);
        }
    }
    assert_true(package_has_tensor(p, "model.layers.0.mlp.experts.down_proj.weight"));
    assert_false(package_has_tensor(p, "model.layers.0.mlp.experts.gate_proj.weight"));
    assert_ok(package_tensor(p, "model.layers.0.mlp.experts.down_proj.weight", &t, &err));
    assert_int_equal(t.n_dims, 3);
    assert_error(package_tensor(p, "model.layers.0.mlp.experts.3.up_proj.weight", &t, &err),
                 ERROR_FORMAT, "has no place for");
    package_close(p);
    fixture_write_text(dir, "config.json", "{\"hidden_size\":8}");
    p = open_ok(dir, true);
    assert_error(package_tensor(p, "model.layers.0.mlp.experts.0.up_proj.weight", &t, &err),
                 ERROR_UNSUPPORTED, "not hidden_size 8");
    package_close(p);
}

static void unreadable_types_fail_when_asked_for(void **state)
{
    (void)state;
    Error err = {0};
    fixture_write_text(fresh_dir("odd"), "config.json", "{}");
    Buf file = {0};
    const char *header = "{\"model.norm.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[2],"
                         "\"data_offsets\":[0,2]}}";
    uint64_t n = strlen(header);
    buf_append(&file, &n, 8);
    buf_puts(&file, header);
    buf_append(&file, "ab", 2);
    char *path = file_join(dir, "model.safetensors");
    assert_ok(file_write(path, buf_str(&file), &err));
    Package *p = open_ok(dir, true);
    Tensor t;
    assert_error(package_tensor(p, "model.norm.weight", &t, &err), ERROR_UNSUPPORTED,
                 "tensor model.norm.weight: type F8_E4M3 cannot be read");
    package_close(p);
    mem_free(path);
    buf_free(&file);
}

static void text_files_are_found(void **state)
{
    (void)state;
    fixture_write_text(fresh_dir("text"), "vocab.json", "{\"a\":0}");
    fixture_write_text(dir, "merges.txt", "#version: 0.2\n");
    fixture_write_text(dir, "tokenizer_config.json",
                       "{\"chat_template\":[{\"name\":\"tool\",\"template\":\"x\"},"
                       "{\"name\":\"default\",\"template\":\"{{ m }}\\n\"}]}");
    fixture_write_text(dir, "generation_config.json", "{\"top_k\":20}");
    open_error(dir, true, ERROR_IO, "no config.json");
    Package *p = open_ok(dir, false);
    const PackageText *t = package_text(p);
    assert_null(package_config(p));
    assert_true(str_equals(t->vocab_json, "{\"a\":0}"));
    assert_true(str_equals(t->merges_txt, "#version: 0.2\n"));
    assert_true(str_equals(t->chat_template, "{{ m }}\n"));
    assert_int_equal(t->tokenizer_json.bytes, 0);
    assert_int_equal(t->eos_id, -1);
    assert_int_equal(json_integer_value(json_object_get(package_generation_config(p), "top_k")),
                     20);
    package_close(p);
    fixture_write_text(dir, "chat_template.jinja", "newer");
    p = open_ok(dir, false);
    assert_true(str_equals(package_text(p)->chat_template, "newer"));
    package_close(p);
    open_error(fresh_dir("empty"), false, ERROR_IO, "neither config.json nor tokenizer files");
    open_error(test_temp("nothing"), false, ERROR_IO, "no such file or folder");
}

static void malformed_folders(void **state)
{
    (void)state;
    fresh_dir("bad");
    static const struct {
        const char *config, *part;
    } configs[] = {{"", "byte 0"},
                   {"[]", "not a JSON object"},
                   {"{\"a\":NaN}", "byte"},
                   {"{\"a\":Infinity}", "byte"},
                   {"{\"a\":1", "byte"},
                   {"{\"a\":1e999}", "byte"},
                   {"{\"a\":\"\xff\"}", "byte"},
                   {"{} x", "byte"}};
    for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
        fixture_write_text(dir, "config.json", configs[i].config);
        open_error(dir, true, ERROR_FORMAT, configs[i].part);
    }
    Buf deep = {0};
    for (int i = 0; i < 100000; i++)
        buf_puts(&deep, "[");
    fixture_write_text(dir, "config.json", deep.data);
    open_error(dir, true, ERROR_FORMAT, "maximum parsing depth");
    buf_free(&deep);
    fixture_write_text(dir, "config.json", "{}");
    open_error(dir, true, ERROR_IO, "no weights");
    static const struct {
        const char *index, *part;
    } indices[] = {
        {"{}", "weight_map is missing"},
        {"{\"weight_map\":[]}", "weight_map is missing"},
        {"{\"weight_map\":{\"a\":1}}", "not a string"},
        {"{\"weight_map\":{\"a\":\"../x.safetensors\"}}", "plain name"},
        {"{\"weight_map\":{\"a\":\"/etc/x.safetensors\"}}", "plain name"},
        {"{\"weight_map\":{\"a\":\"..safetensors\"}}", "plain name"},
        {"{\"weight_map\":{\"a\":\"model.safetensors.index.json\"}}", "plain name"},
        {"{\"weight_map\":{\"a\":\"\"}}", "plain name"},
    };
    for (size_t i = 0; i < sizeof indices / sizeof *indices; i++) {
        fixture_write_text(dir, "model.safetensors.index.json", indices[i].index);
        open_error(dir, true, ERROR_FORMAT, indices[i].part);
    }
    fixture_write_text(dir, "model.safetensors.index.json",
                       "{\"weight_map\":{\"a\":\"x.safetensors\"}}");
    open_error(dir, true, ERROR_IO, "x.safetensors");
    fixture_write_text(dir, "x.safetensors", "\2\0\0");
    open_error(dir, true, ERROR_FORMAT, "x.safetensors: byte");
    Error err = {0};
    char *path = file_join(dir, "x.safetensors");
    assert_ok(file_write(path, (Str){"\2\0\0\0\0\0\0\0{}", 10}, &err));
    mem_free(path);
    open_error(dir, true, ERROR_FORMAT, "weight_map has a in x.safetensors, but it is not there");
    fixture_write_text(dir, "tokenizer_config.json", "{");
    open_error(dir, true, ERROR_FORMAT, "tokenizer_config.json: byte");
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

typedef enum GgufTweak {
    TWEAK_NONE,
    TWEAK_YARN,
    TWEAK_LINEAR,
    TWEAK_NO_HEADS,
    TWEAK_NAN_EPS,
    TWEAK_TEXT_EPS,
    TWEAK_TOKEN_TYPES,
    TWEAK_TOKENS,
    TWEAK_SPM,
    TWEAK_NO_ARCH,
    TWEAK_ODD_ARCH,
    TWEAK_HUGE_HIDDEN,
} GgufTweak;

static void put_arch(GgufWriter *w, const Fixture *f, GgufTweak tweak, const char *arch)
{
    char key[128];
#define KEY(name) (snprintf(key, sizeof key, "%s.%s", arch, name), key)
    gguf_put_u32(w, KEY("block_count"), (uint32_t)f->layers);
    gguf_put_u32(w, KEY("context_length"), 40960);
    if (tweak == TWEAK_HUGE_HIDDEN)
        gguf_put_u32(w, KEY("embedding_length"), UINT32_MAX);
    else
        gguf_put_u32(w, KEY("embedding_length"), (uint32_t)f->hidden);
    gguf_put_u32(w, KEY("feed_forward_length"), (uint32_t)f->ff);
    if (tweak != TWEAK_NO_HEADS)
        gguf_put_u32(w, KEY("attention.head_count"), (uint32_t)f->heads);
    gguf_put_u32(w, KEY("attention.head_count_kv"), (uint32_t)f->kv_heads);
    gguf_put_u32(w, KEY("attention.key_length"), (uint32_t)f->head_dim);
    gguf_put_f32(w, KEY("rope.freq_base"), 1e6f);
    if (tweak == TWEAK_TEXT_EPS)
        gguf_put_str(w, KEY("attention.layer_norm_rms_epsilon"), STR("1e-6"));
    else
        gguf_put_f32(w, KEY("attention.layer_norm_rms_epsilon"),
                     tweak == TWEAK_NAN_EPS ? NAN : 1e-6f);
    if (tweak == TWEAK_YARN) {
        gguf_put_str(w, KEY("rope.scaling.type"), STR("yarn"));
        gguf_put_u32(w, KEY("rope.scaling.original_context_length"), 32768);
        gguf_put_f32(w, KEY("rope.scaling.attn_factor"), 2);
        gguf_put_f32(w, KEY("rope.scaling.yarn_beta_fast"), 16);
    }
    if (tweak == TWEAK_YARN || tweak == TWEAK_LINEAR)
        gguf_put_f32(w, KEY("rope.scaling.factor"), 4);
    if (f->experts) {
        gguf_put_u32(w, KEY("expert_count"), (uint32_t)f->experts);
        gguf_put_u32(w, KEY("expert_used_count"), 2);
        gguf_put_u32(w, KEY("expert_feed_forward_length"), (uint32_t)f->ff);
    }
#undef KEY
}

static void put_tokens(GgufWriter *w, GgufTweak tweak)
{
    static const Str tokens[] = {{"a", 1}, {"b", 1}, {"ab", 2}, {"<|x|>", 5}},
                     merges[] = {{"a b", 3}};
    static const int32_t types[] = {1, 1, 1, 3};
    gguf_put_str(w, "tokenizer.ggml.model", tweak == TWEAK_SPM ? STR("llama") : STR("gpt2"));
    gguf_put_str(w, "tokenizer.ggml.pre", STR("qwen2"));
    if (tweak == TWEAK_TOKENS)
        gguf_put_u32(w, "tokenizer.ggml.tokens", 5);
    else
        gguf_put_str_array(w, "tokenizer.ggml.tokens", tokens, 4);
    gguf_put_i32_array(w, "tokenizer.ggml.token_type", types, tweak == TWEAK_TOKEN_TYPES ? 3 : 4);
    gguf_put_str_array(w, "tokenizer.ggml.merges", merges, 1);
    gguf_put_u32(w, "tokenizer.ggml.eos_token_id", 3);
    gguf_put_bool(w, "tokenizer.ggml.add_bos_token", true);
    gguf_put_str(w, "tokenizer.chat_template", STR("{{ x }}"));
    gguf_put_f32(w, "general.sampling.temp", 0.6f);
    gguf_put_i32(w, "general.sampling.top_k", 20);
}

/* "model.layers.0.mlp.experts.0.up_proj.weight" declares the bank; other experts nothing. */
static bool gguf_name(const Fixture *f, const char *hf, char out[96], bool *is_bank)
{
    static const char *const pairs[][2] = {
        {"self_attn.q_proj.weight", "attn_q.weight"},
        {"self_attn.k_proj.weight", "attn_k.weight"},
        {"self_attn.v_proj.weight", "attn_v.weight"},
        {"self_attn.o_proj.weight", "attn_output.weight"},
        {"self_attn.q_norm.weight", "attn_q_norm.weight"},
        {"self_attn.k_norm.weight", "attn_k_norm.weight"},
        {"self_attn.q_proj.bias", "attn_q.bias"},
        {"self_attn.k_proj.bias", "attn_k.bias"},
        {"self_attn.v_proj.bias", "attn_v.bias"},
        {"input_layernorm.weight", "attn_norm.weight"},
        {"post_attention_layernorm.weight", "ffn_norm.weight"},
        {"mlp.gate_proj.weight", "ffn_gate.weight"},
        {"mlp.up_proj.weight", "ffn_up.weight"},
        {"mlp.down_proj.weight", "ffn_down.weight"},
        {"mlp.gate.weight", "ffn_gate_inp.weight"},
        {"mlp.experts.0.gate_proj.weight", "ffn_gate_exps.weight"},
        {"mlp.experts.0.up_proj.weight", "ffn_up_exps.weight"},
        {"mlp.experts.0.down_proj.weight", "ffn_down_exps.weight"}};
    int layer, at = 0;
    (void)f;
    *is_bank = strstr(hf, "mlp.experts.0.") != NULL;
    if (strstr(hf, "mlp.experts.") && !*is_bank)
        return false;
    if (strcmp(hf, "model.embed_tokens.weight") == 0)
        snprintf(out, 96, "token_embd.weight");
    else if (strcmp(hf, "model.norm.weight") == 0)
        snprintf(out, 96, "output_norm.weight");
    else if (strcmp(hf, "lm_head.weight") == 0)
        snprintf(out, 96, "output.weight");
    else if (sscanf(hf, "model.layers.%d.%n", &layer, &at) == 1)
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
            if (strcmp(hf + at, pairs[i][0]) == 0)
                snprintf(out, 96, "blk.%d.%s", layer, pairs[i][1]);
    return true;
}

static void write_values(GgufWriter *w, const TensorInfo *info)
{
    Error err = {0};
    for (int64_t j = 0; j < fixture_size(info); j++) {
        float v = fixture_value(info->name, j);
        assert_ok(gguf_write(w, &v, 4, &err));
    }
}

static void write_gguf(const Fixture *f, const char *path, GgufTweak tweak)
{
    Error err = {0};
    char name[96];
    bool is_bank;
    const char *arch = tweak == TWEAK_ODD_ARCH ? "llama\xff"
                       : f->is_qwen2           ? "qwen2"
                       : f->experts            ? "qwen3moe"
                                               : "qwen3";
    GgufWriter *w = gguf_writer_open(path, &err);
    assert_non_null(w);
    if (tweak != TWEAK_NO_ARCH)
        gguf_put_str(w, "general.architecture", str_from(arch));
    put_arch(w, f, tweak, arch);
    put_tokens(w, tweak);
    for (int i = 0; i < f->n; i++) {
        if (!gguf_name(f, f->names[i], name, &is_bank))
            continue;
        TensorInfo info = f->infos[i];
        info.name = name;
        info.type = DTYPE_F32;
        if (is_bank) {
            info.n_dims = 3;
            memmove(info.dims + 1, f->infos[i].dims, 2 * sizeof *info.dims);
            info.dims[0] = f->experts;
        }
        gguf_declare(w, &info);
    }
    assert_ok(gguf_begin(w, &err));
    for (int i = 0; i < f->n; i++) {
        if (!gguf_name(f, f->names[i], name, &is_bank))
            continue;
        for (int e = 0; e < (is_bank ? f->experts : 1); e++) /* three tensors an expert, in turn */
            write_values(w, &f->infos[i + 3 * e]);
    }
    assert_ok(gguf_writer_commit(w, &err));
}

static void expect_common_config(const Package *p, const Fixture *f)
{
    assert_int_equal(config_int(p, "hidden_size"), f->hidden);
    assert_int_equal(config_int(p, "num_hidden_layers"), f->layers);
    assert_int_equal(config_int(p, "num_attention_heads"), f->heads);
    assert_int_equal(config_int(p, "num_key_value_heads"), f->kv_heads);
    assert_int_equal(config_int(p, "head_dim"), f->head_dim);
    assert_int_equal(config_int(p, "intermediate_size"), f->ff);
    assert_int_equal(config_int(p, "vocab_size"), f->vocab);
    assert_int_equal(config_int(p, "max_position_embeddings"), 40960);
    assert_int_equal(config_int(p, "eos_token_id"), 3);
    json_t *config = package_config(p);
    assert_true(json_real_value(json_object_get(config, "rms_norm_eps")) == 1e-6);
    assert_true(json_number_value(json_object_get(config, "rope_theta")) == 1e6);
    assert_int_equal(json_is_true(json_object_get(config, "tie_word_embeddings")), f->is_tied);
    assert_null(json_object_get(config, "bos_token_id"));
}

static void gguf_is_seen_as_a_folder(void **state)
{
    (void)state;
    char path[300];
    for (int kind = 0; kind < 4; kind++) {
        Fixture *f = fixture_dense();
        f->is_qwen2 = kind == 1;
        f->experts = kind == 2 ? 4 : 0;
        f->is_tied = kind == 3;
        fixture_plan(f);
        snprintf(path, sizeof path, "%s", test_temp("seen.gguf"));
        write_gguf(f, path, TWEAK_NONE);
        Package *p = open_ok(path, true);
        for (int i = 0; i < f->n; i++)
            expect_values(p, &f->infos[i]);
        expect_common_config(p, f);
        static const char *const types[] = {"qwen3", "qwen2", "qwen3_moe", "qwen3"};
        assert_string_equal(json_string_value(json_object_get(package_config(p), "model_type")),
                            types[kind]);
        assert_true(json_is_null(json_object_get(package_config(p), "rope_scaling")));
        if (kind == 2) {
            assert_int_equal(config_int(p, "num_experts"), 4);
            assert_int_equal(config_int(p, "num_experts_per_tok"), 2);
            assert_int_equal(config_int(p, "moe_intermediate_size"), f->ff);
            assert_true(json_is_true(json_object_get(package_config(p), "norm_topk_prob")));
            Error err = {0};
            Tensor t;
            assert_ok(package_tensor(p, "model.layers.1.mlp.experts.down_proj.weight", &t, &err));
            assert_int_equal(t.n_dims, 3);
            assert_int_equal(t.dims[0], 4);
            assert_error(
                package_tensor(p, "model.layers.1.mlp.experts.4.down_proj.weight", &t, &err),
                ERROR_FORMAT, "has no place");
        }
        if (kind == 3)
            assert_true(package_has_tensor(p, "lm_head.weight"));
        assert_false(package_has_tensor(p, "blk.0.attn_q.weight"));
        package_close(p);
        mem_free(f);
    }
}

static void gguf_has_text_and_sampling(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char path[300];
    snprintf(path, sizeof path, "%s", test_temp("text.gguf"));
    write_gguf(f, path, TWEAK_NONE);
    Package *p = open_ok(path, false);
    const PackageText *t = package_text(p);
    assert_int_equal(t->n_tokens, 4);
    assert_true(str_equals(t->tokens[2], "ab"));
    assert_int_equal(t->token_types[3], 3);
    assert_int_equal(t->n_merges, 1);
    assert_true(str_equals(t->merges[0], "a b"));
    assert_true(str_equals(t->pre, "qwen2"));
    assert_true(str_equals(t->chat_template, "{{ x }}"));
    assert_int_equal(t->eos_id, 3);
    assert_int_equal(t->bos_id, -1);
    assert_true(t->add_bos);
    json_t *g = package_generation_config(p);
    assert_true(json_real_value(json_object_get(g, "temperature")) == 0.6);
    assert_int_equal(json_integer_value(json_object_get(g, "top_k")), 20);
    package_close(p);
    mem_free(f);
}

static void gguf_rope_scaling(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char path[300];
    snprintf(path, sizeof path, "%s", test_temp("rope.gguf"));
    write_gguf(f, path, TWEAK_YARN);
    Package *p = open_ok(path, true);
    const json_t *s = json_object_get(package_config(p), "rope_scaling");
    assert_string_equal(json_string_value(json_object_get(s, "rope_type")), "yarn");
    assert_true(json_number_value(json_object_get(s, "factor")) == 4);
    assert_int_equal(json_integer_value(json_object_get(s, "original_max_position_embeddings")),
                     32768);
    assert_true(fabs(json_number_value(json_object_get(s, "attention_factor")) -
                     2 * (0.1 * log(4) + 1)) < 1e-12);
    assert_true(json_number_value(json_object_get(s, "beta_fast")) == 16);
    assert_null(json_object_get(s, "beta_slow"));
    package_close(p);
    write_gguf(f, path, TWEAK_LINEAR);
    p = open_ok(path, true);
    s = json_object_get(package_config(p), "rope_scaling");
    assert_string_equal(json_string_value(json_object_get(s, "rope_type")), "linear");
    package_close(p);
    mem_free(f);
}

static void malformed_ggufs(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char path[300];
    snprintf(path, sizeof path, "%s", test_temp("bad.gguf"));
    static const struct {
        GgufTweak tweak;
        ErrorCode code;
        const char *part;
    } cases[] = {
        {TWEAK_NO_HEADS, ERROR_FORMAT, "key qwen3.attention.head_count is missing"},
        {TWEAK_HUGE_HIDDEN, ERROR_FORMAT, "key qwen3.embedding_length is missing or not"},
        {TWEAK_NAN_EPS, ERROR_FORMAT, "layer_norm_rms_epsilon is not a finite number"},
        {TWEAK_TEXT_EPS, ERROR_FORMAT, "layer_norm_rms_epsilon is not a finite number"},
        {TWEAK_TOKEN_TYPES, ERROR_FORMAT, "token_type is not an array of 4"},
        {TWEAK_TOKENS, ERROR_FORMAT, "tokenizer.ggml.tokens is not an array of strings"},
        {TWEAK_SPM, ERROR_UNSUPPORTED, "tokenizer.ggml.model is \"llama\""},
        {TWEAK_NO_ARCH, ERROR_FORMAT, "general.architecture is missing"},
        {TWEAK_ODD_ARCH, ERROR_FORMAT, "general.architecture is missing or no name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_gguf(f, path, cases[i].tweak);
        open_error(path, true, cases[i].code, cases[i].part);
    }
    fixture_write_text(test_temp(""), "bad.gguf", "no model");
    open_error(path, true, ERROR_FORMAT, "byte 0: not a GGUF file");
    mem_free(f);
}

/* Every allocation that a file sizes may fail: an error each time, no crash, no leak. */
static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_dense();
    char gguf[300];
    snprintf(gguf, sizeof gguf, "%s", test_temp("memory.gguf"));
    write_gguf(f, gguf, TWEAK_NONE);
    fixture_write_folder(f, fresh_dir("memory"), 2);
    for (int i = 0; i < 2; i++) {
        bool is_open = false;
        for (uint64_t n = 1; !is_open; n++) {
            assert_true(n < 1000);
            mem_fail_after(n);
            Package *p = package_open(i ? gguf : dir, true, &err);
            mem_fail_after(0);
            is_open = p != NULL;
            if (!p)
                assert_int_equal(err.code, ERROR_MEMORY);
            package_close(p);
        }
    }
    mem_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folder_with_one_file_or_shards),
        cmocka_unit_test(head_may_be_tied_or_names_unprefixed),
        cmocka_unit_test(fused_experts_are_found_one_by_one),
        cmocka_unit_test(unreadable_types_fail_when_asked_for),
        cmocka_unit_test(text_files_are_found),
        cmocka_unit_test(malformed_folders),
        cmocka_unit_test(gguf_is_seen_as_a_folder),
        cmocka_unit_test(gguf_has_text_and_sampling),
        cmocka_unit_test(gguf_rope_scaling),
        cmocka_unit_test(malformed_ggufs),
        cmocka_unit_test(running_out_of_memory_is_an_error),
    };
    return TEST_MAIN("package", tests);
}
