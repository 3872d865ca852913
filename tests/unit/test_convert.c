/* package_convert: every direction, every type, the mixes; what is refused leaves nothing behind.
 */
#include "formats_fixture.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

static const char TINY_TOKENIZER[] =
    "{\"added_tokens\":[{\"id\":4,\"content\":\"<|end|>\",\"special\":true},"
    "{\"id\":5,\"content\":\"<think>\",\"special\":false}],"
    "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2,\"\xC4\xA0\":3},"
    "\"merges\":[[\"a\",\"b\"]]}}";
static const char TINY_CONFIG[] =
    "{\"eos_token\":\"<|end|>\",\"pad_token\":{\"content\":\"a\"},\"bos_token\":null,"
    "\"chat_template\":\"{{ messages }}\",\"add_bos_token\":false}";

static char *temp_path(const char *name) { return mem_strdup(test_temp(name)); }

static Package *open_ok(const char *path)
{
    Error err = {0};
    Package *p = package_open(path, true, &err);
    if (!p)
        fail_msg("%s", err.message);
    return p;
}

static void convert_ok(const char *in, const char *out, const char *type, bool as_folder)
{
    Error err = {0};
    Package *p = open_ok(in);
    ConvertOptions options = {.type = type, .as_safetensors = as_folder, .n_threads = 2};
    assert_ok(package_convert(p, out, &options, &err));
    package_close(p);
}

static void convert_error(const char *in, const char *out, const char *type, ErrorCode code,
                          const char *part)
{
    Error err = {0};
    Package *p = open_ok(in);
    ConvertOptions options = {.type = type};
    options.as_safetensors = !str_ends(str_from(out), STR(".gguf"));
    assert_error(package_convert(p, out, &options, &err), code, part);
    package_close(p);
}

static void expect_no_trace(const char *out)
{
    char command[700];
    snprintf(command, sizeof command, "test -z \"$(ls -d '%s'* 2>/dev/null)\"", out);
    if (system(command) != 0)
        fail_msg("%s left something behind", out);
}

static char *write_folder(const Fixture *f, const char *name)
{
    char *dir = temp_path(name);
    fixture_write_folder(f, dir, 2);
    fixture_write_text(dir, "tokenizer.json", TINY_TOKENIZER);
    fixture_write_text(dir, "tokenizer_config.json", TINY_CONFIG);
    fixture_write_text(dir, "generation_config.json",
                       "{\"do_sample\":true,\"temperature\":0.6,\"top_k\":20,\"top_p\":0.95}");
    return dir;
}

/* The tensor's bytes are those of quant_encode (or of the source). */
static void expect_encoded(const Package *p, const TensorInfo *info, DType type)
{
    Error err = {0};
    Tensor t;
    assert_ok(package_tensor(p, info->name, &t, &err));
    if (t.type != type)
        fail_msg("%s is %s, expected %s", info->name, dtype_name(t.type), dtype_name(type));
    int64_t n = fixture_size(info);
    float *values = mem_alloc((size_t)n * sizeof *values);
    uint8_t *blocks = mem_alloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++)
        values[i] = fixture_value(info->name, i);
    quant_encode(type, values, blocks, n);
    assert_int_equal(t.bytes, dtype_row_bytes(type, n));
    assert_memory_equal(t.data, blocks, t.bytes);
    mem_free(values);
    mem_free(blocks);
}

static bool is_small(const TensorInfo *info)
{
    return info->n_dims == 1 || strstr(info->name, "mlp.gate.weight");
}

