/* formats/adapter_package, model/adapter, tensor/low_rank: what is read, what is refused and with
 * which words, and what merging writes. */
#include "adapter_fixture.h"
#include "formats_fixture.h"

#include "tensor/low_rank.h"

#include <math.h>

static const AdapterFixture plain = {.rank = 4,
                                     .alpha = 8,
                                     .type = DTYPE_F32,
                                     .projections = (1u << N_PROJECTIONS) - 1,
                                     .seed = 1,
                                     .size = 0.1f};

/* A model of the formats' fixture, opened. */
typedef struct Base {
    Fixture *fixture;
    char *folder;
    Package *package;
    Backend *backend;
    Model *model;
} Base;

static Base open_base(Fixture *f, const char *name)
{
    Error err = {0};
    Base base = {.fixture = f, .folder = mem_strdup(test_temp(name))};
    fixture_write_folder(f, base.folder, 1);
    assert_ok(base.package = package_open(base.folder, true, &err));
    assert_ok(base.backend = backend_open("cpu", 1, &err));
    assert_ok(base.model = model_open(base.package, base.backend, NULL, &err));
    return base;
}

static void close_base(Base *base)
{
    model_close(base->model);
    base->backend->close(base->backend);
    package_close(base->package);
    mem_free(base->folder);
    mem_free(base->fixture);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static void scales_follow_the_configuration(void **state)
{
    (void)state;
    Error err = {0};
    Base base = open_base(fixture_dense(), "scales");
    AdapterFixture f = plain;
    for (int rs = 0; rs < 2; rs++) {
        f.is_rslora = rs;
        char *dir = adapter_fixture_write(&f, &base.model->config, rs ? "rs" : "plain");
        AdapterPackage *p = adapter_package_open(dir, &err);
        if (!p)
            fail_msg("%s", err.message);
        assert_int_equal(p->rank, 4);
        assert_true(p->scale == (rs ? 4.0f : 2.0f)); /* 8 / sqrt(4), 8 / 4 */
        assert_int_equal(p->n, base.model->config.n_layers * N_PROJECTIONS);
        const AdapterPair *pair = adapter_package_find(p, "model.layers.0.self_attn.v_proj.weight");
        assert_string_equal(pair->b->name,
                            "base_model.model.model.layers.0.self_attn.v_proj.lora_B.weight");
        assert_null(adapter_package_find(p, "model.layers.0.self_attn.v_proj"));
        Adapter *a = adapter_open(base.model, p, &err);
        if (!a)
            fail_msg("%s", err.message);
        adapter_close(a);
        adapter_package_close(p);
        mem_free(dir);
    }
    close_base(&base);
}

static void expect_refused(const Base *base, const AdapterFixture *f, ErrorCode code,
                           const char *part)
{
    Error err = {0};
    char *dir = adapter_fixture_write(f, &base->model->config, "refused");
    AdapterPackage *p = adapter_package_open(dir, &err);
    Adapter *a = p ? adapter_open(base->model, p, &err) : NULL;
    if (a || err.code != code || !test_contains(err.message, part))
        fail_msg("got error %s \"%s\", expected %s with \"%s\"", error_name(err.code), err.message,
                 error_name(code), part);
    adapter_package_close(p);
    mem_free(dir);
}

static void what_cannot_be_done_is_refused(void **state)
{
    (void)state;
    Base base = open_base(fixture_dense(), "keys");
    static const struct {
        const char *more, *part;
    } keys[] = {{"\"use_dora\": true, ", "use_dora"},
                {"\"lora_bias\": true, ", "lora_bias"},
                {"\"alpha_pattern\": {\"q_proj\": 3}, ", "alpha_pattern"},
                {"\"trainable_token_indices\": [7], ", "trainable_token_indices"}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        AdapterFixture f = plain;
        f.more = keys[i].more;
        expect_refused(&base, &f, ERROR_UNSUPPORTED, keys[i].part);
    }
    AdapterFixture f = plain;
    f.odd_name = "base_model.model.lm_head.weight";
    expect_refused(&base, &f, ERROR_UNSUPPORTED,
                   "tensor base_model.model.lm_head.weight: its name");
    f.odd_name = "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector";
    expect_refused(&base, &f, ERROR_UNSUPPORTED, "lora_magnitude_vector");
    f.odd_name = "base_model.model.model.layers.77.self_attn.q_proj.lora_A.weight";
    expect_refused(&base, &f, ERROR_FORMAT,
                   "layers.77.self_attn.q_proj.lora_A.weight has no lora_B");
    f.odd_name = "base_model.model.model.layers.77.self_attn.q_proj.lora_B.weight";
    expect_refused(&base, &f, ERROR_FORMAT, "are not");
    close_base(&base);
}

static void another_base_is_named(void **state)
{
    (void)state;
    Error err = {0};
    Base base = open_base(fixture_dense(), "others");
    AdapterFixture f = plain;
    f.odd_rows = 3;
    expect_refused(&base, &f, ERROR_FORMAT, "q_proj.lora_B.weight is [");
    f = plain;
    f.rank = base.model->config.d_model + 1;
    expect_refused(&base, &f, ERROR_UNSUPPORTED, "above the model's width");
    /* One for a model with a layer more. */
    Config deeper = base.model->config;
    deeper.n_layers++;
    char *dir = adapter_fixture_write(&plain, &deeper, "deeper");
    AdapterPackage *p;
    assert_ok(p = adapter_package_open(dir, &err));
    assert_error(adapter_open(base.model, p, &err), ERROR_UNSUPPORTED,
                 "the model has no such matrix");
    adapter_package_close(p);
    mem_free(dir);
    close_base(&base);
}

static void configuration_and_tensors_agree(void **state)
{
    (void)state;
    Error err = {0};
    Base base = open_base(fixture_dense(), "agree");
    char *dir = adapter_fixture_write(&plain, &base.model->config, "agree-adapter");
    AdapterFixture other = plain;
    other.rank = 5;
    adapter_fixture_config(&other, dir);
    assert_error(adapter_package_open(dir, &err), ERROR_FORMAT, "but the rank is 5");
    other = plain;
    other.projections = 1u << PROJECTION_Q;
    adapter_fixture_config(&other, dir);
    assert_error(adapter_package_open(dir, &err), ERROR_FORMAT, "none of the target_modules");
    fixture_write_text(dir, "adapter_config.json",
                       "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":["
                       "\"q_proj\",\"k_proj\",\"v_proj\",\"o_proj\",\"gate_proj\",\"up_proj\","
                       "\"down_proj\",\"lm_head\"]}");
    assert_error(adapter_package_open(dir, &err), ERROR_FORMAT, "no tensor belongs to \"lm_head\"");
    fixture_write_text(dir, "adapter_config.json", "{\"peft_type\":\"IA3\"}");
    assert_error(adapter_package_open(dir, &err), ERROR_UNSUPPORTED, "peft_type is IA3");
    fixture_write_text(dir, "adapter_config.json", "{\"peft_type\":\"LORA\",\"r\":0}");
    assert_error(adapter_package_open(dir, &err), ERROR_FORMAT, "the rank is not");
    fixture_write_text(dir, "adapter_config.json", "{\"peft_type\":\"LORA\",\"r\":4}");
    assert_error(adapter_package_open(dir, &err), ERROR_FORMAT, "lora_alpha");
    fixture_write_text(dir, "adapter_config.json", "{");
    assert_error(adapter_package_open(dir, &err), ERROR_FORMAT, "adapter_config.json: byte");
    assert_error(adapter_package_open(base.folder, &err), ERROR_IO, "no adapter here");
    mem_free(dir);
    close_base(&base);
}

/* Layers of experts seen as dense ones, for adapters of one expert. */
static Config as_dense(const Config *c)
{
    Config dense = *c;
    memset(dense.is_moe_layer, 0, sizeof dense.is_moe_layer);
    dense.d_ff = dense.d_expert;
    return dense;
}

static Fixture *fixture_experts(void)
{
    Fixture *f = fixture_dense();
    f->experts = 4;
    f->n = 0;
    fixture_plan(f);
    return f;
}

static void experts_are_not_adapted_at_work(void **state)
{
    (void)state;
    Error err = {0};
    static const char *const places[] = {"mlp", "mlp.experts.1"};
    static const char *const words[] = {"no such matrix", "merge the adapter into the model"};
    Base base = open_base(fixture_experts(), "experts");
    const Config dense = as_dense(&base.model->config);
    for (int i = 0; i < 2; i++) {
        AdapterFixture f = plain;
        f.mlp = places[i];
        char *dir = adapter_fixture_write(&f, &dense, i ? "expert" : "mlp");
        AdapterPackage *p;
        assert_ok(p = adapter_package_open(dir, &err));
        assert_error(adapter_open(base.model, p, &err), ERROR_UNSUPPORTED, words[i]);
        adapter_package_close(p);
        mem_free(dir);
    }
    close_base(&base);
}

/* ---- Merging --------------------------------------------------------------------------------- */

static void updates_do_not_depend_on_the_cut(void **state)
{
    (void)state;
    enum { ROWS = 7, COLS = 1031, RANK = 3, N = ROWS * COLS };
    static float a[RANK * COLS], b[ROWS * RANK], whole[N], cut[N];
    Rng rng = {2};
    for (int i = 0; i < RANK * COLS; i++)
        a[i] = (float)rng_normal(&rng);
    for (int i = 0; i < ROWS * RANK; i++)
        b[i] = (float)rng_normal(&rng);
    for (int i = 0; i < N; i++)
        whole[i] = cut[i] = (float)rng_normal(&rng);
    const LowRankUpdate update = {COLS, RANK, 0.5f, a, b};
    static double expected[N];
    for (int i = 0; i < N; i++) {
        double sum = 0;
        for (int r = 0; r < RANK; r++)
            sum += (double)b[i / COLS * RANK + r] * (double)a[r * COLS + i % COLS];
        expected[i] = (double)whole[i] + 0.5 * sum;
    }
    low_rank_add(&update, 0, N, whole);
    for (int from = 0, n; from < N; from += n) {
        n = 1 + (int)rng_below(&rng, 700);
        n = n < N - from ? n : N - from;
        low_rank_add(&update, from, n, cut + from);
    }
    assert_memory_equal(whole, cut, sizeof whole);
    for (int i = 0; i < N; i++)
        assert_true(fabs(expected[i] - (double)whole[i]) < 1e-5);
}

static void merge(const Base *base, const char *adapter, const char *out, float scale)
{
    Error err = {0};
    AdapterPackage *p;
    assert_ok(p = adapter_package_open(adapter, &err));
    const MergedAdapter merged = {p, scale};
    const ConvertOptions options = {.type = "F32",
                                    .as_safetensors = !str_ends(str_from(out), STR(".gguf")),
                                    .adapters = &merged,
                                    .n_adapters = 1,
                                    .n_threads = 2};
    assert_ok(package_convert(base->package, out, &options, &err));
    adapter_package_close(p);
}

/* What a tensor of the output has beyond the base's, against A and B by hand. */
static void expect_merged(const Package *out, const Base *base, const AdapterPackage *adapter,
                          const char *name, double scale)
{
    Error err = {0};
    Tensor before, after;
    assert_ok(package_tensor(base->package, name, &before, &err));
    assert_ok(package_tensor(out, name, &after, &err));
    const AdapterPair *pair = adapter_package_find(adapter, name);
    const int64_t n_cols = tensor_n_cols(&before), n = tensor_n_rows(&before) * n_cols;
    float *x = mem_alloc(sizeof *x * (size_t)n);
    float *y = mem_alloc(sizeof *y * (size_t)n);
    quant_decode(before.type, before.data, x, n);
    quant_decode(after.type, after.data, y, n);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int r = 0; pair && r < adapter->rank; r++) {
            float a, b;
            memcpy(&a, (const char *)pair->a->tensor.data + 4 * (r * n_cols + i % n_cols), 4);
            memcpy(&b, (const char *)pair->b->tensor.data + 4 * (i / n_cols * adapter->rank + r),
                   4);
            sum += (double)a * (double)b;
        }
        if (!(fabs((double)x[i] + scale * sum - (double)y[i]) < 1e-5))
            fail_msg("%s: element %d is %g", name, (int)i, (double)y[i]);
    }
    mem_free(x);
    mem_free(y);
}