static void every_type_is_written(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "types"), *out = temp_path("types.gguf");
    static const char *const names[] = {"f32",  "F16",  "BF16", "Q8_0",
                                        "q4_0", "Q4_1", "Q5_0", "Q5_1"};
    static const DType types[] = {DTYPE_F32,  DTYPE_F16,  DTYPE_BF16, DTYPE_Q8_0,
                                  DTYPE_Q4_0, DTYPE_Q4_1, DTYPE_Q5_0, DTYPE_Q5_1};
    static const int file_types[] = {0, 1, 32, 7, 2, 3, 8, 9};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        convert_ok(dir, out, names[i], false);
        Package *p = open_ok(out);
        uint64_t value;
        assert_true(gguf_u64(package_gguf(p), "general.file_type", &value));
        assert_int_equal(value, file_types[i]);
        assert_true(gguf_u64(package_gguf(p), "general.quantization_version", &value));
        assert_int_equal(value, 2);
        assert_int_equal(tensor_table_count(package_tensors(p)), f->n);
        for (int j = 0; j < f->n; j++) {
            DType type = is_small(&f->infos[j]) ? DTYPE_F32 : types[i];
            /* The head is Q6_K, whose rows of 256 this model has not: Q8_0. */
            if (dtype_info(type)->block_len > 1 && strcmp(f->names[j], "lm_head.weight") == 0)
                type = DTYPE_Q8_0;
            expect_encoded(p, &f->infos[j], type);
        }
        package_close(p);
    }
    mem_free(f);
    mem_free(dir);
    mem_free(out);
}

static void expect_key(const Package *p, const char *key, double expected)
{
    double value;
    if (!gguf_f64(package_gguf(p), key, &value) || fabs(value - expected) > 1e-6 * fabs(expected))
        fail_msg("key %s is not %g", key, expected);
}

static void keys_are_what_llama_cpp_reads(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "Keys-1B"), *out = temp_path("keys.gguf");
    Str text;
    convert_ok(dir, out, "F16", false);
    Package *p = open_ok(out);
    const Gguf *g = package_gguf(p);
    assert_true(gguf_str(g, "general.architecture", &text) && str_equals(text, "qwen3"));
    assert_true(gguf_str(g, "general.name", &text) && str_equals(text, "Keys-1B"));
    expect_key(p, "qwen3.block_count", 2);
    expect_key(p, "qwen3.context_length", 40960);
    expect_key(p, "qwen3.embedding_length", 64);
    expect_key(p, "qwen3.feed_forward_length", 96);
    expect_key(p, "qwen3.attention.head_count", 4);
    expect_key(p, "qwen3.attention.head_count_kv", 2);
    expect_key(p, "qwen3.attention.key_length", 32);
    expect_key(p, "qwen3.attention.value_length", 32);
    expect_key(p, "qwen3.attention.layer_norm_rms_epsilon", 1e-6);
    expect_key(p, "qwen3.rope.freq_base", 1e6);
    expect_key(p, "general.sampling.temp", 0.6);
    expect_key(p, "general.sampling.top_k", 20);
    expect_key(p, "tokenizer.ggml.eos_token_id", 4);
    expect_key(p, "tokenizer.ggml.bos_token_id", 5);
    expect_key(p, "tokenizer.ggml.padding_token_id", 0);
    assert_true(gguf_str(g, "tokenizer.ggml.model", &text) && str_equals(text, "gpt2"));
    const PackageText *t = package_text(p);
    static const char *const tokens[] = {"a",       "b",       "ab",    "\xC4\xA0",
                                         "<|end|>", "<think>", "[PAD6]"};
    static const int types[] = {1, 1, 1, 1, 3, 4, 5};
    assert_int_equal(t->n_tokens, 7);
    for (int i = 0; i < 7; i++) {
        assert_true(str_equals(t->tokens[i], tokens[i]));
        assert_int_equal(t->token_types[i], types[i]);
    }
    assert_int_equal(t->n_merges, 1);
    assert_true(str_equals(t->merges[0], "a b"));
    assert_true(str_equals(t->pre, "qwen2"));
    assert_true(str_equals(t->chat_template, "{{ messages }}"));
    assert_false(t->add_bos);
    package_close(p);
    mem_free(f);
    mem_free(dir);
    mem_free(out);
}

/* Folder -> GGUF -> folder -> GGUF: configuration and weights come back, the GGUFs are alike. */
static void round_trip(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        Fixture *f = fixture_dense();
        f->is_qwen2 = kind == 1;
        f->experts = kind == 2 ? 4 : 0;
        f->is_tied = kind == 3;
        fixture_plan(f);
        char *dir = write_folder(f, kind == 0   ? "rt0"
                                    : kind == 1 ? "rt1"
                                    : kind == 2 ? "rt2"
                                                : "rt3");
        char *gguf = temp_path("rt.gguf"), *again = temp_path("rt-again.gguf");
        char *folder = temp_path(kind == 0   ? "rt0-out"
                                 : kind == 1 ? "rt1-out"
                                 : kind == 2 ? "rt2-out"
                                             : "rt3-out");
        convert_ok(dir, gguf, "F32", false);
        convert_ok(gguf, folder, "BF16", true);
        convert_ok(folder, again, "F32", false);
        Package *a = open_ok(dir), *b = open_ok(folder), *g = open_ok(gguf), *h = open_ok(again);
        static const char *const keys[] = {
            "model_type",         "architectures",       "hidden_size",  "num_hidden_layers",
            "head_dim",           "intermediate_size",   "vocab_size",   "num_attention_heads",
            "rms_norm_eps",       "num_key_value_heads", "rope_scaling", "tie_word_embeddings",
            "torch_dtype",        "eos_token_id",        "num_experts",  "moe_intermediate_size",
            "num_experts_per_tok"};
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
            if (strcmp(keys[i], "eos_token_id") != 0 &&
                !json_equal(json_object_get(package_config(a), keys[i]),
                            json_object_get(package_config(b), keys[i])) &&
                json_object_get(package_config(a), keys[i]))
                fail_msg("kind %d: %s differs", kind, keys[i]);
        for (int i = 0; i < f->n; i++) {
            expect_encoded(g, &f->infos[i], DTYPE_F32);
            expect_encoded(b, &f->infos[i], DTYPE_BF16);
            expect_encoded(h, &f->infos[i], DTYPE_F32);
        }
        assert_int_equal(tensor_table_count(package_tensors(b)), f->n);
        assert_int_equal(gguf_count(package_gguf(g)), gguf_count(package_gguf(h)));
        assert_int_equal(package_text(g)->n_tokens, package_text(h)->n_tokens);
        for (int i = 0; i < package_text(g)->n_tokens; i++)
            assert_true(str_equal(package_text(g)->tokens[i], package_text(h)->tokens[i]));
        assert_memory_equal(package_text(g)->token_types, package_text(h)->token_types, 7 * 4);
        assert_int_equal(package_text(g)->eos_id, package_text(h)->eos_id);
        assert_true(str_equals(package_text(b)->chat_template, "{{ messages }}"));
        package_close(a);
        package_close(b);
        package_close(g);
        package_close(h);
        mem_free(f);
        mem_free(dir), mem_free(gguf), mem_free(again), mem_free(folder);
    }
}

/* ---- mixes ----------------------------------------------------------------------------------- */

static Fixture *fixture_wide(int layers)
{
    Fixture *f = mem_alloc(sizeof *f);
    *f = (Fixture){.hidden = 256,
                   .layers = layers,
                   .heads = 8,
                   .kv_heads = 1,
                   .head_dim = 32,
                   .ff = 256,
                   .vocab = 6,
                   .type = DTYPE_BF16};
    fixture_plan(f);
    return f;
}

static DType type_of(const Package *p, int layer, const char *part)
{
    Error err = {0};
    char name[96];
    Tensor t;
    if (layer >= 0)
        snprintf(name, sizeof name, "model.layers.%d.%s", layer, part);
    else
        snprintf(name, sizeof name, "%s", part);
    assert_ok(package_tensor(p, name, &t, &err));
    return t.type;
}

/* use_more_bits of 16 layers, worked out by hand: the first and last eighth, every third between.
 */
static bool more_of_16(int l) { return l < 2 || l >= 14 || l == 4 || l == 7 || l == 10 || l == 13; }