static void merging_writes_the_sum(void **state)
{
    (void)state;
    Error err = {0};
    static const char *const names[] = {
        "model.layers.0.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight",
        "model.layers.1.input_layernorm.weight", "model.embed_tokens.weight"};
    Base base = open_base(fixture_dense(), "merge");
    char *dir = adapter_fixture_write(&plain, &base.model->config, "merge-adapter");
    AdapterPackage *adapter;
    assert_ok(adapter = adapter_package_open(dir, &err));
    static const char *const outs[] = {"merged-folder", "merged.gguf"};
    for (int i = 0; i < 2; i++) {
        char *path = mem_strdup(test_temp(outs[i]));
        merge(&base, dir, path, -0.5f);
        Package *out;
        assert_ok(out = package_open(path, true, &err));
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            expect_merged(out, &base, adapter, names[j], -0.5 * (double)adapter->scale);
        package_close(out);
        mem_free(path);
    }
    adapter_package_close(adapter);
    mem_free(dir);
    close_base(&base);
}

/* From a folder into banks, and from banks into banks. */
static void experts_are_merged(void **state)
{
    (void)state;
    Error err = {0};
    static const char *const names[] = {"model.layers.0.mlp.experts.1.down_proj.weight",
                                        "model.layers.0.mlp.experts.2.down_proj.weight",
                                        "model.layers.1.self_attn.v_proj.weight"};
    Base base = open_base(fixture_experts(), "merge-experts");
    const Config dense = as_dense(&base.model->config);
    AdapterFixture f = plain;
    f.mlp = "mlp.experts.1";
    char *dir = adapter_fixture_write(&f, &dense, "expert-adapter");
    char *first = mem_strdup(test_temp("first.gguf")),
         *second = mem_strdup(test_temp("second.gguf"));
    AdapterPackage *adapter;
    assert_ok(adapter = adapter_package_open(dir, &err));
    merge(&base, dir, first, 1);
    Package *one, *two;
    assert_ok(one = package_open(first, true, &err));
    const Base again = {.package = one};
    merge(&again, dir, second, 2);
    assert_ok(two = package_open(second, true, &err));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        expect_merged(one, &base, adapter, names[i], (double)adapter->scale);
        expect_merged(two, &base, adapter, names[i], 3 * (double)adapter->scale);
    }
    package_close(one);
    package_close(two);
    adapter_package_close(adapter);
    mem_free(first);
    mem_free(second);
    mem_free(dir);
    close_base(&base);
}