static void mixes_are_llama_cpps(void **state)
{
    (void)state;
    Fixture *f = fixture_wide(16);
    char *dir = write_folder(f, "mix"), *out = temp_path("mix.gguf");
    static const char *const mixes[] = {"Q4_K_M", "Q4_K_S", "Q5_K_M", "Q6_K"};
    static const int file_types[] = {15, 14, 17, 18};
    for (int m = 0; m < 4; m++) {
        convert_ok(dir, out, mixes[m], false);
        Package *p = open_ok(out);
        expect_key(p, "general.file_type", file_types[m]);
        DType base = m == 3 ? DTYPE_Q6_K : mixes[m][1] == '4' ? DTYPE_Q4_K : DTYPE_Q5_K;
        assert_int_equal(type_of(p, -1, "lm_head.weight"), DTYPE_Q6_K);
        assert_int_equal(type_of(p, -1, "model.embed_tokens.weight"), base);
        for (int l = 0; l < 16; l++) {
            bool is_medium = m == 0 || m == 2;
            DType value = base, down = base;
            if (is_medium && more_of_16(l))
                value = down = DTYPE_Q6_K;
            if (m == 1) {
                value = l < 4 ? DTYPE_Q5_K : base;
                down = l < 2 ? DTYPE_Q5_K : base;
            }
            assert_int_equal(type_of(p, l, "self_attn.q_proj.weight"), base);
            assert_int_equal(type_of(p, l, "self_attn.k_proj.weight"), base);
            assert_int_equal(type_of(p, l, "self_attn.o_proj.weight"), base);
            assert_int_equal(type_of(p, l, "self_attn.v_proj.weight"), value);
            assert_int_equal(type_of(p, l, "mlp.down_proj.weight"), down);
            assert_int_equal(type_of(p, l, "mlp.gate_proj.weight"), base);
            assert_int_equal(type_of(p, l, "input_layernorm.weight"), DTYPE_F32);
        }
        package_close(p);
    }
    mem_free(f);
    mem_free(dir), mem_free(out);
}

static void narrow_rows_fall_back(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    f->is_tied = true;
    f->ff = 40; /* the down projection's rows: no block fits */
    fixture_plan(f);
    char *dir = write_folder(f, "narrow"), *out = temp_path("narrow.gguf");
    static const char *const mixes[] = {"Q4_K", "Q5_K_S", "Q6_K", "Q4_0", "Q5_K"};
    static const DType types[] = {DTYPE_Q5_0, DTYPE_Q5_1, DTYPE_Q8_0, DTYPE_Q4_0, DTYPE_Q5_1};
    static const int file_types[] = {15, 16, 18, 2, 17};
    for (int m = 0; m < 5; m++) {
        convert_ok(dir, out, mixes[m], false);
        Package *p = open_ok(out);
        expect_key(p, "general.file_type", file_types[m]);
        assert_int_equal(type_of(p, 0, "self_attn.q_proj.weight"), types[m]);
        assert_int_equal(type_of(p, 0, "mlp.down_proj.weight"), DTYPE_F16);
        assert_int_equal(type_of(p, -1, "lm_head.weight"), DTYPE_Q8_0);
        package_close(p);
    }
    mem_free(f);
    mem_free(dir), mem_free(out);
}

static void threads_do_not_show(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_wide(1);
    char *dir = write_folder(f, "threads");
    Buf files[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        char *out = temp_path(i ? "t3.gguf" : "t1.gguf");
        Package *p = open_ok(dir);
        ConvertOptions options = {.type = "Q4_K_M", .n_threads = i ? 3 : 1};
        assert_ok(package_convert(p, out, &options, &err));
        package_close(p);
        assert_ok(file_read(&files[i], out, 1 << 28, &err));
        mem_free(out);
    }
    assert_int_equal(files[0].bytes, files[1].bytes);
    assert_memory_equal(files[0].data, files[1].data, files[0].bytes);
    buf_free(&files[0]);
    buf_free(&files[1]);
    mem_free(f);
    mem_free(dir);
}

typedef struct Watch {
    uint64_t done, total, stop_at;
    int n_tensors;
    double worst;
    uint64_t bytes_out;
} Watch;

static bool watch_progress(void *context, const char *tensor, uint64_t done, uint64_t total)
{
    Watch *w = context;
    assert_non_null(tensor);
    assert_true(done > w->done && done <= total);
    w->done = done;
    w->total = total;
    return done < w->stop_at;
}

static void watch_tensor(void *context, const ConvertedTensor *t)
{
    Watch *w = context;
    w->n_tensors++;
    w->bytes_out += t->bytes_out;
    w->worst = fmax(w->worst, t->rms_error);
    assert_true((t->rms_error > 0) == (dtype_info(t->info.type)->block_len > 1));
}

static void progress_and_errors_are_told(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_dense();
    f->experts = 3;
    fixture_plan(f);
    char *dir = write_folder(f, "watched"), *out = temp_path("watched.gguf");
    Package *p = open_ok(dir);
    Watch watch = {.stop_at = UINT64_MAX};
    ConvertOptions options = {.type = "Q8_0",
                              .measure_error = true,
                              .progress = watch_progress,
                              .tensor_done = watch_tensor,
                              .context = &watch};
    assert_ok(package_convert(p, out, &options, &err));
    assert_true(watch.done == watch.total && watch.total > 0);
    assert_int_equal(watch.n_tensors, f->n - 2 * 3 * 2);       /* banks */
    assert_true(watch.worst > 0.0001 && watch.worst < 0.0004); /* sigma 0.05 */
    assert_true(watch.bytes_out > watch.total / 2 && watch.bytes_out < watch.total);
    remove(out);
    watch = (Watch){.stop_at = watch.total / 2};
    assert_error(package_convert(p, out, &options, &err), ERROR_CANCELLED, "stopped");
    expect_no_trace(out);
    package_close(p);
    mem_free(f);
    mem_free(dir), mem_free(out);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void poke(const char *dir, float value)
{
    Error err = {0};
    char *path = file_join(dir, "model.safetensors");
    TensorInfo infos[32];
    Fixture *f = fixture_dense();
    f->layers = 1;
    f->type = DTYPE_F32;
    fixture_plan(f);
    fixture_write_config(f, dir);
    memcpy(infos, f->infos, (size_t)f->n * sizeof *infos);
    SafetensorsWriter *w = safetensors_writer_open(path, infos, f->n, NULL, &err);
    for (int i = 0; i < f->n; i++)
        for (int64_t j = 0; j < fixture_size(&infos[i]); j++) {
            float v = strstr(infos[i].name, "mlp.up_proj") && j == 77 ? value : 0.5f;
            assert_ok(safetensors_writer_write(w, &v, 4, &err));
        }
    assert_ok(safetensors_writer_commit(w, &err));
    mem_free(path);
    mem_free(f);
}

static void bad_numbers_are_refused(void **state)
{
    (void)state;
    Error err = {0};
    char *dir = temp_path("numbers"), *out = temp_path("numbers.gguf");
    assert_ok(file_make_dir(dir, &err));
    static const float values[] = {NAN, INFINITY, -INFINITY};
    for (int i = 0; i < 3; i++) {
        poke(dir, values[i]);
        convert_error(dir, out, i ? "F32" : "Q4_0", ERROR_FORMAT,
                      "tensor blk.0.ffn_up.weight: element 77 is NaN or infinite");
        expect_no_trace(out);
    }
    poke(dir, -70000);
    convert_error(dir, out, "F16", ERROR_FORMAT, "element 77 is above 65504");
    convert_error(dir, out, "Q8_0", ERROR_FORMAT, "more than can be stored as Q8_0");
    expect_no_trace(out);
    convert_ok(dir, out, "BF16", false);
    mem_free(dir), mem_free(out);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "nonsense"), *out = temp_path("nonsense-out");
    char *gguf = temp_path("nonsense-out.gguf");
    convert_error(dir, gguf, "Q9_K", ERROR_ARGUMENT, "unknown type \"Q9_K\"");
    convert_error(dir, out, "Q4_0", ERROR_ARGUMENT, "safetensors hold F32, F16 or BF16");
    assert_true(package_convert_knows("q5_k_s"));
    assert_false(package_convert_knows("Q5_K_L"));
    fixture_write_text(dir, "config.json", "{\"num_hidden_layers\":3}");
    convert_error(dir, gguf, "F16", ERROR_FORMAT,
                  "model.layers.2.input_layernorm.weight is missing");
    fixture_write_text(dir, "config.json", "{\"num_hidden_layers\":1}");
    convert_error(dir, gguf, "F16", ERROR_UNSUPPORTED, "has no place in this model");
    fixture_write_text(dir, "config.json", "{\"num_hidden_layers\":-1}");
    convert_error(dir, gguf, "F16", ERROR_FORMAT, "num_hidden_layers is not a number from 0");
    fixture_write_text(dir, "config.json", "{\"num_hidden_layers\":2,\"model_type\":\"gpt\"}");
    convert_error(dir, gguf, "F16", ERROR_UNSUPPORTED, "model_type: should be");
    fixture_write_text(dir, "config.json", "{\"num_hidden_layers\":2,\"model_type\":\"qwen3\"}");
    convert_error(dir, gguf, "F16", ERROR_UNSUPPORTED, "max_position_embeddings: should be");
    expect_no_trace(out);
    mem_free(f);
    mem_free(dir), mem_free(out), mem_free(gguf);
}