static void what_is_not_written_is_not_merged(void **state)
{
    (void)state;
    Error err = {0};
    Fixture *tied = fixture_dense();
    tied->is_tied = true;
    tied->n = 0;
    fixture_plan(tied);
    Base base = open_base(tied, "tied");
    char *dir = mem_strdup(test_temp("head")), *out = mem_strdup(test_temp("head.gguf"));
    assert_ok(file_make_dir(dir, &err));
    fixture_write_text(dir, "adapter_config.json",
                       "{\"peft_type\":\"LORA\",\"r\":1,\"lora_alpha\":1}");
    const TensorInfo infos[] = {
        {"base_model.model.lm_head.lora_A.weight", DTYPE_F32, 2, {1, tied->hidden}},
        {"base_model.model.lm_head.lora_B.weight", DTYPE_F32, 2, {tied->vocab, 1}}};
    const float zeros[64] = {0};
    char *path = file_join(dir, "adapter_model.safetensors");
    SafetensorsWriter *w = safetensors_writer_open(path, infos, 2, NULL, &err);
    assert_ok(w && safetensors_writer_write(w, zeros, 4 * (size_t)tied->hidden, &err) &&
              safetensors_writer_write(w, zeros, 4 * (size_t)tied->vocab, &err) &&
              safetensors_writer_commit(w, &err));
    AdapterPackage *p;
    assert_ok(p = adapter_package_open(dir, &err));
    const MergedAdapter merged = {p, 1};
    const ConvertOptions options = {
        .type = "F32", .adapters = &merged, .n_adapters = 1, .n_threads = 1};
    assert_error(package_convert(base.package, out, &options, &err), ERROR_UNSUPPORTED,
                 "lm_head.lora_A.weight: the model has no such matrix");
    adapter_package_close(p);
    mem_free(path);
    mem_free(dir);
    mem_free(out);
    close_base(&base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scales_follow_the_configuration),
        cmocka_unit_test(what_cannot_be_done_is_refused),
        cmocka_unit_test(another_base_is_named),
        cmocka_unit_test(configuration_and_tensors_agree),
        cmocka_unit_test(experts_are_not_adapted_at_work),
        cmocka_unit_test(updates_do_not_depend_on_the_cut),
        cmocka_unit_test(merging_writes_the_sum),
        cmocka_unit_test(experts_are_merged),
        cmocka_unit_test(what_is_not_written_is_not_merged),
    };
    return TEST_MAIN("adapter", tests);
}