static void bad_tokenizers_are_refused(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "tokens"), *out = temp_path("tokens-out.gguf");
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"{\"model\":", "tokenizer.json: byte"},
        {"{}", "no object"},
        {"{\"model\":{\"vocab\":{\"a\":\"b\"}}}", "no whole number"},
        {"{\"model\":{\"vocab\":{\"a\":7}}}", "token a has id 7, but the embedding has 7 rows"},
        {"{\"model\":{\"vocab\":{\"a\":-1}}}", "token a has id -1"},
        {"{\"model\":{\"vocab\":{\"a\":1,\"b\":1}}}", "id 1 is a and b"},
        {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[\"ab\"]}}", "not a pair"},
        {"{\"model\":{\"vocab\":{\"a\":1},\"merges\":[[\"a\"]]}}", "not a pair"},
        {"{\"model\":{\"vocab\":{}},\"added_tokens\":[{\"id\":2}]}", "(no text)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fixture_write_text(dir, "tokenizer.json", cases[i].json);
        convert_error(dir, out, "F16", ERROR_FORMAT, cases[i].part);
        expect_no_trace(out);
    }
    mem_free(f);
    mem_free(dir), mem_free(out);
}

/* vocab.json and merges.txt with either file of added tokens say the same as tokenizer.json. */
static void tokenizers_come_in_parts(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "parts"), *out = temp_path("parts.gguf"), *file;
    for (int kind = 0; kind < 2; kind++) {
        file = file_join(dir, "tokenizer.json");
        remove(file);
        mem_free(file);
        fixture_write_text(dir, "vocab.json", "{\"a\":0,\"b\":1,\"ab\":2,\"\xC4\xA0\":3}");
        fixture_write_text(dir, "merges.txt", "#version: 0.2\r\na b\r\n\r\n");
        fixture_write_text(dir, "tokenizer_config.json",
                           kind ? "{\"eos_token\":\"<|end|>\"}"
                                : "{\"eos_token\":\"<|end|>\",\"added_tokens_decoder\":{"
                                  "\"4\":{\"content\":\"<|end|>\",\"special\":true},"
                                  "\"5\":{\"content\":\"<think>\",\"special\":false}}}");
        if (kind)
            fixture_write_text(dir, "added_tokens.json", "{\"<think>\":5,\"<|end|>\":4}");
        convert_ok(dir, out, "F16", false);
        Package *p = open_ok(out);
        const PackageText *t = package_text(p);
        static const int32_t types[] = {1, 1, 1, 1, 3, 4, 5};
        assert_memory_equal(t->token_types, types, sizeof types);
        assert_true(str_equals(t->tokens[5], "<think>"));
        assert_int_equal(t->n_merges, 1);
        assert_true(str_equals(t->merges[0], "a b"));
        assert_int_equal(t->eos_id, 4);
        package_close(p);
    }
    fixture_write_text(dir, "merges.txt", "#version: 0.2\na b\nab\n");
    convert_error(dir, out, "F16", ERROR_FORMAT, "merges.txt: line 3");
    mem_free(f);
    mem_free(dir), mem_free(out);
}

static void yarn_survives(void **state)
{
    (void)state;
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "yarn"), *out = temp_path("yarn.gguf");
    json_error_t at;
    char *path = file_join(dir, "config.json");
    json_t *config = json_load_file(path, 0, &at);
    json_object_set_new(config, "rope_scaling",
                        json_pack("{s:s,s:f,s:i,s:f,s:f}", "rope_type", "yarn", "factor", 4.0,
                                  "original_max_position_embeddings", 32768, "attention_factor",
                                  1.5, "beta_fast", 24.0));
    json_dump_file(config, path, 0);
    convert_ok(dir, out, "F16", false);
    Package *p = open_ok(out);
    const json_t *s = json_object_get(package_config(p), "rope_scaling");
    assert_string_equal(json_string_value(json_object_get(s, "rope_type")), "yarn");
    assert_true(json_number_value(json_object_get(s, "factor")) == 4);
    assert_int_equal(json_integer_value(json_object_get(s, "original_max_position_embeddings")),
                     32768);
    assert_true(fabs(json_number_value(json_object_get(s, "attention_factor")) - 1.5) < 1e-6);
    assert_true(json_number_value(json_object_get(s, "beta_fast")) == 24);
    package_close(p);
    /* What GGUF cannot say is refused. */
    json_object_set_new(config, "rope_scaling", json_pack("{s:s}", "rope_type", "longrope"));
    json_dump_file(config, path, 0);
    convert_error(dir, out, "F16", ERROR_UNSUPPORTED, "rope_scaling");
    json_object_set_new(config, "rope_scaling", json_null());
    json_object_set_new(config, "use_sliding_window", json_true());
    json_dump_file(config, path, 0);
    convert_error(dir, out, "F16", ERROR_UNSUPPORTED, "use_sliding_window");
    json_decref(config);
    mem_free(path);
    mem_free(f);
    mem_free(dir), mem_free(out);
}

/* A limit on file sizes stands in for a full disk. */
static void full_disk_leaves_nothing(void **state)
{
    (void)state;
    Fixture *f = fixture_wide(1);
    char *dir = write_folder(f, "full"), *out = temp_path("full-out"),
         *gguf = temp_path("full-out.gguf");
    struct rlimit old, small;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 100000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    convert_error(dir, gguf, "Q8_0", ERROR_IO, "writing");
    convert_error(dir, out, "BF16", ERROR_IO, "writing");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    expect_no_trace(out);
    /* A folder that has something in it is not replaced. */
    fixture_write_text(dir, "keep", "me");
    convert_error(dir, dir, "BF16", ERROR_IO, dir);
    Package *p = open_ok(dir);
    package_close(p);
    mem_free(f);
    mem_free(dir), mem_free(out), mem_free(gguf);
}

/* Every allocation that a file sizes may fail. */
static void running_out_of_memory_is_an_error(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *f = fixture_dense();
    char *dir = write_folder(f, "memory"), *out = temp_path("memory-out");
    char *gguf = temp_path("no-memory.gguf");
    Package *p = open_ok(dir);
    for (int as_folder = 0; as_folder < 2; as_folder++) {
        ConvertOptions options = {.type = "F16", .as_safetensors = as_folder, .n_threads = 1};
        bool is_done = false;
        for (uint64_t n = 1; !is_done; n++) {
            assert_true(n < 100);
            mem_fail_after(n);
            is_done = package_convert(p, as_folder ? out : gguf, &options, &err);
            mem_fail_after(0);
            if (is_done)
                break;
            assert_int_equal(err.code, ERROR_MEMORY);
            expect_no_trace(as_folder ? out : gguf);
        }
    }
    package_close(p);
    mem_free(f);
    mem_free(dir), mem_free(out), mem_free(gguf);
}

/* The official vocabulary through a GGUF and back. */
static void official_tokenizer_survives(void **state)
{
    (void)state;
    skip_without_data("tokenizer/tokenizer.json");
    Error err = {0};
    Fixture *f = fixture_dense();
    f->layers = 1;
    f->hidden = 32;
    f->vocab = 151936;
    fixture_plan(f);
    char *dir = temp_path("official"), *out = temp_path("official.gguf"),
         *back = temp_path("official-b");
    fixture_write_folder(f, dir, 1);
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json"};
    for (int i = 0; i < 2; i++) {
        char from[1100], command[2400];
        snprintf(from, sizeof from, "tokenizer/%s", names[i]);
        snprintf(command, sizeof command, "cp '%s' '%s/%s'", test_data(from), dir, names[i]);
        assert_int_equal(system(command), 0);
    }
    convert_ok(dir, out, "BF16", false);
    convert_ok(out, back, "BF16", true);
    Package *g = open_ok(out), *b = open_ok(back);
    const PackageText *t = package_text(g), *u = package_text(b);
    assert_int_equal(t->n_tokens, 151936);
    assert_int_equal(t->n_merges, 151387);
    assert_int_equal(t->eos_id, 151645);
    assert_int_equal(t->pad_id, 151643);
    assert_true(str_equals(t->tokens[151667], "<think>"));
    assert_int_equal(t->token_types[151667], 4);
    assert_int_equal(t->token_types[151645], 3);
    assert_int_equal(t->token_types[151935], 5);
    assert_true(str_equals(t->tokens[151935], "[PAD151935]"));
    Buf merges = {0};
    assert_ok(file_read(&merges, test_data("tokenizer/merges.txt"), 1 << 24, &err));
    assert_true(str_equal(buf_str(&merges), u->merges_txt));
    json_t *vocab = json_load_file(test_data("tokenizer/vocab.json"), 0, NULL);
    json_t *vocab_back = json_loadb(u->vocab_json.data, u->vocab_json.bytes, 0, NULL);
    assert_true(json_equal(vocab, vocab_back));
    json_t *a = json_load_file(test_data("tokenizer/tokenizer.json"), 0, NULL);
    json_t *c = json_loadb(u->tokenizer_json.data, u->tokenizer_json.bytes, 0, NULL);
    static const char *const parts[] = {"model", "normalizer", "pre_tokenizer", "decoder",
                                        "post_processor"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (!json_equal(json_object_get(a, parts[i]), json_object_get(c, parts[i])))
            fail_msg("tokenizer.json: %s differs", parts[i]);
    json_decref(vocab), json_decref(vocab_back), json_decref(a), json_decref(c);
    assert_true(str_equal(t->chat_template, u->chat_template) && t->chat_template.bytes > 1000);
    buf_free(&merges);
    package_close(g);
    package_close(b);
    mem_free(f);
    mem_free(dir), mem_free(out), mem_free(back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_written),
        cmocka_unit_test(keys_are_what_llama_cpp_reads),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(mixes_are_llama_cpps),
        cmocka_unit_test(narrow_rows_fall_back),
        cmocka_unit_test(threads_do_not_show),
        cmocka_unit_test(progress_and_errors_are_told),
        cmocka_unit_test(bad_numbers_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(bad_tokenizers_are_refused),
        cmocka_unit_test(tokenizers_come_in_parts),
        cmocka_unit_test(yarn_survives),
        cmocka_unit_test(full_disk_leaves_nothing),
        cmocka_unit_test(running_out_of_memory_is_an_error),
        cmocka_unit_test(official_tokenizer_survives),
    };
    return TEST_MAIN("convert", tests);
}
